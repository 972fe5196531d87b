"""Heads: each tells a planted truth, leaves the next item alone, is kept, says what it lacks."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

import recency as rc
from recency.data.log import Log
from recency.errors import ConfigError, DataError, DataWarning, FormatError
from recency.nn.heads import heads_of_settings
from recency.recommender import SequenceRecommender
from recency.training.checkpoints import weights_of
from recency.training.config import TrainConfig
from recency.training.head_lessons import heads_of

START = datetime(2026, 1, 1, tzinfo=UTC)
N_ITEMS = 10
HALF = N_ITEMS // 2
ODD: Any = "odd"
WITHIN = ["within_1d", "within_7d", "within_30d"]
pytestmark = pytest.mark.filterwarnings("ignore:a horizon of 30 d lies beyond")


def shop_log(n_users: int = 30, days: int = 24) -> Log:
    """Odd users come every day, even ones every fourth; a view of the first half is mostly bought.

    A rating is 3, a point more for the first half and one less for the rest, half a point more of
    odd users and less of even ones, and a little noise.
    """
    rng = np.random.default_rng(0)
    rows: list[tuple[Any, ...]] = []
    for user in range(n_users):
        item, odd = user % N_ITEMS, user % 2
        now = START + timedelta(hours=float(rng.uniform(0, 24)))
        while now < START + timedelta(days=days):
            item = (item + 1) % N_ITEMS if rng.random() < 0.6 else int(rng.integers(N_ITEMS))
            liked = item < HALF
            value = 3 + (1 if liked else -1) + (0.5 if odd else -0.5) + rng.normal(0, 0.2)
            rows.append((f"u{user}", f"i{item}", now, "view", value))
            if rng.random() < (0.9 if liked else 0.1):
                rows.append((f"u{user}", f"i{item}", now + timedelta(seconds=0.5), "buy", None))
            now += timedelta(days=(1 if odd else 4) * float(rng.uniform(0.9, 1.1)))
    columns = ["user_id", "item_id", "timestamp", "event_type", "value"]
    return rc.read_log(pl.DataFrame(rows, schema=columns, orient="row"))


def heads() -> tuple[Any, ...]:
    return (
        rc.RatingHead(event_type="view"),
        rc.TypeHead("buy", given="view", within="1h"),
        rc.TimeHead(parts=4),
        rc.HorizonHead("buy", "3d"),
    )


def fitted(log: Log, *given: Any, encoder: Any = None, **settings: Any) -> SequenceRecommender:
    chosen = {"epochs": 3, "lr": 1e-2, "tokens": 128, "heads": "apart", "device": "cpu", **settings}
    return SequenceRecommender(
        rc.GRU(dim=8) if encoder is None else encoder,
        training=TrainConfig(**chosen),
        experts=None,
        fallback_half_life="7d",
        heads=given,
    ).fit(log)


def times_of(log: Log) -> np.ndarray[Any, np.dtype[np.int64]]:
    return log.events["timestamp"].to_physical().to_numpy()


@pytest.fixture(scope="module")
def split() -> tuple[Log, Log]:
    log = shop_log()
    before, after = log.split_at(log.quantile(0.75))
    return before, after


@pytest.fixture(scope="module")
def views(split) -> Log:
    return Log(split[1].events.filter(pl.col("event_type") == "view"))


@pytest.fixture(scope="module")
def model(split) -> SequenceRecommender:
    return fitted(split[0], *heads(), epochs=12, tokens=64)


@pytest.fixture(scope="module")
def seen(split, model, tmp_path_factory) -> SequenceRecommender:
    """The same model, which knows the later events too."""
    folder = tmp_path_factory.mktemp("seen")
    model.save(folder)
    one = SequenceRecommender.load(folder)
    one.observe(split[1])
    return one


# --- what each tells -----------------------------------------------------------------------------


def test_ratings_know_user_and_item(seen, views):
    told = seen.rate(views.events["user_id"], views.events["item_id"], at=times_of(views))
    wrong = (told["rating"] - views.events["value"]).to_numpy()
    assert told.columns == ["user_id", "item_id", "rating", "fallback"]
    assert np.sqrt((wrong**2).mean()) < 0.5 * views.events["value"].std()
    assert not told["fallback"].any()


def test_ratings_stay_inside_the_scale(split):
    log = Log(split[0].events.with_columns(pl.col("value").clip(2, 4)))
    one = fitted(log, rc.RatingHead(scale=[2, 4], event_type="view"), epochs=1)
    users = [f"u{n}" for n in range(30) for _ in range(N_ITEMS)]
    told = one.rate(users, [f"i{n}" for n in range(N_ITEMS)] * 30)["rating"].to_numpy()
    assert told.min() >= 2 and told.max() <= 4


def test_what_is_bought_is_told_from_what_is_viewed(seen, views):
    at = times_of(views)
    told = seen.propensity(
        views.events["user_id"], views.events["item_id"], event_type="buy", at=at
    )
    liked = views.events["item_id"].str.slice(1).cast(int).to_numpy() < HALF
    chances = told["probability"].to_numpy()
    assert chances[liked].min() > chances[~liked].max()
    assert chances[liked].mean() == pytest.approx(0.9, abs=0.1)
    assert chances[~liked].mean() == pytest.approx(0.1, abs=0.1)


def test_times_know_who_comes_daily_and_who_does_not(seen, views):
    frame = views.events.with_columns(odd=pl.col("user_id").str.slice(1).cast(int) % 2)
    told = seen.next_time(frame["user_id"], at=times_of(views) + 2_000_000)
    assert told.columns[1:] == ["wait_10", "wait_50", "wait_90", *WITHIN, "fallback"]
    assert (told["wait_10"] < told["wait_50"]).all() and (told["wait_50"] < told["wait_90"]).all()
    assert (told["within_1d"] <= told["within_7d"]).all()
    medians = told["wait_50"].to_numpy() / 86_400
    odd = frame["odd"].to_numpy() == 1
    assert np.median(medians[odd]) < 1.6 < np.median(medians[~odd])


def test_having_waited_is_known(seen):
    newest = seen.live.timelines.newest_of(seen.users.row("u1"))
    at = [newest + 1, newest + 86_400_000_000, newest + 5 * 86_400_000_000]
    told = seen.next_time(["u1"] * 3, at=at, quantiles=[0.5])["wait_50"]
    assert told[2] > told[1]  # who is away for long is not back soon


def test_what_comes_within_a_horizon_is_told_of_everybody(seen):
    told = seen.propensity(event_type="buy", horizon="3d", at=seen.cut)
    assert told["user_id"].to_list() == seen.users.ids.to_list()
    odd = told["user_id"].str.slice(1).cast(int).to_numpy() % 2 == 1
    chances = told["probability"].to_numpy()
    assert chances[odd].mean() > chances[~odd].mean() + 0.15


def test_any_event_within_any_horizon_is_told_by_the_head_of_time(seen):
    users = ["u1", "u2"]
    told = seen.propensity(users, horizon="2d")["probability"]
    assert told.to_list() == seen.next_time(users, horizons=["2d"])["within_2d"].to_list()


def test_an_objective_ranks_by_what_is_bought(seen):
    users = [f"u{n}" for n in range(30)]
    first = {f"i{n}" for n in range(HALF)}

    def share(**asked: Any) -> float:
        lists = seen.recommend(users, k=HALF, **asked).items
        return float(np.mean([item in first for one in lists for item in one]))

    # What comes next by six in ten stands first even where it is bought by one in ten.
    assert share(objective="buy") == share(objective={"buy": 1.0}) > share() + 0.2


def test_strangers_are_answered_and_marked(seen):
    told = seen.rate(["u1", "nobody", "u1"], ["i1", "i1", "nothing"])
    assert told["fallback"].to_list() == [False, True, True]
    assert told["rating"][1] > 3  # the item alone
    assert seen.propensity(["nobody"], ["i1"], event_type="buy")["probability"][0] > 0.5
    assert seen.next_time(["nobody"])["fallback"].to_list() == [True]


# --- what holds for all --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "encoder", [rc.GRU(dim=8), pytest.param(rc.Tide(dim=8), marks=pytest.mark.slow)]
)
def test_heads_apart_leave_the_next_item_bit_by_bit_as_it_is(split, encoder):
    one, other = (fitted(split[0], *some, epochs=2, encoder=encoder) for some in ((), heads()))
    plain, beside = weights_of(one.live.model), weights_of(other.live.model)
    assert all(torch.equal(plain[name], beside[name]) for name in plain)
    assert any(name.startswith("heads.") for name in beside)


def test_a_model_that_is_kept_tells_the_same(seen, split, tmp_path):
    seen.save(tmp_path)
    again = rc.load(tmp_path)
    users, items = ["u1", "u2", "nobody"], ["i1", "i9", "i3"]
    for one in ("rate", "propensity", "next_time"):
        asked: dict[str, Any] = {"event_type": "buy"} if one == "propensity" else {}
        given = (users,) if one == "next_time" else (users, items)
        told, kept = (getattr(model, one)(*given, **asked) for model in (seen, again))
        assert told.columns == kept.columns
        for name in told.columns[1 if one == "next_time" else 2 :]:  # rounded by what is warm
            assert kept[name].to_numpy() == pytest.approx(told[name].to_numpy(), rel=1e-5)


@pytest.mark.slow
def test_what_is_served_event_by_event_is_what_is_told_later(model, seen, split, tmp_path):
    model.save(tmp_path)
    live, rows = SequenceRecommender.load(tmp_path), []
    later = split[1].events.head(25)
    for event in later.iter_rows(named=True):
        at, who, what = event["timestamp"], [event["user_id"]], [event["item_id"]]
        rows.append(
            (
                live.rate(who, what, at=at)["rating"][0],
                live.propensity(who, what, event_type="buy", at=at)["probability"][0],
                live.propensity(who, event_type="buy", horizon="3d", at=at)["probability"][0],
                live.next_time(who, at=at, horizons=["1d"])["within_1d"][0],
            )
        )
        live.observe([event])
    at = later["timestamp"].to_physical().to_numpy()
    users, items = later["user_id"], later["item_id"]
    replayed = (
        seen.rate(users, items, at=at)["rating"],
        seen.propensity(users, items, event_type="buy", at=at)["probability"],
        seen.propensity(users, event_type="buy", horizon="3d", at=at)["probability"],
        seen.next_time(users, at=at, horizons=["1d"])["within_1d"],
    )
    assert np.array(rows) == pytest.approx(
        np.stack([one.to_numpy() for one in replayed], 1), abs=1e-5
    )


@pytest.mark.slow
def test_nothing_after_the_cut_is_learned(split):
    events = split[1].events
    odd = events.with_columns(pl.lit("i0").alias("item_id"), pl.lit(-50.0).alias("value"))
    past, _ = rc.read_log(pl.concat((split[0].events, odd))).split_at(split[0].end)
    one, other = (weights_of(fitted(log, *heads()).live.model) for log in (split[0], past))
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.slow
def test_joint_heads_that_cost_too_much_are_learned_apart(split):
    one = fitted(split[0], rc.RatingHead(weight=300.0), heads="joint", epochs=3)
    plain = fitted(split[0], epochs=3)
    assert one.training_result is not None
    notes = one.training_result.notes
    assert any("heads are learned apart: jointly they would cost the next item" in n for n in notes)
    assert torch.equal(one.live.model.items, plain.live.model.items)


@pytest.mark.slow
def test_joint_heads_that_cost_little_stay(split):
    one = fitted(split[0], rc.RatingHead(weight=0.01), heads="joint", guard=0.9, epochs=2)
    assert one.training_result is not None
    assert any(said.startswith("heads joint: NDCG@10") for said in one.training_result.choices)
    plain = fitted(split[0], epochs=2)
    assert not torch.equal(one.live.model.items, plain.live.model.items)


@pytest.mark.slow
def test_learned_weights_move(split):
    one = fitted(split[0], rc.RatingHead(), rc.TimeHead(parts=2), head_weights="learned", epochs=1)
    doubts = [head.doubt.item() for head in heads_of(one.live.model) if head.doubt is not None]
    assert all(doubts) and doubts[0] != doubts[1]


@pytest.mark.slow
def test_item_vectors_moved_row_by_row_take_heads_too(split):
    one = fitted(split[0], *heads(), loss="sampled", item_updates="rows", negatives=4, epochs=1)
    assert np.isfinite(one.rate(["u1"], ["i1"])["rating"][0])


@pytest.mark.slow
def test_learning_on_keeps_heads(model, split, tmp_path):
    model.save(tmp_path)
    one = SequenceRecommender.load(tmp_path).partial_fit(split[1])
    told = one.rate(["u1", "u1"], ["i1", "i9"])["rating"]
    assert told[0] > told[1]


# --- what is refused -----------------------------------------------------------------------------


def without(log: Log, *columns: str) -> Log:
    return Log(log.events.drop(columns))


REFUSED = {
    "no values": (rc.RatingHead(), lambda log: without(log, "value"), "expected values to learn"),
    "one value": (
        rc.RatingHead(),
        lambda log: Log(log.events.with_columns(pl.lit(4.0).alias("value"))),
        "expected ratings that differ, found 4 in all",
    ),
    "off the scale": (rc.RatingHead(scale=[2, 3]), lambda log: log, "ratings lie off the scale"),
    "no types": (rc.TypeHead("buy"), lambda log: without(log, "event_type"), "found no event typ"),
    "a type unseen": (
        rc.TypeHead("like"),
        lambda log: log,
        "expected events of type 'like', found 'view', 'buy'",
    ),
    "no impressions": (
        rc.TypeHead("buy"),
        lambda log: Log(log.events.filter(pl.col("event_type") == "buy")),
        "log what was shown and not taken too",
    ),
    "too long a horizon": (
        rc.HorizonHead("buy", "60d"),
        lambda log: log,
        "over two horizons at least",
    ),
    "one time only": (
        rc.TimeHead(),
        lambda log: Log(log.events.with_columns(pl.lit(START).alias("timestamp"))),
        "expected gaps between a user's events",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_log_that_cannot_teach_a_head_is_refused(split, case):
    head, change, said = REFUSED[case]
    with pytest.raises(DataError, match=said):
        fitted(change(split[0]), head)


def test_all_faults_of_heads_come_together(split):
    with pytest.raises(DataError, match=r"(?s)found 'view', 'buy'.*over two horizons"):
        fitted(split[0], rc.TypeHead("like"), rc.HorizonHead(horizon="90d"))


def test_what_was_not_trained_is_refused_by_name(split):
    one = fitted(split[0], rc.TypeHead("buy"), epochs=1)
    refused = {
        "no head for 'rating', found type buy": lambda: one.rate(["u1"], ["i1"]),
        "no head for 'time', found type buy": lambda: one.next_time(["u1"]),
        "no head for events of type 'like', found type buy": lambda: one.propensity(
            ["u1"], ["i1"], event_type="like"
        ),
        r"no head for 'buy within 2 d', found none": lambda: one.propensity(
            ["u1"], event_type="buy", horizon="2d"
        ),
        "expected users, items and event_type, or a horizon": lambda: one.propensity(["u1"]),
        "expected no items with a horizon": lambda: one.propensity(["u1"], ["i1"], horizon="1d"),
        "no head for events of type 'click', found buy": lambda: one.recommend(
            ["u1"], objective={"click": 0.5, "buy": 0.5}
        ),
        "objective 'buy': expected a weight above 0": lambda: one.recommend(
            ["u1"], objective={"buy": 0.0}
        ),
        "expected as many items as users": lambda: one.propensity(
            ["u1"], ["i1", "i2"], event_type="buy"
        ),
    }
    for said, ask in refused.items():
        with pytest.raises(ConfigError, match=said):
            ask()


def test_a_horizon_beyond_what_training_saw_is_warned_of(seen):
    with pytest.warns(DataWarning, match="a horizon of 1.1 y lies beyond what training saw: waits"):
        seen.next_time(["u1"], horizons=["400d"])
    with pytest.warns(DataWarning, match="a horizon of 1.1 y lies beyond"):
        seen.propensity(["u1"], horizon="400d")


def test_quantiles_and_instants_are_checked(seen):
    with pytest.raises(ConfigError, match=r"quantiles=\[1.5\]\): expected numbers in \(0, 1\)"):
        seen.next_time(["u1"], quantiles=[1.5])
    with pytest.raises(ConfigError, match="one instant, or one for each of 1, found 2"):
        seen.next_time(["u1"], at=["2026-01-01", "2026-01-02"])


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: rc.RatingHead(weight=0), "weight=0.: expected a number above 0"),
        (lambda: rc.RatingHead(scale=[5, 1]), "expected a lowest and a higher number"),
        (lambda: rc.RatingHead(rank=0), "rank=0.: expected a whole number"),
        (lambda: rc.TypeHead([]), "expected at least one type"),
        (lambda: rc.TypeHead("buy", given="buy"), "and another one given"),
        (lambda: rc.TypeHead("buy", calibration=ODD), "expected 'temperature', 'isotonic'"),
        (lambda: rc.TimeHead(parts=0), "parts=0.: expected a whole number"),
        (lambda: rc.TimeHead(calibration=ODD), "expected 'line' or 'none'"),
        (lambda: rc.HorizonHead("buy", "0s"), "expected more than 0 seconds"),
        (lambda: SequenceRecommender(heads=ODD), "expected heads such as recency.RatingH"),
        (
            lambda: SequenceRecommender(heads=[rc.RatingHead(), rc.RatingHead()]),
            "expected one of each kind, found rating twice",
        ),
        (lambda: TrainConfig(guard=2), "guard=2.: expected a share"),
        (lambda: TrainConfig(heads=ODD), "heads='odd'.: expected 'joint' or 'apart'"),
    ],
)
def test_impossible_settings_are_refused(make, said):
    with pytest.raises(ConfigError, match=said):
        make()


def test_a_head_of_several_types_is_asked_by_all_of_them(split):
    train = split[0]
    gift = (pl.col("event_type") == "buy") & pl.col("user_id").str.ends_with("1")
    kinds = pl.when(gift).then(pl.lit("gift")).otherwise(pl.col("event_type")).alias("event_type")
    log = Log(train.events.with_columns(kinds))
    one = fitted(log, rc.TypeHead(["buy", "gift"], given="view"), epochs=1)
    assert len(one.propensity(["u1"], ["i1"], event_type="buy|gift")) == 1
    with pytest.raises(ConfigError, match="no head for events of type 'buy', found type buy.gift"):
        one.propensity(["u1"], ["i1"], event_type="buy")  # that of either would be no answer


@pytest.mark.slow
def test_an_ensemble_has_no_heads(split):
    one = rc.Ensemble([fitted(split[0], epochs=1), rc.Popularity()]).fit(split[0])
    with pytest.raises(ConfigError, match="an ensemble has no heads; ask one of its models"):
        rc.propensity(one, ["u1"], horizon="1d")
    with pytest.raises(ConfigError, match="objective: an ensemble has no heads"):
        one.recommend(["u1"], k=2, objective="buy")


def test_a_head_of_another_version_is_refused_by_name():
    with pytest.raises(FormatError, match="expected a head of RatingHead, .* found 'MoodHead'"):
        heads_of_settings([{"name": "MoodHead"}])


def test_returns_told_follow_a_quiet_spell_and_nothing_that_came_later(split):
    before, _ = split
    model = fitted(before, rc.TimeHead(parts=4), epochs=1)
    end, users = int(times_of(before).max()) + 1, [f"u{n}" for n in range(12)]
    asked = np.full(len(users), end)
    then = model.next_time(users, at=asked, horizons=["1d"])["within_1d"].to_numpy()
    day = 86_400_000_000  # one goes on coming, the others stay away
    rows = [
        {"user_id": "u0", "item_id": "i0", "timestamp": end + n * day, "event_type": "view"}
        for n in range(13)
    ]
    model.observe(rows)
    again = model.next_time(users, at=asked, horizons=["1d"])["within_1d"].to_numpy()
    assert again == pytest.approx(then, rel=1e-5)
    later = np.full(len(users), end + 12 * day)
    quiet = model.next_time(users, at=later, horizons=["1d"])["within_1d"].to_numpy()
    head = model.live.model.heads[0]
    assert isinstance(head, rc.TimeHead)
    head.live = False
    plain = model.next_time(users, at=later, horizons=["1d"])["within_1d"].to_numpy()
    assert (quiet < plain).all()
    assert quiet.mean() < 0.95 * plain.mean()
