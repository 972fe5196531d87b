"""The synthetic logs have the truth that they claim."""

import time
from typing import Any

import numpy as np
import polars as pl
import pytest

from recency.data import synthetic
from recency.data.log import Log
from recency.data.synthetic.words import SHELVES, compose_titles, slug
from recency.errors import ConfigError
from recency.units import DAY, SECOND, parse_instant


@pytest.fixture(scope="module")
def shop() -> synthetic.Shop:
    return synthetic.shop(n_users=600, n_items=120, days=60, seed=3)


def hit_rate(scores: np.ndarray, items: np.ndarray, k: int = 10) -> float:
    """Share of targets among the k best; a tie counts as half above."""
    own = scores[np.arange(len(items)), items][:, None]
    rank = (scores > own).sum(1) + 0.5 * ((scores == own).sum(1) - 1)
    return float((rank < k).mean())


def newest(shop: synthetic.Shop, share: float = 0.1) -> np.ndarray:
    return np.arange(int(len(shop.log) * (1 - share)), len(shop.log))


def test_a_shop_has_the_columns_of_a_log_and_of_a_catalogue(shop: synthetic.Shop) -> None:
    assert shop.log.events.columns == [
        "user_id",
        "item_id",
        "timestamp",
        "event_type",
        "session_id",
    ]
    assert set(shop.log.events["event_type"].unique()) == {"view", "cart", "purchase"}
    assert shop.items.columns == [
        "item_id",
        "title",
        "categories",
        "price",
        "available_from",
        "expires_at",
    ]
    assert shop.items["item_id"].n_unique() == 120
    assert shop.items["categories"].list.len().unique().to_list() == [2]
    assert set(shop.log.events["item_id"]) <= set(shop.items["item_id"])


def test_the_number_of_events_is_near_the_one_asked_for() -> None:
    for events_per_user in (10.0, 40.0):
        log = synthetic.shop(n_users=1_500, events_per_user=events_per_user).log
        assert log.n_users == pytest.approx(1_500, rel=0.01)
        assert len(log) / 1_500 == pytest.approx(events_per_user, rel=0.25)


def test_every_event_lies_between_start_and_end_and_is_on_sale(shop: synthetic.Shop) -> None:
    end = parse_instant("2026-03-01")
    assert shop.log.start >= end - 60 * DAY
    assert shop.log.end <= end
    joined = shop.log.events.join(shop.items, on="item_id", maintain_order="left")
    assert (joined["available_from"] <= joined["timestamp"]).all()
    assert (joined["expires_at"].is_null() | (joined["timestamp"] < joined["expires_at"])).all()
    assert shop.items["expires_at"].null_count() < 120, "some items must expire"


def test_same_seed_same_shop_and_other_seed_other_shop() -> None:
    first, again, other = (synthetic.shop(50, 40, 20, seed) for seed in (1, 1, 2))
    assert first.log.events.equals(again.log.events)
    assert first.items.equals(again.items)
    assert not first.log.events.equals(other.log.events)


def test_the_end_shifts_whole_weeks_without_changing_the_shop() -> None:
    early, late = (synthetic.shop(50, 40, 20, end=end) for end in ("2026-03-01", "2026-03-08"))
    assert (late.log.times - early.log.times == 7 * DAY).all()
    assert early.log.events["item_id"].equals(late.log.events["item_id"])


def test_sixty_thousand_events_take_well_under_two_seconds() -> None:
    start = time.perf_counter()
    assert len(synthetic.shop().log) > 50_000
    assert time.perf_counter() - start < 2


def test_the_truth_follows_the_log(shop: synthetic.Shop) -> None:
    truth, events = shop.truth, shop.log.events
    assert shop.items["item_id"].gather(truth.items).equals(events["item_id"])
    assert (truth.times == shop.log.times).all()
    assert events["session_id"].cast(pl.Int64).to_list() == truth.visit.tolist()
    for visit in np.unique(truth.visit)[:50]:
        where = truth.visit == visit
        assert (truth.last[where][1:] == truth.items[where][:-1]).all()
        assert (truth.last_kind[where][1:] == truth.kinds[where][:-1]).all()
        assert truth.last[where][0] == -1


