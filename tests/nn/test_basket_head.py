"""What a basket head counts and draws, by hand; and that chances to be drawn are taken back."""

import numpy as np
import pytest
import torch

from recency.data.histories import PADDING, Histories
from recency.data.tallies import Ledger
from recency.nn import basket_facts, basket_lessons
from recency.nn.basket_facts import N_MIXED, Lines, Sales, Sold, mixed
from recency.nn.basket_head import BasketHead
from recency.nn.basket_lessons import Draws, asked_about, fewer

DAY = 86_400_000_000


@pytest.fixture
def ledger() -> Ledger:
    """User 0: a b on day 0, a on day 1, b b c on day 10; user 1: c on day 2, a c on day 4."""
    histories = Histories(
        offsets=np.array([0, 6, 9]),
        items=np.array([0, 1, 0, 1, 1, 2, 2, 0, 2], np.int32),
        times=np.array([0, 0, 1, 10, 10, 10, 2, 4, 4]) * DAY,
    )
    return Ledger.of(histories, n_items=4)


def test_people_are_known_by_their_baskets(ledger):
    lines = Lines(ledger, 0.0, mean=2.0)
    at = np.array([10, 11]) * DAY
    told = lines.people(np.zeros(2, int), at)
    # Before day 10: 2 baskets, 3 lines, drawn in by 2 baskets of 2; b twice is one line after it.
    assert np.exp(told[:, 0]) == pytest.approx([(3 + 4) / 4, (5 + 4) / 5])
    assert np.exp(told[:, 2]) == pytest.approx([1, 2])  # of the newest
    assert np.expm1(told[:, 3]) == pytest.approx([2, 3])
    assert np.expm1(told[:, 5]) == pytest.approx([9 * 86_400, 86_400])
    stranger = lines.people(np.array([-1]), at[:1])[0]
    assert np.exp(stranger[:3]) == pytest.approx([2, 2, 2]) and np.isfinite(stranger).all()


def test_pairs_are_counted_in_baskets_and_in_days(ledger):
    lines = Lines(ledger, 0.0, mean=2.0)
    items = np.array([0, 1, 2, PADDING])
    told = lines.pairs(np.zeros(4, int), items, np.full(4, 10 * DAY))
    assert np.expm1(told[:, 1]) == pytest.approx([2, 1, 0, 0])
    assert told[:, 2].tolist() == [1, 0, 0, 0]  # in the last basket, which held a alone
    assert told[:, 3].tolist() == [2, 1, 0, 0]  # in the last two
    assert np.expm1(told[:2, 7]) == pytest.approx([0, 0])  # within seven days
    assert np.expm1(told[:2, 8]) == pytest.approx([2, 1])  # within thirty
    assert np.expm1(told[:2, 10]) == pytest.approx(np.array([9, 10]) * 86_400)
    assert np.expm1(told[:2, 11]) == pytest.approx([1, 2])  # baskets ago


def test_items_sell_by_what_everybody_took(ledger):
    whole = Sales([Sold.of(ledger.items, ledger.times)])
    items, at = np.array([0, 1, 3]), np.full(3, 9 * DAY)
    told = whole.things(items, at, yearly=False)
    assert np.exp(told[:, 0]) == pytest.approx(np.array([3.5, 1.5, 0.5]) / 7)
    # Within seven days: one of three events is of a; drawn in by one of it at its share ever.
    assert np.exp(told[0, 1]) == pytest.approx(2 / (3 + 7 / 3.5))
    parts = [slice(0, 4), slice(4, 9)]
    halves = Sales([Sold.of(ledger.items[one], ledger.times[one]) for one in parts])
    assert np.array_equal(
        halves.things(items, at, yearly=True), whole.things(items, at, yearly=True)
    )


def test_what_is_ones_own_is_mixed_with_what_is_everybodys(ledger):
    lines, at = Lines(ledger, 0.0, mean=2.0), np.full(2, 10 * DAY)
    users, items = np.zeros(2, int), np.array([0, 3])
    things = Sales([Sold.of(ledger.items, ledger.times)]).things(items, at, yearly=False)
    people, pairs = lines.people(users, at), lines.pairs(users, items, at)
    found = mixed(people, things, pairs)
    of_all = np.exp(people[:, 0] + things[:, 2]).clip(max=0.5)
    assert np.exp(found[:, -N_MIXED]) == pytest.approx((np.array([2, 0]) + of_all) / 3)
    assert np.array_equal(mixed(people[:1], things, pairs), found)


