"""Another process reads the log of a running server, and hands models in."""

import sqlite3

import pytest

import recency as rc
from recency.data.synthetic import shop
from recency.errors import FormatError, StoreError
from recency.online.feed import Description, Entry, Merge
from recency.serving.log.event_reader import EventReader
from recency.serving.log.event_store import EventStore
from recency.serving.log.events import Event
from recency.serving.models.candidates import Base, Candidates, alone
from recency.serving.models.registry import Registry

NOW = 1_767_225_600_000_000


def event(n: int, user: str = "ann") -> Event:
    return Event(f"e{n}", user, f"i{n}", NOW + n, event_type="view", value=0.5)


def test_it_follows_a_log_that_is_being_written(tmp_path):
    path = tmp_path / "events.sqlite"
    with EventStore(path) as store:
        reader = EventReader(path)
        assert reader.read(0, 10) == [] and reader.log_id == store.log_id
        store.append([event(1), event(2, "bob")]).result()
        assert reader.read(0, 10) == [
            Entry(1, "ann", "i1", NOW + 1, "view", 0.5),
            Entry(2, "bob", "i2", NOW + 2, "view", 0.5),
        ]
        store.merge("bob", "ann").result()
        store.append([event(3)]).result()
        assert reader.read(1, 2) == [reader.read(0, 9)[1], Merge(3, "bob", "ann")]
        assert [one.seq for one in reader.read(3, 9)] == [4]
        assert not reader.erased(["ann", "bob"])
        for age in (30, 31):  # the newer takes the older one's place
            store.describe_user("bob", f'{{"age":{age}}}').result()
        assert reader.read(4, 9) == [Description(6, "ann", {"age": 31})]
        store.erase("ann").result()
        assert reader.erased(["ann", "carl"]) == ["ann"]
        assert reader.read(0, 9) == [] and reader.end == store.last_seq > 6


def test_it_writes_nothing(tmp_path):
    path = tmp_path / "events.sqlite"
    with EventStore(path):
        reader = EventReader(path)
        with reader._open() as connection, pytest.raises(sqlite3.OperationalError):
            connection.execute("DELETE FROM events")


def test_a_wrong_file_is_told(tmp_path):
    with pytest.raises(StoreError, match="expected an event log, found none"):
        EventReader(tmp_path / "none.sqlite")
    other = tmp_path / "other.sqlite"
    sqlite3.connect(other).execute("CREATE TABLE a (b)").connection.close()
    with pytest.raises(FormatError, match="found another database"):
        EventReader(other)
    (tmp_path / "text.sqlite").write_text("no database, but long enough to be looked at" * 20)
    with pytest.raises(StoreError, match="could not read the event log"):
        EventReader(tmp_path / "text.sqlite")


def test_two_learners_do_not_work_side_by_side(tmp_path):
    lock = alone(tmp_path)
    with pytest.raises(StoreError, match="expected no other learner at .*, found one at work"):
        alone(tmp_path)
    lock.release()
    alone(tmp_path).release()


def test_candidates_know_what_they_go_back_to(tmp_path):
    log = shop(n_users=20, n_items=12, days=10, seed=0).log
    training = rc.TrainConfig(epochs=1, device="cpu")
    made = rc.SequenceRecommender(rc.GRU(dim=4), training=training).fit(log)
    made.save(tmp_path / "shop")
    registry = Registry.of(tmp_path / "shop")
    first = Base.of(registry, tmp_path / "learn", "log 1")
    assert (first.version, first.seq) == (made.model_version, 0)
    made.live.model.bias.data.add_(0.1)
    made.relearned(states_stand=True)
    taker = Candidates(registry, "log 1", first.version)
    name = taker.publish(made, {"number": 1, "seq": 7})
    assert taker.publish(made, {"number": 1, "seq": 7}) == name == made.model_version
    (candidate,) = registry.candidates()
    assert candidate.facts["seq"] == 7 and candidate.facts["base"] == first.version
    registry.promote(name)
    assert Base.of(registry, tmp_path / "learn", "log 1") == first  # it goes on from there
    elsewhere = Base.of(registry, tmp_path / "elsewhere", "log 1")
    assert (elsewhere.version, elsewhere.seq) == (name, 7)
    assert Base.of(registry, tmp_path / "third", "log 2").seq == 0