def test_probabilities_sum_to_one_and_allow_what_happened(shop: synthetic.Shop) -> None:
    events = np.arange(len(shop.log))
    chances = shop.truth.probabilities(events)
    assert chances.sum(axis=1) == pytest.approx(1)
    assert (chances[events, shop.truth.items] > 0).all()


def test_probabilities_are_those_the_log_was_drawn_from(shop: synthetic.Shop) -> None:
    """Calibration: among all items given a chance near p, a share near p is what came."""
    chances = shop.truth.probabilities(np.arange(len(shop.log)))
    came = np.zeros(chances.shape, bool)
    came[np.arange(len(shop.log)), shop.truth.items] = True
    edges = [0.001, 0.01, 0.03, 0.1, 0.2, 0.4, 0.7, 0.95]
    for low, high in zip(edges, edges[1:], strict=False):
        near = (chances >= low) & (chances < high)
        expected, seen = chances[near].mean(), came[near].mean()
        error = np.sqrt(expected * (1 - expected) / near.sum())
        assert abs(seen - expected) < 4 * error, f"between {low} and {high}"


def test_the_oracle_beats_the_last_item_which_beats_popularity(shop: synthetic.Shop) -> None:
    events, truth = newest(shop), shop.truth
    old = np.arange(events[0])
    popular = np.bincount(truth.items[old], minlength=120).astype(float)
    follows = np.zeros((120, 120))
    inside = old[truth.last[old] >= 0]
    np.add.at(follows, (truth.last[inside], truth.items[inside]), 1)
    events = events[truth.last[events] >= 0]
    targets = truth.items[events]
    by_popularity = hit_rate(np.tile(popular, (len(events), 1)), targets)
    by_last_item = hit_rate(follows[truth.last[events]], targets)
    by_truth = hit_rate(truth.probabilities(events), targets)
    assert by_popularity + 0.2 < by_last_item
    assert by_last_item + 0.05 < by_truth


def test_two_items_tell_the_theme_that_one_leaves_open() -> None:
    """What makes a memory of several items worthwhile."""
    world = synthetic.shop(n_users=10).truth.assortment
    themes_of = world.place >= 0
    assert (themes_of.sum(axis=0) >= 2).all()
    assert themes_of.sum(axis=0).mean() < 2.5
    for start, end in zip(world.theme_start, world.theme_start[1:], strict=False):
        theme = world.theme_items[start:end]
        assert len(set(theme)) == len(theme)
        assert len(set(world.category[theme])) >= 2
    pairs = themes_of.T.astype(int) @ themes_of.astype(int)
    both = np.array([pairs[a, b] for a, b in zip(*np.nonzero(pairs), strict=True) if a != b])
    assert (both == 1).mean() > 0.8


def test_a_visit_keeps_to_its_theme_and_goes_on_in_it(shop: synthetic.Shop) -> None:
    truth = shop.truth
    place = truth.assortment.place[truth.intents, truth.items]
    size = np.diff(truth.assortment.theme_start)[truth.intents]
    assert (place >= 0).mean() > 0.8
    inside = truth.last >= 0
    before = truth.assortment.place[truth.intents[inside], truth.last[inside]]
    onward = (place[inside] - before) % size[inside]
    walks = (before >= 0) & (place[inside] >= 0)
    near, far = ((onward[walks] >= low) & (onward[walks] < low + 3) for low in (1, 10))
    assert near.mean() > 1.5 * far.mean()


