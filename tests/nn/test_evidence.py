"""Evidence: of the newest events of a log, or of some targets, it is what the whole log says."""

import numpy as np
import pytest
import torch

from recency.data.histories import Histories
from recency.data.newest import newest_of
from recency.nn.evidence import EvidenceTable
from recency.nn.experts import ExpertConfig

HOUR = 3_600_000_000  # microseconds
N_USERS, N_ITEMS = 7, 9


def drawn(n_events: int, seed: int) -> Histories:
    """Draw events of some users within two months, some of items that are not known."""
    rng = np.random.default_rng(seed)
    users = np.sort(rng.integers(N_USERS, size=n_events))
    times = rng.integers(0, 60 * 24, size=n_events) * HOUR
    order = np.lexsort((times, users))
    offsets = np.concatenate([[0], np.cumsum(np.bincount(users, minlength=N_USERS))])
    items = rng.integers(-1, N_ITEMS, size=n_events).astype(np.int32)
    profiles = rng.integers(3, size=(N_USERS, 2))
    return Histories(offsets, items, times[order], profiles=profiles)


@pytest.mark.parametrize("resolution", [0.0, "1d"])
@pytest.mark.parametrize("most", [1, 40, 399])
def test_the_crowd_of_the_newest_events_counts_on_from_all_before(
    resolution: str | float, most: int
) -> None:
    whole = drawn(400, seed=most)
    config = ExpertConfig(pair=(), crowd=("1h", "3d", "730d"), resolution=resolution)
    newest = newest_of(whole, most)
    assert newest.n_events < whole.n_events
    first = newest.times.min()
    there = np.flatnonzero(whole.times >= first)
    told, expected = (
        EvidenceTable(one, config, ages_to_target=False).of(rows, torch.device("cpu")).crowd
        for one, rows in ((newest, np.arange(newest.n_events)), (whole, there))
    )
    torch.testing.assert_close(told, expected, rtol=1e-5, atol=1e-9, equal_nan=True)
    assert expected.nan_to_num().sum() > 0


def test_profiles_stay_with_the_newest_events() -> None:
    whole = drawn(50, seed=0)
    newest = newest_of(whole, 10)
    assert newest.profiles is whole.profiles and newest.n_users == N_USERS
    assert newest_of(whole, 50) is whole


@pytest.mark.parametrize("paired", [None, 500])
def test_evidence_of_some_targets_is_that_of_all(paired: int | None) -> None:
    whole, config = drawn(400, seed=1), ExpertConfig(pair=("1d", "30d"), crowd=("1h", "3d"))
    rows = np.arange(3, 400, 7)
    told, expected = (
        EvidenceTable(whole, config, ages_to_target=False, targets=targets, paired=paired).of(
            rows, torch.device("cpu")
        )
        for targets in (rows, None)
    )
    assert torch.equal(told.crowd.nan_to_num(-1), expected.crowd.nan_to_num(-1))
    assert torch.equal(told.pair.nan_to_num(-1), expected.pair.nan_to_num(-1))
    assert torch.equal(told.context.items, expected.context.items)


def test_pairs_are_counted_of_the_newest_events_only() -> None:
    """Beside item 0 stood item 1, long ago, and then twice item 2, the second time just now."""
    items = np.array([0, 1, 0, 2, 0, 2], np.int32)
    times = np.array([0, 1, 10, 11, 20, 21]) * HOUR
    histories = Histories(np.array([0, 2, 4, 6]), items, times)
    config = ExpertConfig(pair=("3650d",), crowd=())
    for paired, share in ((None, 0.5), (4, 1.0)):
        table = EvidenceTable(histories, config, ages_to_target=False, paired=paired)
        (found,) = table.of(np.array([5]), torch.device("cpu")).pair[:, 0, 0].tolist()
        assert found == pytest.approx(share, abs=1e-3)