def test_a_basket_is_asked_about_after_the_one_before(ledger):
    lines = Lines(ledger, 0.0, mean=2.0)
    baskets = asked_about(ledger, lines, np.arange(9), 0.0)
    assert lines.baskets.starts[baskets].tolist() == [2, 3, 7]
    early = Ledger.of(ledger.histories, 4, until=10 * DAY)
    assert lines.baskets.starts[asked_about(early, lines, np.array([1, 6]), 0.0)].tolist() == [2, 7]
    # With a gap of three days the first basket holds day 1 too, and the last is not over by day 11.
    longer = Lines(ledger, 3 * 86_400.0, mean=2.0)
    assert longer.baskets.starts.tolist() == [0, 3, 6]
    assert not len(asked_about(ledger, longer, np.arange(9), 3 * 86_400.0))
    late = Ledger.of(ledger.histories, 4, until=14 * DAY)
    asked = asked_about(late, longer, np.arange(9), 3 * 86_400.0)
    assert longer.baskets.starts[asked].tolist() == [3]


def test_of_many_baskets_an_even_share_is_kept(ledger):
    lines = Lines(ledger, 0.0, mean=2.0)
    baskets = asked_about(ledger, lines, np.arange(9), 0.0)
    assert fewer(ledger, lines, baskets).tolist() == baskets.tolist()
    assert len(fewer(ledger, lines, baskets, most=50)) == 1


def test_an_item_is_drawn_as_often_as_its_chance_says(monkeypatch):
    monkeypatch.setattr(basket_lessons, "N_DRAWN", 2)
    monkeypatch.setattr(basket_lessons, "N_OWN", 1)
    rng = np.random.default_rng(0)
    histories = Histories(
        offsets=np.array([0, 12, 15]),
        items=np.array([0, 0, 0, 1, 2, 3, 4, 5, 5, 5, 5, 6, 1, 2, 7], np.int32),
        times=np.append(np.arange(12), [3, 4, 5]) * DAY,
    )
    ledger = Ledger.of(histories, n_items=9)
    lines = Lines(ledger, 0.0, mean=1.0)
    basket, seen, chance = np.array([11]), np.zeros(9), np.full(9, np.nan)
    for _ in range(4_000):
        draws = Draws.of(ledger, lines, basket, rng)
        assert draws.held[draws.items == 6] == 1  # what it held is always there
        others = draws.items[draws.held == 0]
        seen[others] += 1
        chance[draws.items] = np.exp(draws.log_r)
    assert seen[[6, 8]].tolist() == [0, 0]  # held; never sold
    drawn = np.array([0, 1, 2, 3, 4, 5, 7])
    assert seen[drawn] / 4_000 == pytest.approx(chance[drawn], abs=0.025)


def test_the_chances_of_a_head_are_those_of_the_whole_catalogue(monkeypatch):
    """Of 200 items each user takes 4 of an own 8, so that most of those drawn are never taken."""
    monkeypatch.setattr("recency.nn.basket_head._GROUND", 20_000)
    rng, rows = np.random.default_rng(0), []
    for user in range(60):
        own = rng.choice(200, 8, replace=False)
        for basket in range(12):
            rows += [(user, item, basket * DAY) for item in rng.choice(own, 4, replace=False)]
    users, items, times = np.array(rows).T
    ledger = Ledger.of(
        Histories(np.searchsorted(users, np.arange(61)), items.astype(np.int32), times), 200
    )
    head = BasketHead()
    head.build(4)
    head.study(ledger, [])
    events = np.arange(len(users))
    head.ground(ledger, events, ledger.histories.group_start - 1)
    assert head.base.fitted
    at = np.full(200 * 60, 12 * DAY)
    who, what = np.repeat(np.arange(60), 200), np.tile(np.arange(200), 60)
    told = torch.sigmoid(head.by_counts(torch.from_numpy(head.facts(ledger, who, what, at))))
    sums = told.view(60, 200).sum(1)
    assert sums.mean().item() == pytest.approx(4, rel=0.1)
    known = torch.zeros(60, 200, dtype=torch.bool)
    known[users, items] = True
    assert told.view(60, 200)[known].mean().item() == pytest.approx(0.5, abs=0.06)


def test_a_head_without_a_base_tells_shares():
    head = BasketHead()
    head.build(4)
    facts = torch.zeros(1, head.n_facts)
    facts[0, basket_facts.SHARE], facts[0, basket_facts.SIZE] = -3.0, 1.0
    assert head.by_counts(facts).item() == -2.0


def test_memories_of_nobody_and_items_without_weights_say_nothing():
    torch.manual_seed(0)
    head = BasketHead()
    head.build(4)
    with torch.no_grad():
        for one in head.parameters():
            one.add_(torch.randn(one.shape))
    nobody, someone = torch.zeros(1, 4), torch.randn(1, 4)
    facts = torch.zeros(1, head.n_facts)
    counted = head.together(facts).item()
    assert head.parts(nobody, someone, facts)[1].item() == counted != 0
    compared, more = head.wanted(someone)
    alone = head.parts(someone, torch.zeros(1, 4), facts)[1].item()
    assert alone == pytest.approx(counted + more.item()) and more.item() != 0
    assert compared.shape[1] == head.offered(someone).shape[1]