def test_noise_leaves_the_truth_nothing_to_know() -> None:
    shop = synthetic.shop(n_users=600, n_items=120, days=60, noise=1.0)
    events = newest(shop, 0.3)
    chances = shop.truth.probabilities(events)
    on_sale = (chances > 0).sum(axis=1, keepdims=True)
    assert np.allclose(chances, (chances > 0) / on_sale)
    expected = (10 / on_sale).mean()
    assert hit_rate(chances, shop.truth.items[events]) < expected + 0.08
    days = shop.log.events["timestamp"].dt.hour().value_counts().sort("timestamp")["count"]
    assert days.max() > 3 * days.min(), "the times keep their cycles"  # type: ignore[operator]  # polars types max() as a union of all scalars


def test_tastes_drift(shop: synthetic.Shop) -> None:
    users = np.zeros(60, np.int64) + np.arange(60)
    first = shop.truth.users.taste_on(users, np.zeros(60), 60)
    later = shop.truth.users.taste_on(users, np.full(60, 59.0), 60)
    other = shop.truth.users.taste_on(users[::-1], np.full(60, 59.0), 60)
    assert first.sum(axis=1) == pytest.approx(1)
    moved, apart = (
        np.abs(first - later).sum(axis=1).mean(),
        np.abs(first - other).sum(axis=1).mean(),
    )
    assert 0.2 < moved < apart, "a person stays nearer to themselves than to another"
    assert shop.truth.tastes(np.arange(10)).shape == (10, len(SHELVES))


def test_visits_are_clusters_with_real_gaps(shop: synthetic.Shop) -> None:
    gaps = shop.log.events.with_columns(
        gap=pl.col("timestamp").diff().over("user_id").dt.total_microseconds() / SECOND,
        same=pl.col("session_id") == pl.col("session_id").shift().over("user_id"),
    ).drop_nulls("gap")
    inside = gaps.filter("same")["gap"].to_numpy()
    between = gaps.filter(~pl.col("same"))["gap"].to_numpy()
    assert inside.min() > 0
    assert inside.max() < 300
    assert between.min() > 300
    assert np.median(between) > 86_400
    joined = shop.log.events["session_id"].value_counts()["count"]
    assert 4.5 < float(joined.mean()) < 6.5  # type: ignore[arg-type]  # polars types mean() as a union


def test_days_and_hours_have_cycles() -> None:
    times = synthetic.shop().log.events["timestamp"].dt
    by_hour = np.bincount(times.hour().to_numpy(), minlength=24)
    by_day = np.bincount(times.weekday().to_numpy(), minlength=8)[1:]
    assert by_hour[20] > 5 * by_hour[3]
    assert by_day[5] > 1.3 * by_day[1]


def test_shelves_have_their_own_hours(shop: synthetic.Shop) -> None:
    events = shop.log.events.join(shop.items, on="item_id", maintain_order="left")
    shelf = events["categories"].list.last().to_numpy()
    hour = events["timestamp"].dt.hour().to_numpy().astype(int)
    for name in ("Coffee and tea", "Novels"):
        peak = next(shelf.hour for shelf in SHELVES if shelf.name == name)
        near = np.abs((hour - peak + 36) % 24 - 12) <= 3
        assert near[shelf == name].mean() > 1.2 * near[shelf != name].mean()


def test_new_items_draw_attention_that_fades() -> None:
    shop = synthetic.shop()
    events = shop.log.events.join(shop.items, on="item_id", maintain_order="left")
    age = (events["timestamp"] - events["available_from"]).dt.total_days().to_numpy()
    new = shop.items["available_from"] >= shop.log.events["timestamp"][0]
    assert 0.2 < float(new.sum()) / len(shop.items) < 0.5
    in_log = events.filter(pl.col("available_from") >= shop.log.events["timestamp"][0])
    young = (in_log["timestamp"] - in_log["available_from"]).dt.total_days().to_numpy()
    assert (young < 10).sum() > 1.5 * ((young >= 20) & (young < 30)).sum()
    assert age.min() >= 0


