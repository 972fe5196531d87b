"""The engine: an acknowledged event is kept, applied once, and seen by the next answer."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from recency.asking.selection import Selection
from recency.data.log import Log
from recency.errors import ConfigError, DataError, StoreError
from recency.recommender import SequenceRecommender
from recency.serving.engine import Engine
from recency.serving.log.event_store import EventStore
from recency.serving.log.events import ItemChange
from recency.serving.model_thread import ModelThread
from recency.serving.questions import Question, Ranked
from recency.serving.refusals import OverloadedError, StoppedError

DAY = 86_400_000_000
NOW = 1_767_225_600_000_000 + 40 * DAY  # 2026-02-10T00:00Z


@pytest.fixture
def opened(shop: Path, clock: Callable[[], int]) -> Iterator[Callable[..., Engine]]:
    """Open the shop, as often as wanted; what is still open is closed at the end."""
    engines: list[Engine] = []

    def open_shop(folder: Path = shop, **settings: Any) -> Engine:
        engines.append(Engine.open(folder, **({"clock": clock} | settings)))
        return engines[-1]

    yield open_shop
    for engine in engines:
        engine.close()


def send(engine: Engine, *rows: Any) -> list[Any]:
    return engine.ingest(list(rows)).result(timeout=30)


def row(user: str, item: str, **fields: Any) -> dict[str, Any]:
    return {"user_id": user, "item_id": item} | fields


def ask(engine: Engine, user: str | None = "u1", **fields: Any) -> Ranked:
    return engine.recommend(Question(user, **fields)).result(timeout=30)


def close_to(one: Ranked, other: Ranked) -> bool:
    """Compare two answers: the same lists, and scores that differ by rounding only."""
    return one.items == other.items and one.scores == pytest.approx(other.scores, abs=1e-5)


def everything(engine: Engine) -> list[Ranked]:
    """Ask about every user, known and new, as of one instant."""
    users = [*(f"u{n}" for n in range(20)), "new", "nobody"]
    return [ask(engine, user, k=30, at=NOW + DAY) for user in users]


# --- events --------------------------------------------------------------------------------------


def test_an_acknowledged_event_is_seen_by_the_next_answer(engine):
    before = ask(engine, k=30)
    for n in range(20):
        (outcome,) = send(engine, row("u1", f"i{n}"))
        answer = ask(engine, k=30)
        assert answer.as_of.seq == outcome.seq == n + 1
        assert answer.as_of.time == engine.as_of.time
    assert not close_to(before, answer)
    history = engine.call(lambda model: model.history("u1")).result(timeout=30)
    assert history["item_id"].to_list()[-20:] == [f"i{n}" for n in range(20)]


def test_an_event_a_little_ahead_of_the_clock_is_seen_too(engine):
    """A sender's clock may run four minutes ahead; its events count in the very next answer."""
    send(engine, row("fresh", "i3", timestamp=NOW + 240_000_000))
    answer = ask(engine, "fresh")
    assert not answer.fallback
    assert answer.at == NOW + 240_000_001


def test_a_stranger_gets_what_is_popular_and_becomes_known(engine):
    assert ask(engine, "fresh").fallback
    send(engine, row("fresh", "i3"))
    answer = ask(engine, "fresh")
    assert not answer.fallback and answer.user == "fresh"


def test_rejected_events_stand_between_their_neighbours(engine):
    outcomes = send(engine, row("u1", "i1"), {"user_id": 1.5}, row("u2", "i2"), "no event")
    assert [(one.status, one.seq) for one in outcomes] == [
        ("accepted", 1),
        ("rejected", None),
        ("accepted", 2),
        ("rejected", None),
    ]
    assert send(engine, "nothing at all")[0].status == "rejected"
    assert send(engine) == []


def test_a_repeat_changes_nothing(engine):
    send(engine, row("u1", "i1", event_id="a"), row("u1", "i2", event_id="b"))
    answers = everything(engine)
    for _ in range(3):
        outcomes = send(engine, row("u1", "i1", event_id="a"), row("u1", "i2", event_id="b"))
        assert [one.status for one in outcomes] == ["duplicate", "duplicate"]
    assert everything(engine) == answers
    assert (
        len(engine.call(lambda m: m.history("u1")).result(30))
        == len(engine.call(lambda m: m.history("u1", NOW)).result(30)) + 2
    )


