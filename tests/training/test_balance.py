"""Balance: how often targets of each domain are learned from."""

import numpy as np
import pytest

from recency.training.balance import rates


@pytest.mark.parametrize(
    ("power", "share"),
    [(1.0, 0.9), (0.0, 0.5), (0.5, 3 / 4)],  # of 90 and 10: 90, 1 of 2, root 9 to root 1
)
def test_shares_of_domains_follow_the_power(power: float, share: float) -> None:
    of_targets = np.repeat([0, 1], [90, 10])
    found = rates(np.array([0, 1]), of_targets, power)
    weight = found[of_targets]
    assert weight[:90].sum() / weight.sum() == pytest.approx(share)
    assert weight[:90] == pytest.approx(1.0)  # no target is dropped


def test_items_without_a_domain_are_a_domain_of_their_own() -> None:
    found = rates(np.array([0, -1]), np.array([0, 0, 0, -1]), 0.0)
    assert found.tolist() == pytest.approx([1.0, 3.0])


def test_items_that_nothing_is_learned_from_do_no_harm() -> None:
    assert np.isfinite(rates(np.array([0, 1, -1]), np.array([0, 0]), 0.5)).all()
