"""The recipe: through the settings of a folder and the sections of a file, nothing is lost."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

import recency as rc
from recency.cli.run_config import read_run_config
from recency.errors import ConfigError
from recency.nn.profile import profile_settings
from recency.recipe import recipe_of
from recency.training.tracking.run_toml import run_toml


@pytest.fixture
def made() -> rc.SequenceRecommender:
    """Give a recommender with every setting off its default."""
    return rc.SequenceRecommender(
        rc.GRU(dim=24),
        inputs=rc.InputConfig(time_zone="Asia/Tokyo", dropout=0.25),
        training=rc.TrainConfig(epochs=3, tokens=512, negatives=64),
        request_time="known",
        experts=rc.ExpertConfig(crowd=("2h", "9d")),
        fallback_half_life="3d",
        seed=5,
        heads=[rc.RatingHead()],
        domains=rc.DomainConfig(rank=4, within=0.5),
        profiles=rc.ProfileConfig(least=2, fallback=()),
    )


def plain(recommender: rc.SequenceRecommender) -> dict:
    """Give the settings as JSON brings them, profiles among them."""
    recipe = recommender.recipe
    return json.loads(json.dumps(recipe.settings() | {"profiles": vars(recipe.profiles)}))


def test_a_recommender_made_by_a_recipe_has_that_recipe(made: rc.SequenceRecommender) -> None:
    assert rc.SequenceRecommender.of(made.recipe).recipe == made.recipe
    made.seed = 7
    assert made.recipe.seed == 7


def test_settings_give_the_recipe_back(made: rc.SequenceRecommender) -> None:
    found = recipe_of(plain(made), made.encoder)
    assert replace(found, heads=made.heads) == made.recipe
    assert [one.config() for one in found.heads] == [one.config() for one in made.heads]
    again = recipe_of(plain(made)).encoder
    assert type(again) is rc.GRU and again.config() == made.encoder.config()
    assert profile_settings(made.profiles, None, None) == {}


def test_what_training_is_not_told_stands_in_the_run_toml(
    made: rc.SequenceRecommender, tmp_path: Path
) -> None:
    (tmp_path / "run.toml").write_text(run_toml(made.recipe.beyond_training()))
    found = read_run_config(tmp_path / "run.toml").recommender().recipe
    assert (found.domains, found.profiles) == (made.domains, made.profiles)
    assert found.fallback_half_life == made.recipe.fallback_half_life == 3 * 86_400
    assert [one.config() for one in found.heads] == [one.config() for one in made.heads]


@pytest.mark.parametrize("given", [0, "0s"])
def test_a_half_life_must_last(given: str | float) -> None:
    with pytest.raises(ConfigError, match="fallback_half_life: expected more than 0"):
        rc.SequenceRecommender(fallback_half_life=given)
