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
        "TrainConfig(precision='fp16'): expected 'fp32' or 'bf16'.",
        "TrainConfig(device='tpu'): expected 'auto', 'cpu' or 'cuda'.",
    ):
        assert line in told


def test_what_is_learned_is_json_and_leaves_places_out(tmp_path):
    here = TrainConfig(checkpoint_dir=tmp_path, tensorboard_dir=tmp_path)
    assert here.what_is_learned() == TrainConfig().what_is_learned()
    assert json.loads(json.dumps(here.what_is_learned())) == here.what_is_learned()
    assert TrainConfig(lr=1e-4).what_is_learned() != here.what_is_learned()
