"""Whitened numbers have mean 0, variance 1, and nothing to do with each other."""

import numpy as np
import pytest

from recency.content.whitening import Whitening
from recency.errors import ConfigError, DataError


def cone(n: int = 500, width: int = 12, seed: int = 0) -> np.ndarray:
    """Vectors as language models give them: far from zero, and long in few directions."""
    random = np.random.default_rng(seed)
    mixed = random.normal(size=(n, width)) @ random.normal(size=(width, width))
    return (5 + mixed * np.geomspace(1, 0.01, width)).astype(np.float32)


def test_numbers_are_of_one_scale_and_independent() -> None:
    found = Whitening.fit(cone(), 8).apply(cone())
    np.testing.assert_allclose(found.mean(0), 0, atol=1e-3)
    np.testing.assert_allclose(np.cov(found, rowvar=False), np.eye(8), atol=2e-2)


def test_the_strongest_direction_comes_first() -> None:
    line = np.outer(np.linspace(-1, 1, 50), [3.0, 4.0]).astype(np.float32)
    line[:, 0] += np.tile([0.01, -0.01], 25)
    whitening = Whitening.fit(line, 1)
    assert whitening.dim == 1
    along = np.abs(np.corrcoef(whitening.apply(line)[:, 0], np.linspace(-1, 1, 50))[0, 1])
    assert along > 0.999


def test_items_that_are_not_known_stand_at_the_mean() -> None:
    vectors = cone()
    vectors[3] = np.nan
    whitening = Whitening.fit(vectors, 4)
    found = whitening.apply(vectors)
    assert not found[3].any() and found[2].any()
    without = Whitening.fit(np.delete(vectors, 3, axis=0), 4)
    np.testing.assert_allclose(whitening.projection, without.projection, atol=1e-6)


def test_only_directions_that_exist_are_kept() -> None:
    few = cone(n=4)
    assert Whitening.fit(few, 64).dim == 3
    flat = cone()
    flat[:, 6:] = 1.0
    assert Whitening.fit(flat, 64).dim == 6


def test_a_fit_repeats_and_later_items_do_not_move_it() -> None:
    first, second = Whitening.fit(cone(), 8), Whitening.fit(cone(), 8)
    np.testing.assert_array_equal(first.projection, second.projection)
    later = cone(seed=1)
    together = first.apply(np.concatenate((cone(), later)))
    np.testing.assert_allclose(together[500:], first.apply(later), atol=1e-5)


def test_faults() -> None:
    with pytest.raises(ConfigError, match="at least 1, found 0"):
        Whitening.fit(cone(), 0)
    with pytest.raises(DataError, match="of two items at least"):
        Whitening.fit(np.full((3, 2), np.nan, np.float32))
    with pytest.raises(DataError, match="found all equal"):
        Whitening.fit(np.ones((9, 2), np.float32))
    with pytest.raises(DataError, match="of 12 numbers, as in training, found 3"):
        Whitening.fit(cone()).apply(np.ones((1, 3), np.float32))
