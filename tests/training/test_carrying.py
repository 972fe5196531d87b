"""Windows that follow one another: their states, and what they let an encoder know."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from recency.data.batches import TrainingWindows
from recency.nn.attention import Transformer
from recency.nn.encoder import Encoder
from recency.nn.inputs import InputConfig, Tensors
from recency.nn.model import SequenceModel
from recency.nn.recurrent import GRU, LSTM, RNN
from recency.nn.tide import Tide
from recency.training.augmentation import Augmentation
from recency.training.carrying import CarriedStates, carries
from recency.training.config import TrainConfig
from recency.training.contrast import Contrast
from recency.training.loop import train

N_ITEMS, LENGTH = 12, 20  # of the fixture's log


def model_of(encoder: Encoder) -> SequenceModel:
    torch.manual_seed(0)
    return SequenceModel(encoder, N_ITEMS, 0, InputConfig(dropout=0.0, value=False))


@pytest.mark.parametrize(
    "encoder", [RNN(8), GRU(8, layers=2), LSTM(8), Tide(8, window=0), Tide(8, window=3)]
)
@torch.no_grad()
def test_a_history_read_window_by_window_is_read_as_a_whole(encoder, histories):
    model = model_of(encoder).eval()
    whole = histories.gather(histories.offsets[:-1], histories.offsets[1:])
    outputs, _ = model(Tensors.from_batch(whole))
    windows = TrainingWindows(histories, max_len=8)
    epoch = windows.epoch(64, np.random.default_rng(0), carried=True)
    assert epoch.n_slots == histories.n_users
    states, seen = CarriedStates(model, epoch), 0
    for part in epoch:
        found, after = model(Tensors.from_batch(part.batch), states.before(part))
        states.keep(part, after)
        user, at = np.divmod(part.positions, LENGTH)
        expected = outputs[torch.from_numpy(user), torch.from_numpy(at - 1)]
        torch.testing.assert_close(found[part.rows, part.sources], expected, rtol=1e-4, atol=1e-5)
        seen += len(part.positions)
    assert seen == windows.n_targets


def test_overlapping_windows_begin_afresh(histories):
    windows = TrainingWindows(histories, max_len=8)
    epoch = windows.epoch(64, np.random.default_rng(0))
    states = CarriedStates(model_of(GRU(8)), epoch)
    assert all(states.before(part) is None for part in epoch)


@pytest.mark.parametrize(
    ("encoder", "more", "expected"),
    [
        (GRU(8), {}, True),
        (Tide(8), {}, True),
        (Transformer(8), {}, False),
        (GRU(8), {"carried": False}, False),
        (GRU(8), {"augmentation": Augmentation(mask=0.1)}, False),
        (GRU(8), {"contrast": Contrast(weight=0.1)}, False),
    ],
)
def test_windows_follow_where_the_state_is_all_that_an_encoder_knows(encoder, more, expected):
    assert carries(model_of(encoder), TrainConfig(**more)) == expected


def test_training_with_windows_that_follow_reads_less(new_model, histories, config):
    read, losses = [], []
    for carried in (True, False):
        settings = replace(config, valid_share=0.0, max_len=8, carried=carried)
        model = new_model()
        cells: list[int] = []
        model.events.register_forward_hook(lambda *_, c=cells: c.append(_[2][..., 0].numel()))
        losses.append(train(model, histories, settings).history[-1].loss)
        read.append(sum(cells))
    assert read[0] < 0.8 * read[1]
    assert losses[0] == pytest.approx(losses[1], rel=0.1)
