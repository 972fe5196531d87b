"""What stands against sparse data has sections of its own inside ``[training]``."""

from pathlib import Path

import pytest

import recency as rc
from recency.cli.run_config import read_run_config
from recency.data.synthetic import cycle
from recency.errors import ConfigError
from recency.training.tracking.run_toml import run_toml

VARIED = rc.TrainConfig(
    epochs=1,
    valid_share=0,
    tokens=4_096,
    device="cpu",
    augmentation=rc.Augmentation(crop=0.2, reorder=1.0, substitute=0.1, half_life="30d"),
    contrast=rc.Contrast(weight=0.1, views=rc.Augmentation(mask=0.3)),
)
TEXT = """
[training]
epochs = 1
valid_share = 0
tokens = 4096
device = "cpu"
[training.augmentation]
crop = 0.2
reorder = 1
substitute = 0.1
half_life = "30d"
[training.contrast]
weight = 0.1
views = { mask = 0.3 }
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "run.toml"
    path.write_text(text)
    return path


def test_augmentation_and_contrast_are_read(tmp_path: Path) -> None:
    assert read_run_config(written(tmp_path, TEXT)).training == VARIED
    again = run_toml({"training": VARIED.what_is_learned()})
    assert read_run_config(written(tmp_path, again)).training == VARIED


def test_a_saved_model_comes_back_with_them(tmp_path: Path) -> None:
    model = rc.SequenceRecommender(rc.GRU(4), training=VARIED, experts=None)
    model.fit(cycle(n_users=5, length=5)).save(tmp_path / "model")
    assert rc.SequenceRecommender.load(tmp_path / "model").training == VARIED


def test_unknown_keys_and_wrong_values_are_named_with_their_place(tmp_path: Path) -> None:
    text = TEXT.replace("crop", "crops").replace("{ mask = 0.3", '{ maks = 1, mask = "much"')
    with pytest.raises(ConfigError) as caught:
        read_run_config(written(tmp_path, text.replace("substitute = 0.1", 'substitute = "all"')))
    told = str(caught.value)
    for line in (
        "unknown key training.augmentation.crops; did you mean training.augmentation.crop?",
        "unknown key training.contrast.views.maks; did you mean training.contrast.views.mask?",
        "training.augmentation.substitute='all': input should be a valid number",
    ):
        assert line in told
    with pytest.raises(ConfigError, match=r"Augmentation\(crop=2.0\): expected a share in"):
        read_run_config(written(tmp_path, "[training.augmentation]\ncrop = 2\n"))
