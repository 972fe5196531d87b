"""What "auto" comes to, why, and what does not go together."""

from dataclasses import replace

import pytest
import torch

from recency.errors import ConfigError
from recency.nn.experts import ExpertConfig
from recency.nn.inputs import InputConfig
from recency.nn.model import SequenceModel
from recency.nn.recurrent import GRU
from recency.training import choices
from recency.training.choices import settle
from recency.training.config import TrainConfig
from recency.training.contrast import Contrast
from recency.training.loop import train


def model(n_items: int = 50, experts: bool = False, temperature: float | None = None):
    given = ExpertConfig() if experts else None
    return SequenceModel(GRU(4), n_items, experts=given, temperature=temperature)


def test_few_items_take_the_exact_loss():
    settled, told, notes = settle(TrainConfig(precision="fp32"), model(20_000))
    assert (settled.loss, settled.negatives, settled.item_updates) == ("softmax", 0, "dense")
    assert told == (
        "loss 'softmax': 20,000 items are few enough for the exact loss (up to 20,000).",
        "item updates 'dense': the softmax moves every item in every batch.",
    )
    assert notes == ()


def test_more_items_take_a_sample_and_many_are_moved_row_by_row():
    settled, told, _ = settle(TrainConfig(), model(20_001))
    assert (settled.loss, settled.negatives, settled.item_updates) == ("sampled", 1_024, "dense")
    assert told[0].startswith("loss 'sampled' with 1,024 negatives: 20,001 items are more than")
    settled, told, _ = settle(TrainConfig(loss="mixed", negatives=64), model(30_001))
    assert (settled.loss, settled.negatives, settled.item_updates) == ("mixed", 64, "rows")
    assert told[0] == "item updates 'rows': a batch touches few of 30,001 items."


def test_a_number_of_negatives_chooses_as_it_did_before_losses_had_names():
    assert settle(TrainConfig(negatives=7), model())[0].loss == "sampled"
    assert settle(TrainConfig(negatives=0), model(25_000))[0].loss == "softmax"


def test_what_was_asked_for_needs_no_reason():
    asked = TrainConfig(loss="gbce", negatives=9, item_updates="rows", precision="fp32")
    assert settle(asked, model()) == (asked, (), ())


def test_an_exact_loss_that_memory_does_not_hold_gives_way(monkeypatch):
    monkeypatch.setattr(choices, "free_bytes", lambda device: 1_000_000)
    settled, told, _ = settle(TrainConfig(), model(10_000))
    assert settled.loss == "sampled"
    assert "the softmax over 10,000 items needs 0.1 GB, 0.0 GB are free" in told[0]


def test_experts_need_probabilities():
    with pytest.raises(ConfigError, match="experts mix probabilities.*use experts=None"):
        settle(TrainConfig(loss="gbce"), model(experts=True))


def test_all_that_does_not_go_with_the_model_is_told_at_once():
    wrong = TrainConfig(
        loss="gbce", item_updates="rows", temperature=0.1, contrast=Contrast(weight=0.1)
    )
    with pytest.raises(ConfigError) as caught:
        settle(wrong, model(experts=True))
    assert "3 faults" in str(caught.value)
    assert "TrainConfig(temperature=0.1): the model scores with temperature=None" in str(
        caught.value
    )
    assert "the contrastive loss reads varied histories" in str(caught.value)


def test_the_contrastive_loss_keeps_the_whole_table():
    settled, told, _ = settle(TrainConfig(contrast=Contrast(weight=0.1)), model(40_000))
    assert settled.item_updates == "dense" and "contrastive" in told[1]


def test_a_processor_without_bfloat16_trains_in_float32_and_says_so(monkeypatch):
    monkeypatch.setattr(choices, "has_bfloat16", lambda device: False)
    settled, _, notes = settle(TrainConfig(precision="bf16"), model())
    assert settled.precision == "fp32"
    assert len(notes) == 1 and "no instructions for bfloat16" in notes[0]


@pytest.mark.parametrize(
    ("loss", "able", "chosen"),
    [
        ("softmax", True, "bf16-loss"),
        ("softmax", False, "fp32"),
        ("sampled", True, "bf16-loss"),
        ("gbce", True, "fp32"),
    ],
)
def test_bfloat16_is_chosen_for_the_softmax_where_there_are_units(loss, able, chosen, monkeypatch):
    monkeypatch.setattr(choices, "has_bfloat16", lambda device: able)
    settled, told, notes = settle(TrainConfig(loss=loss), model())
    assert settled.precision == chosen and not notes
    assert ("multiplies bfloat16 faster" in " ".join(told)) == (chosen != "fp32")


@pytest.mark.parametrize(
    ("loss", "temperature"),
    [("sampled", None), ("in-batch", None), ("mixed", 0.2), ("gbce", None), ("softmax", 0.2)],
)
def test_every_loss_learns_a_cycle(loss, temperature, new_model, histories, config):
    fresh = new_model()
    fresh.temperature = temperature
    drawn = "auto" if loss == "softmax" else 8
    epochs = 20 if loss == "gbce" else 6  # a binary loss learns first that all are improbable
    asked = replace(
        config,
        loss=loss,
        negatives=drawn,
        temperature=temperature,
        epochs=epochs,
        patience=epochs,
        refit=False,
    )
    result = train(fresh, histories, asked)
    assert result.valid is not None and result.valid > 0.7
    assert all("loss '" not in choice for choice in result.choices)


@pytest.mark.parametrize("loss", ["sampled", "mixed"])
def test_experts_learn_with_every_loss_that_gives_probabilities(loss, histories, config):
    torch.manual_seed(0)
    some = SequenceModel(GRU(16), 12, 0, InputConfig(value=False), experts=ExpertConfig())
    asked = replace(config, loss=loss, negatives=8, epochs=12, refit=False)
    result = train(some, histories, asked)
    assert result.valid is not None and result.valid > 0.7


def test_a_run_tells_what_it_chose(new_model, histories, unjudged, caplog):
    with caplog.at_level("INFO"):
        result = train(new_model(), histories, replace(unjudged, epochs=1))
    assert result.choices[0].startswith("loss 'softmax': 12 items are few enough")
    assert result.choices[0] in caplog.text
