"""The value that a user gives an item."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from recency.data.histories import Ints
from recency.data.tallies import DAY, Doubles, Ledger, Tally, sized, waited
from recency.errors import ConfigError, DataError
from recency.nn.additive import Additive
from recency.nn.head import Floats, Head, Lessons, Settings, check_weight, masked_mean
from recency.nn.tastes import RANK, fit_factors, tastes_before

GUESS = 5.0  # events of no deviation that others' tallies are drawn in by
_SESSIONS = (600.0, DAY, 7 * DAY)
_SEASONS = (7 * DAY, 30 * DAY, 180 * DAY)
_OLDER = 0.6  # of the values: factors are fitted to them while the base is to the rest
_FEWEST = 20  # answers


class RatingHead(Head):
    """Tell the value that a user gives an item: squared error, from biases, tastes and a memory.

        r = mu + s (base(x) + h (v q + w E_i + (W_1 q) (W_2 E_i)))

    with x what user and item gave and got so far, drawn towards 0 by several strengths and over
    several spans, and what the user's values so far say of the item (`recency.nn.tastes`). The base
    is a convex fit to the newest of the training values, with factors of the older ones; what the
    memory adds starts at 0, and is heard as much (h) as was true on the newest slice. Biases as in
    Koren, Bell and Volinsky, Matrix factorization techniques, Computer 42(8), 2009, equation 4, but
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

    n_facts = 20
    n_notes = 3  # what an item got is weighed by what else those gave who gave it

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
        """Make fresh weights; what the memory adds to the base starts at nothing."""
        self.read_output, self.read_item = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.of_output, self.of_item = nn.Linear(dim, 1), nn.Linear(dim, 1, bias=False)
        self.left = nn.Linear(dim, self.rank, bias=False)
        self.right = nn.Linear(dim, self.rank, bias=False)
        for layer in (self.of_output, self.of_item, self.right):
            nn.init.zeros_(layer.weight)
        nn.init.zeros_(self.of_output.bias)
        self.base = Additive(self.n_facts, "value")
        self.register_buffer("factors", torch.zeros(0, RANK))  # as many rows as items were known
        self.register_buffer("heard", torch.ones(()))
        self.factors: Tensor
        self.heard: Tensor
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

    def ground(self, ledger: Ledger, targets: Ints, sources: Ints) -> None:
        """Fit factors to older values and the base to newer ones; see `Head.ground`."""
        if self.base.fitted:
            return
        rated = targets[np.isfinite(self._ratings(ledger)[targets])]
        if not len(rated):
            return
        newer = int(np.quantile(ledger.times[rated], _OLDER))
        notes = self.notes(ledger)
        ledger, wrong = replace(ledger, notes=notes), notes[:, 2]
        # What an item's own factors were fitted to says too much of their worth.
        self._fit_factors(ledger, wrong, newer)
        self.base.learn(self.lessons(ledger, rated[ledger.times[rated] >= newer], sources))
        self._fit_factors(ledger, wrong, ledger.until)

    def _fit_factors(self, ledger: Ledger, wrong: Doubles, until: int) -> None:
        known = np.isfinite(wrong) & (ledger.times < until)
        users, items = ledger.users[known], ledger.items[known]
        found = fit_factors(users, items, wrong[known], ledger.n_items)
        self.factors = torch.from_numpy(found).to(self.mean.device)

    def notes(self, ledger: Ledger) -> Doubles:
        """Note what of a deviation is the user's, what the item's, and what neither explains."""
        users, items, at = ledger.users, ledger.items, ledger.times
        given = self._deviations(ledger)
        own = given - _drawn(Tally(items, at, given).before(items, at), GUESS)
        own = ledger.noted(0, own)
        left = given - _drawn(Tally(users, at, own).before(users, at), GUESS)
        left = ledger.noted(1, left)
        wrong = left - _drawn(Tally(items, at, left).before(items, at), 4.0)
        return np.stack((own, left, ledger.noted(2, wrong)), axis=1)

    def facts(self, ledger: Ledger, users: Ints, items: Ints, at: Ints) -> Floats:
        """Sum deviations of users and of items, ever and lately, and ask the user's taste."""
        notes = self.notes(ledger) if ledger.notes is None else ledger.notes
        own, left, wrong = notes.T
        got = Tally(ledger.items, ledger.times, self._deviations(ledger))
        of_users = Tally(ledger.users, ledger.times, np.stack((own, own**2), axis=1))
        of_items = Tally(ledger.items, ledger.times, left)
        given = (ledger.users, ledger.items, ledger.times, wrong)
        of_user, of_item = of_users.before(users, at), of_items.before(items, at)
        columns = [_drawn(of_user, more) for more in (2.0, 8.0, 30.0)]
        columns += [_drawn(of_item, more) for more in (1.0, 4.0, 16.0)]
        columns += [_drawn(got.before(items, at), 4.0), sized(of_user[0]), sized(of_item[0])]
        for tally, keys, spans in ((of_users, users, _SESSIONS), (of_items, items, _SEASONS)):
            parts = tally.lately(keys, at, spans)
            columns += [_drawn((part[:, 0], part[:, 1:]), GUESS) for part in parts]
        columns.append(np.sqrt(np.maximum(of_user[1][:, 1] + 3, 0.01) / (of_user[0] + 3)))
        columns += [waited(one) for one in (of_users.newest(users, at), of_users.oldest(users, at))]
        columns.append(waited(of_items.oldest(items, at)))
        columns.append(tastes_before(self.factors.cpu().numpy(), given, users, items, at))
        return np.stack(columns, axis=1).astype(np.float32)

    def parts(self, outputs: Tensor, vectors: Tensor, facts: Tensor) -> tuple[Tensor, Tensor]:
        """Give deviations [n] by the base, and what the memory adds [n]."""
        q, item = self.read_output(outputs), self.read_item(vectors)
        linear = (self.of_output(q) + self.of_item(item))[:, 0]
        taste: Tensor = (self.left(q) * self.right(item)).sum(1) / self.rank**0.5
        # Of too few values for a base, biases of the usual strengths are what is known.
        base = self.base(facts) if self.base.fitted else facts[:, 1] + facts[:, 4]
        return base, linear + taste

    def forward(self, outputs: Tensor, vectors: Tensor, facts: Tensor) -> Tensor:
        """Give deviations [n] from the mean, in deviations."""
        base, more = self.parts(outputs, vectors, facts)
        return base + self.heard * more

    def settle(self, outputs: Tensor, vectors: Tensor, facts: Tensor, labels: Tensor) -> bool:
        """Find how much of what the memory adds is true; see `Head.settle`."""
        base, more = self.parts(outputs, vectors, facts)
        true = (more * (labels[:, 0] - base)).sum() + 1
        self.heard.copy_((true / (more.square().sum() + 1)).clamp(0, 2))
        return len(labels) >= _FEWEST

    def _load_from_state_dict(self, state: dict[str, Any], prefix: str, *rest: Any) -> None:
        """Take factors of as many items as were known when they were fitted."""
        if (found := state.get(f"{prefix}factors")) is not None:
            self.factors = torch.zeros_like(found, device=self.mean.device)
        super()._load_from_state_dict(state, prefix, *rest)

    def loss(self, outputs: Tensor, vectors: Tensor, facts: Tensor, labels: Tensor) -> Tensor:
        """Measure the mean squared error in units of the ratings' variance."""
        wrong = (self(outputs, vectors, facts) - labels[:, 0]).square()
        return masked_mean(wrong, torch.ones_like(wrong, dtype=torch.bool))

    def rate(self, outputs: Tensor, vectors: Tensor, facts: Tensor) -> Tensor:
        """Give ratings [n], inside the scale."""
        ratings: Tensor = self.mean + self.deviation * self(outputs, vectors, facts)
        return ratings.clamp(self.bounds[0], self.bounds[1])

    def _deviations(self, ledger: Ledger) -> Doubles:
        return (self._ratings(ledger) - float(self.mean)) / float(self.deviation)

    def _ratings(self, ledger: Ledger) -> Doubles:
        kind = int(self.kind)
        return ledger.values if kind < 0 else np.where(ledger.types == kind, ledger.values, np.nan)


def _drawn(tally: tuple[Doubles, Doubles], more: float) -> Doubles:
    """Give mean deviations [n] from counts and sums, as if so many more had had none."""
    counts, sums = tally
    found: Doubles = sums[:, 0] / (counts + more)
    return found


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
