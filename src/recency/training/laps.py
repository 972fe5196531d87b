"""Laps: training says what it has just done, for whoever measures where its time goes.

The loop calls `lap` at the end of each part of a step. Nobody listens unless `listening` is
entered, and then only in that thread: one call costs a tenth of a microsecond. So what is profiled
is the very loop that trains.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Listener = Callable[[str, int], None]  # the part that has ended, and the targets it brings

_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


def lap(part: str, n_targets: int = 0) -> None:
    """Tell the listener, if there is one, that a part has ended.

    Args:
        part: Its name.
        n_targets: Targets that the step which begins with this part is about.
    """
    listener = _listener.get()
    if listener is not None:
        listener(part, n_targets)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Have a listener told of every lap inside the block."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)
