"""Next baskets: a planted truth is found, nothing leaks, and what cannot be asked is said."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

import recency as rc
from recency.data.log import Log
from recency.errors import ConfigError, DataError, DataWarning
from recency.recommender import SequenceRecommender
from recency.training.checkpoints import weights_of

START = datetime(2026, 1, 1, tzinfo=UTC)
DAY = 86_400_000_000
ODD: dict[str, Any] = {"calibration": "odd"}
FOLLOW = {"follow", "partner"}  # always together, in the basket after one with the trigger


def pantry(n_users: int = 70, n_baskets: int = 14, spread: float = 0.0) -> Log:
    """Each basket holds two of twelve items, an eighth the trigger; then comes what follows it.

    Args:
        n_users: How many.
        n_baskets: Of each.
        spread: Seconds between two lines of a basket.
    """
    rng, rows = np.random.default_rng(0), []
    for user in range(n_users):
        now, lit = START + timedelta(hours=float(rng.uniform(0, 24))), False
        for _ in range(n_baskets):
            held = [f"i{n}" for n in rng.choice(12, 2, replace=False)]
            held += sorted(FOLLOW) if lit else []
            lit = rng.random() < 0.125
            held += ["trigger"] if lit else []
            rows += [
                (f"u{user}", one, now + timedelta(seconds=n * spread)) for n, one in enumerate(held)
            ]
            now += timedelta(days=float(rng.uniform(0.5, 1.5)))
    schema = ["user_id", "item_id", "timestamp"]
    return rc.read_log(pl.DataFrame(rows, schema=schema, orient="row"))


def fitted(log: Log, *heads: Any, **settings: Any) -> SequenceRecommender:
    chosen = {"epochs": 2, "lr": 1e-2, "tokens": 256, "heads": "apart", "device": "cpu", **settings}
    return SequenceRecommender(
        rc.GRU(dim=16),
        training=rc.TrainConfig(**chosen),
        experts=None,
        fallback_half_life="7d",
        heads=heads or (rc.BasketHead(weight=1.0),),
    ).fit(log)


@pytest.fixture(scope="module")
def split() -> tuple[Log, Log]:
    log = pantry()
    before, after = log.split_at(log.quantile(0.75))
    return before, after


@pytest.fixture(scope="module")
def kept(split, tmp_path_factory) -> Any:
    folder = tmp_path_factory.mktemp("kept") / "model"
    fitted(split[0], epochs=15, patience=15).save(folder)
    return folder


@pytest.fixture
def model(kept) -> SequenceRecommender:
    """Give a model that a test may tell events."""
    return SequenceRecommender.load(kept)


def bought(model: SequenceRecommender, user: str, *items: str, days: float = 1.0) -> None:
    at = model.live.now + round(days * DAY)
    model.observe([{"user_id": user, "item_id": one, "timestamp": at} for one in items])


def chances(model: SequenceRecommender, user: str, **asked: Any) -> dict[str, float]:
    told = model.basket([user], k=len(model.items), **asked)
    return dict(zip(told["item_id"], told["probability"], strict=True))


# --- what it tells -------------------------------------------------------------------------------


def test_what_follows_is_found_and_what_sells_most_is_not_told(model, split):
    counts = split[0].events["item_id"].value_counts(sort=True)["item_id"].to_list()
    assert not FOLLOW & set(counts[:12])  # by popularity they are never told
    bought(model, "u1", "i1", "trigger")
    bought(model, "u2", "i1", "i2", days=0)
    told = model.basket(["u1", "u2"], k=3)
    assert told.columns == ["user_id", "item_id", "rank", "probability", "size", "fallback"]
    assert told["user_id"].to_list() == ["u1"] * 3 + ["u2"] * 3
    assert told["rank"].to_list() == [1, 2, 3] * 2
    assert set(told["item_id"][:2]) == FOLLOW and not FOLLOW & set(told["item_id"][3:])
    assert told["probability"][1] > 0.6 > 0.4 > told["probability"][2]
    assert max(chances(model, "u2")[one] for one in FOLLOW) < 0.1
    assert told["size"][0] > told["size"][3] + 0.5  # more are in it


def test_chances_are_true(model, split):
    model.observe(split[1])
    later = split[1].events.group_by("user_id", "timestamp").agg("item_id")
    items = model.items.ids.to_list()
    held = np.array([[one in row for one in items] for row in later["item_id"].to_list()])
    told = model.basket(
        later["user_id"], k=len(items), at=later["timestamp"].to_physical().to_numpy()
    )
    place = {one: n for n, one in enumerate(items)}
    p = np.zeros(held.shape)
    rows = np.repeat(np.arange(len(later)), len(items))
    p[rows, [place[one] for one in told["item_id"]]] = told["probability"]
    assert abs(p.mean() - held.mean()) < 0.02
    sizes = told["size"].to_numpy().reshape(held.shape)[:, 0]
    assert sizes.mean() == pytest.approx(held.sum(1).mean(), rel=0.15)
    # Far better than the share of all baskets that hold an item, which knows no order of events.
    share = held.mean(0)[None]
    losses = [-np.where(held, np.log(one), np.log1p(-one)).mean() for one in (p, share)]
    assert losses[0] < 0.93 * losses[1]


def test_an_event_moves_the_next_answer_and_nobody_elses(model):
    before, other = chances(model, "u3"), chances(model, "u4")
    bought(model, "u3", "trigger", days=0)
    assert chances(model, "u3")["follow"] > before["follow"] + 0.3
    assert chances(model, "u4")["follow"] == pytest.approx(other["follow"], abs=0.02)


def test_what_comes_with_the_basket_itself_is_hidden(model):
    at = model.live.now + DAY
    before = chances(model, "u5", at=at)
    lines = [{"user_id": "u5", "item_id": one, "timestamp": at} for one in ("i1", "trigger")]
    model.observe(lines)
    assert chances(model, "u5", at=at) == pytest.approx(before, abs=1e-6)
    assert chances(model, "u5", at=at + 1)["follow"] > 0.5


def test_strangers_are_told_what_sells_and_marked(model):
    told = model.basket(["nobody", "u1"], k=4)
    assert told["fallback"].to_list() == [True] * 4 + [False] * 4
    assert told["probability"].is_between(0, 1).all() and (told["size"] > 1).all()


@pytest.mark.filterwarnings("ignore:k=50 is more than")
def test_a_new_item_is_told_by_how_it_sells(model):
    for n in range(12):
        bought(model, f"u{n}", "i1", "novelty", days=0.01)
    assert chances(model, "u20")["novelty"] > 0.02
    earlier = model.basket(["u20"], k=50, at=model.cut)["item_id"]
    assert "novelty" not in earlier.to_list()  # nobody knew it then


@pytest.mark.filterwarnings("ignore:k=50 is more than")
def test_each_question_has_an_instant_of_its_own(model, split):
    model.observe(split[1])
    cut, now = model.cut, model.live.now
    told = model.basket(["u1", "u1", "u2"], k=50, at=[cut, now, cut])
    alone = [
        model.basket([one], k=50, at=at) for one, at in (("u1", cut), ("u1", now), ("u2", cut))
    ]
    joint = pl.concat(alone)
    assert told["item_id"].to_list() == joint["item_id"].to_list()
    assert told["probability"].to_numpy() == pytest.approx(
        joint["probability"].to_numpy(), rel=1e-4
    )


# --- kept, learned on, beside others --------------------------------------------------------------


def test_a_model_that_is_kept_tells_the_same(model, tmp_path):
    model.save(tmp_path)
    again = SequenceRecommender.load(tmp_path)
    told, found = model.basket(["u1", "nobody"], k=5), again.basket(["u1", "nobody"], k=5)
    assert found["item_id"].to_list() == told["item_id"].to_list()
    for name in ("probability", "size"):
        assert found[name].to_numpy() == pytest.approx(told[name].to_numpy(), rel=1e-5)


def test_served_event_by_event_is_what_is_told_later(model, kept, split):
    live, later = SequenceRecommender.load(kept), split[1].events.head(40)
    model.observe(split[1])
    for (at,), lines in later.group_by("timestamp", maintain_order=True):
        who = [lines["user_id"][0]]
        served, replayed = (one.basket(who, k=5, at=at) for one in (live, model))
        assert served["item_id"].to_list() == replayed["item_id"].to_list()
        assert served["probability"].to_list() == pytest.approx(
            replayed["probability"].to_list(), abs=1e-5
        )
        live.observe(lines.to_dicts())


def test_the_next_item_is_told_bit_by_bit_as_without_it(split):
    sampled: dict[str, Any] = {"loss": "sampled", "item_updates": "rows", "negatives": 4}
    for settings in ({}, sampled):
        plain = SequenceRecommender(
            rc.GRU(dim=16),
            training=rc.TrainConfig(
                epochs=1, lr=1e-2, tokens=256, heads="apart", device="cpu", **settings
            ),
            experts=None,
            fallback_half_life="7d",
        ).fit(split[0])
        beside = fitted(split[0], epochs=1, **settings)
        one, other = weights_of(plain.live.model), weights_of(beside.live.model)
        assert all(torch.equal(one[name], other[name]) for name in one)
        head = beside.live.model.heads[0]
        assert isinstance(head, rc.BasketHead) and head.left.weight.abs().sum() > 0


def test_joint_heads_move_the_items_that_they_ask_about(split):
    one = fitted(split[0], heads="joint", guard=1.0, epochs=1)
    other = fitted(split[0], epochs=1)
    assert not torch.equal(one.live.model.items, other.live.model.items)


@pytest.mark.slow
def test_nothing_after_the_cut_is_learned(split):
    odd = split[1].events.with_columns(pl.lit("i0").alias("item_id"))
    past, _ = rc.read_log(pl.concat((split[0].events, odd))).split_at(split[0].end)
    one, other = (weights_of(fitted(log).live.model) for log in (split[0], past))
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.slow
def test_it_learns_on(kept, split):
    one = SequenceRecommender.load(kept).partial_fit(split[1])
    bought(one, "u1", "i1", "trigger")
    assert set(one.basket(["u1"], k=2)["item_id"]) == FOLLOW


@pytest.mark.slow
def test_lines_that_lie_minutes_apart_are_one_basket_with_a_gap():
    one = fitted(pantry(spread=60.0), rc.BasketHead("1h", weight=1.0), epochs=15, patience=15)
    at = one.live.now + DAY
    rows = [("i1", at), ("trigger", at + 60_000_000), ("i2", at + 120_000_000)]
    one.observe([{"user_id": "u1", "item_id": item, "timestamp": t} for item, t in rows])
    told = one.basket(["u1"], k=2, at=at + DAY)
    assert set(told["item_id"]) == FOLLOW and told["probability"][1] > 0.5


# --- what is refused -----------------------------------------------------------------------------


def test_a_log_of_single_events_is_warned_of():
    log = pantry(n_users=12, spread=60.0)
    with pytest.warns(DataWarning, match=r"no basket of the log holds two items.*gap='30min'"):
        one = fitted(log, epochs=1)
    assert len(one.basket(["u1"], k=3)) == 3


def test_users_with_one_basket_each_teach_nothing(split):
    at_once = Log(split[0].events.with_columns(timestamp=pl.lit(START)))
    with pytest.raises(DataError, match="users with two baskets at least, found 70 baskets"):
        fitted(at_once, epochs=1)


def test_what_cannot_be_asked_is_said(model, split):
    with pytest.raises(ConfigError, match="k as a whole number of at least 1, found 0"):
        model.basket(["u1"], k=0)
    with pytest.warns(DataWarning, match="k=99 is more than the catalogue's 15 items"):
        assert len(model.basket(["u1"], k=99)) == 15
    with pytest.raises(ConfigError, match="one instant, or one for each of 1, found 2"):
        model.basket(["u1"], at=["2026-01-01", "2026-01-02"])
    other = fitted(split[0], rc.TimeHead(parts=2), epochs=1)
    with pytest.raises(ConfigError, match="no head for 'basket', found time"):
        other.basket(["u1"])
    ensemble = rc.Ensemble([other, rc.Popularity()])
    assert not hasattr(ensemble, "basket")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: rc.BasketHead(weight=0), "expected a number above 0"),
        (lambda: rc.BasketHead(**ODD), "expected 'temperature', 'isotonic'"),
    ],
)
def test_impossible_settings_are_refused(make, said):
    with pytest.raises(ConfigError, match=said):
        make()
    with pytest.raises(DataError, match="expected a duration of 0 seconds or more, found -1"):
        rc.BasketHead(gap=-1.0)
