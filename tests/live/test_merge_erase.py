"""After a merge or an erasure a model answers as one to whom it was never otherwise."""

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest

from recency.baselines.popularity import Popularity
from recency.data.log import Log
from recency.data.vocab import Id, Vocab
from recency.ensemble import Ensemble
from recency.nn.experts import ExpertConfig
from recency.nn.recurrent import GRU
from recency.recommender import SequenceRecommender
from recency.training.config import TrainConfig

START = 1_767_225_600_000_000  # 2026-01-01T00:00Z
HOUR = 3_600_000_000
AT = START + 1000 * HOUR
Recommender = SequenceRecommender | Ensemble
Row = dict[str, Any]


def rows_of(random: np.random.Generator, users: list[str], n: int, first: int, items: int) -> list:
    """Draw events, no two of one instant, in the order of time."""
    hours = np.sort(random.choice(400, n, replace=False)) + first
    return [
        {
            "user_id": str(random.choice(users)),
            "item_id": f"i{random.integers(items)}",
            "timestamp": START + int(hour) * HOUR + int(random.integers(1000)),
            "event_type": str(random.choice(["view", "buy"])),
        }
        for hour in hours
    ]


def log_of(rows: list[Row]) -> Log:
    frame = pl.DataFrame(rows).with_columns(
        pl.col("timestamp").cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    )
    return Log.from_frame(frame)


@pytest.fixture(scope="module")
def base() -> list[Row]:
    random = np.random.default_rng(1)
    return rows_of(random, [f"u{n}" for n in range(8)], 150, 0, 12)


def model(base: list[Row], kind: str) -> Recommender:
    """Fit on the log, with weights that no user of the tests has a part in."""
    experts = ExpertConfig(pair=("2h", "30d"), crowd=("1h", "10d")) if kind != "plain" else None
    settings = TrainConfig(epochs=1, device="cpu", refit=False)
    one = SequenceRecommender(GRU(dim=8), training=settings, experts=experts, seed=3)
    if kind != "ensemble":
        return one.fit(log_of(base))
    other = SequenceRecommender(GRU(dim=6), training=settings, experts=None, seed=4)
    return Ensemble([one, other, Popularity()]).fit(log_of(base))


@pytest.fixture(scope="module", params=["plain", "experts", "ensemble"])
def make(
    request: pytest.FixtureRequest, base: list[Row], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[], Recommender]:
    folder = tmp_path_factory.mktemp("model") / request.param
    model(base, request.param).save(folder)
    from recency.loading import load

    return lambda: load(folder)


def answers(one: Recommender, at: int | None) -> list[dict[Id, float]]:
    """Ask about everybody, each item with its score."""
    asked = [f"u{n}" for n in range(12)] + ["nobody"]
    found = one.recommend(asked, len(one.items), at=at)
    return [
        dict(zip(items, scores, strict=True))
        for items, scores in zip(found.items, found.scores, strict=True)
    ]


def alike(one: Recommender, other: Recommender) -> None:
    assert one.live.timelines.n_events == other.live.timelines.n_events
    assert one.live.timelines.newest == other.live.timelines.newest
    for at in (None, AT, START + 300 * HOUR):  # now, long after, in the past
        for mine, theirs in zip(answers(one, at), answers(other, at), strict=True):
            assert mine.keys() == theirs.keys()
            for item, score in mine.items():
                assert score == pytest.approx(theirs[item], abs=1e-5)


def renamed(rows: list[Row], names: dict[str, str]) -> list[Row]:
    return [row | {"user_id": names.get(row["user_id"], row["user_id"])} for row in rows]


@pytest.mark.parametrize("asked_before", [False, True])
@pytest.mark.parametrize("target", ["u3", "u9"], ids=["of the log", "new"])
def test_after_a_merge_all_is_the_users(make, asked_before, target):
    random = np.random.default_rng(5)
    rows = rows_of(random, ["anon", "u1", "u3", "u9"], 80, 100, 15)
    later = rows_of(random, ["u1", "u3", "u9"], 30, 450, 15)
    merged, expected = make(), make()
    for part in (rows[:40], rows[40:]):
        merged.observe(part)
        if asked_before:
            answers(merged, AT)
    merged.merge_users("anon", target)
    expected.observe(renamed(rows, {"anon": target}))
    alike(merged, expected)
    merged.observe(later)
    expected.observe(later)
    alike(merged, expected)
    assert merged.history("anon").is_empty()
    assert merged.history(target).equals(expected.history(target))


