"""Transfer: a new model starts with what another one has learned, mostly of other items.

What an encoder knows of gaps, hours and the order of events holds for other items too, so a small
log can begin where a large one has ended. Taken over are the encoder, the encodings of the inputs
and of the question's instant, and the output layer; the gate's rows by the name of their expert;
event types by name; and, where asked for, vectors and biases of items by id.

What is measured on a log and not learned starts anew: the scale of values, whether a year was seen,
how far experts are trusted.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from recency.data.intake import Vocabs
from recency.data.vocab import Vocab
from recency.errors import ConfigError, raise_all
from recency.nn.inputs import SPECIAL
from recency.nn.model import SequenceModel

_BY_NAME = ("items", "bias", "events.types", "experts.gate.weight", "experts.gate.bias")
_ANEW = "heads."  # heads tell of what is counted in this log
_HARMLESS = ("dropout",)  # settings of an encoder that may differ without changing what weights say


@dataclass(frozen=True)
class Known:
    """Hold a model and the names of its rows.

    Attributes:
        model: Trained, or to be.
        vocabs: Its items and event types; they may know more than the model has weights for.
    """

    model: SequenceModel
    vocabs: Vocabs


@dataclass(frozen=True)
class Transferred:
    """Tell what a model took over from another one.

    Attributes:
        parts: Names of the parts taken whole.
        fresh: Names of the parts that the other model does not have, and that start anew.
        n_items: Item vectors taken over by id; 0 where none were asked for.
        n_types: Event types taken over by name.
        experts: Experts whose rows of the gate were taken over.
    """

    parts: tuple[str, ...]
    fresh: tuple[str, ...]
    n_items: int
    n_types: int
    experts: tuple[str, ...]

    def __str__(self) -> str:
        """Say it in one sentence."""
        anew = f"; {', '.join(self.fresh)} start anew" if self.fresh else ""
        return (
            f"took over {', '.join(self.parts)}, {self.n_items:,} item vectors, "
            f"{self.n_types} event types and {len(self.experts)} experts of the gate{anew}."
        )


def start_from(other: Known, new: Known, *, items: bool = False) -> Transferred:
    """Give a new model the weights of another one wherever they mean the same.

    Args:
        other: Trained; left as it is.
        new: Untrained, changed in place.
        items: Take over the vectors of items with the same id too. Ids must mean the same items in
            both logs: rows numbered 1, 2, 3 seldom do.

    Raises:
        ConfigError: the encoders differ; all differences together.
    """
    raise_all(_differences(other.model, new.model), ConfigError)
    source, target = dict(other.model.named_parameters()), dict(new.model.named_parameters())
    whole = [n for n in target if n not in _BY_NAME and not n.startswith(_ANEW)]
    shared = [name for name in whole if name in source]
    with torch.no_grad():
        for name in shared:
            target[name].copy_(source[name])
        new.model.items[:SPECIAL].copy_(other.model.items[:SPECIAL])
        n_items = _take_items(other, new) if items else 0
        n_types = _take_types(other, new)
        experts = _take_gate(other.model, new.model)
    parts = _parts(shared)
    return Transferred(
        parts=tuple(parts),
        fresh=tuple(name for name in _parts(whole) if name not in parts),
        n_items=n_items,
        n_types=n_types,
        experts=experts,
    )


def _differences(other: SequenceModel, new: SequenceModel) -> list[str]:
    """Name everything that keeps the weights of one encoder from meaning the same in another."""
    kinds = type(new.encoder).__name__, type(other.encoder).__name__
    if kinds[0] != kinds[1]:
        return [f"init_from: expected an encoder {kinds[0]}, found {kinds[1]}; use the same one."]
    mine, theirs = new.encoder.config(), other.encoder.config()
    return [
        f"init_from: expected {kinds[0]}({name}={mine.get(name)!r}), found "
        f"{name}={theirs.get(name)!r}; make the new encoder with the other's settings."
        for name in dict.fromkeys([*mine, *theirs])
        if name not in _HARMLESS and mine.get(name) != theirs.get(name)
    ]


def _take_items(other: Known, new: Known) -> int:
    here, there = _shared(
        new.vocabs.items, other.vocabs.items, new.model.n_items, other.model.n_items
    )
    _copy_rows(new.model.items, other.model.items, here + SPECIAL, there + SPECIAL)
    _copy_rows(new.model.bias, other.model.bias, here, there)
    return len(here)


def _take_types(other: Known, new: Known) -> int:
    mine, theirs = new.model.events.types, other.model.events.types
    if mine is None or theirs is None:
        return 0
    mine[:SPECIAL].copy_(theirs[:SPECIAL])
    sizes = len(mine) - SPECIAL, len(theirs) - SPECIAL
    here, there = _shared(new.vocabs.types, other.vocabs.types, *sizes)
    _copy_rows(mine, theirs, here + SPECIAL, there + SPECIAL)
    return len(here)


def _take_gate(other: SequenceModel, new: SequenceModel) -> tuple[str, ...]:
    mine, theirs = new.experts, other.experts
    if mine is None or theirs is None:
        return ()
    names = [name for name in mine.names if name in theirs.names]
    here = torch.tensor([mine.names.index(name) for name in names], dtype=torch.long)
    there = torch.tensor([theirs.names.index(name) for name in names], dtype=torch.long)
    _copy_rows(mine.gate.weight, theirs.gate.weight, here, there)
    _copy_rows(mine.gate.bias, theirs.gate.bias, here, there)
    return tuple(names)


def _shared(mine: Vocab, theirs: Vocab, n_mine: int, n_theirs: int) -> tuple[Tensor, Tensor]:
    """Find the rows of ids that both have weights for, in the new model and in the other."""
    if mine.dtype != theirs.dtype:
        none = torch.empty(0, dtype=torch.long)
        return none, none
    there = torch.tensor(theirs.rows(mine.ids[:n_mine]))  # Polars lends it read-only
    here = torch.nonzero((there >= 0) & (there < n_theirs)).flatten()
    return here, there[here]


def _copy_rows(target: Tensor, source: Tensor, here: Tensor, there: Tensor) -> None:
    taken = source[there.to(source.device)].to(target.device)
    target[here.to(target.device)] = taken


def _parts(names: Sequence[str]) -> list[str]:
    """Name the parts that parameters belong to: ``encoder``, ``output``, ``events.gap``, …"""
    deep = ("events", "experts")
    return list(
        dict.fromkeys(
            ".".join(name.split(".")[: 2 if name.split(".")[0] in deep else 1]) for name in names
        )
    )
