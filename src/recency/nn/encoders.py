"""The encoders that Recency brings, by the names that files and the command line know."""

from collections.abc import Mapping
from typing import Any

from recency.nn.encoder import Encoder
from recency.nn.hybrid import Hybrid
from recency.nn.plain_encoders import PLAIN_ENCODERS, made, taken_by

ENCODERS: dict[str, type[Encoder]] = {**PLAIN_ENCODERS, "hybrid": Hybrid}


def make_encoder(name: str, settings: dict[str, Any]) -> Encoder:
    """Make an encoder from its name and its constructor's arguments.

    Raises:
        ConfigError: the name, an argument or a value is none of Recency's; all together.
    """
    return made(ENCODERS, name, settings)


def encoder_of_settings(settings: Mapping[str, Any]) -> Encoder:
    """Make an encoder from what `recency.nn.encoder.settings_of_encoder` gave.

    Raises:
        ConfigError: it is none of Recency's.
    """
    given = dict(settings)
    return make_encoder(given.pop("name"), given)


def arguments_of(name: str) -> list[str]:
    """Name the constructor arguments of an encoder."""
    return taken_by(ENCODERS[name])
