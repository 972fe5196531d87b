"""Item content: what is known of an item beside its events, as part of its vector.

    vector = id row + sum over features f of gate_f(x) W_f x_f       bias = id bias + b x + c

with x_f the numbers of one feature (a text's vector, a picture's, categories) and x all of them.
The vector is read as input and scored as output, so a new item is scored at once, without training:
by its content alone. Identity rows learn faster than content does, and would leave nothing to it;
so in each step of training some items lose their rows, and content alone must do (identity dropout:
Volkovs, Yu and Poutanen, DropoutNet, NeurIPS 2017, section 4.1).

Afterwards the sum is folded into the table of items: serving knows nothing of all this, until a new
item comes.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from recency.errors import ConfigError
from recency.nn.inputs import SPECIAL

if TYPE_CHECKING:
    from recency.nn.model import SequenceModel


class ItemContent(nn.Module):
    """Turn features of items into vectors and biases.

    Args:
        dim: Width of item vectors.
        widths: Numbers of each feature, in the order of the columns that are given later.
    """

    def __init__(self, dim: int, widths: Mapping[str, int]) -> None:
        super().__init__()
        self.widths = dict(widths)
        whole = sum(widths.values())
        self.projections = nn.ModuleList(
            nn.Linear(width, dim, bias=False) for width in widths.values()
        )
        self.gates = nn.Linear(whole, len(widths))
        self.lift = nn.Linear(whole, 1)
        nn.init.zeros_(self.gates.weight)
        nn.init.ones_(self.gates.bias)
        nn.init.zeros_(self.lift.weight)
        nn.init.zeros_(self.lift.bias)
        for width, weight in zip(widths.values(), self.projections.parameters(), strict=True):
            nn.init.normal_(weight, std=(dim * width) ** -0.5)  # as long as id rows are drawn

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Give vectors [n, dim] and biases [n] of items whose features are [n, widths].

        A feature that is not known is a row of zeros, and adds nothing.
        """
        gates = torch.sigmoid(self.gates(features))
        parts = features.split_with_sizes(list(self.widths.values()), dim=1)
        vectors = torch.stack(
            [gates[:, [n]] * project(parts[n]) for n, project in enumerate(self.projections)]
        ).sum(0)
        return vectors, self.lift(features)[:, 0]


class Described(nn.Module):
    """Add content to a model's id rows, and hide some of them in training.

    Args:
        content: Learns with the model.
        features: [n_items, widths] of the model's items.
        hidden: Share of items that lose their id row in each step of training, in [0, 1).

    Raises:
        ConfigError: features are of another width, or ``hidden`` is impossible.
    """

    def __init__(self, content: ItemContent, features: Tensor, hidden: float = 0.2) -> None:
        super().__init__()
        if not 0 <= hidden < 1:
            raise ConfigError(f"hidden: expected a share in [0, 1), found {hidden!r}.")
        if features.ndim != 2 or features.shape[1] != sum(content.widths.values()):
            raise ConfigError(
                f"expected features of {sum(content.widths.values())} numbers an item, found "
                f"{list(features.shape)}."
            )
        self.content, self.hidden = content, hidden
        self._kept: Tensor | None = None  # [n_items, 1] items that have their id in this step
        self.register_buffer("features", features, persistent=False)
        # Items of which nothing is known keep their id: nothing else would be left of them.
        self.register_buffer("known", features.ne(0).any(1), persistent=False)
        self.features: Tensor
        self.known: Tensor

    def draw(self) -> None:
        """Choose the items that lose their id rows until the next call: none, but in training."""
        self._kept = None
        if self.training and self.hidden:
            lost = torch.rand(len(self.known), device=self.known.device) < self.hidden
            self._kept = (~(lost & self.known)).float()[:, None]

    def vectors(self, ids: Tensor) -> Tensor:
        """Give item vectors for id rows, both [special + n_items, dim]."""
        rows, (vectors, _) = ids[SPECIAL:], self.content(self.features)
        return torch.cat((ids[:SPECIAL], vectors + self._shown(rows)))

    def biases(self, ids: Tensor) -> Tensor:
        """Give biases for those of the ids, both [n_items]."""
        found: Tensor = self.content(self.features)[1] + self._shown(ids[:, None])[:, 0]
        return found

    def _shown(self, rows: Tensor) -> Tensor:
        return rows if self._kept is None else rows * self._kept


def describe(
    model: "SequenceModel", content: ItemContent, features: Tensor, hidden: float = 0.2
) -> None:
    """Make a model's item vectors of id rows and content from now on, until `fold`.

    Args:
        model: Its table must be trained as a whole, not row by row.
        content: Learns with the model.
        features: [n_items, widths] of the model's items.
        hidden: See `Described`.

    Raises:
        ConfigError: features are not as many as items, or an argument is impossible.
    """
    if len(features) != model.n_items:
        raise ConfigError(
            f"expected features of the model's {model.n_items} items, found {len(features)} rows."
        )
    model.described = Described(content, features, hidden).to(model.bias.device)


@torch.no_grad()
def fold(model: "SequenceModel") -> None:
    """Keep a model's item vectors and biases as they are now, content included, as id rows."""
    if model.described is not None:
        model.described.eval()
        model.described.draw()  # nothing is hidden in what is kept
        model.items.copy_(model.described.vectors(model.items))
        model.bias.copy_(model.biases)
        model.described = None
