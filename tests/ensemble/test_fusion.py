"""The fusion in numbers worked by hand, and what it promises for any."""

import math

import numpy as np
import pytest

from recency.ensemble.fusion import (
    Fusion,
    Voice,
    learned,
    mean_ranks,
    mixture_weights,
    steepness,
)


def log_likelihood(chances: np.ndarray, weights: np.ndarray) -> float:
    return float(np.log(chances @ weights).mean())


# --- weights -------------------------------------------------------------------------------------


def test_members_that_are_each_right_alone_weigh_as_often_as_they_are_right() -> None:
    """Three targets are the first member's, one the second's: w³ (1 - w) is highest at w = 3/4."""
    chances = np.array([[0.2, 0], [0.9, 0], [0.5, 0], [0, 0.1]])
    assert mixture_weights(chances) == pytest.approx([0.75, 0.25])


def test_weights_by_hand() -> None:
    """Thrice the chances are (0.4, 0.1), once (0.1, 0.4).

    With x = 0.4 w + 0.1 (1 - w) and y = 0.5 - x, 3 log x + log y is highest where 3 y = x, so at
    x = 3/8, which is w = (3/8 - 1/10) / (3/10) = 11/12.
    """
    chances = np.array([[0.4, 0.1]] * 3 + [[0.1, 0.4]])
    assert mixture_weights(chances) == pytest.approx([11 / 12, 1 / 12], abs=1e-4)


def test_one_sweep_by_hand() -> None:
    """From (1/2, 1/2), a target with chances (0.3, 0.1) gives its members shares 3/4 and 1/4."""
    assert mixture_weights(np.array([[0.3, 0.1], [0.1, 0.3]])) == pytest.approx([0.5, 0.5])
    assert mixture_weights(np.array([[0.3, 0.1]]))[0] > 0.999  # nothing speaks for the second
    alike = mixture_weights(np.array([[0.3, 0.3, 0.1]] * 5))
    assert alike[:2] == pytest.approx([0.5, 0.5], abs=1e-6)  # members alike share alike


def test_no_other_weights_make_the_targets_more_likely() -> None:
    random = np.random.default_rng(0)
    chances = random.dirichlet([0.3] * 4, size=200) * random.random((200, 1))
    found = mixture_weights(chances)
    assert found.sum() == pytest.approx(1) and (found >= 0).all()
    best = log_likelihood(chances, found)
    for other in random.dirichlet([0.5] * 4, size=500):
        assert log_likelihood(chances, other) <= best + 1e-9


def test_a_target_that_nobody_gives_a_chance_says_nothing() -> None:
    chances = np.array([[0.2, 0], [0, 0.1]])
    none = np.zeros((3, 2))
    assert mixture_weights(np.concatenate([chances, none])) == pytest.approx([0.5, 0.5])
    assert mixture_weights(none) == pytest.approx([0.5, 0.5])


def test_a_member_of_hardly_any_weight_falls_silent() -> None:
    voices = [Voice("chances")] * 2
    fusion = learned(voices, np.array([[0.4, 0.1]] * 9), np.ones((9, 2)), 5)
    assert fusion.weights == (1.0, 0.0)
    block = np.log(np.array([[0.5, 0.5]], np.float32))
    known = [np.ones(2, bool)] * 2
    assert np.exp(fusion.mixed([block, None], known)) == pytest.approx(np.array([[0.5, 0.5]]))


# --- voices --------------------------------------------------------------------------------------


def test_ranks_by_hand() -> None:
    scores = np.array([[3, 1, 3, 0, -np.inf], [0, 0, 0, 0, 0]], np.float32)
    assert mean_ranks(scores).tolist() == [[1.5, 3, 1.5, 4, 5], [3, 3, 3, 3, 3]]


def test_the_exponent_of_two_items_by_hand() -> None:
    """Of two items, the first has the chance 1 / (1 + 2^-s): 3/4 of the targets, so s = log2(3)."""
    assert steepness(np.array([1.0, 1, 1, 2]), 2) == pytest.approx(math.log2(3))
    assert steepness(np.array([1.0, 1, 1, 2, np.inf]), 2) == pytest.approx(math.log2(3))
    assert steepness(np.array([1.0, 2]), 2) == pytest.approx(0, abs=1e-6)  # the order says nothing
    assert steepness(np.array([2.0, 2]), 2) == pytest.approx(0, abs=1e-6)  # or the wrong thing


def test_the_exponent_makes_the_ranks_most_likely() -> None:
    ranks = np.random.default_rng(0).zipf(1.7, 400).clip(1, 50).astype(float)

    def likelihood(s: float) -> float:
        return float(np.log(Voice("ranks", s).of_ranks(ranks, 50)).sum())

    found = steepness(ranks, 50)
    assert all(likelihood(found) >= likelihood(found + step) for step in (-0.5, -0.01, 0.01, 0.5))


def test_how_scores_become_chances() -> None:
    scores = np.log(np.array([[0.5, 0.25, 0.125]], np.float32))
    known = np.array([True, True, False])
    chances = Voice("chances").chances(scores, known)
    assert chances == pytest.approx(np.array([[0.5, 0.25, 0.125]]))
    logits = Voice("logits").chances(scores + 7, known)
    assert logits == pytest.approx(np.array([[4 / 7, 2 / 7, 1 / 7]]))
    # Two items are known; with exponent 1 their chances are as 1 to 1/2.
    ranks = Voice("ranks", 1.0).chances(scores, known)
    assert ranks == pytest.approx(np.array([[2 / 3, 1 / 3, 0]]))
    off = np.array([[-np.inf, 1.0, 2.0]], np.float32)
    assert Voice("ranks", 1.0).chances(off, known).tolist() == [[0, 2 / 3, 0]]
    assert Voice("logits").chances(off, known)[0, 0] == 0


@pytest.mark.parametrize("kind", ["chances", "logits"])
def test_the_chances_of_targets_are_those_of_their_rows(kind: str) -> None:
    scores = np.log(np.random.default_rng(1).dirichlet([1] * 6, size=4)).astype(np.float32)
    scores[2, 3] = -np.inf
    voice = Voice(kind)  # type: ignore[arg-type]  # one of both
    rows, items = np.array([0, 2, 2, 3]), np.array([5, 3, 1, 0])
    whole = voice.chances(scores, np.ones(6, bool))
    assert voice.of_targets(scores, rows, items) == pytest.approx(whole[rows, items], rel=1e-5)


def test_a_mixture_by_hand() -> None:
    """A quarter of (0.8, 0.2, 0) and three quarters of ranks as 1 to 1/2: 0.7, 0.3, 0."""
    fusion = Fusion((Voice("chances"), Voice("ranks", 1.0)), (0.25, 0.75))
    with np.errstate(divide="ignore"):
        sure = np.log(np.array([[0.8, 0.2, 0.0]], np.float32))
    ordered = np.array([[9.0, 5.0, 99.0]], np.float32)
    known = [np.ones(3, bool), np.array([True, True, False])]
    found = fusion.mixed([sure, ordered], known)
    assert found.dtype == np.float32
    assert np.exp(found) == pytest.approx(np.array([[0.7, 0.3, 0.0]]), abs=1e-6)
    assert found[0, 2] == -np.inf


def test_a_fusion_goes_through_json() -> None:
    fusion = Fusion((Voice("logits"), Voice("ranks", 1.25)), (0.1, 0.9))
    assert Fusion.from_dict(fusion.to_dict()) == fusion
    assert Fusion.even(fusion.voices).weights == (0.5, 0.5)
