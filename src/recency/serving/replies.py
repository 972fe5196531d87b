"""Reply: a result that is on its way, awaited in a coroutine or in a thread.

The futures of the standard library wake an event loop once for each result. Here many results wake
it once (`settle`), which matters when one commit or one product of matrices answers thirty-two
requests.
"""

import asyncio
import concurrent.futures
from collections.abc import Callable, Generator, Iterable
from typing import Any, Generic, TypeVar, cast

Result = TypeVar("Result")
Changed = TypeVar("Changed")
Settled = tuple["Reply[Any]", object]  # a reply, and its result or an Exception


class Reply(Generic[Result]):
    """Wait for one result. Made in a coroutine it is awaited, elsewhere ``result()`` waits.

    Who stops waiting does not take anything back: the work goes on.
    """

    __slots__ = ("_change", "_future", "_loop")

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None
        self._future: asyncio.Future[Any] | concurrent.futures.Future[Any]
        try:
            self._loop = asyncio.get_running_loop()
            self._future = self._loop.create_future()
        except RuntimeError:
            self._loop = None
            self._future = concurrent.futures.Future()
        self._change: Callable[[Any], Any] | None = None

    def __await__(self) -> Generator[Any, None, Result]:
        if not isinstance(self._future, asyncio.Future):
            raise RuntimeError("expected a reply made in this coroutine; use result() in a thread.")
        result = yield from self._future.__await__()
        return self._changed(result)

    def result(self, timeout: float | None = None) -> Result:
        """Wait in a thread.

        Args:
            timeout: Seconds to wait; None for ever.

        Raises:
            TimeoutError: the result did not come in time.
        """
        if not isinstance(self._future, concurrent.futures.Future):
            raise RuntimeError("expected a reply made in a thread; await it in a coroutine.")
        return self._changed(self._future.result(timeout))

    def then(self, change: "Callable[[Result], Changed]") -> "Reply[Changed]":
        """Give a reply with the changed result; the change is made by who waits."""
        twin: Reply[Changed] = Reply.__new__(Reply)
        before = self._change
        twin._loop, twin._future = self._loop, self._future
        twin._change = change if before is None else lambda one: change(before(one))
        return twin

    def _changed(self, result: Any) -> Result:
        return cast(Result, result if self._change is None else self._change(result))


def settle(settled: Iterable[Settled]) -> None:
    """Give each reply its result, or raise its error where it is waited for.

    Each event loop is woken once. A reply whose waiter has gone is left alone.
    """
    by_loop: dict[asyncio.AbstractEventLoop, list[Settled]] = {}
    for reply, result in settled:
        if reply._loop is None:
            _set(reply._future, result)
        else:
            by_loop.setdefault(reply._loop, []).append((reply, result))
    for loop, pairs in by_loop.items():
        if not loop.is_closed():
            loop.call_soon_threadsafe(_set_all, pairs)


def ready(result: Result) -> Reply[Result]:
    """Give a reply that has its result."""
    reply: Reply[Result] = Reply()
    _set(reply._future, result)
    return reply


def _set_all(pairs: list[Settled]) -> None:
    for reply, result in pairs:
        _set(reply._future, result)


def _set(future: "asyncio.Future[Any] | concurrent.futures.Future[Any]", result: object) -> None:
    if future.done():
        return
    if isinstance(result, Exception):
        future.set_exception(result)
    else:
        future.set_result(result)


class Outbox(Generic[Result]):
    """Collect what coroutines hand over in one turn of their event loop, and send it as one.

    Each hand-over to another thread wakes that thread and makes both fight for the interpreter;
    thirty-two requests that arrive together are better handed over together. Nothing waits for a
    timer: the turn ends at once when there is no other request.

    Args:
        send: Called with what was collected; from a thread without an event loop, with each alone.
    """

    def __init__(self, send: Callable[[list[Result]], None]) -> None:
        self._send = send
        self._held: dict[asyncio.AbstractEventLoop, list[Result]] = {}

    def post(self, one: Result) -> None:
        """Hand something over, now or at the end of the turn."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._send([one])
            return
        held = self._held.get(loop)
        if held is None:
            self._held[loop] = [one]
            loop.call_soon(self._flush, loop)
        else:
            held.append(one)

    def _flush(self, loop: asyncio.AbstractEventLoop) -> None:
        self._send(self._held.pop(loop))
