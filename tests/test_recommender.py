"""The recommender from fit to load: what it promises, on logs whose truth is known."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from recency.data.catalogue import Catalogue
from recency.data.log import Log
from recency.errors import (
    ConfigError,
    DataError,
    FormatError,
    NotFittedError,
    UnitError,
    UnknownIdError,
)
from recency.nn.encoder import Encoder
from recency.nn.inputs import InputConfig
from recency.nn.model import RequestTime
from recency.nn.recurrent import GRU, LSTM
from recency.nn.tide import Tide
from recency.recommender import SequenceRecommender
from recency.training.config import TrainConfig

START = datetime(2026, 1, 1, tzinfo=UTC)
CYCLE = ["a", "b", "c", "d", "e"]


def cycle_log(n_users: int = 30, length: int = 12, start: datetime = START) -> Log:
    """Everybody goes round the same five items, from a place of their own, one an hour."""
    rows = [
        (f"u{user}", CYCLE[(user + step) % 5], start + timedelta(hours=step, seconds=user))
        for user in range(n_users)
        for step in range(length)
    ]
    frame = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    return Log.from_frame(frame)


QUICK = TrainConfig(epochs=12, lr=2e-2, tokens=128, valid_share=0.0)


def quick(encoder: Encoder | None = None, seed: int = 0) -> SequenceRecommender:
    inputs = InputConfig(dropout=0.0)
    return SequenceRecommender(
        encoder or GRU(16), training=QUICK, inputs=inputs, fallback_half_life="7d", seed=seed
    )


@pytest.fixture(scope="module")
def fitted() -> SequenceRecommender:
    """A model that nobody changes; those who do make their own with `load`."""
    return quick().fit(cycle_log())


@pytest.fixture
def own(fitted: SequenceRecommender, tmp_path: Path) -> SequenceRecommender:
    fitted.save(tmp_path / "model")
    return SequenceRecommender.load(tmp_path / "model")


def after(log: Log, **more: object) -> dict[str, object]:
    return {"user_id": "u0", "item_id": "a", "timestamp": log.end + 1_000_000, **more}


# --- what it learns ------------------------------------------------------------------------------


def test_it_learns_the_order_of_a_cycle(fitted: SequenceRecommender) -> None:
    users = [f"u{n}" for n in range(30)]
    found = fitted.recommend(users, k=1)
    assert [items[0] for items in found.items] == [CYCLE[(n + 12) % 5] for n in range(30)]
    assert not any(found.fallback) and len(found) == 30


def test_the_same_seed_gives_the_same_model_and_another_seed_another(
    fitted: SequenceRecommender,
) -> None:
    again = quick()
    state = torch.random.get_rng_state()
    again.fit(cycle_log())
    assert again.model_version == fitted.model_version
    assert torch.equal(state, torch.random.get_rng_state())  # the caller's randomness is its own
    assert quick(seed=1).fit(cycle_log()).model_version != fitted.model_version
    assert again.fit(cycle_log()).model_version == fitted.model_version  # a second fit forgets


def test_nothing_after_the_cut_reaches_the_model() -> None:
    log = cycle_log()
    cut = log.quantile(0.8)
    later = pl.col("timestamp") >= pl.lit(cut).cast(pl.Datetime("us", "UTC"))
    corrupt = Log.from_frame(
        log.events.with_columns(
            item_id=pl.when(later).then(pl.lit("z")).otherwise("item_id"),
            user_id=pl.when(later).then(pl.lit("stranger")).otherwise("user_id"),
        )
    )
    clean, dirty = (quick().fit(one.split_at(cut)[0]) for one in (log, corrupt))
    assert clean.model_version == dirty.model_version
    assert clean.items.ids.equals(dirty.items.ids) and clean.users.ids.equals(dirty.users.ids)
    assert clean.recommend(["u1"], 5) == dirty.recommend(["u1"], 5)


# --- what it answers -----------------------------------------------------------------------------


def test_a_question_sees_what_came_strictly_before_it(fitted: SequenceRecommender) -> None:
    second = START + timedelta(hours=1)  # u0's second event, item b, is at this instant
    assert fitted.recommend(["u0"], 1, at=second).items == [["b"]]
    assert fitted.recommend(["u0"], 1, at=second + timedelta(microseconds=1)).items == [["c"]]
    assert fitted.history("u0", at=second)["item_id"].to_list() == ["a"]
    assert fitted.history("u0").height == 12


def test_before_the_first_event_and_for_strangers_what_is_popular_answers(
    fitted: SequenceRecommender,
) -> None:
    found = fitted.recommend(["u0", "stranger"], 5, at=START + timedelta(seconds=10))
    assert found.fallback == [False, True]
    # By then u0 … u9 made one event each: two for each item, the newest by u5 … u9 in order.
    assert found.items[1] == ["e", "d", "c", "b", "a"]
    empty = fitted.recommend(["stranger"], 5, at=START)
    assert empty.items == [[]]
    with pytest.raises(UnknownIdError, match="1 of 2 ids were never seen: 'stranger'"):
        fitted.recommend(["u0", "stranger"], unknown="raise")


def test_one_by_one_in_batches_and_in_bulk_are_the_same(fitted: SequenceRecommender) -> None:
    users = [f"u{n % 30}" for n in range(90)] + ["stranger"]
    together = fitted.recommend(users, 3)
    for n in (0, 31, 90):
        alone = fitted.recommend([users[n]], 3)
        assert alone.items[0] == together.items[n]
        assert alone.scores[0] == pytest.approx(together.scores[n], abs=1e-5)
    assert len(fitted.recommend([], 3)) == 0


def test_selections(fitted: SequenceRecommender) -> None:
    assert fitted.recommend(["u0"], 5, repeats=False).items == [[]]  # u0 has had all five
    early = START + timedelta(hours=2)
    assert set(fitted.recommend(["u0"], 5, at=early, repeats=False).items[0]) == {"c", "d", "e"}
    assert set(fitted.recommend(["u0"], 5, candidates=["b", "e"]).items[0]) == {"b", "e"}
    assert "c" not in fitted.recommend(["u0"], 5, exclude=["c"]).items[0]
    with pytest.raises(ConfigError, match="no catalogue"):
        fitted.recommend(["u0"], categories=["tea"])


def test_what_each_had_is_left_out_of_its_own_list_alone(own: SequenceRecommender) -> None:
    """Whoever asks beside whom, in whatever order, some of them twice or not known."""
    users = ["u7", "stranger", "u0", "u7", "u11", "u3"]
    own.observe([after(cycle_log(), user_id="u3")])
    for at in (START + timedelta(hours=2), START + timedelta(hours=1, seconds=5), None):
        together = own.recommend(users, 5, at=at, repeats=False)
        for user, items in zip(users, together.items, strict=True):
            assert items == own.recommend([user], 5, at=at, repeats=False).items[0]
            had = own.history(user) if at is None else own.history(user, at=at)
            assert not set(items) & set(had["item_id"])
    assert together.items[1] and not together.items[0]


def test_a_visitor_without_a_name_is_answered_like_a_user_with_that_history(
    fitted: SequenceRecommender,
) -> None:
    events = fitted.history("u3").to_dicts()
    n_users = len(fitted.users)
    visitor = fitted.recommend_after(events, 5, at=fitted.live.now)
    user = fitted.recommend(["u3"], 5)
    assert visitor.items == user.items
    assert visitor.scores[0] == pytest.approx(user.scores[0], abs=1e-5)
    assert fitted.recommend_after([], 2).fallback == [True]
    assert len(fitted.users) == n_users


def test_scores_are_those_of_the_ranking(fitted: SequenceRecommender) -> None:
    ranked = fitted.recommend(["u1"], 5)
    scores = fitted.score(["u1"], ranked.items[0])[0]
    assert scores.tolist() == pytest.approx(ranked.scores[0], abs=1e-6)
    assert (np.diff(scores) <= 0).all()
    with pytest.raises(UnknownIdError, match="2 of 3 ids were never seen: 'x', 'y'"):
        fitted.score(["x"], ["a", "y"])


def test_similar_items(fitted: SequenceRecommender) -> None:
    found = fitted.similar_items("a", 3)
    assert len(found.items[0]) == 3 and "a" not in found.items[0]
    assert all(-1.001 <= score <= 1.001 for score in found.scores[0])
    with pytest.raises(UnknownIdError, match="item 'x' has no vector: it was never seen"):
        fitted.similar_items("x")


def test_a_frame_and_a_text_of_an_answer(fitted: SequenceRecommender) -> None:
    found = fitted.recommend(["u0", "stranger"], 2)
    frame = found.to_frame()
    assert frame.columns == ["user_id", "rank", "item_id", "score", "fallback"]
    assert frame["rank"].to_list() == [1, 2, 1, 2]
    assert f"model {fitted.model_version}" in str(found)


def test_items_that_are_not_available_are_not_given() -> None:
    catalogue = Catalogue.from_frame(
        pl.DataFrame({"item_id": ["c"], "expires_at": [START + timedelta(hours=5)]})
    )
    model = quick().fit(cycle_log(), items=catalogue)
    assert model.recommend(["u0"], 1, at=START + timedelta(hours=2)).items == [["c"]]
    assert "c" not in model.recommend(["u0"], 5).items[0]


# --- what it takes in ----------------------------------------------------------------------------


def test_an_event_changes_the_next_answer_and_no_weight(own: SequenceRecommender) -> None:
    log, version = cycle_log(), own.model_version
    assert own.recommend(["u0"], 1).items == [["c"]]
    seen = own.observe([after(log, item_id="c")])
    assert (seen.n_events, seen.n_new_users, seen.n_new_items, seen.n_late_users) == (1, 0, 0, 0)
    found = own.recommend(["u0"], 1)
    assert found.items == [["d"]] and found.as_of == log.end + 1_000_000
    assert own.model_version == version


def test_new_users_and_items_join(own: SequenceRecommender) -> None:
    log = cycle_log()
    seen = own.observe([after(log, user_id="new", item_id="b"), after(log, item_id="brand new")])
    assert (seen.n_new_users, seen.n_new_items) == (1, 1)
    assert own.recommend(["new"], 1, repeats=False).items == [["c"]]
    assert "brand new" in own.recommend(["stranger"], 6).items[0]
    with pytest.raises(UnknownIdError, match="seen only after the model learned"):
        own.similar_items("brand new")


def test_any_order_of_arrival_gives_the_same_answers(
    fitted: SequenceRecommender, tmp_path: Path
) -> None:
    fitted.save(tmp_path / "model")
    first, second = (SequenceRecommender.load(tmp_path / "model") for _ in range(2))
    log = cycle_log()
    events = [
        after(log, item_id=item, timestamp=log.end + n * 10**6)
        for n, item in enumerate(["c", "d", "e"])
    ]
    events.append(after(log, item_id="a", timestamp=log.start + 1))  # late by half a day
    first.observe(events)
    second.recommend(["u0"], 5)
    for event in reversed(events):
        second.observe([event])
        second.recommend(["u0"], 5)  # a state in between must not survive a late event
    assert first.recommend(["u0"], 5).items == second.recommend(["u0"], 5).items
    assert first.history("u0").equals(second.history("u0"))


def test_a_fault_takes_nothing_in(own: SequenceRecommender) -> None:
    before = own.recommend(["u0"], 5)
    with pytest.raises(DataError, match="event 1: user_id missing"):
        own.observe([after(cycle_log()), {"item_id": "a", "timestamp": "2026-02-01"}])
    with pytest.raises((DataError, UnitError), match="looks like seconds"):
        own.observe([after(cycle_log(), timestamp=1_772_000_000)])
    assert own.recommend(["u0"], 5) == before


def test_learning_on_gives_new_items_a_place(own: SequenceRecommender) -> None:
    """After 'e' everybody now takes the new item 'f'."""
    log, version = cycle_log(), own.model_version
    new = [
        after(log, user_id=f"u{n}", item_id=item, timestamp=log.end + (hour * 3_600 + n) * 10**6)
        for n in range(30)
        for hour, item in enumerate(["e", "f"] * 3)
    ]
    own.partial_fit(new, epochs=30)
    assert own.model_version != version and len(own.items) == 6
    assert own.cut == own.live.now == log.end + (5 * 3_600 + 29) * 10**6 + 1
    own.observe([after(log, item_id="e", timestamp=own.live.now)])
    assert own.recommend(["u0"], 1).items == [["f"]]
    assert own.partial_fit([]) is own


# --- what it keeps -------------------------------------------------------------------------------


def test_a_model_of_cosines_scores_by_them_and_keeps_them_when_saved(tmp_path: Path) -> None:
    training = replace(QUICK, temperature=0.1)
    model = SequenceRecommender(LSTM(8), training=training, experts=None).fit(cycle_log())
    users = ["u0", "u7"]
    model.save(tmp_path / "cosines")
    again = SequenceRecommender.load(tmp_path / "cosines")
    assert again.live.model.temperature == model.live.model.temperature == 0.1
    assert again.recommend(users, 5) == model.recommend(users, 5)
    net, rows = model.live.model, model.items.take(range(3))
    scores = model.score(users, rows)
    queries = torch.randn(2, net.dim)
    with torch.no_grad():
        before = net.scores(queries)
        net.items.mul_(7.0)  # lengths say nothing
        assert torch.allclose(net.scores(queries), before, atol=1e-5)
    assert np.abs(scores - net.bias[:3].detach().numpy()).max() <= 1 / 0.1 + 1e-5


@pytest.mark.parametrize("request_time", ["unknown", "known"])
def test_a_saved_model_answers_the_same(tmp_path: Path, request_time: RequestTime) -> None:
    catalogue = Catalogue.from_frame(pl.DataFrame({"item_id": ["a"], "title": ["Tea"]}))
    model = SequenceRecommender(
        LSTM(8, layers=2), training=QUICK, request_time=request_time, fallback_half_life="2h"
    ).fit(cycle_log(), items=catalogue)
    model.observe([after(cycle_log(), item_id="new")])
    model.save(tmp_path / "model")
    again = SequenceRecommender.load(tmp_path / "model")
    users = ["u0", "u7", "stranger"]
    assert again.recommend(users, 6) == model.recommend(users, 6)
    assert (again.cut, again.name, again.seed) == (model.cut, "lstm", 0)
    assert again.catalogue is not None and again.catalogue.describe("a")["title"] == "Tea"
    again.save(tmp_path / "model")  # over itself
    assert SequenceRecommender.load(tmp_path / "model").recommend(users, 6) == model.recommend(
        users, 6
    )


def test_a_model_without_weights_that_fit_is_refused(
    fitted: SequenceRecommender, tmp_path: Path
) -> None:
    class Homemade(GRU):
        pass

    own = SequenceRecommender(Homemade(8), training=TrainConfig(epochs=1)).fit(cycle_log(3))
    own.save(tmp_path / "own")
    with pytest.raises(ConfigError, match=r"found 'homemade'; another one is passed as an object"):
        SequenceRecommender.load(tmp_path / "own")
    assert SequenceRecommender.load(tmp_path / "own", encoder=Homemade(8)).name == "homemade"
    with pytest.raises(FormatError, match="do not fit their settings"):
        SequenceRecommender.load(tmp_path / "own", encoder=Homemade(16))


# --- what it refuses -----------------------------------------------------------------------------


def test_nothing_works_before_fit() -> None:
    with pytest.raises(NotFittedError, match=r"call fit\(log\) first"):
        SequenceRecommender().recommend(["u"])


def test_logs_with_nothing_to_learn_from() -> None:
    empty = Log.from_frame(cycle_log(1).events.clear())
    with pytest.raises(DataError, match="expected a log with events, found an empty one"):
        quick().fit(empty)
    with pytest.raises(DataError):
        quick().fit(cycle_log(1, 1))
    one_item = cycle_log(1, 11).events.with_columns(item_id=pl.lit("a"))
    assert quick().fit(Log.from_frame(one_item)).recommend(["u0"], 1).items == [["a"]]


def test_impossible_settings() -> None:
    with pytest.raises(ConfigError, match="expected more than 0 seconds"):
        SequenceRecommender(fallback_half_life=0)
    with pytest.raises(DataError, match="expected a duration such as"):
        SequenceRecommender(fallback_half_life="soon")


# --- what a model tells of itself ----------------------------------------------------------------


def test_voices_are_shares_of_every_expert_and_null_before_the_first_event() -> None:
    log = cycle_log(4)
    model = SequenceRecommender(GRU(8), training=TrainConfig(epochs=1)).fit(log)
    users = log.events["user_id"].unique(maintain_order=True)[:2].to_list()
    found = model.voices(users)
    names = ["encoder", "own", "pair 1 d"]
    assert found.columns[:4] == ["user_id", *names] and "crowd 1 h" in found.columns
    assert found.drop("user_id").sum_horizontal().to_numpy() == pytest.approx([1.0, 1.0], abs=1e-5)
    before = model.voices(users, at=log.start)
    assert before.drop("user_id").null_count().sum_horizontal()[0] == 2 * (len(found.columns) - 1)
    alone = SequenceRecommender(GRU(8), training=TrainConfig(epochs=1), experts=None).fit(log)
    with pytest.raises(ConfigError, match="has no experts"):
        alone.voices(users)
    with pytest.raises(ConfigError, match="expected a Tide.*found 'gru'"):
        alone.half_lives()


def test_half_lives_are_read_from_a_fitted_tide_and_survive_a_save(tmp_path: Path) -> None:
    model = SequenceRecommender(Tide(8, blocks=1), training=TrainConfig(epochs=1)).fit(cycle_log(4))
    banks = {one.bank: one for one in model.half_lives()}
    assert set(banks) == {"short", "long", "periodic"}
    assert banks["short"].events.max() < banks["long"].events.max()
    model.save(tmp_path)
    again = SequenceRecommender.load(tmp_path).half_lives()
    assert [one.events.tolist() for one in again] == [
        one.events.tolist() for one in model.half_lives()
    ]


def test_a_folder_from_before_there_were_experts_is_read(tmp_path: Path) -> None:
    log = cycle_log(4)
    old = SequenceRecommender(GRU(8), training=TrainConfig(epochs=1), experts=None).fit(log)
    old.save(tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["content"].pop("experts", "") is None
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    again = SequenceRecommender.load(tmp_path)
    assert again.experts is None
    user = log.events["user_id"][0]
    assert again.recommend([user], 3).items == old.recommend([user], 3).items


def test_an_item_is_recommendable_from_its_first_event() -> None:
    model = SequenceRecommender(GRU(8), training=TrainConfig(epochs=2)).fit(cycle_log(4))
    user = model.users.id_of(0)
    model.observe([{"user_id": "new", "item_id": "brand new", "timestamp": model.live.now}])
    found = model.recommend([user], k=len(model.items))
    assert "brand new" in found.items[0]
    alone = SequenceRecommender(GRU(8), training=TrainConfig(epochs=2), experts=None)
    alone.fit(cycle_log(4)).observe(
        [{"user_id": "new", "item_id": "brand new", "timestamp": model.live.now}]
    )
    assert "brand new" not in alone.recommend([user], k=len(alone.items)).items[0]