def test_late_events_go_where_their_time_belongs(opened, shop, tmp_path):
    """The same events in time order and in reverse give the same answers."""
    rows = [row("u1", f"i{n}", timestamp=NOW - DAY + n) for n in range(8)]
    forward, backward = opened(events=tmp_path / "a"), opened(events=tmp_path / "b")
    for one in rows:
        send(forward, one)
    for one in rows[::-1]:
        send(backward, one)
        ask(backward)  # a state that has seen the later ones must not stand
    assert all(map(close_to, everything(forward), everything(backward)))


def test_equal_times_keep_the_order_of_arrival(engine):
    send(engine, *(row("u1", f"i{n}", timestamp=NOW) for n in (3, 1, 2)))
    history = engine.call(lambda model: model.history("u1", NOW + 1)).result(30)
    assert history["item_id"].to_list()[-3:] == ["i3", "i1", "i2"]


def test_events_of_one_user_from_eight_threads_are_all_there(engine):
    """No update is lost, every answer holds all that its thread has sent."""
    n_each = 40
    short: list[int] = []

    def work(thread: int) -> None:
        for n in range(n_each):
            (outcome,) = send(engine, row("u1", f"i{n % 30}", event_id=f"{thread}-{n}"))
            answer = ask(engine)
            if answer.as_of.seq < outcome.seq:
                short.append(outcome.seq)

    before = len(engine.call(lambda m: m.history("u1")).result(30))
    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not short
    assert len(engine.call(lambda m: m.history("u1")).result(30)) == before + 8 * n_each
    assert engine.as_of.seq == 8 * n_each


def test_coroutines_may_ask_and_send_at_once(engine):
    async def client(n: int) -> int:
        seq = (await engine.ingest([row(f"u{n}", "i1"), {}]))[0].seq
        answer = await engine.recommend(Question(f"u{n}"))
        assert answer.as_of.seq >= seq
        return seq

    async def clients() -> list[int]:
        return await asyncio.gather(*(client(n) for n in range(40)))

    assert sorted(asyncio.run(clients())) == list(range(1, 41))


# --- restarts ------------------------------------------------------------------------------------


def test_a_restart_answers_as_before(opened):
    engine = opened()
    for n in range(60):
        send(engine, row(f"u{n % 7}", f"i{n % 30}", event_type="view", value=float(n)))
        if n % 9 == 0:
            send(engine, row("new", f"n{n}", timestamp=NOW - n * DAY))
            ask(engine, f"u{n % 7}")
    answers, as_of = everything(engine), engine.as_of
    engine.close()
    for _ in range(2):
        engine = opened()
        assert engine.as_of == as_of
        assert engine.follower.n_replayed == 67
        assert all(map(close_to, everything(engine), answers))
        engine.close()


def test_a_restart_keeps_items_and_their_order(opened):
    engine = opened()
    put(engine, "z", title="Zelt")
    send(engine, row("u1", "z"), row("u1", "y"))
    put(engine, "y", title="Yacht", categories=["boats"])
    put(engine, "z", title="Zelt für zwei", available_from=NOW)
    seq, items = engine.last_seq, engine.call(lambda m: m.items.ids.to_list()).result(30)
    engine.close()
    engine = opened()
    assert engine.last_seq == engine.as_of.seq == seq
    assert engine.call(lambda m: m.items.ids.to_list()).result(30) == items
    assert engine.catalogue.titles(["z", "y", "i0"]) == ["Zelt für zwei", "Yacht", "Item 0"]
    only = Selection(categories=("boats",))
    # y has no vector yet; the experts counted its event.
    assert ask(engine, selection=only, at=NOW + DAY).items == ["y"]
    assert ask(engine, "nobody", selection=only, at=NOW + DAY).items == ["y"]


def put(engine: Engine, item: str, **fields: Any) -> None:
    from recency.serving.intake.item_checks import ItemChecks

    change = ItemChecks(engine.checks).check({"item_id": item} | fields)
    assert isinstance(change, ItemChange)
    engine.put_items([change]).result(timeout=30)


def test_a_model_fitted_anew_on_the_events_does_not_count_them_twice(opened, shop, make_model):
    engine = opened()
    rows = [row("u1", f"i{n}", timestamp=NOW - DAY + n, event_id=f"e{n}") for n in range(5)]
    send(engine, *rows, row("u2", "i1", timestamp=NOW - 1))
    engine.close()
    # Fitted on the log and four of the five events of u1.
    make_model(rows[:4]).save(shop)
    engine = opened()
    assert (engine.follower.n_absorbed, engine.follower.n_replayed) == (4, 2)
    history = engine.call(lambda m: m.history("u1")).result(30)["item_id"].to_list()
    assert history[-5:] == [f"i{n}" for n in range(5)]
    # A later event that says the same as one of them is an event of its own, now and later.
    send(engine, row("u1", "i0", timestamp=NOW - DAY, event_id="again"))
    n_events = len(engine.call(lambda m: m.history("u1")).result(30))
    engine.close()
    engine = opened()
    assert len(engine.call(lambda m: m.history("u1")).result(30)) == n_events
    assert engine.follower.n_absorbed == 4


