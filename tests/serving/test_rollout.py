"""Versions come and go while the engine answers: promoted, refused, challenged, taken back."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from recency.data.log import Log
from recency.errors import ConfigError, UnknownIdError
from recency.recommender import SequenceRecommender
from recency.serving.engine import Engine
from recency.serving.models.gate import GateConfig
from recency.serving.models.registry import Registry
from recency.serving.models.seats import Seat
from recency.serving.questions import Question, Ranked
from recency.serving.refusals import RefusedModelError

DAY = 86_400_000_000
NOW = 1_767_225_600_000_000 + 40 * DAY
GATE = GateConfig(least=10, events=40, judging=1.0)


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second model of the shop, fitted on less of its log."""
    from tests.serving.conftest import fitted, shop_log

    folder = tmp_path_factory.mktemp("other") / "shop"
    fitted(Log.from_frame(shop_log().events.head(380))).save(folder)
    return folder


@pytest.fixture
def opened(shop: Path, clock: Callable[[], int]) -> Iterator[Callable[..., Engine]]:
    engines: list[Engine] = []

    def open_shop(**settings: Any) -> Engine:
        settings = dict[str, Any]({"clock": clock, "gate": GATE} | settings)
        engines.append(Engine.open(shop, **settings))
        return engines[-1]

    yield open_shop
    for engine in engines:
        engine.close()


@pytest.fixture
def engine(opened: Callable[..., Engine]) -> Engine:
    return opened()


def versions(engine: Engine) -> Registry:
    assert engine.registry is not None
    return engine.registry


def home(engine: Engine) -> Path:
    found = versions(engine).home
    assert found is not None
    return found


def send(engine: Engine, n: int = 20, start: int = 0) -> None:
    rows = [
        {"user_id": f"u{one % 20}", "item_id": f"i{one * 7 % 30}"}
        for one in range(start, start + n)
    ]
    for row in rows:
        engine.ingest([row]).result(30)


def ask(engine: Engine, user: str = "u1", **fields: Any) -> Ranked:
    return engine.recommend(Question(user, **fields)).result(30)


def roles(engine: Engine) -> dict[str, str | None]:
    return {one.version: one.role for one in engine.models()}


