"""Folders of before there was one word for each thing are read as what they were."""

import torch
from safetensors.torch import save_file

from recency.nn.heads import attach_heads
from recency.nn.model import SequenceModel
from recency.nn.rating_head import RatingHead
from recency.nn.recurrent import GRU
from recency.nn.scored_items import take, untie
from recency.nn.weights import read_weights


def untied_with_a_head(seed: int) -> SequenceModel:
    torch.manual_seed(seed)
    model = SequenceModel(GRU(dim=4), 3)
    attach_heads(model, [RatingHead()], learned=False)
    untie(model, 5)
    return model


def as_before(model: SequenceModel) -> dict[str, torch.Tensor]:
    """Name weights as they were named once: ``heads`` were the vectors that are scored."""
    named = {
        name.replace("heads.", "other_heads.").replace("scored_items", "heads"): weight
        for name, weight in model.state_dict().items()
    }
    assert "heads" in named and any(name.startswith("other_heads.0.") for name in named)
    return named


def test_weights_of_an_older_folder_find_their_place(tmp_path):
    saved, model = untied_with_a_head(1), untied_with_a_head(2)
    save_file(as_before(saved), tmp_path / "weights.safetensors")
    read_weights(tmp_path / "weights.safetensors", model)
    torch.testing.assert_close(dict(model.state_dict()), dict(saved.state_dict()), rtol=0, atol=0)


def test_weights_that_a_learner_kept_before_find_their_place():
    saved, model = untied_with_a_head(1), untied_with_a_head(2)
    take(model, as_before(saved))
    torch.testing.assert_close(dict(model.state_dict()), dict(saved.state_dict()), rtol=0, atol=0)
