"""Item content: what is known of an item beside its events, as part of its vector.

    vector = id row + m + sum over features f of gate_f(x) W_f x_f       bias = id bias + b x + c

with x_f the numbers of one feature (a text's vector, a picture's, categories) and x all of them.
The vector is read as input and scored as output, so a new item is scored at once, without training:
by its content alone. Identity rows learn faster than content does, and would leave nothing to it;
so in each step of training some items lose their rows, and content alone must do (identity dropout:
Volkovs, Yu and Poutanen, DropoutNet, NeurIPS 2017, section 4.1).

Or ids learn alone, and content follows: the ridge regression that tells best, from what is known
of items, the rows that were learned without it (`follow`). What was learned stays, but for items of
few events, which are drawn towards what their content says.

Afterwards the sum is folded into the table of items: serving knows nothing of all this, until a new
item comes.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from recency.errors import ConfigError
from recency.nn.inputs import SPECIAL
from recency.nn.learned_features import LearnedFeatures

if TYPE_CHECKING:
    from recency.nn.model import SequenceModel

RIDGE = 100.0  # events' worth of zeros that the regression of `follow` starts from
PULL = 3.0  # events that content weighs against an item's own
_OPEN = 20.0  # a gate that lets everything through


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
        self.middle = nn.Parameter(torch.zeros(dim))  # m, of items of which anything is known
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
        known = features.ne(0).any(1, keepdim=True)
        return vectors + self.middle * known, self.lift(features)[:, 0]


class Described(nn.Module):
    """Add content to a model's id rows, and hide some of them in training.

    Args:
        content: Learns with the model.
        features: [n_items, widths] of the model's items.
        hidden: Share of items that lose their id row in each step of training, in [0, 1).
        learned: Makes features anew as it learns with the model; None leaves them as they are.

    Raises:
        ConfigError: features are of another width, or ``hidden`` is impossible.
    """

    def __init__(
        self,
        content: ItemContent,
        features: Tensor,
        hidden: float = 0.2,
        learned: LearnedFeatures | None = None,
    ) -> None:
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
        self._studied: Tensor | None = None  # features of this step, some with gradients
        self.learned = learned
        if learned is not None:
            self.features = features.clone()  # the rows that change are this model's own
            renewed = self.register_load_state_dict_post_hook
            renewed(lambda *_: self.renew())  # type: ignore[no-untyped-call]  # theirs is untyped

    def renew(self) -> None:
        """Bring features to what the weights say now."""
        self._studied = None
        if self.learned is not None:
            self.learned.renew(self.features)

    def read(self, features: Tensor) -> None:
        """Take features [n_items, widths] that nothing makes anew from now on."""
        self._studied = self.learned = None
        self.features.copy_(features)

    def study(self, *items: Tensor) -> None:
        """Let features of some of these items carry gradients, until called again."""
        if self.learned is not None:
            rows = torch.cat([one.flatten().long() for one in items])
            self._studied = self.learned.study(self.features, rows)

    def draw(self) -> None:
        """Choose the items that lose their id rows until the next call: none, but in training."""
        self._kept = None
        if self.training and self.hidden:
            lost = torch.rand(len(self.known), device=self.known.device) < self.hidden
            self._kept = (~(lost & self.known)).float()[:, None]

    def vectors(self, ids: Tensor) -> Tensor:
        """Give item vectors for id rows, both [special + n_items, dim]."""
        rows, (vectors, _) = ids[SPECIAL:], self.content(self._now)
        return torch.cat((ids[:SPECIAL], vectors + self._shown(rows)))

    def biases(self, ids: Tensor) -> Tensor:
        """Give biases for those of the ids, both [n_items]."""
        found: Tensor = self.content(self._now)[1] + self._shown(ids[:, None])[:, 0]
        return found

    @property
    def _now(self) -> Tensor:
        return self.features if self._studied is None else self._studied

    def _shown(self, rows: Tensor) -> Tensor:
        return rows if self._kept is None else rows * self._kept


def describe(
    model: "SequenceModel",
    content: ItemContent,
    features: Tensor,
    hidden: float = 0.2,
    learned: LearnedFeatures | None = None,
) -> None:
    """Make a model's item vectors of id rows and content from now on, until `fold`.

    Args:
        model: Its table must be trained as a whole, not row by row.
        content: Learns with the model.
        features: [n_items, widths] of the model's items.
        hidden, learned: See `Described`.

    Raises:
        ConfigError: features are not as many as items, or an argument is impossible.
    """
    if len(features) != model.n_items:
        raise ConfigError(
            f"expected features of the model's {model.n_items} items, found {len(features)} rows."
        )
    model.described = Described(content, features, hidden, learned).to(model.bias.device)


@torch.no_grad()
def fold(model: "SequenceModel") -> None:
    """Keep a model's item vectors and biases as they are now, content included, as id rows."""
    if model.described is not None:
        model.described.eval()
        model.described.draw()  # nothing is hidden in what is kept
        model.items.copy_(model.described.vectors(model.items))
        model.bias.copy_(model.biases)
        model.described = None


@torch.no_grad()
def follow(model: "SequenceModel", content: ItemContent, features: Tensor, counts: Tensor) -> None:
    """Let content tell rows that a model has learned without it, then draw these towards it.

    The regression weighs an item by its events, so that it follows what is well known; a row of n
    events becomes (n row + `PULL` content) / (n + `PULL`).

    Args:
        model: Trained; its items' rows and biases are changed in place.
        content: Its weights are set.
        features: [n_items, widths] of the model's items.
        counts: [n_items] events of each.
    """
    known = features.ne(0).any(1)
    x = torch.cat((features, torch.ones(len(features), 1)), dim=1)[known].double()
    rows = torch.cat((model.items[SPECIAL:], model.bias[:, None]), dim=1).cpu()
    weighted = x * counts[known, None].double()
    held = torch.full((x.shape[1],), RIDGE, dtype=torch.float64)
    held[-1] = 1e-6  # the mean is not drawn towards zero
    found = torch.linalg.solve(weighted.T @ x + torch.diag(held), weighted.T @ rows[known].double())
    found = found.float()
    content.gates.weight.zero_()
    content.gates.bias.fill_(_OPEN)
    parts = found[:-1].split_with_sizes(list(content.widths.values()))
    for project, part in zip(content.projections, parts, strict=True):
        project.weight.copy_(part[:, :-1].T)  # type: ignore[operator]  # a Linear is no Tensor
    content.middle.copy_(found[-1, :-1])
    content.lift.weight.copy_(found[:-1, -1:].T)
    content.lift.bias.copy_(found[-1, -1:])
    vectors, biases = content(features)
    told = torch.cat((vectors, biases[:, None]), dim=1)
    n = counts[:, None].float()
    drawn = torch.where(known[:, None], (n * rows + PULL * told) / (n + PULL), rows)
    model.items[SPECIAL:] = drawn[:, :-1].to(model.items.device)
    model.bias.copy_(drawn[:, -1])