def wait_until(true: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


# --- promoting -----------------------------------------------------------------------------------


def test_a_promoted_version_answers_with_all_that_was_acknowledged(engine, other):
    first = engine.model_version
    send(engine)
    second = versions(engine).publish(other)
    assert engine.promote(second, "newer").result(60) == second
    answer = ask(engine, "u3", k=30)
    assert answer.model_version == second == engine.model_version
    assert answer.as_of.seq == 20 == engine.last_seq
    history = engine.call(lambda model: model.history("u3")).result(30)
    assert history["item_id"].to_list()[-1] == "i21"
    assert roles(engine) == {first: "previous", second: "champion"}
    send(engine, 3)
    assert ask(engine).as_of.seq == 23
    (pointed,) = [act for act in versions(engine).history.acts() if act.what == "promoted"]
    assert (pointed.version, pointed.reason) == (second, "newer")


def test_what_is_swapped_in_answers_as_after_a_restart(engine, opened, other):
    send(engine, 30)
    engine.promote(versions(engine).publish(other)).result(60)
    send(engine, 10, start=30)
    users = [f"u{n}" for n in range(20)]
    swapped = [ask(engine, user, k=30, at=NOW + DAY) for user in users]
    engine.close()
    engine = opened()
    for one, user in zip(swapped, users, strict=True):
        again = ask(engine, user, k=30, at=NOW + DAY)
        assert again.items == one.items and again.model_version == one.model_version
        assert again.scores == pytest.approx(one.scores, abs=1e-5)


def test_going_back_is_at_once_and_has_missed_nothing(engine, other):
    first = engine.model_version
    send(engine)
    second = versions(engine).publish(other)
    engine.promote(second).result(60)
    send(engine, 40, start=20)
    started = time.perf_counter()
    assert engine.rollback("it was worse").result(60) == first
    assert time.perf_counter() - started < 5.0  # T9 measures it; here others share the machine
    answer = ask(engine, "u3")
    assert (answer.model_version, answer.as_of.seq) == (first, 60)
    history = engine.call(lambda model: model.history("u3")).result(30)
    assert len(history) == len(Log.from_frame(_shop()).events.filter(user_id="u3")) + 3
    assert engine.rollback().result(60) == second  # and forth
    assert versions(engine).pointer().version == second


def _shop() -> Any:
    from tests.serving.conftest import shop_log

    return shop_log().events


def test_going_back_after_a_restart_loads_the_version_before(engine, opened, other):
    first = engine.model_version
    engine.promote(versions(engine).publish(other)).result(60)
    engine.close()
    engine = opened()
    assert engine.model_version != first
    assert engine.rollback().result(60) == first


def test_there_may_be_nothing_to_go_back_to_or_nobody_of_that_name(engine):
    with pytest.raises(ConfigError, match="no version to go back to"):
        engine.rollback()
    with pytest.raises(UnknownIdError, match=r"there is no version 'abc'. Known: "):
        engine.promote("abc")
    assert engine.promote(engine.model_version).result(30) == engine.model_version


def test_an_engine_without_a_folder_has_no_versions(shop, tmp_path):
    from recency.serving.log.event_store import EventStore

    engine = Engine(SequenceRecommender.load(shop), EventStore(tmp_path / "e"), clock=lambda: NOW)
    (only,) = engine.models()
    assert (only.version, only.role, only.share) == (engine.model_version, "champion", 1.0)
    with pytest.raises(ConfigError, match="Engine.open serves a folder"):
        engine.promote("x")
    engine.catch_up()
    engine.close()


# --- refusing ------------------------------------------------------------------------------------


def test_weights_that_are_not_finite_are_refused_and_listed(engine, other, tmp_path):
    bad = broken(other, tmp_path)
    version = versions(engine).publish(bad)
    with pytest.raises(RefusedModelError) as caught:
        engine.promote(version).result(60)
    reason = "expected finite weights, found NaN or infinity in "
    assert str(caught.value).startswith(f"version {version} was refused: {reason}")
    assert engine.model_version != version
    line = next(one for one in engine.models() if one.version == version)
    assert line.refused is not None and line.refused.startswith(reason)
    assert line.role is None


def broken(folder: Path, tmp_path: Path) -> Path:
    import torch

    model = SequenceRecommender.load(folder)
    with torch.no_grad():
        model.live.model.bias[3] = float("nan")
    model.model_version = "nan0"
    model.save(tmp_path / "nan")
    return tmp_path / "nan"


def test_a_model_of_another_log_is_refused(engine, tmp_path, fit):
    frame = _shop().head(200)
    strange = frame.with_columns(item_id="x" + frame["item_id"], user_id="v" + frame["user_id"])
    fit(Log.from_frame(strange)).save(tmp_path / "strange")
    with pytest.raises(RefusedModelError) as caught:
        engine.promote(versions(engine).publish(tmp_path / "strange")).result(60)
    assert "expected to know all but 1% of the champion's 20 users, found 20 unknown" in str(
        caught.value
    )
    assert "of the champion's 30 items, found 30 unknown" in str(caught.value)


def test_ids_of_another_kind_are_refused(engine, tmp_path, fit):
    frame = _shop().head(200)
    numbers = frame.with_columns(item_id=frame["item_id"].str.strip_prefix("i").cast(int))
    fit(Log.from_frame(numbers)).save(tmp_path / "numbers")
    with pytest.raises(
        RefusedModelError, match="expected items with ids of String, .* found Int64"
    ):
        engine.promote(versions(engine).publish(tmp_path / "numbers")).result(60)


class Worse:
    """A recommender that ranks its items the wrong way round."""

    def __init__(self, model: Any) -> None:
        self.__dict__["_model"] = model

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._model, name, value)

    def recommend(self, users: Any, k: int = 10, **selection: Any) -> Any:
        from dataclasses import replace

        found = self._model.recommend(users, len(self._model.items), **selection)
        return replace(found, items=[one[::-1][:k] for one in found.items])


