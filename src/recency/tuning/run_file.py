"""The run as plain data: the sections of ``run.toml``, to a recommender and back.

A trial is the sections of the recommender that a study starts from, with some keys changed. It goes
to another process as JSON, and the best one to ``best.toml``, from which ``recency fit`` makes the
same recommender again.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from difflib import get_close_matches
from typing import Any

from recency.errors import ConfigError, raise_all
from recency.nn.domains import domains_of_settings
from recency.nn.encoders import ENCODERS, arguments_of, make_encoder
from recency.nn.experts import ExpertConfig
from recency.nn.inputs import InputConfig
from recency.recipe import Recipe
from recency.recommender import SequenceRecommender
from recency.training.config import TrainConfig

Sections = dict[str, dict[str, Any]]
Settings = Mapping[str, Any]  # "training.lr" to its value

_OF_MODEL = ("experts", "request_time", "fallback_half_life")


def sections_of(recommender: SequenceRecommender) -> Sections:
    """Tell, as JSON, everything that decides what a recommender learns.

    Raises:
        ConfigError: its encoder is none that Recency brings, or it has heads or reads profiles; all
            together.
    """
    recipe = recommender.recipe
    raise_all(_untunable(recipe), ConfigError)
    model = {
        "encoder": recipe.name,
        "experts": recipe.experts is not None,
        "request_time": recipe.request_time,
        "fallback_half_life": recipe.fallback_half_life,
        "seed": recipe.seed,
    }
    sections = {
        "model": model,
        "encoder": dict(recipe.encoder.config()),
        "inputs": asdict(recipe.inputs),
        "experts": asdict(ExpertConfig() if recipe.experts is None else recipe.experts),
        "training": recipe.training.what_is_learned(),
    }
    if recipe.domains is not None:
        sections["domains"] = asdict(recipe.domains)
    plain: Sections = json.loads(json.dumps(sections))
    return plain


def recommender_of(sections: Mapping[str, Mapping[str, Any]]) -> SequenceRecommender:
    """Make the recommender that sections describe, not yet fitted.

    Raises:
        ConfigError: a setting is unknown or impossible.
    """
    model = sections["model"]
    return SequenceRecommender(
        make_encoder(model["encoder"], dict(sections["encoder"])),
        inputs=InputConfig(**sections["inputs"]),
        training=TrainConfig(**sections["training"]),
        request_time=model["request_time"],
        experts=ExpertConfig(**sections["experts"]) if model["experts"] else None,
        fallback_half_life=model["fallback_half_life"],
        seed=model["seed"],
        domains=domains_of_settings(sections),
    )


def changed(sections: Sections, settings: Settings) -> Sections:
    """Lay settings over sections; neither is changed."""
    made = {name: dict(section) for name, section in sections.items()}
    for name, value in settings.items():
        section, _, key = name.partition(".")
        made[section][key] = value
    return made


def setting(sections: Sections, name: str) -> Any:
    """Give the value of a setting by its name."""
    section, _, key = name.partition(".")
    return sections[section].get(key)


def check_names(sections: Sections, names: list[str]) -> None:
    """Refuse names that are no setting of the encoder at hand.

    Raises:
        ConfigError: with the nearest name that is one; all together.
    """
    encoder = sections["model"]["encoder"]
    known = [
        *(f"model.{key}" for key in _OF_MODEL),
        *(f"encoder.{key}" for key in arguments_of(encoder)),
        *(f"inputs.{one.name}" for one in fields(InputConfig)),
        *(f"experts.{one.name}" for one in fields(ExpertConfig)),
        *(f"training.{key}" for key in TrainConfig().what_is_learned()),
    ]
    faults = []
    for name in names:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            faults.append(
                f"tune.space {name}: no setting of a {encoder}; {hint}Settings are named as in "
                f"run.toml, such as training.lr or encoder.dim."
            )
    raise_all(faults, ConfigError)


def _untunable(recipe: Recipe) -> list[str]:
    """Say what of a recipe no trial could be made of."""
    faults = []
    if type(recipe.encoder) not in ENCODERS.values():
        faults.append(
            f"expected an encoder that Recency brings ({', '.join(ENCODERS)}), found "
            f"{type(recipe.encoder).__name__}: trials run in processes of their own, which make "
            f"the encoder from its name."
        )
    for given, what in ((recipe.heads, "heads"), (recipe.profiles, "profiles")):
        if given:
            faults.append(
                f"tune: settings are searched for the next item alone, found a model with {what}; "
                f"tune it without them, and fit the best settings with {what}=."
            )
    return faults