def test_two_engines_cannot_share_a_store(opened):
    opened()
    with pytest.raises(StoreError, match="Two servers cannot share one event store"):
        opened()


def test_a_start_that_fails_lets_go_of_the_store(opened, shop, monkeypatch):
    monkeypatch.setattr(SequenceRecommender, "recommend", fails)
    with pytest.raises(RuntimeError, match="the model is broken"):
        opened()
    monkeypatch.undo()
    opened()


def fails(*_: object, **__: object) -> None:
    raise RuntimeError("the model is broken")


# --- questions -----------------------------------------------------------------------------------


def test_questions_answered_together_are_answered_as_alone(engine):
    questions = [
        Question("u1"),
        Question("u2", k=3),
        Question("nobody"),
        Question("u1", at=NOW - 20 * DAY),
        Question("u3", selection=Selection(categories=("odd",))),
        Question("u4", selection=Selection(repeats=False)),
        Question("u4", selection=Selection(candidates=("i1", "i2", "what"), exclude=("i2",))),
        Question(history=({"item_id": "i1", "timestamp": NOW - 1},), k=4),
        Question(history=()),
        Question("u1", k=30),
    ]

    async def together() -> list[Ranked]:
        return list(await asyncio.gather(*(engine.recommend(one) for one in questions)))

    alone = [engine.recommend(one).result(30) for one in questions]
    for one, other in zip(asyncio.run(together()), alone, strict=True):
        assert close_to(one, other)
        assert (one.user, one.fallback, one.at, one.as_of) == (
            other.user, other.fallback, other.at, other.as_of
        )  # fmt: skip
    assert [len(one.items) for one in alone[:2]] == [10, 3]
    assert alone[6].items == ["i1"]
    assert alone[6].notes == ("1 of 3 candidates were never seen: left out.",)


def test_one_bad_question_does_not_spoil_its_neighbours(engine):
    bad = Question("u1", selection=Selection(categories=("evne",)))

    async def together() -> list[Any]:
        replies = [engine.recommend(one) for one in (Question("u1"), bad, Question("u2"))]
        return [await _caught(reply) for reply in replies]

    first, second, third = asyncio.run(together())
    assert first.items and third.items
    assert isinstance(second, ConfigError)
    assert "no item has the category 'evne'; did you mean 'even'?" in str(second)


async def _caught(reply: Any) -> Any:
    try:
        return await reply
    except Exception as error:
        return error


def test_an_answer_is_what_the_library_says(engine, shop):
    library = SequenceRecommender.load(shop)
    found = library.recommend(["u5"], 7, at=NOW)
    answer = ask(engine, "u5", k=7)
    assert answer.items == found.items[0]
    assert answer.scores == pytest.approx(found.scores[0], abs=1e-6)
    assert answer.model_version == found.model_version == library.model_version
    similar = engine.similar_items("i1", 4).result(30)
    assert similar.items == library.similar_items("i1", 4).items[0]


# --- what must not happen, happens ---------------------------------------------------------------


class Picky:
    """A recommender that will not take events of one item."""

    def __init__(self, model: SequenceRecommender, error: type[Exception]) -> None:
        self._model, self._error = model, error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def observe(self, events: list[Any]) -> object:
        if any(one["item_id"] == "poison" for one in events):
            raise self._error("poison is not for me")
        return self._model.observe(events)


def picky(shop: Path, tmp_path: Path, error: type[Exception]) -> Engine:
    model: Any = Picky(SequenceRecommender.load(shop), error)
    return Engine(model, EventStore(tmp_path / "events.sqlite"), clock=lambda: NOW)


def test_an_event_that_the_model_refuses_is_kept_told_and_left_out(shop, tmp_path, caplog):
    engine = picky(shop, tmp_path, DataError)
    outcomes = send(engine, row("u1", "i1"), row("u1", "poison", event_id="p"), row("u1", "i2"))
    assert [one.status for one in outcomes] == ["accepted", "rejected", "accepted"]
    assert outcomes[1].error == "kept, but the model cannot take it: poison is not for me"
    assert outcomes[1].seq == 2
    assert "event 'p' (seq 2) is kept, not applied: poison is not for me" in caplog.text
    history = engine.call(lambda m: m.history("u1")).result(30)["item_id"].to_list()
    assert history[-2:] == ["i1", "i2"] and engine.fault is None
    engine.close()
    engine = picky(shop, tmp_path, DataError)  # and so after a restart
    assert engine.call(lambda m: m.history("u1")).result(30)["item_id"].to_list() == history
    assert engine.follower.n_refused == 1
    engine.close()


