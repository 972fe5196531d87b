"""What every recommender promises that evaluation asks: each question once, and never the future.

A recommender that is added to the library is added to `MAKERS`, and nothing else is needed.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from typing import Literal

import numpy as np
import polars as pl
import pytest

from recency.baselines import (
    CategoryPopularity,
    DecayedPopularity,
    ItemNeighbours,
    LivePopularity,
    Markov,
    MatrixFactorisation,
    Popularity,
    RecentItems,
)
from recency.data.catalogue import Catalogue
from recency.data.log import TIME, Log
from recency.data.synthetic import noise
from recency.data.vocab import Vocab
from recency.ensemble import Ensemble
from recency.evaluation.evaluate import evaluate
from recency.evaluation.protocol import Answer, Questions, Recommender, World
from recency.evaluation.questions import questions_of
from recency.nn.recurrent import GRU
from recency.recommender import SequenceRecommender
from recency.training.config import TrainConfig


def sequence(request_time: Literal["known", "unknown"] = "unknown") -> SequenceRecommender:
    training = TrainConfig(epochs=2, valid_share=0.0, lr=1e-2, device="cpu")
    return SequenceRecommender(GRU(8), training=training, request_time=request_time)


def in_categories() -> CategoryPopularity:
    """Put the items of the log into two categories, and one into both."""
    ids = sorted({str(one) for one in whole().events["item_id"].to_list()})
    groups = [["odd"] if n % 2 else ["even"] for n in range(len(ids))]
    groups[0] = ["odd", "even"]
    return CategoryPopularity(
        Catalogue.from_frame(pl.DataFrame({"item_id": ids, "categories": groups}))
    )


def ensemble(fusion: Literal["scores", "ranks"]) -> Ensemble:
    """Mix members whose weights are learned: a fifth of the short log is enough for them."""
    return Ensemble([sequence(), Markov(), RecentItems()], fusion, valid_share=0.2)


MAKERS: dict[str, Callable[[], Recommender]] = {
    "popularity": Popularity,
    "decayed-popularity": DecayedPopularity,
    "live-popularity": LivePopularity,
    "recent-items": RecentItems,
    "category-popularity": lambda: in_categories(),
    "markov": Markov,
    "item-neighbours": ItemNeighbours,
    "matrix-factorisation": lambda: MatrixFactorisation(4, epochs=2),
    "sequence, request time unknown": sequence,
    "sequence, request time known": lambda: sequence("known"),
    "ensemble, fusion of scores": lambda: ensemble("scores"),
    "ensemble, fusion of ranks": lambda: ensemble("ranks"),
}


@cache
def whole() -> Log:
    """Draw three hundred events, many of one instant; a few late items and users are new."""
    events = noise(n_users=12, n_items=9, n_events=300, days=6, seed=2).events
    last = pl.int_range(pl.len()) >= 270
    odd = pl.int_range(pl.len()) % 7 == 0
    return Log.from_frame(
        events.with_columns(
            timestamp=pl.col("timestamp").dt.truncate("2h"),
            item_id=pl.when(last & odd).then(pl.lit("cold")).otherwise("item_id"),
            user_id=pl.when(last & odd.shift(2)).then(pl.lit("new")).otherwise("user_id"),
        )
    )


@cache
def cut() -> int:
    return whole().quantile(0.8)


def split(log: Log) -> tuple[Log, Log]:
    train, test = log.split_at(cut())
    return train, test


@cache
def fitted(name: str) -> Recommender:
    return MAKERS[name]().fit(split(whole())[0])


def questions(history: Literal["rolling", "frozen"] = "rolling") -> Questions:
    return questions_of(split(whole())[1], history)


def answered(model: Recommender, asked: Questions) -> np.ndarray:
    """Collect the blocks in the order of the questions, and check their form on the way."""
    scores = np.full((len(asked), len(asked.items)), np.nan, np.float32)
    times = np.zeros(len(asked), int)
    for index, block in model.answer(asked):
        assert block.dtype == np.float32 and block.shape == (len(index), len(asked.items))
        assert not np.isnan(block).any()
        np.add.at(times, index, 1)
        scores[index] = block
        block[:] = np.nan  # evaluation may write into a block; nothing may depend on it
    assert (times == 1).all()
    return scores


def close(scores: np.ndarray, others: np.ndarray) -> bool:
    return np.allclose(scores, others, rtol=1e-5, atol=1e-5)


@pytest.fixture(params=MAKERS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def model(name: str) -> Recommender:
    if name == "matrix-factorisation":
        pytest.importorskip("implicit")
    return fitted(name)


def test_the_log_holds_what_is_hard() -> None:
    asked = questions()
    assert asked.items.ids.to_list()[asked.n_warm :] == ["cold"]
    assert "new" in asked.users and (asked.stop == asked.start).any()
    same = (np.diff(np.sort(asked.user * 10**6 + asked.at // 10**6 % 10**6)) == 0).sum()
    assert same > 3  # events of one user at one instant


@pytest.mark.parametrize("history", ["rolling", "frozen"])
def test_each_question_is_answered_once(
    model: Recommender, history: Literal["rolling", "frozen"]
) -> None:
    assert isinstance(model, Recommender)
    asked = questions(history)
    scores = answered(model, asked)
    assert (answered(model, asked) == scores).all()  # asking changes nothing
    assert np.isfinite(scores).any(axis=1).all()
    assert answered(model, asked.take(np.empty(0, np.int64))).shape == (0, len(asked.items))


def test_the_same_seed_gives_the_same_answers(name: str, model: Recommender) -> None:
    again = MAKERS[name]().fit(split(whole())[0])
    assert (answered(again, questions()) == answered(model, questions())).all()


def test_together_or_one_by_one_is_the_same(model: Recommender) -> None:
    asked = questions()
    scores = answered(model, asked)
    for place in (0, 7, 31, len(asked) - 1):
        assert close(answered(model, asked.take(np.array([place])))[0], scores[place])
    backwards = np.arange(len(asked))[::-1]
    assert close(answered(model, asked.take(backwards)), scores[::-1])


def test_the_order_of_the_catalogue_changes_nothing(model: Recommender) -> None:
    asked = questions()
    order = np.random.default_rng(0).permutation(len(asked.items))
    turned = replace(
        asked,
        items=Vocab.from_ids(asked.items.ids.gather(order)),
        histories=replace(
            asked.histories, items=np.argsort(order)[asked.histories.items].astype(np.int32)
        ),
        world=replace(asked.world, items=np.argsort(order)[asked.world.items]),
    )
    assert close(answered(model, turned), answered(model, asked)[:, order])


# --- the future ----------------------------------------------------------------------------------


def corrupted(asked: Questions, place: int) -> Questions:
    """Ask one question, with the items of all events at or after its instant turned round."""
    one, at, n_items = asked.take(np.array([place])), asked.at[place], len(asked.items)
    items = one.histories.items.copy()
    late = one.histories.times >= at
    late[one.stop[0] : one.histories.offsets[one.user[0] + 1]] = True
    items[late] = n_items - 1 - items[late]
    world = one.world.items.copy()
    world[one.world_stop[0] :] = n_items - 1 - world[one.world_stop[0] :]
    users = one.world.users.copy()
    users[one.world_stop[0] :] = one.user[0]
    return replace(
        one,
        histories=replace(one.histories, items=items),
        world=World(one.world.times, world, users),
    )


def differs(model: Recommender, history: Literal["rolling", "frozen"]) -> bool:
    """Tell whether corrupting the future of a question changes any of a dozen answers."""
    asked = questions(history)
    places = [*range(0, len(asked), 6), int(np.flatnonzero(asked.stop == asked.start)[0])]
    return any(
        (
            answered(model, corrupted(asked, place))
            != answered(model, asked.take(np.array([place])))
        ).any()
        for place in places
    )


@pytest.mark.parametrize("history", ["rolling", "frozen"])
def test_nothing_at_or_after_the_question_changes_its_answer(
    model: Recommender, history: Literal["rolling", "frozen"]
) -> None:
    assert not differs(model, history)


class Peeking:
    """Read one event too many: the first one that a question forbids."""

    def __init__(self, where: Literal["history", "world"]) -> None:
        self.name, self.where = "peeking", where

    def fit(self, log: Log) -> "Peeking":
        return self

    def answer(self, asked: Questions) -> Iterator[Answer]:
        scores = np.zeros((len(asked), len(asked.items)), np.float32)
        rows = np.arange(len(asked))
        if self.where == "history":
            scores[rows, asked.histories.items[asked.stop]] = 1
        else:
            scores[rows, asked.world.items[asked.world_stop]] = 1
        yield rows, scores


@pytest.mark.parametrize("where", ["history", "world"])
def test_one_that_peeks_is_found_out(where: Literal["history", "world"]) -> None:
    assert differs(Peeking(where), "rolling")


def test_nothing_fitted_sees_what_comes_after_the_cut(name: str, model: Recommender) -> None:
    log = whole()
    late = pl.col("timestamp") >= pl.lit(cut()).cast(TIME)
    dirty = Log.from_frame(
        log.events.with_columns(
            item_id=pl.when(late).then(pl.lit("z")).otherwise("item_id"),
            user_id=pl.when(late).then(pl.lit("stranger")).otherwise("user_id"),
        )
    )
    again = MAKERS[name]().fit(dirty.before(cut()))
    assert (answered(again, questions()) == answered(model, questions())).all()
    assert getattr(again, "cut", None) == split(log)[0].end <= cut()


# --- strangers -----------------------------------------------------------------------------------


def test_a_world_of_strangers_is_answered(model: Recommender) -> None:
    """Neither the users nor, but for one, the items were in training."""
    start = cut()
    rows = [(f"s{n % 3}", "i1" if n == 2 else f"x{n % 4}", start + n) for n in range(12)]
    frame = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    log = Log.from_frame(frame.with_columns(pl.col("timestamp").cast(TIME)))
    asked = questions_of(log.since(start + 3), "rolling")
    scores = answered(model, asked)
    assert scores.shape == (9, 5)
    none = replace(asked, stop=asked.start)  # nobody has a history
    assert answered(model, none).shape == (9, 5)


class Foreign:
    """Have a name, fit and answer, and nothing else; score by the length of the id."""

    name = "foreign"

    def fit(self, log: Log) -> "Foreign":
        return self

    def answer(self, questions: Questions) -> Iterator[Answer]:
        row = questions.items.ids.str.len_chars().cast(pl.Float32).to_numpy()
        for index in range(len(questions)):
            yield np.array([index]), np.array(row)[None, :]


def test_any_recommender_can_be_judged_beside_any_other(model: Recommender) -> None:
    test = split(whole())[1]
    report = evaluate(Foreign(), test, k=3, baselines=[model], resamples=5, reading="growing")
    assert [one.model for one in report.results] == ["foreign", model.name]
    assert 0 < report[model.name].metrics["recall@3"] <= 1
    assert report.model.request_time is None


# --- the same scores in service and in evaluation ------------------------------------------------


@pytest.mark.parametrize("request_time", ["unknown", "known"])
def test_what_is_served_is_what_was_judged(request_time: Literal["unknown", "known"]) -> None:
    """At the instant of a question, a model that took everything in gives the judged scores."""
    train, test = split(whole())
    served = sequence(request_time).fit(train)
    asked = questions_of(test, "rolling")
    judged = answered(served, asked)
    served.observe(test)
    users, items = asked.users.ids.to_list(), asked.items.ids.to_list()
    empty = np.flatnonzero(asked.stop == asked.start)
    assert len(empty)
    for place in [*range(0, len(asked), 5), int(empty[0])]:
        user, at = users[asked.user[place]], int(asked.at[place])
        scores = served.score([user], items, at=at)[0]
        assert close(scores, judged[place])
        found = served.recommend([user], len(items), at=at)
        assert found.fallback == [place in empty]
        columns = [items.index(item) for item in found.items[0]]
        assert close(np.array(found.scores[0]), judged[place][columns])
        assert len(columns) == np.isfinite(judged[place]).sum()
        assert (np.diff(judged[place][columns]) <= 1e-5).all()
    # Before the event is taken in, a stranger is answered as before the first event.
    alone = sequence(request_time).fit(train)
    stranger = alone.recommend(["nobody"], 3, at=test.start)
    none = replace(asked.take(np.array([0])), stop=asked.start[:1])
    expected = np.sort(answered(alone, none)[0])[::-1][:3]
    assert asked.at[0] == test.start and close(np.array(stranger.scores[0]), expected)
