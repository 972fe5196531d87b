"""What heads count and ask, on five events whose answers stand beside them."""

import numpy as np
import pytest
import torch

from recency.data import tallies
from recency.data.histories import Histories
from recency.data.tallies import Ledger
from recency.nn.horizon_head import SPANS, HorizonHead
from recency.nn.rating_head import GUESS, RatingHead
from recency.nn.type_head import TypeHead

HOUR = 3_600_000_000
VIEW, BUY = 0, 1


@pytest.fixture
def ledger() -> Ledger:
    """User 0: views a, buys a an hour later, views b; user 1: views a, then views b, rated all."""
    histories = Histories(
        offsets=np.array([0, 3, 5]),
        items=np.array([0, 0, 1, 0, 1], np.int32),
        times=np.array([0, 1, 4, 2, 9]) * HOUR,
        types=np.array([VIEW, BUY, VIEW, VIEW, VIEW], np.int16),
        values=np.array([1, 3, 5, 3, 3], np.float32),
    )
    return Ledger.of(histories, n_items=2, until=10 * HOUR)


def test_ratings_are_counted_before_the_question_and_from_what_items_had_got(ledger):
    head = RatingHead()
    head.build(4)
    head.study(ledger, [])  # mean 3, variance 8 / 5
    unit = (8 / 5) ** 0.5
    facts = head.facts(ledger, np.array([0, 1]), np.array([0, 1]), np.array([4, 9]) * HOUR)
    # User 0 gave -2 and 0; the second from what the item had got by then, -2 of 1 event and more.
    own = (-2 + 2 / (1 + GUESS)) / unit
    assert facts[0, :3] == pytest.approx([own / (2 + more) for more in (2, 8, 30)], abs=1e-5)
    # Item a had got -2, 0 and 0; of users, 2 events of this one, and 3 of the item.
    assert facts[0, 6:9] == pytest.approx([-2 / 7 / unit, np.log(3), np.log(4)], abs=1e-5)
    # User 1 gave 0 for the first item, which had got -2 and 0 of 2 events and more.
    own = 2 / (2 + GUESS) / unit
    assert facts[1, :3] == pytest.approx([own / (1 + more) for more in (2, 8, 30)], abs=1e-5)
    assert facts[1, 6:9] == pytest.approx([2 / 5 / unit, np.log(2), np.log(2)], abs=1e-5)


def test_a_rating_head_without_a_base_tells_the_usual_biases(ledger):
    head = RatingHead()
    head.build(4)
    facts = torch.zeros(1, head.n_facts)
    facts[0, 1], facts[0, 4] = 0.5, -0.75  # of the user, drawn in by 8, and of the item, by 4
    told = head(torch.randn(1, 4), torch.randn(1, 4), facts)
    assert told.item() == pytest.approx(-0.25)


def test_a_view_is_asked_about_once_its_time_is_over(ledger):
    head = TypeHead("buy", given="view", within="3h")
    head.build(4)
    head.study(ledger, ["view", "buy"])
    targets = np.arange(5)
    found = head.lessons(ledger, targets, targets - 1)
    assert found.keys.tolist() == [0, 2, 3]  # the buy is no view; the last view has an hour left
    assert found.labels[:, 0].tolist() == [1, 0, 0]
    assert head.share.item() == pytest.approx(1 / 3)


