"""Learned features: numbers of items that are made anew as what makes them learns with the model.

They stand in a table like all features (`recency.nn.item_content`). In a step some rows of it are
made with gradients; the others are as they were made last. So the table follows the weights: it is
made anew before each epoch, before each judgement, and when other weights are loaded.
"""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

if TYPE_CHECKING:
    from recency.nn.model import SequenceModel


class LearnedFeatures(nn.Module, ABC):
    """Make some columns of the table of features.

    Its parameters are what learns; they are weights of the model as long as it trains.

    Attributes:
        learning_rate: Highest of these parameters.
        cost: What a training spends on them, in words.
    """

    learning_rate: float
    cost: str

    @abstractmethod
    def begin(self, epoch: int) -> None:
        """Begin an epoch of a stage, 0 the first: it may be one in which nothing learns."""

    @abstractmethod
    def renew(self, features: Tensor) -> None:
        """Bring features [n_items, widths], in place, to what the parameters say now."""

    @abstractmethod
    def study(self, features: Tensor, items: Tensor) -> Tensor | None:
        """Make some rows afresh, and keep them.

        Args:
            features: [n_items, widths]; changed in place.
            items: Rows of items that a step has to do with; those below 0 are none.

        Returns:
            The features with gradients in these rows; None where nothing learns.
        """

    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """Give, as JSON, all that decides what is learned, beside the parameters."""


def learned_features(model: "SequenceModel") -> LearnedFeatures | None:
    """Give what makes features anew in a model; None where they stay as they are."""
    return None if model.described is None else model.described.learned


def renew(model: "SequenceModel", epoch: int | None = None) -> None:
    """Bring a model's features to what its weights say now; and begin an epoch, if one is given."""
    learned = learned_features(model)
    if learned is None or model.described is None:
        return
    model.described.renew()
    if epoch is not None:
        learned.begin(epoch)


def study(model: "SequenceModel", *items: Tensor) -> None:
    """Let features of some of a step's items carry gradients until the next step or `renew`."""
    if learned_features(model) is not None and model.described is not None:
        model.described.study(*items)