def test_a_user_of_the_fitted_log_can_be_merged_too(make, base):
    merged = make()
    answers(merged, AT)
    merged.observe(rows_of(np.random.default_rng(6), ["u0", "u1"], 30, 410, 15))
    before = merged.history("u0").height + merged.history("u1").height
    merged.merge_users("u0", "u1")
    assert merged.history("u1").height == before and merged.history("u0").is_empty()
    times = merged.history("u1")["timestamp"]
    assert times.is_sorted()


@pytest.mark.parametrize("asked_before", [False, True])
def test_after_an_erasure_the_user_has_never_been(make, asked_before):
    random = np.random.default_rng(7)
    rows = rows_of(random, ["gone", "u1", "u3", "u9"], 80, 100, 15)
    rows += rows_of(random, ["gone"], 20, 500, 25)  # the newest, and items of its own
    erased, expected = make(), make()
    for part in (rows[:40], rows[40:]):
        erased.observe(part)
        if asked_before:
            answers(erased, AT)
    erased.erase_user("gone")
    expected.observe([row for row in rows if row["user_id"] != "gone"])
    alike(erased, expected)
    assert "gone" not in erased.users
    assert "gone" not in erased.users.ids.to_list()
    erased.erase_user("gone")  # again: nothing happens
    alike(erased, expected)


def test_a_user_of_the_fitted_log_leaves_a_row_without_a_name(make):
    erased = make()
    answers(erased, AT)
    row, n_users = erased.users.row("u2"), len(erased.users)
    n_events = erased.live.timelines.n_events
    gone = erased.history("u2").height
    assert gone > 0
    erased.erase_user("u2")
    assert erased.live.timelines.n_events == n_events - gone
    assert len(erased.users) == n_users and erased.users.n_retired == 1
    assert erased.users.is_retired(erased.users.id_of(row))
    assert erased.history("u2").is_empty()
    assert erased.recommend(["u2"]).fallback == [True]


def test_a_model_saved_after_an_erasure_is_read_again(make, tmp_path):
    from recency.loading import load

    erased = make()
    erased.erase_user("u2")
    erased.save(tmp_path / "saved")
    again = load(tmp_path / "saved")
    assert again.users.ids.to_list() == erased.users.ids.to_list()
    assert again.users.n_retired == 1
    alike(erased, again)
    assert not any(b"u2" in path.read_bytes() for path in (tmp_path / "saved").glob("users-*"))


def test_equal_instants_put_the_anonymous_events_behind(make):
    one = make()
    when = START + 700 * HOUR
    rows = [
        {"user_id": user, "item_id": item, "timestamp": when}
        for user, item in (("anon", "i1"), ("u1", "i2"), ("anon", "i3"))
    ]
    one.observe(rows)
    one.merge_users("anon", "u1")
    assert one.history("u1")["item_id"].to_list()[-3:] == ["i2", "i1", "i3"]


def test_strangers_are_no_fault(make):
    one = make()
    n_users = len(one.users)
    one.merge_users("never seen", "u1")
    one.erase_user("never seen either")
    assert len(one.users) == n_users


def test_integer_ids_are_retired_to_the_smallest_integers(base):
    numbers = {f"u{n}": n for n in range(8)}
    rows = [row | {"user_id": numbers[row["user_id"]]} for row in base]
    settings = TrainConfig(epochs=1, device="cpu", refit=False)
    one = SequenceRecommender(GRU(dim=4), training=settings).fit(log_of(rows))
    row = one.users.row(5)
    one.erase_user(5)
    assert one.users.id_of(row) == -(2**63) + row
    assert one.users.is_retired(one.users.id_of(row)) and not one.users.is_retired(4)
    assert Vocab.from_frame(one.users.to_frame()).n_retired == 1
    one.observe([{"user_id": 5, "item_id": "i1", "timestamp": AT}])
    assert one.users.row(5) == len(one.users) - 1 != row
