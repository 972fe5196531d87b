"""Heads: what a model tells beside the next item, from the same memory of a user.

A head reads three things: the encoder's output after the newest event (before `SequenceModel.ask`,
so that the instant of the answer never reaches it), the vector of the item asked about if there is
one, and a few plain counts as of the instant of the question (`recency.data.tallies`). Its base is
what the counts alone say, a convex fit; the memory learns what to add.

A head knows an item by its vector and its tallies. So a new item is answered for at once, and
tables that grow or move row by row need no care here; only ratings keep factors of the items known
when they were fitted, and say nothing by them of others.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from recency.data.histories import Ints
from recency.data.tallies import Doubles, Ledger
from recency.errors import ConfigError

Floats = npt.NDArray[np.float32]
Settings = dict[str, Any]  # JSON


@dataclass(frozen=True)
class Lessons:
    """Hold what a head learns from.

    Attributes:
        keys: [n] ascending places among all events: of the target, or of the event after which is
            asked; see `Head.by`.
        facts: [n, n_facts].
        labels: [n, n_labels].
        at: [n] microseconds, when each is asked.
        items: [n] item rows asked about; None where it is the target's, or none.
    """

    keys: Ints
    facts: Floats
    labels: Floats
    at: Ints
    items: Ints | None = None

    def __len__(self) -> int:
        return len(self.keys)


class Head(nn.Module, ABC):
    """Tell one thing beside the next item.

    Its configuration is what the constructor takes; weights come with `build`, once a fit knows the
    width, and what no gradient teaches with `study`.

    Attributes:
        by: Whether lessons belong to ``"target"`` events, or to any event as a ``"source"``, after
            which is asked.
        whole: Whether all lessons of one key are learned together; else one of them is drawn.
        n_facts: Plain numbers read.
        weight: Of its loss beside the next item's.
        doubt: The logarithm of how far off it is, where weights are learned.
        reach: Seconds after a question until its answer is known.
        n_notes: Numbers noted of each event; see `notes`.
    """

    by: ClassVar[Literal["target", "source"]] = "target"
    whole: ClassVar[bool] = False
    n_facts: ClassVar[int]
    weight: float
    doubt: nn.Parameter | None
    reach: float = 0.0
    n_notes: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        self.register_parameter("doubt", None)

    @property
    @abstractmethod
    def name(self) -> str:
        """Name the head, in messages and folders; two of one name cannot stand in one model."""

    @abstractmethod
    def config(self) -> Settings:
        """Give the constructor's arguments, from which the same head can be made anew."""

    @abstractmethod
    def build(self, dim: int) -> None:
        """Make fresh weights for outputs and item vectors of a width."""

    @abstractmethod
    def study(self, ledger: Ledger, types: Sequence[str]) -> None:
        """Learn from training events what no gradient teaches.

        Args:
            ledger: Training events only.
            types: Names of the event types, by row.

        Raises:
            DataError: the log lacks what the head is to tell, or there is nothing to tell.
        """

    @abstractmethod
    def lessons(self, ledger: Ledger, targets: Ints, sources: Ints) -> Lessons:
        """Write down what is to be learned.

        Args:
            ledger: Everything that may be known.
            targets: [n] places of target events, ascending.
            sources: [n] place of the event after which each is asked for.
        """

    @abstractmethod
    def facts(self, ledger: Ledger, users: Ints, items: Ints, at: Ints) -> Floats:
        """Count what is known strictly before instants: [n, n_facts].

        Args:
            ledger: Holds all events of these users and items, with their notes if the head takes
                any. Later events, and others', may be among them.
            users: [n] user rows.
            items: [n] item rows; -1 where the head asks about none.
            at: [n] microseconds.
        """

    @abstractmethod
    def loss(self, outputs: Tensor, vectors: Tensor, facts: Tensor, labels: Tensor) -> Tensor:
        """Measure mean nats, or squared errors in units of the variance, a scalar.

        Args:
            outputs: [n, dim] after the newest event.
            vectors: [n, dim] of the items asked about.
            facts: [n, n_facts].
            labels: [n, n_labels].
        """

    def notes(self, ledger: Ledger) -> Doubles:
        """Note of each event what everybody's events strictly before it make of it.

        So it never changes while events come in the order of time, and is not counted again with
        every question. A head that counts users and items by themselves takes no notes.

        Args:
            ledger: Holds all events of the users and items whose events have no notes yet.

        Returns:
            [n_events, n_notes]; those that the ledger holds (`Ledger.noted`) are kept.
        """
        return np.empty((len(ledger.users), 0))

    def ground(self, ledger: Ledger, targets: Ints, sources: Ints) -> None:
        """Fit a base of facts to what a stage may know, unless one was fitted; see `lessons`."""

    def settle(self, outputs: Tensor, vectors: Tensor, facts: Tensor, labels: Tensor) -> bool:
        """Calibrate what is told on lessons that were not learned; see `loss` for the arguments.

        Labels have one column more: the seconds from the question to the newest slice, 0 within it.

        Returns:
            Whether there was enough to calibrate on; a head that needs none says yes.
        """
        return True

    def clone(self) -> Self:
        """Make a head of the same configuration, without weights."""
        return type(self)(**self.config())


def check_weight(name: str, weight: float) -> None:
    """Refuse a weight that teaches nothing.

    Raises:
        ConfigError: it is not a number above 0.
    """
    if isinstance(weight, bool) or not 0 < weight < float("inf"):
        raise ConfigError(f"{name}(weight={weight!r}): expected a number above 0.")


def masked_mean(losses: Tensor, kept: Tensor) -> Tensor:
    """Give the mean of the losses kept; 0, with gradients of 0, where none is."""
    zero = torch.zeros_like(losses)
    return torch.where(kept, losses, zero).sum() / kept.sum().clamp(min=1)
