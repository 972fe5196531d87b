"""T4: the disk is full, fails, or will not sync: nothing is acknowledged, reads go on, it heals."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from recency.errors import RecencyError
from recency.serving.http.problems import problem_of
from recency.serving.log import group_commit
from recency.serving.log.event_store import EventStore
from recency.serving.log.events import Event
from recency.serving.refusals import StoreFullError
from tests.faults.disk import FULL, IOERR_FSYNC, IOERR_WRITE, OK, Disk, watched

NOW = 1_767_225_600_000_000
FAULTS = {
    "full": ("write", FULL, 507, "is full; nothing of this call is kept."),
    "write": ("write", IOERR_WRITE, 503, "disk I/O error (SQLITE_IOERR_WRITE)."),
    "sync": ("sync", IOERR_FSYNC, 503, "disk I/O error (SQLITE_IOERR_FSYNC)."),
}


def event(n: int) -> Event:
    return Event(f"e{n}", f"u{n % 3}", f"i{n}", NOW + n)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    with watched(tmp_path) as disk:
        yield disk


@pytest.mark.parametrize("kind", FAULTS)
@pytest.mark.parametrize("file", ["events.sqlite-wal", "events.sqlite"])
def test_t04_a_failing_disk_acknowledges_nothing_and_heals(
    tmp_path, disk, kind, file, monkeypatch, soak, fault_row
):
    monkeypatch.setattr(group_commit, "_PROBE_SECONDS", 0.02)
    operation, code, status, said = FAULTS[kind]
    acked: list[str] = []
    delivered: list[str] = []

    def deliver(group):
        delivered.extend(one.event_id for _, one in group.events)
        group.resolve()

    def send(first: int, n: int) -> RecencyError | None:
        try:
            outcomes = store.append([event(k) for k in range(first, first + n)]).result(timeout=30)
        except RecencyError as error:
            return error
        acked.extend(str(one.event_id) for one in outcomes if one.status != "rejected")
        return None

    failures, n, rounds = 0, 0, 20 if soak else 3
    with EventStore(tmp_path / "events.sqlite") as store:
        store.deliver_to(deliver)
        for _ in range(rounds):
            assert send(n, 20) is None
            n += 20
            disk.fault = lambda what, name: code if (what, name) == (operation, file) else OK
            before = list(acked)
            while True:  # the database itself is written when the log is folded: every 1,000 pages
                error = send(n, 400)
                if error is not None:
                    break
                n += 400
                if file == "events.sqlite":
                    with pytest.raises(RecencyError):
                        store.fold()
                    break
            if error is not None:
                assert said in str(error)
                assert problem_of(error).status == status
                assert isinstance(error, StoreFullError) == (kind == "full")
                assert store.failing is not None and acked[: len(before)] == before
                failures += 1
            assert [one.event_id for _, one in store.read(limit=10**6)][: len(acked)] == acked
            disk.fault = lambda what, name: OK
            assert send(n, 400) is None  # the same events again, under the same ids
            assert store.failing is None
            n += 400
        kept = [one.event_id for _, one in store.read(limit=10**6)]
    assert (failures > 0) == (file == "events.sqlite-wal")
    assert sorted(set(acked)) == sorted(kept) == sorted(set(kept))
    assert delivered == kept  # whatever the failed commit left is shown to the model, once
    with EventStore(tmp_path / "events.sqlite") as store:
        assert [one.event_id for _, one in store.read(limit=10**6)] == kept
    fault_row(test=f"T4 {kind} {file}", runs=rounds, lost=0, doubled=0)


def test_t04_a_failed_sync_is_not_tried_again_on_the_same_file(tmp_path, disk, monkeypatch):
    """After one the kernel may call the pages clean that it has lost: the file is opened anew."""
    monkeypatch.setattr(group_commit, "_PROBE_SECONDS", 30.0)
    with EventStore(tmp_path / "events.sqlite") as store:
        store.append([event(1)]).result(timeout=30)
        connection = store._writer._connection
        disk.fault = lambda what, name: IOERR_FSYNC if what == "sync" else OK
        with pytest.raises(RecencyError, match="SQLITE_IOERR_FSYNC"):
            store.append([event(2)]).result(timeout=30)
        with pytest.raises(RecencyError, match="SQLITE_IOERR_FSYNC"):  # and while it lasts
            store.append([event(2)]).result(timeout=30)
        disk.fault = lambda what, name: OK
        assert store.append([event(2)]).result(timeout=30)[0].seq == 2
        assert store._writer._connection is not connection


def test_t04_by_interval_a_failed_sync_stops_the_log_until_it_is_well(tmp_path, disk, monkeypatch):
    monkeypatch.setattr(group_commit, "_PROBE_SECONDS", 0.01)
    # Long enough for the second event to be taken before the next sync, however busy the machine.
    with EventStore(tmp_path / "events.sqlite", durability="interval:1s") as store:
        store.append([event(0)]).result(timeout=30)  # a log that begins is synced at once
        disk.fault = lambda what, name: IOERR_FSYNC if what == "sync" else OK
        store.append([event(1)]).result(timeout=30)
        wait_until(lambda: store.failing is not None)
        disk.fault = lambda what, name: OK
        wait_until(lambda: store.failing is None)
        synced = disk.n_syncs
        assert store.append([event(2)]).result(timeout=30)[0].seq == 3
        wait_until(lambda: disk.n_syncs > synced)


def wait_until(true: Callable[[], bool]) -> None:
    import time

    patience = time.monotonic() + 30
    while not true():
        assert time.monotonic() < patience
        time.sleep(0.002)
