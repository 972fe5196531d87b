"""The file ``run.toml``: every knob of a run, typed; a key that nobody knows is an error.

[data]      columns, unit, time_zone, on_bad: how the event file is read
[split]     until: learn from events before this instant, or this share of the log
[model]     encoder, size, dim, layers, dropout, experts, request_time, fallback_half_life, seed
[encoder]   further arguments of the encoder, such as Tide's window
[inputs]    see recency.InputConfig
[experts]   see recency.ExpertConfig
[domains]   see recency.DomainConfig: several catalogues in one log
[profiles]  see recency.ProfileConfig: what is made of recency fit --users
[content]   text, vectors and more: what items are known by; [content.tuned]: texts learn too
[training]  see recency.TrainConfig; [training.augmentation] and [training.contrast] for small logs
[ensemble]  seeds, encoders, baselines, fusion, valid_share: several models that answer as one
[evaluate]  k, history, repeats, reading, ties, targets, max_targets
[tune]      trials, minutes, workers, folds, horizon, prune, and [tune.space]; see recency.tune
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from recency.errors import ConfigError, raise_all

if TYPE_CHECKING:
    from recency.nn.domains import DomainConfig
    from recency.nn.encoder import Encoder
    from recency.nn.experts import ExpertConfig
    from recency.nn.inputs import InputConfig
    from recency.nn.profile import ProfileConfig
    from recency.recommender import SequenceRecommender
    from recency.training.config import TrainConfig

# One dial: (dim, layers of recurrent cells, blocks of all else). Medium is the default everywhere.
SIZES = {"small": (32, 1, 1), "medium": (64, 1, 2), "large": (128, 2, 3)}


@dataclass(frozen=True)
class DataSection:
    """Say how the event file is read; see `recency.read_log`."""

    columns: dict[str, str] = field(default_factory=dict)
    unit: Literal["s", "ms", "us", "ns"] | None = None
    time_zone: str = "UTC"
    on_bad: Literal["raise", "drop"] = "raise"
    context: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class SplitSection:
    """Say where learning ends: an instant, or a share of the events in (0, 1); None takes all."""

    until: str | float | None = None


@dataclass(frozen=True)
class ModelSection:
    """Choose the model; ``dim`` and ``layers`` override what ``size`` stands for.

    ``layers`` are the blocks of an encoder made of blocks; None for ``dropout`` is its default.
    ``heads`` are tables, ``[[model.heads]]``: a kind (rating, type, horizon, time) and arguments.
    """

    encoder: str = "tide"
    size: Literal["small", "medium", "large"] = "medium"
    dim: int | None = None
    layers: int | None = None
    dropout: float | None = None
    experts: bool = True
    request_time: Literal["unknown", "known"] = "known"  # what is saved here is for service
    fallback_half_life: str | float = "fit"
    seed: int = 0
    heads: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class TunedSection:
    """Let the text encoder learn with the recommender; see `recency.TextTuning`."""

    rank: int = 8
    learning_rate: float = 1e-3
    epochs: int = 3
    texts_per_step: int = 32


@dataclass(frozen=True)
class ContentSection:
    """Say what items are known by beside their events; see `recency.Content`.

    Attributes:
        text: Encoder of the words of items: ``minilm``, ``static``, ``static:MODEL``, or a folder
            or hub id; None reads no words.
        columns: Of the item file, that hold words; empty for title, text, categories and tags.
        vectors: Files of vectors, Parquet with ``item_id`` and ``vector``, or ``.npy`` in the order
            of the item file.
        cache: Folder that keeps vectors of texts, so that a second fit encodes nothing.
        dims, learned, hidden, categories, numbers, tuned: As of `recency.Content`.
    """

    text: str | None = None
    columns: list[str] = field(default_factory=list)
    vectors: list[str] = field(default_factory=list)
    cache: str | None = None
    dims: int = 64
    learned: Literal["auto", "joint", "after"] = "auto"
    hidden: float = 0.25
    categories: bool = True
    numbers: list[str] = field(default_factory=lambda: ["price"])
    tuned: TunedSection | None = None


@dataclass(frozen=True)
class EnsembleSection:
    """Choose members: each encoder under each seed, and baselines; see `recency.Ensemble`.

    ``encoders`` left empty are the one of ``[model]``; seeds count up from its seed.
    """

    seeds: int = 1
    encoders: list[str] = field(default_factory=list)
    baselines: list[str] = field(default_factory=list)
    fusion: Literal["scores", "ranks"] = "scores"
    valid_share: float = 0.1


@dataclass(frozen=True)
class EvaluateSection:
    """Choose the protocol; see `recency.evaluate`."""

    k: list[int] = field(default_factory=lambda: [10])
    history: Literal["rolling", "frozen"] = "rolling"
    repeats: bool = True
    reading: Literal["warm", "misses", "growing", "listed"] = "warm"
    ties: Literal["mean", "worst", "best"] = "mean"
    targets: Literal["event", "basket"] = "event"
    max_targets: int | None = None


@dataclass(frozen=True)
class TuneSection:
    """Say how settings are searched; see `recency.tune`."""

    trials: int = 30
    minutes: float | None = None
    workers: int = 1
    folds: int = 0
    horizon: str | float = "7d"
    prune: bool = True
    space: dict[str, Any] = field(default_factory=dict)


_PLAIN: dict[str, type] = {
    "data": DataSection,
    "split": SplitSection,
    "model": ModelSection,
    "encoder": dict,
    "content": ContentSection,
    "ensemble": EnsembleSection,
    "evaluate": EvaluateSection,
    "tune": TuneSection,
}
_WITH_TORCH = {
    "inputs": "recency.nn.inputs.InputConfig",
    "experts": "recency.nn.experts.ExpertConfig",
    "domains": "recency.nn.domains.DomainConfig",
    "profiles": "recency.nn.profile.ProfileConfig",
    "training": "recency.training.config.TrainConfig",
}


@dataclass(frozen=True)
class RunConfig:
    """Hold all sections; those with torch behind them are None where the defaults will do."""

    data: DataSection = DataSection()
    split: SplitSection = SplitSection()
    model: ModelSection = ModelSection()
    encoder: dict[str, Any] = field(default_factory=dict)
    inputs: "InputConfig | None" = None
    experts: "ExpertConfig | None" = None
    domains: "DomainConfig | None" = None
    profiles: "ProfileConfig | None" = None
    training: "TrainConfig | None" = None
    content: ContentSection | None = None
    ensemble: EnsembleSection | None = None
    evaluate: EvaluateSection = EvaluateSection()
    tune: TuneSection = TuneSection()

    def recommender(self) -> "SequenceRecommender":
        """Make the recommender that the file describes, not yet fitted."""
        from recency.nn.experts import ExpertConfig
        from recency.nn.heads import heads_of_tables
        from recency.recommender import SequenceRecommender

        experts = ExpertConfig() if self.experts is None else self.experts
        return SequenceRecommender(
            self._encoder(),
            inputs=self.inputs,
            training=self.training,
            request_time=self.model.request_time,
            experts=experts if self.model.experts else None,
            fallback_half_life=self.model.fallback_half_life,
            seed=self.model.seed,
            domains=self.domains,
            profiles=self.profiles,
            heads=heads_of_tables(self.model.heads),
        )

    def refuse(self, **reasons: str) -> None:
        """Refuse sections that a command cannot honour, each with its reason.

        Raises:
            ConfigError: the file has some of them.
        """
        faults = [
            f"{why}, but run.toml has a section [{name}]; leave it out here."
            for name, why in reasons.items()
            if getattr(self, name) is not None
        ]
        raise_all(faults, ConfigError)

    def _encoder(self) -> "Encoder":
        """Make the encoder from the size, what overrides it, and its own section."""
        from recency.nn.encoders import ENCODERS, arguments_of, make_encoder

        name, given = self.model.encoder, self.model
        known = arguments_of(name) if name in ENCODERS else []
        dim, layers, blocks = SIZES[given.size]
        settings: dict[str, Any] = {"dim": given.dim or dim}
        if "blocks" in known:
            settings["blocks"] = given.layers or blocks
        elif "layers" in known or given.layers is not None:
            settings["layers"] = given.layers or layers
        if given.dropout is not None:
            settings["dropout"] = given.dropout
        return make_encoder(name, settings | self.encoder)


def read_run_config(
    path: Path | None, changes: Mapping[str, Mapping[str, Any]] | None = None
) -> RunConfig:
    """Read ``run.toml`` and lay the command line's flags over it.

    Args:
        path: None takes the defaults.
        changes: Section to keys to values; None as a value changes nothing, a table goes over the
            file's key by key.

    Raises:
        ConfigError: the file is no TOML, or a section, key or value is wrong; all together.
    """
    table: dict[str, Any] = {}
    if path is not None:
        try:
            table = tomllib.loads(path.read_text())
        except FileNotFoundError:
            raise ConfigError(f"expected a TOML file, found nothing at {path}.") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as fault:
            raise ConfigError(f"{path} is not TOML: {fault}.") from None
    for section, values in (changes or {}).items():
        given = {key: value for key, value in values.items() if value is not None}
        if given:
            table[section] = _over(table.get(section, {}), given)
    return _config(table, str(path or "the command line"))


def _over(section: Any, given: Mapping[str, Any]) -> Any:
    """Lay keys over a section, and tables in it over its own; what is none is left to be told."""
    if not isinstance(section, dict):
        return section
    laid = dict(section)
    for key, value in given.items():
        below = laid.get(key)
        if isinstance(below, dict) and isinstance(value, dict):
            laid[key] = below | value
        else:
            laid[key] = value
    return laid


def _config(table: dict[str, Any], where: str) -> RunConfig:
    kinds = _kinds(table)
    faults = _unknown_keys(table, [one.name for one in fields(RunConfig)], "")
    parts: dict[str, Any] = {}
    for name, kind in kinds.items():
        if name == "encoder" and isinstance(table[name], dict):
            parts[name] = table[name]  # checked against the encoder's own arguments
        elif isinstance(table[name], dict):
            parts[name] = _checked(kind, table[name], name, faults)
        else:
            faults.append(f"{name}: expected a section [{name}], found {table[name]!r}.")
    raise_all([f"{fault} [{where}]" for fault in faults], ConfigError)
    return RunConfig(**parts)


def _kinds(table: dict[str, Any]) -> dict[str, type]:
    """Name the class of each section that the table has; torch is imported only if need be."""
    kinds = {name: kind for name, kind in _PLAIN.items() if name in table}
    for name, place in _WITH_TORCH.items():
        if name in table:
            module, _, kind = place.rpartition(".")
            kinds[name] = getattr(import_module(module), kind)
    return kinds


def _checked(kind: type, values: dict[str, Any], name: str, faults: list[str]) -> Any:
    """Make a section from a table; add what is wrong with it to the faults."""
    from pydantic import TypeAdapter, ValidationError

    known = [one.name for one in fields(kind)]
    faults += _strangers(kind, values, f"{name}.")
    try:
        return TypeAdapter(kind).validate_python(
            {key: value for key, value in values.items() if key in known}
        )
    except ValidationError as error:
        faults += [_told(one, name) for one in error.errors(include_url=False)]
    return None


def _told(error: Any, name: str) -> str:
    if error["type"] == "value_error":
        return str(error["ctx"]["error"])
    place = [str(one) for one in error["loc"]]
    key = ".".join([name, *place[: 2 if place[0] in ("augmentation", "contrast", "tuned") else 1]])
    return f"{key}={error['input']!r}: {error['msg'][:1].lower()}{error['msg'][1:]}."


def _strangers(kind: type, table: Mapping[str, Any], prefix: str) -> list[str]:
    """Name keys that a section, or a section inside it, does not know."""
    faults = _unknown_keys(table, [one.name for one in fields(kind)], prefix)
    for one in fields(kind):
        inside = table.get(one.name)
        for below in (type(one.default), *get_args(one.type)):
            if isinstance(below, type) and is_dataclass(below) and isinstance(inside, dict):
                faults += _strangers(below, inside, f"{prefix}{one.name}.")
    return faults


def _unknown_keys(table: Mapping[str, Any], known: list[str], prefix: str) -> list[str]:
    """Name keys that are not known, each with the nearest one that is."""
    faults = []
    for key in (one for one in table if one not in known):
        near = get_close_matches(key, known, n=1)
        hint = f"did you mean {prefix}{near[0]}? " if near else ""
        faults.append(f"unknown key {prefix}{key}; {hint}Known: {', '.join(sorted(known))}.")
    return faults
