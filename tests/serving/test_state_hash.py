"""The hash of what is known: the same for the same, however it was come by; else another."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from benchmarks.serving.shop import DAY, START, untrained_shop
from recency.data.catalogue import Catalogue
from recency.loading import load
from recency.serving.snapshots.state_hash import state_hash


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untrained_shop(tmp_path_factory.mktemp("model") / "shop", 20, 10, 100, dim=8)


def event(user: str, item: str, day: int) -> dict[str, Any]:
    return {"user_id": user, "item_id": item, "timestamp": START + (31 + day) * DAY}


ROWS = [event("new", "i1", 0), event("u1", "fresh", 1), event("u2", "i2", 2), event("u1", "i3", 3)]


def after(folder: Path, *parts: list[dict[str, Any]]) -> str:
    model = load(folder)
    for part in parts:
        model.observe(part)
        model.recommend(["u1", "u2"], 3)
    return state_hash(model)


def test_order_of_arrival_and_questions_do_not_matter(folder: Path) -> None:
    expected = after(folder, ROWS)
    assert after(folder, ROWS[::-1]) == expected
    assert after(folder, *([row] for row in ROWS)) == expected
    assert after(folder, ROWS[2:], ROWS[:2]) == expected


@pytest.mark.parametrize(
    "other",
    [
        ROWS[:3],
        [*ROWS, ROWS[0]],
        [event("new", "i2", 0), *ROWS[1:]],
        [event("else", "i1", 0), *ROWS[1:]],
        [event("new", "i1", 4), *ROWS[1:]],
        [*ROWS[:3], event("u3", "i3", 3)],
    ],
)
def test_any_other_event_gives_another(folder: Path, other: list[dict[str, Any]]) -> None:
    assert after(folder, other) != after(folder, ROWS)


def describe(rows: list[dict[str, Any]]) -> Catalogue:
    return Catalogue.from_frame(pl.DataFrame(rows))


def test_weights_and_catalogue_are_in_it(folder: Path, tmp_path: Path) -> None:
    twin = untrained_shop(tmp_path / "twin", 20, 10, 100, dim=8, seed=1)
    assert after(twin, ROWS) != after(folder, ROWS)
    hashes: list[str] = []
    one, two = {"item_id": "i1", "title": "One"}, {"item_id": "i2", "title": "Two"}
    with_column = pl.DataFrame([two]).with_columns(price=pl.lit(None, pl.Float64))
    for catalogue in (
        None,
        describe([one, two]),
        describe([two, one]),
        describe([one, two | {"title": "2"}]),
        describe([one, two]).upsert(with_column),
    ):
        model = load(folder)
        model.catalogue = catalogue
        hashes.append(state_hash(model))
    nothing, plain, turned, renamed, wider = hashes
    assert plain == turned == wider and len({nothing, plain, renamed}) == 3
