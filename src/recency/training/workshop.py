"""The workshop: how a process is set up as long as it trains."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch

from recency.nn.model import SequenceModel
from recency.nn.products import quick_products
from recency.training.config import TrainConfig
from recency.training.heap import kept_heap
from recency.training.memory import told_if_full
from recency.training.plan import Plan

LARGE_BATCH = 2_048  # cells


@contextmanager
def workshop(model: SequenceModel, plan: Plan, config: TrainConfig) -> Iterator[None]:
    """Set the process up for a training: its own randomness, its memory, how it multiplies."""
    half = config.precision == "bf16"
    # Small batches gain nothing from preparing the products of each shape.
    quick = quick_products(half) if half or plan.tokens >= LARGE_BATCH else nullcontext()
    with torch.random.fork_rng(), told_if_full(model, config), kept_heap(), quick:
        yield