def test_what_a_pair_did_is_counted_apart_from_user_and_item(ledger):
    head = TypeHead("buy")
    head.build(4)
    head.study(ledger, ["view", "buy"])
    facts = head.facts(ledger, np.array([0]), np.array([0]), np.array([4 * HOUR]))[0]
    # The user viewed once and bought once by then; all of it within a day, nothing within an hour.
    assert facts[:6] == pytest.approx(np.log1p([1, 1, 0, 0, 1, 1]))
    item = facts[(len(facts) - 7) // 2 :]
    assert item[:2] == pytest.approx(np.log1p([2, 1]))  # two viewed it, one bought
    assert facts[-7:-4] == pytest.approx([np.log(3), np.log(2), np.log1p(3 * 3_600)], rel=1e-5)
    stranger = head.facts(ledger, np.array([-1]), np.array([-2]), np.array([4 * HOUR]))[0]
    assert np.isfinite(stranger).all() and not stranger[:6].any()


def test_a_horizon_is_asked_on_a_grid_of_all_who_had_an_event(ledger):
    head = HorizonHead("buy", "4h")
    head.build(4)
    head.study(ledger, ["view", "buy"])
    found = head.lessons(ledger, np.empty(0, np.int64), np.empty(0, np.int64))
    # The grid is 6, 5, 4, 3, 2, 1 h: user 0 is known from 1 h on, user 1 from 3 h on.
    assert len(found) == 6 + 4
    order = np.lexsort((found.at, found.keys))
    asked = list(zip(found.keys[order].tolist(), (found.at[order] // HOUR).tolist(), strict=True))
    assert asked == [(0, 1), (1, 2), (1, 3), (1, 4), (2, 5), (2, 6), (3, 3), (3, 4), (3, 5), (3, 6)]
    assert found.labels[order, 0].tolist() == [1] + [0] * 9  # bought at 1 h, so within [1 h, 5 h)
    assert found.labels[order, 1].tolist() == [1, 3, 3, 3, 2, 2, 4, 4, 4, 4]


def test_facts_of_a_horizon_are_recency_frequency_and_time(ledger):
    head = HorizonHead("buy", "4h")
    head.build(4)
    head.study(ledger, ["view", "buy"])
    facts = head.facts(ledger, np.array([0]), np.array([-1]), np.array([5 * HOUR]))[0]
    # One buy, of worth 3, four hours ago, and so the first and the last; a view an hour ago.
    assert facts[:4] == pytest.approx(np.log1p([1, 3, 0, 0]))  # ever, and within an hour
    assert facts[8:10] == pytest.approx(np.log1p([1, 3]))  # within two horizons
    start = 2 * (1 + len(SPANS))
    waits = [np.log1p(hours * 3_600) for hours in (4, 4, 1, 0)]
    assert facts[start : start + 4] == pytest.approx(waits, rel=1e-5)


def yearly_shop(years: float) -> Ledger:
    """Twelve users buy every 20 days in the second half of each year, and every 80 in the first."""
    day, rows = 24 * HOUR, []
    for user in range(12):
        now = user * day
        while now < years * 365.25 * day:
            rows.append((user, now))
            now += (20 if now / (365.25 * day) % 1 > 0.5 else 80) * day
    users, times = np.array(rows).T
    offsets = np.searchsorted(users, np.arange(13)).astype(np.int64)
    return Ledger.of(Histories(offsets, np.zeros(len(users), np.int32), times), n_items=1)


@pytest.mark.parametrize(("years", "known"), [(3.0, True), (0.9, False)])
def test_the_season_is_told_where_a_whole_year_was_seen(years, known):
    ledger, head = yearly_shop(years), HorizonHead(None, "20d")
    head.build(4)
    head.study(ledger, [])
    head.ground(ledger, np.empty(0, np.int64), np.empty(0, np.int64))
    assert bool(head.yearly) is known
    # The same counts at two seasons: early in spring, and late in autumn.
    facts = torch.from_numpy(
        head.facts(ledger, np.zeros(1, int), np.zeros(1, int), ledger.times[-1:])
    )
    seasons = [
        np.stack(clocks, axis=1)
        for clocks in (
            tallies.seasons(np.array([round(part * 365.25 * 24 * HOUR)])) for part in (0.2, 0.75)
        )
    ]
    if not known:
        assert not facts[:, -4:].any()
        return
    told = []
    for season in seasons:
        facts[:, -4:] = torch.from_numpy(season).float()
        told.append(torch.sigmoid(head.base(facts)).item())
    assert told[1] > told[0] + 0.2


def test_later_events_change_no_fact(ledger):
    users, items, at = np.array([0, 1, 1]), np.array([1, 0, 1]), np.array([3, 3, 8]) * HOUR
    cut = ledger.histories.cut(ledger.histories.stops_before(np.arange(2), np.full(2, 8 * HOUR)))
    for head in (RatingHead(), TypeHead("buy"), HorizonHead("buy", "4h")):
        head.build(4)
        head.study(ledger, ["view", "buy"])
        known = head.facts(ledger, users, items, at)
        assert np.array_equal(known, head.facts(Ledger.of(cut, 2), users, items, at))


def test_pairs_count_once_however_often_they_are_viewed():
    """User 0 buys b unseen, views a three times and buys it twice, then views b."""
    histories = Histories(
        offsets=np.array([0, 7]),
        items=np.array([1, 0, 0, 0, 0, 0, 1], np.int32),
        times=np.array([0, 1, 2, 3, 4, 5, 6]) * HOUR,
        types=np.array([BUY, VIEW, VIEW, VIEW, BUY, BUY, VIEW], np.int16),
    )
    head = TypeHead("buy", given="view", within="3h")
    head.build(4)
    head.rows.fill_(BUY)
    head.given_row.fill_(VIEW)
    many = Ledger.of(histories, n_items=2)
    at = np.array([4, 5, 7]) * HOUR
    facts = head.facts(many, np.zeros(3, np.int64), np.zeros(3, np.int64), at)
    # Pairs viewed and, of these, bought: a alone, a bought, then b too, never bought since.
    pairs = np.array([[0, 1], [1, 1], [1, 2]], np.float64)
    expected = tallies.rates(pairs[:, 0], pairs[:, 1], 0.5, 10.0)
    assert facts[:, 19] == pytest.approx(expected, abs=1e-6)
    of_item = tallies.rates(np.array([0.0, 1, 1]), np.ones(3), 0.5, 10.0)
    assert facts[:, 39] == pytest.approx(of_item, abs=1e-6)
