"""Sections of run.toml: to a recommender and back, and through a file."""

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

import recency as rc
from recency.cli.run_config import read_run_config
from recency.errors import ConfigError
from recency.nn.encoders import ENCODERS, make_encoder
from recency.tuning.judging import METRIC, Objective
from recency.tuning.result import TuningResult
from recency.tuning.run_file import changed, recommender_of, sections_of
from recency.tuning.spaces import Range


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("experts", [None, rc.ExpertConfig(crowd=("2h", "9d"))])
def test_sections_make_the_same_recommender(name: str, experts: rc.ExpertConfig | None) -> None:
    made = rc.SequenceRecommender(
        make_encoder(name, {"dim": 32}),
        inputs=rc.InputConfig(time_zone="Asia/Tokyo", dropout=0.25),
        training=rc.TrainConfig(epochs=3, tokens=512, negatives=64),
        request_time="known",
        experts=experts,
        fallback_half_life="3d",
        seed=5,
        domains=rc.DomainConfig(rank=4),
    )
    again = recommender_of(sections_of(made))
    assert again.encoder.config() == made.encoder.config() and again.name == made.name
    assert replace(again.recipe, encoder=made.encoder) == made.recipe


def test_changes_leave_the_sections_alone(start: rc.SequenceRecommender) -> None:
    sections = sections_of(start)
    assert changed(sections, {"training.lr": 0.5})["training"]["lr"] == 0.5
    assert sections["training"]["lr"] == 0.01


@pytest.mark.parametrize("experts", [True, False])
def test_best_toml_is_read_as_the_best_recommender(
    start: rc.SequenceRecommender, tmp_path: Path, experts: bool
) -> None:
    best = {"encoder.dim": 24, "training.lr": 1e-5, "model.experts": experts}
    result = TuningResult(
        best=best,
        value=0.25,
        start=None,
        trials=pl.DataFrame({"trial": [1], METRIC: [0.25]}),
        curves=pl.DataFrame(),
        importance={},
        objective=Objective(),
        space={"encoder.dim": Range(8, 24)},
        sections=sections_of(start),
    )
    more: dict = {"data": {"columns": {"user_id": 'my "user"\n'}}, "split": {"until": 0.9}}
    (tmp_path / "best.toml").write_text(result.run_toml(more), encoding="utf-8")
    config = read_run_config(tmp_path / "best.toml")
    read, meant = config.recommender(), result.recommender()
    assert sections_of(read) == sections_of(meant) == changed(sections_of(start), best)
    assert config.split.until == 0.9 and config.data.columns == {"user_id": 'my "user"\n'}


def test_an_encoder_of_ones_own_is_refused_in_words() -> None:
    class Mine(rc.GRU):
        pass

    with pytest.raises(ConfigError, match="expected an encoder that Recency brings .* found Mine"):
        sections_of(rc.SequenceRecommender(Mine(dim=8)))


def test_what_no_trial_can_be_made_of_is_refused_all_together() -> None:
    made = rc.SequenceRecommender(heads=[rc.RatingHead()], profiles=rc.ProfileConfig())
    with pytest.raises(ConfigError) as fault:
        sections_of(made)
    assert "found a model with heads; tune it without them" in str(fault.value)
    assert "found a model with profiles; tune it without them" in str(fault.value)
