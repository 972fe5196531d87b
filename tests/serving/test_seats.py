"""Seats: every model in step with one log, whoever serves."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from recency.recommender import SequenceRecommender
from recency.serving.engine import Engine
from recency.serving.intake.item_checks import ItemChecks
from recency.serving.log.event_store import EventStore
from recency.serving.models.gate import GateConfig
from recency.serving.models.seats import Seat
from recency.serving.questions import Question

DAY = 86_400_000_000
NOW = 1_767_225_600_000_000 + 40 * DAY


@pytest.fixture
def engine(shop: Path, clock: Callable[[], int]) -> Any:
    engine = Engine.open(shop, clock=clock, gate=GateConfig(judging=1.0))
    yield engine
    engine.close()


def send(engine: Engine, user: str, item: str, **fields: Any) -> None:
    (outcome,) = engine.ingest([{"user_id": user, "item_id": item} | fields]).result(30)
    assert outcome.status == "accepted", outcome


def put(engine: Engine, item: str, **fields: Any) -> None:
    change = ItemChecks(engine.checks).check({"item_id": item} | fields)
    engine.put_items([change]).result(30)  # type: ignore[list-item]  # no outcome: it is sound


def beside(engine: Engine, shop: Path) -> Seat:
    """Seat a copy of the model that follows the log by itself."""
    return Seat(SequenceRecommender.load(shop), engine.store)


def listed(seat: Seat | Engine, user: str, **selection: Any) -> Any:
    if isinstance(seat, Engine):
        return seat.call(
            lambda m: m.recommend([user], 30, at=NOW + DAY, **selection).items[0]
        ).result(30)
    return seat.recommender.recommend([user], 30, at=NOW + DAY, **selection).items[0]


def scored(seat: Seat | Engine, user: str) -> dict[Any, float]:
    def ask(model: Any) -> dict[Any, float]:
        found = model.recommend([user], 31, at=NOW + DAY)
        return dict(zip(found.items[0], found.scores[0], strict=True))

    return seat.call(ask).result(30) if isinstance(seat, Engine) else ask(seat.recommender)


def test_a_seat_that_reads_the_log_knows_what_one_that_serves_knows(engine, shop):
    seat = beside(engine, shop)
    seat.follower.replay()
    put(engine, "new", title="New", categories=["boats"])
    for n in range(12):
        send(engine, f"u{n % 3}", f"i{n}", timestamp=NOW - n)
    seat.catch_up()
    put(engine, "new", title="Newer", categories=["boats"])  # known before, changed since
    put(engine, "i1", title="One", categories=["boats"])
    send(engine, "visitor", "i3")
    engine.store.merge("visitor", "u4").result(30)
    seat.catch_up()
    assert seat.as_of == engine.as_of
    for user in ("u0", "u1", "u4", "visitor"):
        assert scored(seat, user) == pytest.approx(scored(engine, user), abs=1e-5)
    assert seat.recommender.catalogue is not None and engine.catalogue is not None
    assert seat.recommender.catalogue.titles(["new", "i1"]) == ["Newer", "One"]
    assert set(listed(seat, "u1", categories=["boats"])) == {"new", "i1"}
    assert seat.recommender.items.ids.to_list() == (
        engine.call(lambda m: m.items.ids.to_list()).result(30)
    )
    history = seat.recommender.history("u4")["item_id"].to_list()
    assert history[-1] == "i3" and len(seat.recommender.history("visitor")) == 0


def test_an_erased_user_is_gone_from_seats_that_read_the_log(engine, shop):
    seat = beside(engine, shop)
    seat.follower.replay()
    engine.recommend(Question("u5")).result(30)
    engine.recommend(Question("u6")).result(30)
    send(engine, "u5", "i1")
    seat.catch_up()
    engine.store.erase("u5").result(30)
    seat.catch_up()
    assert "u5" not in seat.recommender.users and len(seat.recommender.history("u5")) == 0
    assert [question.user for question, _ in engine._seats.asked] == ["u6"]


def test_a_group_that_was_read_already_is_passed_over(engine, shop):
    seat = beside(engine, shop)
    seat.follower.replay()
    groups: list[Any] = []
    take = engine.champion.follower.take

    def noting(group: Any, *rest: Any) -> Any:
        groups.append(group)
        return take(group, *rest)

    engine.champion.follower.take = noting
    send(engine, "u1", "i1")
    seat.catch_up()
    n_events = len(seat.recommender.history("u1"))
    assert seat.follower.take(groups[0]) == {}
    assert len(seat.recommender.history("u1")) == n_events


def test_only_events_that_are_new_to_a_model_are_judged(engine, shop):
    send(engine, "u1", "i1", timestamp=NOW)
    send(engine, "u2", "i1", timestamp=NOW)  # no newer than what it knows
    send(engine, "u3", "i1", timestamp=NOW - DAY)
    send(engine, "u3", "i1", timestamp=NOW + 1)
    assert engine.champion.scores.seqs == [1, 4]
    seat = beside(engine, shop)
    seat.follower.replay(judged=frozenset([1, 2, 3, 4]))
    assert seat.scores.seqs == [1, 4]
    found = seat.scores.compare(engine.champion.scores)
    assert found.n == 2 and found.ndcg == pytest.approx(found.other)


def test_judging_takes_no_more_time_than_it_may(shop, clock):
    for share, expected in ((0.0, 0), (1e-9, 1)):
        engine = Engine.open(shop, clock=clock, gate=GateConfig(judging=share))
        n_before = engine.champion.scores.score.n
        for n in range(6):
            send(engine, "u1", f"i{n}", timestamp=NOW + n + 10 * expected)
        assert engine.champion.scores.score.n - n_before == expected
        engine.close()


def test_a_model_that_cannot_be_judged_still_learns_of_the_event(shop, tmp_path, caplog, clock):
    model: Any = SequenceRecommender.load(shop)
    engine = Engine(model, EventStore(tmp_path / "e"), clock=clock, gate=GateConfig(judging=1.0))
    engine.champion.scores.judge = lambda *_: 1 / 0  # type: ignore[method-assign,assignment]
    send(engine, "u1", "i1")
    assert engine.fault is None and engine.as_of.seq == 1
    assert "the model could not be judged on event" in caplog.text
    engine.close()


def test_what_was_shown_goes_along_when_models_change(engine, shop, fit, shop_log_frame, tmp_path):
    from recency.data.log import Log

    fit(Log.from_frame(shop_log_frame.head(390))).save(tmp_path / "other")
    shown = engine.champion.recommender.rules.shown
    engine.promote(engine.registry.publish(tmp_path / "other")).result(60)
    assert engine.champion.recommender.rules.shown is shown


def test_who_is_waited_for_stops_judging(engine, shop):
    seat = beside(engine, shop)
    seat.follower.replay()
    for n in range(4):
        send(engine, "u1", f"i{n}")
    seat.follower.in_a_hurry = True
    seat.catch_up(frozenset([1, 2, 3, 4]))
    assert seat.scores.seqs == [] and seat.as_of.seq == 4


@pytest.mark.parametrize(("noticed", "judged"), [(100, [1, 2, 3, 4]), (2, [1, 2])])
def test_nothing_is_judged_while_many_events_wait_to_be_counted(
    shop, clock, monkeypatch, noticed, judged
):
    monkeypatch.setattr("recency.live.recall._NOTICED", noticed)
    found: list[int] = []  # noted without a look at the model, which would count what waits
    monkeypatch.setattr(
        "recency.serving.models.follower.Follower._judge",
        lambda follower, seq, event: found.append(seq),
    )
    with closing(Engine.open(shop, clock=clock, gate=GateConfig(judging=0.999))) as engine:
        engine.recommend(Question("u1")).result(30)
        for n in range(4):
            send(engine, f"u{n}", "i1")
    assert found == judged
