"""Logs of few events with a known truth: what each means against sparse data can do there.

The logs are made so that the truth is what a means claims to teach; on real logs it may help less,
or not at all.
"""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch

import recency as rc
from recency.data.batches import TrainingWindows
from recency.data.histories import Histories
from recency.data.log import Log
from recency.data.synthetic.small import numbered_log
from recency.data.vocab import Vocab
from recency.nn.inputs import InputConfig, Tensors
from recency.nn.model import SequenceModel
from recency.nn.recurrent import GRU
from recency.training.augmentation import Augmentation
from recency.training.config import TrainConfig
from recency.training.contrast import Contrast
from recency.training.loop import train
from recency.training.validation import validation_ndcg

MINUTE = 60_000_000
START = 1_767_225_600_000_000
BLIND = InputConfig(gap=False, calendar=False, value=False, dropout=0.0)  # sees items and order


def learned(
    histories: Histories,
    n_items: int,
    epochs: int,
    augmentation: Augmentation | None = None,
    contrast: Contrast | None = None,
) -> SequenceModel:
    torch.manual_seed(0)
    model = SequenceModel(GRU(16), n_items, 0, replace(BLIND, dropout=0.1))
    config = TrainConfig(
        epochs=epochs,
        tokens=256,
        lr=1e-2,
        valid_share=0,
        device="cpu",
        augmentation=augmentation or Augmentation(),
        contrast=contrast or Contrast(),
    )
    train(model, histories, config)
    return model


def ndcg(model: SequenceModel, histories: Histories) -> float:
    return validation_ndcg(model.eval(), TrainingWindows(histories, max_len=100), 4_096)


@torch.no_grad()
def nats(model: SequenceModel, histories: Histories) -> float:
    (part,) = TrainingWindows(histories, max_len=100).epoch(10**6)
    outputs, _ = model.eval()(Tensors.from_batch(part.batch))
    queries = outputs[torch.from_numpy(part.rows), torch.from_numpy(part.sources)]
    return float(model.nats(queries, torch.from_numpy(part.targets)).mean())


# --- few events of each item ---------------------------------------------------------------------

KINDS, EACH, STAY = 8, 12, 3


def kinds(n_users: int, length: int, seed: int) -> Histories:
    """Everybody takes three things of one kind, then three of the next; which ones is chance."""
    rng = np.random.default_rng(seed)
    users, steps = np.divmod(np.arange(n_users * length), length)
    kind = (rng.integers(0, KINDS * STAY, n_users)[users] + steps) // STAY % KINDS
    items = kind * EACH + rng.integers(0, EACH, len(users))
    times = START + steps * MINUTE + users
    return Histories(np.arange(n_users + 1) * length, items.astype(np.int32), times)


@pytest.mark.slow
def test_what_varies_items_keeps_a_few_events_from_being_learned_by_heart():
    few, others = kinds(40, 12, seed=1), kinds(200, 20, seed=99)
    n_items, epochs = KINDS * EACH, 80
    plain = learned(few, n_items, epochs)
    substituted = learned(few, n_items, epochs, Augmentation(substitute=0.7))
    masked = learned(few, n_items, epochs, Augmentation(mask=0.3))
    cropped = learned(few, n_items, epochs, Augmentation(crop=0.5))
    views = Augmentation(substitute=0.7)
    told = learned(few, n_items, epochs, contrast=Contrast(weight=0.3, views=views))
    assert ndcg(substituted, others) > ndcg(plain, others) + 0.015
    assert ndcg(masked, others) > ndcg(plain, others) + 0.01
    assert ndcg(cropped, others) > ndcg(plain, others) - 0.01  # a crop teaches nothing here
    assert nats(substituted, others) < nats(plain, others) - 0.5
    assert nats(told, others) < nats(plain, others) - 0.3


# --- an order that means nothing -----------------------------------------------------------------


def baskets(n_users: int, seed: int, *, leader_last: bool) -> Histories:
    """Ten baskets of three at one instant: the leader alone tells the next one, two are chance."""
    rng = np.random.default_rng(seed)
    users, steps = np.divmod(np.arange(n_users * 10), 10)
    leader = (rng.integers(0, 12, n_users)[users] + steps) % 12
    cells = np.column_stack((rng.integers(12, 24, (len(users), 2)), leader))
    if not leader_last:
        cells = rng.permuted(cells, axis=1)
    times = np.repeat(START + steps * MINUTE + users, 3)
    return Histories(np.arange(n_users + 1) * 30, cells.ravel().astype(np.int32), times)


def test_reordering_unlearns_an_order_that_means_nothing():
    """The learned log lists each basket's leader last, as a shop's till might; others do not."""
    habit = baskets(60, seed=1, leader_last=True)
    others = baskets(60, seed=99, leader_last=False)
    plain = learned(habit, 24, epochs=15)
    reordered = learned(habit, 24, epochs=15, augmentation=Augmentation(reorder=1.0))
    assert ndcg(reordered, others) > ndcg(plain, others) + 0.1


# --- a small log beside a large one --------------------------------------------------------------


def rounds(n_users: int, length: int, seed: int, name: str = "i") -> Log:
    """Everybody goes round three items of their own: what came three ago comes next."""
    rng = np.random.default_rng(seed)
    mine = rng.permuted(np.tile(np.arange(60), (n_users, 1)), axis=1)[:, :3]
    users, steps = np.divmod(np.arange(n_users * length), length)
    log = numbered_log(users, mine[users, steps % 3], START + steps * MINUTE + users)
    return Log.from_frame(log.events.with_columns(pl.col("item_id").str.replace("i", name)))


def recommender(epochs: int) -> rc.SequenceRecommender:
    training = TrainConfig(
        epochs=epochs, lr=1e-2, tokens=256, valid_share=0, warmup=0, device="cpu"
    )
    return rc.SequenceRecommender(GRU(32), inputs=BLIND, training=training, experts=None)


@pytest.mark.slow
def test_one_epoch_from_another_shop_tells_more_than_one_from_nothing():
    large = recommender(10).fit(rounds(300, 20, seed=1))
    small = rounds(40, 12, seed=2, name="their ")  # no item in common
    test = rounds(100, 20, seed=9, name="their ")
    found = {}
    for name, source in (("nothing", None), ("large", large)):
        one = recommender(1).fit(small, init_from=source)
        users = Vocab.from_ids(test.events["user_id"])
        histories = Histories.build(test, users, one.items)
        found[name] = ndcg(one.live.model, histories)
    assert found["large"] > found["nothing"] + 0.2
    same = recommender(1).fit(rounds(40, 12, seed=2), init_from=large, init_items=True)
    histories = Histories.build(
        rounds(100, 20, seed=9), Vocab.from_ids(test.events["user_id"]), same.items
    )
    assert ndcg(same.live.model, histories) > found["large"]