def test_a_model_that_breaks_stops_the_service_and_a_restart_mends_it(shop, tmp_path, opened):
    engine = picky(shop, tmp_path, ZeroDivisionError)
    send(engine, row("u1", "i1"))
    with pytest.raises(StoppedError) as caught:
        send(engine, row("u1", "poison"))
    said = (
        "the model failed on an event that is kept: ZeroDivisionError: poison is not for me. "
        "Restart the server: it loads the model anew and applies the event store."
    )
    assert str(caught.value) == said
    for attempt in (lambda: ask(engine), lambda: send(engine, row("u1", "i1"))):
        with pytest.raises(StoppedError, match="Restart the server"):
            attempt()
    assert str(engine.fault) == said
    engine.close()
    mended = opened(events=tmp_path / "events.sqlite")
    assert mended.follower.n_replayed == 2
    assert mended.call(lambda m: m.history("u1")).result(30)["item_id"].to_list()[-1] == "poison"


def test_a_closed_engine_refuses(opened):
    engine = opened()
    engine.close()
    with pytest.raises(StoppedError, match="nothing was taken"):
        ask(engine)
    with pytest.raises(StoppedError, match="nothing was taken"):
        engine.call(lambda model: model)
    with pytest.raises(StoppedError, match="nothing was taken"):
        send(engine, row("u", "i"))


def test_too_many_questions_are_refused_and_the_others_answered():
    release = threading.Event()

    def answer(questions: list[int]) -> list[int]:
        release.wait(30)
        return [2 * one for one in questions]

    thread: ModelThread[int, int] = ModelThread(answer, max_waiting=3)
    replies = [thread.ask(n) for n in range(3)]
    with pytest.raises(OverloadedError) as caught:
        thread.ask(3)
    assert str(caught.value) == "3 questions wait already; ask again in a second."
    thread.start()
    release.set()
    assert [reply.result(30) for reply in replies] == [0, 2, 4]
    thread.close()


def test_jobs_come_before_questions_and_survive_each_other(caplog):
    done: list[object] = []

    def answer(questions: list[str]) -> list[str]:
        done.append(tuple(questions))
        return questions

    thread: ModelThread[str, str] = ModelThread(answer)
    first = thread.ask("a")
    thread.run_job(lambda: done.append(1))
    thread.run_job(lambda: done.append(1 / 0))
    thread.run_job(lambda: done.append(2))
    second = thread.ask("b")
    called: Any = thread.call(lambda: [][0])
    thread.start()
    assert (first.result(30), second.result(30)) == ("a", "b")
    assert done == [1, 2, ("a", "b")]
    assert "a job of the model thread failed" in caplog.text
    with pytest.raises(IndexError):
        called.result(30)
    thread.close()


def test_an_answer_that_fails_as_a_whole_fails_each(caplog):
    thread: ModelThread[int, int] = ModelThread(lambda questions: [][1])
    reply = thread.ask(1)
    thread.start()
    with pytest.raises(IndexError):
        reply.result(30)
    thread.close()
    assert "questions could not be answered" in caplog.text


def test_a_log_with_integer_ids_keeps_them_integers(tmp_path, clock, shop_log_frame, fit):
    frame = shop_log_frame.with_columns(
        user_id=shop_log_frame["user_id"].str.strip_prefix("u").cast(int),
        item_id=shop_log_frame["item_id"].str.strip_prefix("i").cast(int),
    )
    fit(Log.from_frame(frame)).save(tmp_path / "shop")
    engine = Engine.open(tmp_path / "shop", clock=clock)
    outcomes = send(engine, {"user_id": "7", "item_id": 9}, {"user_id": 7, "item_id": "nine"})
    assert [one.status for one in outcomes] == ["accepted", "rejected"]
    assert outcomes[1].error == "item_id: ids of this log are integers, found 'nine'."
    assert engine.call(lambda m: m.history(7)).result(30)["item_id"].to_list()[-1] == 9
    assert all(type(one) is int for one in ask(engine, 7).items)  # type: ignore[arg-type]
    engine.close()