def test_staples_are_bought_again(shop: synthetic.Shop) -> None:
    truth = shop.truth
    first = truth.last < 0
    due = truth.visits.due[truth.visit]
    asked = first & (due >= 0)
    assert asked.sum() > 100
    assert (truth.items[asked] == due[asked]).mean() == pytest.approx(0.8, abs=0.08)


@pytest.mark.parametrize("n_items", [1, 3, 5, 30])
def test_tiny_shops_work(n_items: int) -> None:
    shop = synthetic.shop(n_users=1, n_items=n_items, days=1)
    assert len(shop.log) >= 1
    assert shop.truth.probabilities(np.arange(len(shop.log))).sum(axis=1) == pytest.approx(1)


def test_thousands_of_titles_stay_different() -> None:
    rng = np.random.default_rng(0)
    titles = [title for shelf in SHELVES for title in compose_titles(shelf, 700, rng)]
    assert len({slug(title) for title in titles}) == len(titles)
    assert slug("Alder chef's knife, No. 2") == "alder-chefs-knife-no-2"


def test_all_faults_of_a_shop_are_told_together() -> None:
    with pytest.raises(ConfigError) as error:
        synthetic.shop(0, 0, 0, events_per_user=0.5, noise=2)
    message = str(error.value)
    for fault in (
        "expected n_users of 1 or more, found 0.",
        "expected n_items of 1 or more, found 0.",
        "expected days of 1 or more, found 0.",
        "expected events_per_user of 1 or more, found 0.5.",
        "expected noise between 0 and 1, found 2.",
    ):
        assert fault in message


def by_user(log: Log) -> Any:
    return log.events.group_by("user_id", maintain_order=True).agg("item_id", "timestamp")


def test_a_cycle_goes_round() -> None:
    log = synthetic.cycle(n_users=7, n_items=4, length=9, gap="2h")
    assert len(log) == 63
    for _, items, times in by_user(log).iter_rows():
        numbers = np.array([int(item[1:]) for item in items])
        assert (np.diff(numbers) % 4 == 1).all()
        assert {b - a for a, b in zip(times, times[1:], strict=False)} == {times[1] - times[0]}
        assert (times[1] - times[0]).total_seconds() == 7200
    assert log.end <= parse_instant("2026-03-01")
    assert len({items[0] for items in by_user(log)["item_id"]}) > 1


def test_noise_is_even() -> None:
    log = synthetic.noise(n_users=10, n_items=4, n_events=4_000, days=3)
    counts = log.events["item_id"].value_counts()["count"].to_numpy()
    assert counts.min() > 900
    assert counts.max() < 1_100
    assert log.start >= parse_instant("2026-02-26")
    assert log.end <= parse_instant("2026-03-01")


def test_the_weekday_tells_the_item_and_the_item_before_does_not() -> None:
    log = synthetic.periodic(n_users=40, weeks=8)
    day = (log.events["timestamp"].dt.weekday() - 1).cast(pl.String)
    assert ("i" + day).equals(log.events["item_id"], check_names=False)
    histories = by_user(log)["item_id"].to_list()
    steps = [step for items in histories for step in zip(items, items[1:], strict=False)]
    after_monday = {later for first, later in steps if first == "i0"}
    assert len(after_monday) >= 3


def test_the_hour_tells_the_item() -> None:
    log = synthetic.periodic(n_users=10, n_items=4, weeks=2, by="hour")
    part = (log.events["timestamp"].dt.hour() // 6).cast(pl.String)
    assert ("i" + part).equals(log.events["item_id"], check_names=False)


def test_small_logs_say_what_is_wrong() -> None:
    with pytest.raises(ConfigError, match=r"expected by='weekday' or 'hour', found 'moon'"):
        synthetic.periodic(by="moon")  # type: ignore[arg-type]  # the mistake under test
    with pytest.raises(ConfigError, match=r"expected length of 1 or more, found 0"):
        synthetic.cycle(length=0)
    with pytest.raises(ConfigError, match=r"expected n_events of 1 or more, found -1"):
        synthetic.noise(n_events=-1)
