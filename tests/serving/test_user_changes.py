"""Merges and erasures in the log: who an id stands for, from then on and after a restart."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from recency.errors import DataError
from recency.serving.log.event_store import EventStore
from recency.serving.log.events import Event, UserChange

NOW = 1_767_225_600_000_000


def event(n: int, user: str | int, **changes: object) -> Event:
    fields = {"event_id": f"e{n}", "user_id": user, "item_id": n, "time": NOW + n}
    return Event(**(fields | changes))  # type: ignore[arg-type]  # a mixed dictionary


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.sqlite"


@pytest.fixture
def store(path: Path) -> Iterator[EventStore]:
    with EventStore(path) as store:
        yield store


def send(store: EventStore, *events: Event) -> list[tuple[str, int | None]]:
    return [(one.status, one.seq) for one in store.append(events).result(timeout=30)]


def fault_of(store: EventStore, anonymous: str, user: str) -> str:
    with pytest.raises(DataError) as caught:
        store.merge(anonymous, user).result(timeout=30)
    return str(caught.value)


def test_a_merge_is_an_entry_and_what_comes_later_is_the_users(store, path):
    send(store, event(1, "a"), event(2, "u"))
    done = store.merge("a", "u").result(timeout=30)
    assert (done.status, done.seq) == ("accepted", 3)
    assert send(store, event(3, "a")) == [("accepted", 4)]
    assert [one.user_id for _, one in store.read()] == ["a", "u", "u"]  # as each was written
    assert store.read_changes() == [(3, UserChange("merge", "u", "a"))]
    assert store.read_changes(after_seq=3) == []
    store.close()
    with EventStore(path) as again:
        assert again.identities.family("u") == ["u", "a"] and again.identities.of("a") == "u"
        assert send(again, event(5, "a")) == [("accepted", 5)]
        assert again.read(after_seq=4)[0][1].user_id == "u"
        assert again.events_of(["u", "a"]) == again.read()


def test_a_retry_across_a_merge_is_a_duplicate_not_another_event(store):
    send(store, event(1, "a"), event(2, "u"))
    store.merge("a", "u").result(timeout=30)
    assert send(store, event(1, "a"), event(1, "u"), event(2, "a")) == [
        ("duplicate", 1),
        ("duplicate", 1),
        ("duplicate", 2),
    ]
    assert send(store, event(1, "x")) == [("rejected", None)]


def test_a_merge_repeated_does_nothing(store):
    store.merge("a", "u").result(timeout=30)
    again = store.merge("a", "u").result(timeout=30)
    assert (again.status, again.seq) == ("duplicate", 1)
    assert store.last_seq == 1


def test_merges_follow_each_other(store):
    for one, into in (("a", "u"), ("u", "v"), ("b", "u")):
        store.merge(one, into).result(timeout=30)
    who = store.identities
    assert [who.of(one) for one in ("a", "b", "u", "v")] == ["v"] * 4
    assert who.family("v") == ["v", "a", "u", "b"]
    assert store.read_changes()[-1] == (3, UserChange("merge", "v", "b"))


def test_merges_that_cannot_be_are_refused_with_the_reason(store):
    store.merge("a", "u").result(timeout=30)
    assert fault_of(store, "u", "u") == "expected two ids to merge, found 'u' twice."
    assert fault_of(store, "u", "a") == (
        "'a' belongs to 'u' since seq 1: they cannot be merged the other way too."
    )
    assert fault_of(store, "a", "other") == (
        "'a' belongs to 'u' since seq 1; who signs out goes on under a new anonymous id."
    )
    store.erase("gone").result(timeout=30)
    for pair in (("gone", "u"), ("b", "gone")):
        assert fault_of(store, *pair) == "user 'gone' was erased: nothing can be merged with it."
    assert len(store.read_changes()) == 2
    assert send(store, event(1, "u")) == [("accepted", 3)]  # its neighbours go on


def test_an_erasure_takes_all_ids_and_leaves_a_tombstone_each(store, path):
    send(store, event(1, "a"), event(2, "u"), event(3, "other"), event(4, "u"))
    store.merge("a", "u").result(timeout=30)
    send(store, event(5, "a"))
    outcome, n_events = store.erase("u").result(timeout=30)
    assert (outcome.status, outcome.seq, n_events) == ("accepted", 7, 4)
    assert [seq for seq, _ in store.read()] == [3]
    assert [(seq, one.kind, one.user_id) for seq, one in store.read_changes()] == [
        (7, "erase", None),
        (8, "erase", None),
    ]
    late = store.append([event(9, "a"), event(10, "other"), event(2, "u")]).result(timeout=30)
    assert [(one.status, one.seq) for one in late] == [
        ("rejected", None),
        ("accepted", 9),
        ("rejected", None),
    ]
    assert late[0].error == "user 'a' was erased: nothing more is kept under this id."
    again, n_events = store.erase("u").result(timeout=30)
    assert (again.status, again.seq, n_events) == ("duplicate", 7, 0)
    store.close()
    with EventStore(path) as again:
        assert send(again, event(11, "u")) == [("rejected", None)]
        assert again.last_seq == 9
        assert again.identities.newest_erasure == 8


def test_the_delivered_group_names_the_user_and_the_file_does_not(store):
    seen = []

    def deliver(group):
        seen.extend(group.changes)
        group.resolve()

    store.deliver_to(deliver)
    send(store, event(1, "u"))
    store.erase("u").result(timeout=30)
    digest = store.identities.digest("u")
    assert seen == [(2, UserChange("erase", "u", digest=digest))]
    assert store.read_changes() == [(2, UserChange("erase", digest=digest))]


def test_a_number_and_its_digits_are_two_users(store):
    send(store, event(1, 42), event(2, "42"))
    store.erase(42).result(timeout=30)
    assert [one.user_id for _, one in store.read()] == ["42"]
    assert send(store, event(3, "42"), event(4, 42)) == [("accepted", 4), ("rejected", None)]


def test_digests_depend_on_the_file(tmp_path):
    with EventStore(tmp_path / "one.sqlite") as one, EventStore(tmp_path / "two.sqlite") as two:
        assert one.identities.digest("u") != two.identities.digest("u")
        assert len(one.identities.digest("u")) == 32


def test_a_failed_commit_leaves_no_half_merge(store):
    from tests.serving.test_event_store import Failing

    store._writer._connection = Failing(store._writer._connection, after=False)
    with pytest.raises(Exception, match="SQLITE_IOERR_FSYNC"):
        store.merge("a", "u").result(timeout=30)
    assert send(store, event(1, "a")) == [("accepted", 1)]
    assert store.read()[0][1].user_id == "a" and store.read_changes() == []


def test_a_commit_that_landed_all_the_same_is_delivered(store):
    from tests.serving.test_event_store import Failing

    seen = []

    def deliver(group):
        seen.extend(group.changes)
        group.resolve()

    store.deliver_to(deliver)
    store._writer._connection = Failing(store._writer._connection, after=True)
    with pytest.raises(Exception, match="SQLITE_IOERR_FSYNC"):
        store.merge("a", "u").result(timeout=30)
    assert send(store, event(1, "a")) == [("accepted", 2)]
    assert seen == [(1, UserChange("merge", "u", "a"))]
    assert store.read()[0][1].user_id == "u"


def test_impressions_and_recommendations_come_back(store):
    one = event(1, "u", recommendation_id="r-1", impression='["a","b"]')
    store.append([one]).result(timeout=30)
    assert store.read() == [(1, one)]
