"""Replies between threads and coroutines."""

import asyncio
import threading

import pytest

from recency.serving.replies import Outbox, Reply, ready, settle


def test_a_reply_is_waited_for_where_it_was_made():
    in_thread: Reply[int] = Reply()
    settle([(in_thread, 1)])
    assert in_thread.result() == 1
    failed: Reply[int] = Reply()
    settle([(failed, KeyError("x"))])
    with pytest.raises(KeyError):
        failed.result()
    with pytest.raises(TimeoutError):
        Reply().result(timeout=0.01)

    async def elsewhere() -> None:
        with pytest.raises(RuntimeError, match="expected a reply made in this coroutine"):
            await in_thread
        with pytest.raises(RuntimeError, match="expected a reply made in a thread"):
            Reply().result()

    asyncio.run(elsewhere())


def test_a_reply_can_be_changed_on_the_way():
    reply: Reply[int] = Reply()
    changed = reply.then(lambda n: n + 1).then(str)
    settle([(reply, 1)])
    assert (reply.result(), changed.result(), ready(3).result()) == (1, "2", 3)


def test_many_replies_wake_a_loop_once_and_one_who_left_is_left_alone():
    async def wait() -> list[object]:
        replies: list[Reply[int]] = [Reply() for _ in range(5)]
        waiting = [asyncio.ensure_future(_wait(reply)) for reply in replies]
        await asyncio.sleep(0)
        waiting[0].cancel()
        await asyncio.sleep(0)
        pairs = [(reply, n) for n, reply in enumerate(replies)]
        pairs[1] = (replies[1], OSError("gone"))  # type: ignore[assignment]  # an error as result
        threading.Thread(target=settle, args=(pairs,)).start()
        return await asyncio.gather(*waiting, return_exceptions=True)

    found = asyncio.run(wait())
    assert isinstance(found[0], asyncio.CancelledError) and isinstance(found[1], OSError)
    assert found[2:] == [2, 3, 4]


async def _wait(reply: Reply[int]) -> int:
    return await reply


def test_a_reply_to_a_loop_that_has_ended_is_dropped():
    async def make() -> Reply[int]:
        return Reply()

    settle([(asyncio.run(make()), 1)])


def test_what_one_turn_of_a_loop_hands_over_goes_as_one():
    sent: list[list[int]] = []
    outbox: Outbox[int] = Outbox(sent.append)

    async def turn() -> None:
        for n in range(3):
            outbox.post(n)
        assert sent == []
        await asyncio.sleep(0)
        outbox.post(3)
        await asyncio.sleep(0)

    asyncio.run(turn())
    outbox.post(4)  # no loop here
    assert sent == [[0, 1, 2], [3], [4]]
