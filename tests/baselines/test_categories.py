"""Popularity within the categories that a user likes, worked by hand."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from recency.baselines import CategoryPopularity
from recency.baselines.categories import PRIOR
from recency.data.catalogue import Catalogue
from recency.data.log import Log
from recency.errors import ConfigError, NotFittedError
from recency.evaluation.questions import questions_of

START = datetime(2026, 1, 1, tzinfo=UTC)
SHELVES = {"a": ["red"], "b": ["red"], "c": ["blue"], "new": ["red"], "bare": None}


def catalogue() -> Catalogue:
    return Catalogue.from_frame(
        pl.DataFrame({
            "item_id": list(SHELVES),
            "categories": list(SHELVES.values()),
            "title": ["Red one", "red Two", "Blue", "Red three", "?"],
        })
    )  # fmt: skip


def log(text: str) -> Log:
    rows = [(one[0], one[1], START + timedelta(hours=n)) for n, one in enumerate(text.split())]
    frame = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    return Log.from_frame(frame)


def test_scores_worked_by_hand() -> None:
    """Four events, three of them red; user 1 liked red twice.

    Red: a has 2 events, b has 1, new none: shares 3/6, 2/6, 1/6 of the smoothed six. Blue: c, all.
    Liking of user 1: red 2 + 10 * 3/4, blue 0 + 10 * 1/4.
    """
    train, test = log("1a 1a 2b 2c 1c").split_at(START + timedelta(hours=4))
    model = CategoryPopularity(catalogue()).fit(train)
    asked = questions_of(test, "rolling", list(SHELVES))
    ((index, scores),) = model.answer(asked)
    red, blue = 2 + PRIOR * 3 / 4, PRIOR / 4
    wanted = {"a": red / 2, "b": red / 3, "c": blue, "new": red / 6, "bare": 0.0}
    assert index.tolist() == [0]
    found = dict(zip(asked.items.ids.to_list(), scores[0].tolist(), strict=True))
    assert found == pytest.approx(wanted)


def test_words_of_a_title_may_be_the_categories() -> None:
    train, test = log("1a 1a 2b 2c 1c").split_at(START + timedelta(hours=4))
    model = CategoryPopularity(catalogue(), "title").fit(train)
    asked = questions_of(test, "rolling", ["new"])
    ((_, scores),) = model.answer(asked)
    assert scores[0, asked.items.row("new")] > 0 and np.isfinite(scores).all()


def test_faults() -> None:
    with pytest.raises(ConfigError, match="column='colour'.*title; name one"):
        CategoryPopularity(catalogue(), "colour")
    train, test = log("1a 1a 2b").split_at(START + timedelta(hours=2))
    with pytest.raises(NotFittedError, match="call fit"):
        next(CategoryPopularity(catalogue()).answer(questions_of(test, "rolling")))
    assert CategoryPopularity(catalogue()).fit(train).cut == train.end
