"""The value that a user gives an item."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from recency.data.histories import Ints
from recency.data.tallies import Doubles, Ledger, Tally
from recency.errors import ConfigError, DataError
from recency.nn.heads import Floats, Head, Lessons, Settings, check_weight, drawn_in, masked_mean

_FIRST_GUESS = 5.0  # events of no deviation that an item's own are drawn in by, for users' tallies


class RatingHead(Head):
    """Tell the value that a user gives an item: squared error, with biases.

        r = mu + s (a b_u + c b_i + w q + v E_i + (W_1 q) (W_2 E_i))

    with b_u and b_i the mean deviations of user and item so far, drawn towards 0 by as many events
    as are learned; a user's deviations are from what the items had got by then. Koren, Bell and
    Volinsky, Matrix factorization techniques, Computer 42(8), 2009, equation 5, with both biases
    kept up to date by events instead of fitted.

    Args:
        weight: Of its loss.
        scale: Lowest and highest rating; None takes those of the training events. Answers are kept
            inside.
        event_type: Whose values are ratings; None: all values.
        rank: Width of W_1 and W_2.

    Raises:
        ConfigError: an argument is impossible.
    """

    n_facts = 4

    def __init__(
        self,
        weight: float = 0.1,
        scale: Sequence[float] | None = None,
        event_type: str | None = None,
        rank: int = 16,
    ) -> None:
        super().__init__()
        check_weight("RatingHead", weight)
        if scale is not None and not (len(scale) == 2 and scale[0] < scale[1]):
            raise ConfigError(
                f"RatingHead(scale={scale!r}): expected a lowest and a higher number."
            )
        if isinstance(rank, bool) or rank < 1:
            raise ConfigError(f"RatingHead(rank={rank!r}): expected a whole number of at least 1.")
        self.weight, self.event_type, self.rank = weight, event_type, rank
        self.scale = None if scale is None else (float(scale[0]), float(scale[1]))

    @property
    def name(self) -> str:
        """Name the head."""
        return "rating"

    def config(self) -> Settings:
        """Give the constructor's arguments."""
        return {
            "weight": self.weight,
            "scale": None if self.scale is None else list(self.scale),
            "event_type": self.event_type,
            "rank": self.rank,
        }

    def build(self, dim: int) -> None:
        """Make fresh weights; the head starts as its biases alone."""
        self.read_output, self.read_item = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.of_output, self.of_item = nn.Linear(dim, 1), nn.Linear(dim, 1, bias=False)
        self.left = nn.Linear(dim, self.rank, bias=False)
        self.right = nn.Linear(dim, self.rank, bias=False)
        self.counted = nn.Parameter(torch.ones(2))
        self.prior = nn.Parameter(torch.full((2,), 1.6))
        for layer in (self.of_output, self.of_item, self.right):
            nn.init.zeros_(layer.weight)
        nn.init.zeros_(self.of_output.bias)
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("deviation", torch.ones(()))
        self.register_buffer("bounds", torch.zeros(2))
        self.register_buffer("kind", torch.tensor(-1))
        self.mean: Tensor
        self.deviation: Tensor
        self.bounds: Tensor
        self.kind: Tensor

    def study(self, ledger: Ledger, types: Sequence[str]) -> None:
        """Take mean, deviation and scale from the ratings; see `Head.study`."""
        if self.event_type is not None:
            self.kind.fill_(row_of("RatingHead", self.event_type, types))
        ratings = self._ratings(ledger)
        ratings = ratings[np.isfinite(ratings)]
        if not len(ratings):
            raise DataError(
                "RatingHead: expected values to learn from, found none; give the log a column "
                "'value', or name yours with read_log(columns=...)."
            )
        low, high = float(ratings.min()), float(ratings.max())
        if low == high:
            raise DataError(
                f"RatingHead: expected ratings that differ, found {low:g} in all "
                f"{len(ratings):,} events; there is nothing to tell."
            )
        if self.scale is not None and (low < self.scale[0] or high > self.scale[1]):
            off = int(((ratings < self.scale[0]) | (ratings > self.scale[1])).sum())
            raise DataError(
                f"RatingHead(scale={list(self.scale)}): {off:,} of {len(ratings):,} ratings lie "
                f"off the scale, from {low:g} to {high:g}; mend them, or widen the scale."
            )
        self.mean.fill_(float(ratings.mean()))
        self.deviation.fill_(float(ratings.std()))
        self.bounds.copy_(torch.tensor(self.scale or (low, high)))

    def lessons(self, ledger: Ledger, targets: Ints, sources: Ints) -> Lessons:
        """Ask for the rating of each target that has one; see `Head.lessons`."""
        ratings = self._ratings(ledger)[targets]
        rated = np.isfinite(ratings)
        targets, ratings = targets[rated], ratings[rated]
        at = ledger.times[targets]
        facts = self.facts(ledger, ledger.users[targets], ledger.items[targets], at)
        labels = (ratings - float(self.mean)) / float(self.deviation)
        return Lessons(targets, facts, labels.astype(np.float32)[:, None], at)

    def facts(self, ledger: Ledger, users: Ints, items: Ints, at: Ints) -> Floats:
        """Count ratings, and sum their deviations, of users and of items."""
        deviations = (self._ratings(ledger) - float(self.mean)) / float(self.deviation)
        of_items = Tally(ledger.items, ledger.times, deviations)
        own = deviations - _expected(of_items, ledger.items, ledger.times)
        of_users = Tally(ledger.users, ledger.times, own)
        columns = [*of_users.before(users, at), *of_items.before(items, at)]
        return np.concatenate([c.reshape(len(at), 1) for c in columns], axis=1).astype(np.float32)

    def forward(self, outputs: Tensor, vectors: Tensor, facts: Tensor) -> Tensor:
        """Give deviations [n] from the mean, in deviations."""
        n_user, of_user, n_item, of_item = facts.unbind(1)
        q, item = self.read_output(outputs), self.read_item(vectors)
        counted = self.counted[0] * drawn_in((n_user, of_user), self.prior[0])
        counted = counted + self.counted[1] * drawn_in((n_item, of_item), self.prior[1])
        linear = (self.of_output(q) + self.of_item(item))[:, 0]
        taste: Tensor = (self.left(q) * self.right(item)).sum(1) / self.rank**0.5
        found: Tensor = counted + linear + taste
        return found

    def loss(self, outputs: Tensor, vectors: Tensor, facts: Tensor, labels: Tensor) -> Tensor:
        """Measure the mean squared error in units of the ratings' variance."""
        wrong = (self(outputs, vectors, facts) - labels[:, 0]).square()
        return masked_mean(wrong, torch.ones_like(wrong, dtype=torch.bool))

    def rate(self, outputs: Tensor, vectors: Tensor, facts: Tensor) -> Tensor:
        """Give ratings [n], inside the scale."""
        ratings: Tensor = self.mean + self.deviation * self(outputs, vectors, facts)
        return ratings.clamp(self.bounds[0], self.bounds[1])

    def _ratings(self, ledger: Ledger) -> Doubles:
        kind = int(self.kind)
        return ledger.values if kind < 0 else np.where(ledger.types == kind, ledger.values, np.nan)


def _expected(tally: Tally, keys: Ints, at: Ints) -> Doubles:
    counts, sums = tally.before(keys, at)
    return sums[:, 0] / (counts + _FIRST_GUESS)


def row_of(head: str, event_type: str, types: Sequence[str]) -> int:
    """Give the row of an event type.

    Raises:
        DataError: the training events have none of it.
    """
    if event_type not in types:
        found = ", ".join(map(repr, types)) or "no event types"
        raise DataError(
            f"{head}: expected events of type {event_type!r}, found {found}; a head learns from "
            f"events of its type, such as impressions for clicks."
        )
    return list(types).index(event_type)