def foresee(engine: Engine, n: int) -> None:
    """Send events that the champion foresees."""
    for one in range(n):
        user = f"u{one % 20}"
        engine.ingest([{"user_id": user, "item_id": ask(engine, user).items[0]}]).result(30)


@pytest.fixture
def worse(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every model that is loaded from now on be a bad one."""
    from recency import loading

    load = loading.load
    monkeypatch.setattr("recency.loading.load", lambda folder: Worse(load(folder)))


def test_a_version_that_foresees_less_is_refused_unless_forced(engine, other, worse):
    foresee(engine, 30)
    version = versions(engine).publish(other)
    with pytest.raises(RefusedModelError) as caught:
        engine.promote(version).result(60)
    assert "expected an NDCG@10 of at least" in str(caught.value)
    assert "events that neither had seen" in str(caught.value)
    assert engine.model_version != version
    assert engine.promote(version, force=True).result(60) == version


def test_after_a_restart_a_copy_of_the_champion_stands_in(engine, opened, other, monkeypatch):
    """The champion has been judged on nothing yet, so both are judged on the newest of the log."""
    foresee(engine, 30)
    engine.close()
    engine = opened()
    assert engine.models()[0].score.n == 0
    from recency import loading

    load = loading.load
    monkeypatch.setattr(
        "recency.loading.load",
        lambda folder: load(folder) if folder.name == "shop" else Worse(load(folder)),
    )
    with pytest.raises(RefusedModelError, match="on 30 events that neither had seen"):
        engine.promote(versions(engine).publish(other)).result(60)
    assert engine.models()[0].score.n == 30


# --- candidates ----------------------------------------------------------------------------------


def test_a_candidate_of_another_process_is_tried_and_takes_over(engine, other):
    """It waits on trial until enough events are known that neither model had seen."""
    first = engine.model_version
    version = Registry.of(home(engine)).publish(other, candidate=True)
    wait_until(lambda: roles(engine).get(version) == "trial")
    send(engine, 8)
    assert ask(engine).model_version == first
    send(engine, 12, start=8)
    wait_until(lambda: versions(engine).history.acts()[-1].what == "promoted")
    assert versions(engine).history.acts()[-1].reason.startswith("not worse on ")
    assert ask(engine).as_of.seq == 20


def test_a_bad_candidate_is_refused_and_not_tried_again(engine, other, worse):
    foresee(engine, 30)
    first = engine.model_version
    version = versions(engine).publish(other, candidate=True)
    wait_until(lambda: any(one.refused for one in engine.models()))
    time.sleep(1.2)  # another look
    assert engine.model_version == first
    assert versions(engine).candidates() == []
    refusals = [act for act in versions(engine).history.acts() if act.what == "refused"]
    assert [act.version for act in refusals] == [version]


def test_what_another_process_promotes_is_followed_or_put_back(engine, other, tmp_path):
    first = engine.model_version
    elsewhere = Registry.of(home(engine))
    second = elsewhere.publish(other)
    elsewhere.promote(second, "by hand")
    wait_until(lambda: engine.model_version == second)
    bad = elsewhere.publish(broken(other, tmp_path))
    elsewhere.promote(bad)
    wait_until(
        lambda: (
            versions(engine).history.acts()[-1].what == "promoted"
            and elsewhere.pointer().version != bad
        )
    )
    assert engine.model_version == elsewhere.pointer().version == second
    assert "put back, because nan0 cannot serve" in versions(engine).history.acts()[-1].reason
    assert first in roles(engine)


# --- challenging ---------------------------------------------------------------------------------


def test_a_challenger_answers_the_same_share_of_users_every_time(engine, other):
    first = engine.model_version
    second = versions(engine).publish(other)
    assert engine.challenge(second, 0.5).result(60) == second
    found = [{ask(engine, f"x{n}").model_version for _ in range(3)} for n in range(60)]
    assert all(len(one) == 1 for one in found)
    n_challenged = sum(one == {second} for one in found)
    assert 15 < n_challenged < 45
    assert roles(engine) == {first: "champion", second: "challenger"}
    send(engine, 20)
    champion, challenger = engine.models()
    assert (champion.share, challenger.share) == (0.5, 0.5)
    assert champion.score.n == 20 and challenger.comparison.n == 20
    for n in range(60):  # whoever asks sees what was acknowledged
        assert ask(engine, f"x{n}").as_of.seq == 20
    engine.challenge(second, 0.0).result(60)  # answers nobody, but compares
    assert {ask(engine, f"x{n}").model_version for n in range(60)} == {first}
    send(engine, 5)
    wait_until(lambda: engine.models()[1].comparison.n == 25)
    assert engine.promote(second).result(60) == second


def test_a_batch_is_parted_but_every_answer_is_of_one_version(engine, other):
    import asyncio

    first = engine.model_version
    second = versions(engine).publish(other)
    engine.challenge(second, 0.5).result(60)
    alone = {f"u{n}": ask(engine, f"u{n}", k=5) for n in range(20)}

    async def together() -> list[Ranked]:
        return list(await asyncio.gather(*(engine.recommend(Question(u, k=5)) for u in alone)))

    answers = asyncio.run(together())
    assert {one.model_version for one in answers} == {first, second}
    for one in answers:
        before = alone[str(one.user)]
        assert (one.items, one.model_version) == (before.items, before.model_version)


@pytest.mark.parametrize("share", [1, -0.1, True, "0.1", float("nan")])
def test_a_share_is_a_share(engine, share):
    with pytest.raises(ConfigError, match="expected a share of the users of at least 0 and less"):
        engine.challenge("abc", share)


def test_the_champion_cannot_challenge_itself(engine):
    with pytest.raises(ConfigError, match="is the champion; it cannot challenge itself"):
        engine.challenge(engine.model_version, 0.1)


def test_a_challenger_that_breaks_is_out_and_nobody_notices(engine, other, monkeypatch, caplog):
    first = engine.model_version
    engine.challenge(versions(engine).publish(other), 0.5).result(60)
    challenger = engine._seats.challenger
    assert isinstance(challenger, Seat)
    monkeypatch.setattr(challenger.follower, "take", lambda *_: 1 / 0)
    send(engine, 3)
    assert {ask(engine, f"x{n}").model_version for n in range(20)} == {first}
    assert "failed and is out" in caplog.text


def test_a_model_that_is_left_is_let_go_of(engine, other, tmp_path, fit):
    """Nothing of it stays in memory, though a server holds what it had at its start for good."""
    import gc
    import weakref

    gc.collect()
    gc.freeze()
    first = weakref.ref(engine.champion.recommender.live.timelines)
    engine.promote(versions(engine).publish(other)).result(60)
    fit(Log.from_frame(_shop().head(390))).save(tmp_path / "third")
    engine.promote(versions(engine).publish(tmp_path / "third")).result(60)
    gc.unfreeze()
    wait_until(lambda: first() is None)


def test_going_back_after_a_restart_starts_from_a_snapshot(engine, opened, other):
    send(engine)
    assert engine.snapshots is not None
    engine.snapshots.take()
    first = engine.model_version
    engine.promote(versions(engine).publish(other)).result(60)
    send(engine, 4, start=20)
    engine.close()
    engine = opened()
    engine.rollback().result(60)
    assert engine.model_version == first
    assert engine.follower.n_replayed == 4
    assert len(engine.call(lambda m: m.history("u1")).result(30)) == (
        len(_shop().filter(user_id="u1")) + 2
    )


def test_a_folder_fitted_anew_is_listed_beside_what_serves(engine, other, shop):
    first = engine.model_version
    SequenceRecommender.load(other).save(shop)
    second = SequenceRecommender.load(shop).model_version
    assert roles(engine) == {first: "champion", second: None}
    assert engine.promote(second).result(60) == second
