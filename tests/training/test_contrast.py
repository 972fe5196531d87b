"""The contrastive loss: numbers worked by hand, views, settings, what it does to a run."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from recency.data.batches import TrainingWindows
from recency.data.histories import Histories
from recency.errors import ConfigError
from recency.nn.inputs import Tensors
from recency.training.augmentation import Augmentation
from recency.training.checkpoints import weights_of
from recency.training.config import TrainConfig
from recency.training.contrast import Contrast, ContrastLoss, info_nce, newest_outputs
from recency.training.loop import train

VIEWS = Augmentation(crop=0.5, mask=0.3, reorder=1.0, substitute=0.3)


def test_two_histories_worked_by_hand():
    """Views a = (2, 0), a' = (0, 3) of one history, b = (1, 0), b' = (1, 0) of another, t = 0.5.

    Cosines: a·a' = 0, a·b = a·b' = 1, a'·b = a'·b' = 0, b·b' = 1; divided by t: 0, 2, 0, 2.

    a  is to find a' among {a', b, b'}: -log(e^0 / (e^0 + 2 e^2)) = log(1 + 2 e^2)
    a' is to find a  among {a, b, b'}:  -log(e^0 / (3 e^0))       = log 3
    b  is to find b' among {b', a, a'}: -log(e^2 / (2 e^2 + e^0)) = log(2 + e^-2)
    b' is to find b  among {b, a, a'}:  the same
    """
    one, other = torch.tensor([[2.0, 0], [1, 0]]), torch.tensor([[0.0, 3], [1, 0]])
    by_hand = (math.log(1 + 2 * math.e**2) + math.log(3) + 2 * math.log(2 + math.e**-2)) / 4
    assert float(info_nce(one, other, 0.5)) == pytest.approx(by_hand, rel=1e-6)


def test_histories_of_one_user_do_not_count_against_each_other():
    """With a third history of the first user, each of its views has the other user's alone.

    All cosines but those of b are as above; c = (0, 1), c' = (0, 1) belongs to a's user.
    """
    one = torch.tensor([[2.0, 0], [1, 0], [0, 1]])
    other = torch.tensor([[0.0, 3], [1, 0], [0, 1]])
    found = info_nce(one, other, 0.5, torch.tensor([7, 8, 7]))
    e2 = math.e**2
    by_hand = [
        math.log(1 + 2 * e2),  # a finds a' (0) against b, b' (2, 2)
        math.log(3),  # a' finds a (0) against b, b' (0, 0)
        2 * math.log((2 * e2 + 4 - 1) / e2),  # b finds b' (2) against a, a', c, c' (2, 0, 0, 0)
        2 * math.log((e2 + 2) / e2),  # c finds c' (2) against b, b' (0, 0)
    ]
    assert float(found) == pytest.approx(sum(by_hand) / 6, rel=1e-6)


def test_one_history_alone_has_nothing_to_be_told_from():
    view = torch.randn(1, 4, requires_grad=True)
    loss = info_nce(view, torch.randn(1, 4), 0.2)
    torch.autograd.backward(loss)
    assert float(loss.detach()) == 0 and view.grad is not None and not view.grad.any()


def test_the_newest_output_is_that_before_the_padding():
    histories = Histories(np.array([0, 2, 5]), np.arange(5, dtype=np.int32), np.arange(5))
    batch = histories.gather(np.array([0, 2]), np.array([2, 5]))
    outputs = torch.arange(12.0).view(2, 3, 2)
    assert newest_outputs(outputs, batch).tolist() == [[2, 3], [10, 11]]


@pytest.mark.parametrize("views", [Augmentation(), VIEWS])
def test_the_loss_of_a_batch_is_that_of_its_views(new_model, histories, views):
    model = new_model()
    windows = TrainingWindows(histories, max_len=16)
    part = next(iter(windows.epoch(400, np.random.default_rng(0))))
    loss = ContrastLoss(Contrast(weight=0.5, temperature=0.3, views=views), windows)
    model.train()
    outputs, _ = model(Tensors.from_batch(part.batch))
    first = loss.of(model, outputs, part, np.random.default_rng(1))
    assert first.shape == () and 0 < float(first.detach()) < 0.5 * 30
    torch.autograd.backward(first)
    assert model.items.grad is not None and model.items.grad.any()
    model.eval()  # without dropout a history is its own other view
    with torch.no_grad():
        outputs, _ = model(Tensors.from_batch(part.batch))
        quiet = loss.of(model, outputs, part, np.random.default_rng(1))
        last = newest_outputs(outputs, part.batch)
        users = torch.zeros(len(part.batch), dtype=torch.long)
        users[part.rows] = torch.from_numpy(histories.user_of[part.positions])
        expected = 0.5 * info_nce(last, last, 0.3, users)
    assert (float(quiet) == pytest.approx(float(expected))) is not views.on


def test_it_changes_what_is_learned_but_not_the_loss_that_is_told(new_model, histories, unjudged):
    # One batch, told before anything is learned; contrast has windows that overlap.
    once = replace(unjudged, epochs=1, tokens=10**6, carried=False)
    told, weights = [], []
    for contrast in (Contrast(), Contrast(weight=0.3), Contrast(weight=0.3, views=VIEWS)):
        model = new_model()
        told.append(train(model, histories, replace(once, contrast=contrast)).history[0].loss)
        weights.append(weights_of(model)["items"])
    assert told[0] == told[1] == told[2]
    assert not torch.equal(weights[0], weights[1]) and not torch.equal(weights[1], weights[2])


def test_a_run_repeats(new_model, histories, unjudged):
    short = replace(unjudged, epochs=1, contrast=Contrast(weight=0.1, views=VIEWS))
    models = new_model(), new_model()
    for model in models:
        train(model, histories, short, seed=3)
    assert torch.equal(models[0].items, models[1].items)


def test_all_faults_are_told_at_once():
    with pytest.raises(ConfigError) as caught:
        Contrast(weight=-0.1, temperature=0.0)
    told = str(caught.value)
    assert "Contrast(weight=-0.1): expected a number of at least 0." in told
    assert "Contrast(temperature=0.0): expected a number above 0." in told


def test_a_table_becomes_settings_and_settings_a_table():
    config = TrainConfig(contrast=Contrast(weight=0.2, views=VIEWS))
    told = config.what_is_learned()
    assert told["contrast"]["views"]["mask"] == 0.3
    assert TrainConfig(**told) == config
