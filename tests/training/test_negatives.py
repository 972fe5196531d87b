"""Drawing the items that stand for all others, with the chances that belong to the draws."""

import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from recency.data.batches import TrainingWindows
from recency.data.histories import Histories
from recency.nn.losses import Sample, full_softmax, sampled_softmax
from recency.training.config import TrainConfig
from recency.training.negatives import Sampler

N_ITEMS = 12


def some_windows() -> TrainingWindows:
    """Events in which item 0 is a half of all, 1 a quarter, and 8 to 11 never occur."""
    generator = np.random.default_rng(0)
    items = np.minimum(generator.geometric(0.5, 4_000) - 1, 7).astype(np.int32)
    times = np.tile(np.arange(20), 200).astype(np.int64) * 60_000_000
    return TrainingWindows(Histories(np.arange(201) * 20, items, times), max_len=20)


def sampler(loss: str, negatives: int, **settings: float) -> Sampler:
    config = TrainConfig(loss=loss, negatives=negatives, **settings)  # type: ignore[arg-type]
    return Sampler(config, some_windows(), N_ITEMS, torch.device("cpu"))


def batches(n: int, size: int) -> Iterator[torch.Tensor]:
    """Targets as batches bring them: by popularity."""
    windows = some_windows()
    targets = torch.from_numpy(windows.histories.items[windows.positions].astype(np.int64))
    generator = torch.Generator().manual_seed(0)
    for _ in range(n):
        yield targets[torch.randint(len(targets), (size,), generator=generator)]


def drawn(loss: str, negatives: int, targets: torch.Tensor) -> Sample:
    found = sampler(loss, negatives).draw(targets)
    assert found is not None and found.n_items == N_ITEMS
    return found


def test_the_softmax_draws_nothing():
    assert sampler("softmax", 0).draw(torch.tensor([1])) is None


def test_uniform_draws_have_no_chances_to_correct():
    torch.manual_seed(0)
    found = drawn("sampled", 6_000, torch.tensor([1]))
    assert found.log_q is None and found.calibration is None
    assert torch.bincount(found.items, minlength=N_ITEMS).min() > 400


def test_gbce_takes_its_calibration_along():
    found = sampler("gbce", 5, calibration=0.5).draw(torch.tensor([1]))
    assert found is not None and found.calibration == 0.5 and len(found.items) == 5


def test_in_batch_negatives_are_the_batchs_targets_with_their_popularity():
    targets = torch.tensor([5, 0, 0, 3])
    found = drawn("in-batch", 10, targets)
    assert torch.equal(found.items, targets) and found.log_q is not None
    assert float(found.log_q.exp().sum()) == pytest.approx(1.0)
    assert float(found.log_q[0].exp()) == pytest.approx(0.5, abs=0.02)
    assert found.log_q[8:].tolist() == [-math.inf] * 4
    few = drawn("in-batch", 3, targets).items
    assert len(few) == 3 and not set(few.tolist()) - {0, 3, 5}


def test_mixed_draws_are_half_and_half_with_the_chances_of_both_together():
    found = drawn("mixed", 8, torch.tensor([0, 1, 0, 1, 0, 1]))
    assert len(found.items) == 8 and not set(found.items[:4].tolist()) - {0, 1}
    assert found.log_q is not None and float(found.log_q.exp().sum()) == pytest.approx(1.0)
    assert found.log_q[11].exp() == pytest.approx(0.5 / N_ITEMS)
    assert float(found.log_q[0].exp()) == pytest.approx(0.25 + 0.5 / N_ITEMS, abs=0.01)
    small = drawn("mixed", 8, torch.tensor([0]))  # one target, four uniform draws
    assert len(small.items) == 5 and small.log_q is not None
    assert small.log_q[11].exp() == pytest.approx(0.8 / N_ITEMS)


@pytest.mark.parametrize("loss", ["sampled", "mixed", "in-batch"])
def test_the_estimate_is_right_in_the_mean(loss: str):
    """Over many batches it comes to the exact loss, of the items that can be drawn.

    Never quite: a logarithm of a mean is estimated, which is a little low.
    """
    torch.manual_seed(1)
    n = N_ITEMS if loss != "in-batch" else 8
    table, bias = torch.randn(N_ITEMS, 4), torch.randn(N_ITEMS)
    draw = sampler(loss, 512)
    found, exact = [], []
    for targets in batches(100, 512):
        queries = 0.5 * torch.randn(len(targets), 4)
        sample = draw.draw(targets)
        assert sample is not None
        found.append(
            float(sampled_softmax(queries, table, bias, targets, sample.items, sample.log_q))
        )
        exact.append(float(full_softmax(queries, table[:n], bias[:n], targets)))
    assert np.mean(found) == pytest.approx(np.mean(exact), rel=0.015)
