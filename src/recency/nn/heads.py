"""The heads that Recency brings: made, attached to a model, and made again from a folder."""

import inspect
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from recency.errors import ConfigError, FormatError, raise_all
from recency.nn.basket_head import BasketHead
from recency.nn.head import Head
from recency.nn.horizon_head import HorizonHead
from recency.nn.model import SequenceModel
from recency.nn.rating_head import RatingHead
from recency.nn.time_head import TimeHead
from recency.nn.type_head import TypeHead

HEADS: dict[str, type[Head]] = {
    "RatingHead": RatingHead,
    "TypeHead": TypeHead,
    "HorizonHead": HorizonHead,
    "TimeHead": TimeHead,
    "BasketHead": BasketHead,
}


def check_heads(heads: Sequence[Head]) -> tuple[Head, ...]:
    """Give heads that can stand beside each other in one model.

    Raises:
        ConfigError: something is no head, or two tell the same.
    """
    strange = [one for one in heads if not isinstance(one, Head)]
    if strange:
        raise ConfigError(
            f"heads: expected heads such as recency.RatingHead(), found {strange[0]!r}."
        )
    twice = [name for name, n in Counter(one.name for one in heads).items() if n > 1]
    if twice:
        raise ConfigError(f"heads: expected one of each kind, found {', '.join(twice)} twice.")
    return tuple(heads)


def attach_heads(model: SequenceModel, heads: Sequence[Head], *, learned: bool) -> None:
    """Give a model fresh heads of the same configuration.

    Args:
        model: Changed in place.
        heads: Only their configuration is used.
        learned: Whether their weights are learned too.
    """
    made = [one.clone() for one in heads]
    for one in made:
        one.build(model.dim)
        if learned:
            one.doubt = nn.Parameter(torch.zeros(()))
    model.heads = nn.ModuleList(made).to(model.bias.device)


def heads_of_tables(tables: Sequence[Any]) -> list[Head]:
    """Make heads from the tables of a file: a kind, and the arguments of its constructor.

    Raises:
        ConfigError: a kind, an argument or a value is none of Recency's; all together.
    """
    heads: list[Head] = []
    faults = []
    kinds = {name.removesuffix("Head").lower(): made for name, made in HEADS.items()}
    for n, table in enumerate(tables):
        given = dict(table) if isinstance(table, Mapping) else {}
        kind = given.pop("kind", None)
        if kind not in kinds:
            faults.append(f"heads[{n}].kind: expected one of {', '.join(kinds)}, found {kind!r}.")
            continue
        known = inspect.signature(kinds[kind]).parameters
        if strange := [name for name in given if name not in known]:
            faults.append(f"heads[{n}]: {kind} has no {strange[0]!r}; it has {', '.join(known)}.")
            continue
        try:
            heads.append(kinds[kind](**given))
        except (ConfigError, TypeError) as fault:
            faults.append(f"heads[{n}]: {fault}")
    raise_all(faults, ConfigError)
    return heads


def tables_of_heads(heads: Sequence[Head]) -> list[dict[str, Any]]:
    """Give heads as the tables of a file; see `heads_of_tables`."""
    return [
        {"kind": type(one).__name__.removesuffix("Head").lower(), **one.config()} for one in heads
    ]


def settings_of_heads(heads: Sequence[Head]) -> list[dict[str, Any]]:
    """Give heads as JSON."""
    return [{"name": type(one).__name__, **one.config()} for one in heads]


def heads_of_settings(settings: Sequence[dict[str, Any]]) -> list[Head]:
    """Make heads from what `settings_of_heads` gave.

    Raises:
        FormatError: a head is none of Recency's.
    """
    heads = []
    for one in settings:
        given = dict(one)
        name = given.pop("name")
        if name not in HEADS:
            raise FormatError(
                f"expected a head of {', '.join(HEADS)}, found {name!r}; the folder was written by "
                f"a newer Recency, or with a head of somebody's own."
            )
        heads.append(HEADS[name](**given))
    return heads


def head_named(model: SequenceModel, name: str) -> Head:
    """Find the head of a model by name.

    Raises:
        ConfigError: the model was fitted without it.
    """
    known = [one for one in model.heads if isinstance(one, Head)]
    for one in known:
        if one.name == name:
            return one
    found = ", ".join(one.name for one in known) or "none"
    raise ConfigError(
        f"the model has no head for {name!r}, found {found}; fit one with "
        f"SequenceRecommender(heads=[...])."
    )
