"""Settings that cannot be met are refused where they are made."""

import json

import pytest

from recency.errors import ConfigError
from recency.training.config import TrainConfig


def test_all_faults_are_told_at_once():
    with pytest.raises(ConfigError) as caught:
        TrainConfig(
            epochs=0,
            max_len=1,
            tokens=0,
            negatives=-1,
            lr=-1.0,
            weight_decay=-0.1,
            warmup=float("nan"),
            clip=0.0,
            valid_share=1.0,
            patience=1.5,  # type: ignore[arg-type]
            max_valid_targets=0,
            precision="fp16",  # type: ignore[arg-type]
            device="tpu",  # type: ignore[arg-type]
        )
    told = str(caught.value)
    assert "13 faults" in told
    for line in (
        "TrainConfig(epochs=0): expected a whole number of at least 1.",
        "TrainConfig(max_len=1): expected a whole number of at least 2.",
        "TrainConfig(tokens=0): expected a whole number of at least 1.",
        "TrainConfig(negatives=-1): expected a whole number of at least 0.",
        "TrainConfig(lr=-1.0): expected a number above 0.",
        "TrainConfig(weight_decay=-0.1): expected a number of at least 0.",
        "TrainConfig(warmup=nan): expected a number of at least 0.",
        "TrainConfig(clip=0.0): expected a number above 0.",
        "TrainConfig(valid_share=1.0): expected a share in [0, 1).",
        "TrainConfig(patience=1.5): expected a whole number of at least 1.",
        "TrainConfig(max_valid_targets=0): expected a whole number of at least 1.",
        "TrainConfig(precision='fp16'): expected 'auto', 'fp32', 'bf16-loss' or 'bf16'.",
        "TrainConfig(device='tpu'): expected 'auto', 'cpu' or 'cuda'.",
    ):
        assert line in told


def test_what_is_learned_is_json_and_leaves_places_out(tmp_path):
    here = TrainConfig(checkpoint_dir=tmp_path)
    assert here.what_is_learned() == TrainConfig().what_is_learned()
    assert json.loads(json.dumps(here.what_is_learned())) == here.what_is_learned()
    assert TrainConfig(lr=1e-4).what_is_learned() != here.what_is_learned()


def test_losses_that_cannot_be_are_refused_with_the_setting_that_clashes():
    with pytest.raises(ConfigError) as caught:
        TrainConfig(
            loss="bpr",  # type: ignore[arg-type]
            item_updates="columns",  # type: ignore[arg-type]
            calibration=1.5,
            temperature=0.0,
        )
    told = str(caught.value)
    for line in (
        "TrainConfig(loss='bpr'): expected 'auto', 'softmax', 'sampled', 'in-batch', 'mixed' or",
        "TrainConfig(item_updates='columns'): expected 'auto', 'dense' or 'rows'.",
        "TrainConfig(calibration=1.5): expected a number in [0, 1].",
        "TrainConfig(temperature=0.0): expected a number above 0, or None for dot products.",
    ):
        assert line in told


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"loss": "softmax", "negatives": 5}, "draws none; leave negatives out"),
        ({"loss": "mixed", "negatives": 0}, "expected at least 1 item to draw"),
        ({"loss": "softmax", "item_updates": "rows"}, "moves every item in every batch"),
        ({"negatives": 0, "item_updates": "rows"}, "use item_updates='dense' or a loss"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(settings, told):
    with pytest.raises(ConfigError, match=told):
        TrainConfig(**settings)
