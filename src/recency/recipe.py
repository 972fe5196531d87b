"""The recipe: all settings of a recommender as one value, and the fresh model they make.

Whatever copies a recommender, writes it down or makes it again takes its recipe. So a setting that
joins is named here and forgotten nowhere.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from recency.errors import ConfigError
from recency.nn.domains import DomainConfig, domains_of_settings
from recency.nn.encoder import Encoder, settings_of_encoder
from recency.nn.encoders import encoder_of_settings
from recency.nn.experts import ExpertConfig
from recency.nn.head import Head
from recency.nn.heads import (
    attach_heads,
    heads_of_settings,
    settings_of_heads,
    tables_of_heads,
)
from recency.nn.inputs import InputConfig
from recency.nn.model import RequestTime, SequenceModel
from recency.nn.profile import ProfileConfig, profiles_of_settings
from recency.training.config import TrainConfig
from recency.units import parse_duration


@dataclass(frozen=True)
class Recipe:
    """Hold what `recency.SequenceRecommender` is made with, under the names of its arguments."""

    encoder: Encoder
    inputs: InputConfig
    training: TrainConfig
    request_time: RequestTime
    experts: ExpertConfig | None
    fallback_half_life: str | float
    seed: int
    heads: Sequence[Head]
    domains: DomainConfig | None
    profiles: ProfileConfig | None

    @property
    def name(self) -> str:
        """Name the encoder: its class in lower case."""
        return type(self.encoder).__name__.lower()

    def model(self, n_items: int, n_types: int) -> SequenceModel:
        """Make a fresh model; the seed decides its weights, bit by bit on a CPU."""
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            model = SequenceModel(
                self.encoder.clone(),
                n_items,
                n_types,
                self.inputs,
                self.request_time,
                self.experts,
                self.training.temperature,
            )
            attach_heads(model, self.heads, learned=self.training.head_weights == "learned")
            model.scored_apart = self.domains is not None and self.domains.parts
            return model

    def settings(self) -> dict[str, Any]:
        """Give what `recipe_of` needs, as JSON, but for profiles: their table has a say too."""
        return {
            "encoder": settings_of_encoder(self.encoder),
            "inputs": asdict(self.inputs),
            "training": self.training.what_is_learned(),
            "request_time": self.request_time,
            "experts": None if self.experts is None else asdict(self.experts),
            "fallback_half_life": self.fallback_half_life,
            "seed": self.seed,
            "heads": settings_of_heads(self.heads),
            **({} if self.domains is None else {"domains": asdict(self.domains)}),
        }

    def beyond_training(self) -> dict[str, dict[str, Any]]:
        """Give the sections of ``run.toml`` of which a training is not told."""
        model: dict[str, Any] = {"fallback_half_life": self.fallback_half_life}
        if self.heads:
            model["heads"] = tables_of_heads(self.heads)
        sections = {"model": model}
        for name, config in (("domains", self.domains), ("profiles", self.profiles)):
            if config is not None:
                sections[name] = asdict(config)
        return sections


def recipe_of(settings: Mapping[str, Any], encoder: Encoder | None = None) -> Recipe:
    """Give the recipe that the settings of a folder tell.

    Args:
        settings: As `Recipe.settings` gave them; older folders say nothing of some.
        encoder: Of the same configuration, for an encoder that Recency does not bring.

    Raises:
        ConfigError: the encoder is none of Recency's and was not passed.
        FormatError: a head is none of Recency's.
    """
    if encoder is None:
        encoder = encoder_of_settings(settings["encoder"])
    experts = settings.get("experts")
    return Recipe(
        encoder,
        inputs=InputConfig(**settings["inputs"]),
        training=TrainConfig(**settings["training"]),
        request_time=settings["request_time"],
        experts=None if experts is None else ExpertConfig(**experts),
        fallback_half_life=settings["fallback_half_life"],
        seed=settings["seed"],
        heads=heads_of_settings(settings.get("heads", ())),
        domains=domains_of_settings(settings),
        profiles=profiles_of_settings(settings),
    )


def checked_half_life(given: str | float) -> str | float:
    """Give a half-life in seconds, or ``"fit"``.

    Raises:
        ConfigError: it is not above 0.
    """
    if given == "fit":
        return given
    seconds = parse_duration(given)
    if seconds <= 0:
        raise ConfigError("fallback_half_life: expected more than 0 seconds, or 'fit'.")
    return seconds
