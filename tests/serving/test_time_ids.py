"""Time ids: each is new, also in a child process, and they sort by the time they were given."""

import os
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from recency.serving.http.time_ids import time_id


def test_ids_are_uuids_of_version_7_in_the_order_of_time(monkeypatch: pytest.MonkeyPatch) -> None:
    first = time_id()
    monkeypatch.setattr("time.time_ns", lambda: 2_000_000_000_000_000_000)
    later = uuid.UUID(time_id())
    assert later.version == 7 and later.variant == uuid.RFC_4122
    assert later.int >> 80 == 2_000_000_000_000 and first < str(later)


def test_no_id_is_given_twice_to_threads() -> None:
    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(lambda _: time_id(), range(4_000)))
    assert len(set(ids)) == 4_000


@pytest.mark.skipif(sys.platform == "win32", reason="forks")
def test_a_child_gives_ids_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time_ns", lambda: 0)
    time_id()
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        os.write(writing, time_id().encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reading, 36).decode() != time_id()
