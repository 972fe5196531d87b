"""Which places go to exploration, and to which items."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recency.ranking.exploration import draw_for, drawn, little_seen, places_of

NEVER = np.iinfo(np.int64).max
ALWAYS = np.iinfo(np.int64).min
DAY = 86_400_000_000


@given(st.integers(1, 60), st.integers(0, 10))
def test_whole_shares_are_exact(k: int, tenths: int) -> None:
    places = places_of(10 * k, tenths / 10, draw_for("u", 1))
    assert len(places) == tenths * k and len(set(places.tolist())) == len(places)
    assert all(0 <= place < 10 * k for place in places)
    assert tenths == 10 or not len(places) or places[0] > 0  # the first place is kept


def test_other_shares_are_met_on_average() -> None:
    counts = [len(places_of(10, 0.25, draw_for("u", at))) for at in range(2_000)]
    assert set(counts) == {2, 3} and np.mean(counts) == pytest.approx(2.5, abs=0.05)
    assert np.mean([len(places_of(1, 0.1, draw_for("u", at))) for at in range(2_000)]) == (
        pytest.approx(0.1, abs=0.03)
    )
    assert places_of(10, 0.2, draw_for("u", 1)).tolist() == [4, 9]


def test_the_same_question_draws_the_same() -> None:
    def draws(*question: object) -> list[float]:
        return draw_for(*question).random(3).tolist()

    assert draws("u", 5) == draws("u", 5)
    assert draws("u", 5) != draws("u", 6) and draws("u", 5) != draws("v", 5)
    assert draws("1", 5) != draws(1, 5)
    assert draws("\ud800", 5)  # half a character is no reason to fail


def test_what_is_little_seen_and_not_too_old() -> None:
    at = 100 * DAY
    counts = np.array([0, 3, 9, 10, 3, 3, 0])
    first = np.array([NEVER, 95 * DAY, 99 * DAY, 99 * DAY, 10 * DAY, 10 * DAY, NEVER])
    opens = np.array([ALWAYS, ALWAYS, ALWAYS, ALWAYS, ALWAYS, 95 * DAY, 5 * DAY])
    found = little_seen(counts, first, opens, at, fewer_than=10, age=30 * 86_400)
    assert found.tolist() == [True, True, True, False, False, True, False]
    bare = little_seen(counts, first, None, at, fewer_than=10, age=30 * 86_400)
    assert bare.tolist() == [True, True, True, False, False, False, True]


def test_draws_are_fair_and_without_repetition() -> None:
    candidates = np.arange(10) * 3
    counts = np.zeros(30)
    for seed in range(3_000):
        found = drawn(candidates, 4, np.random.default_rng(seed))
        assert len(set(found)) == 4
        counts[found] += 1
    assert counts[candidates] == pytest.approx(1_200, rel=0.1)
    assert sorted(drawn(candidates, 99, np.random.default_rng(0))) == candidates.tolist()
