"""The next basket: which items a user takes together, and how many they are."""

import warnings
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from recency.data.histories import Ints
from recency.data.tallies import YEAR, Ledger
from recency.errors import DataError, DataWarning
from recency.nn.additive import Additive
from recency.nn.basket_facts import N_FACTS, SHARE, SIZE, Lines, Sales, Sold, mixed
from recency.nn.basket_lessons import Draws, asked_about, fewer
from recency.nn.curve import Curve
from recency.nn.head import Floats, Head, Lessons, Settings, check_weight
from recency.nn.type_head import Calibration, check_calibration
from recency.units import format_duration, parse_duration

_WIDTH = 32
_GROUND = 60_000  # lessons that the base is fitted to
_AHEAD = 30 * 86_400  # seconds of the year before that a season is told by


class BasketHead(Head):
    """Tell which items a user's next basket holds, each with a probability, and how many.

    A basket is what a user does at one instant, or within a gap. The question is asked as of the
    instant when it begins; all that is of the basket itself is hidden. Each item's part in it is a
    binary question of its own, so that a basket may hold any number:

        logit P(i in basket) = base(counts) + (s v_i·q + l(q)·r(v_i) + c(q) + h(counts))

    The base is an additive model of what the user had before and what others take (a base of counts
    as of the other heads, see `recency.nn.basket_facts`); the memory q and the item's vector v_i,
    and a small network h of what counts say together, add to it, starting at nothing. It learns by
    binary cross-entropy from the items of each basket and a few drawn ones, whose chances to be
    drawn are taken back (`basket_lessons`).
    How many items there will be is the sum of all chances.

    Args:
        gap: How long a basket lasts from its first event: seconds, or as ``"30min"``; 0: all of one
            instant, and nothing else.
        weight: Of its loss.
        calibration: As of `recency.TypeHead`.

    Raises:
        ConfigError: a weight or calibration is impossible.
        DataError: the gap is no duration.
    """

    by: ClassVar = "source"
    whole: ClassVar[bool] = True
    n_facts = N_FACTS

    def __init__(
        self, gap: str | float = 0.0, weight: float = 0.1, calibration: Calibration = "temperature"
    ) -> None:
        super().__init__()
        check_weight("BasketHead", weight)
        check_calibration("BasketHead", calibration)
        self.gap, self.weight = parse_duration(gap), weight
        self.calibration: Calibration = calibration

    @property
    def name(self) -> str:
        """Name the head."""
        return "basket"

    def config(self) -> Settings:
        """Give the constructor's arguments."""
        return {"gap": self.gap, "weight": self.weight, "calibration": self.calibration}

    def build(self, dim: int) -> None:
        """Make fresh weights; what the memory adds to the base starts at nothing."""
        self.read_output, self.read_item = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.left, self.right = nn.Linear(dim, _WIDTH + 1), nn.Linear(dim, _WIDTH)
        self.alike = nn.Parameter(torch.zeros(()))
        self.hidden, self.last = nn.Linear(self.n_facts, _WIDTH), nn.Linear(_WIDTH, 1)
        for one in (self.left, self.last):
            nn.init.zeros_(one.weight)
            nn.init.zeros_(one.bias)
        self.base, self.curve = Additive(self.n_facts, "chance"), Curve()
        self.register_buffer("mean", torch.tensor(1.0))  # lines of a basket
        self.register_buffer("yearly", torch.tensor(False))
        self.mean: Tensor
        self.yearly: Tensor

    def study(self, ledger: Ledger, types: Sequence[str]) -> None:
        """Find how large baskets are; see `Head.study`."""
        lines = Lines(ledger, self.gap, 1.0)
        of = lines.baskets.of[lines.places]
        sizes = np.bincount(of, minlength=len(lines.baskets))[np.unique(of)].astype(np.float64)
        if not (lines.baskets.number > 0).any():
            within = f" or within {format_duration(self.gap)}" if self.gap else ""
            raise DataError(
                f"BasketHead: expected users with two baskets at least, found {len(sizes):,} "
                f"baskets, one a user: all events of a user are at one instant{within}."
            )
        if sizes.max() < 2:
            warnings.warn(
                "BasketHead: no basket of the log holds two items, so each is a basket of its own "
                "and the head tells the next item; where visits are what is meant, say how long "
                "one lasts, such as BasketHead(gap='30min').",
                DataWarning,
                stacklevel=2,
            )
        self.mean.fill_(float(sizes.mean()))
        span = (ledger.until - int(ledger.times.min())) / 1e6
        self.yearly.fill_(span >= YEAR + _AHEAD)

    def lines(self, ledger: Ledger) -> Lines:
        """Count the lines of baskets of a ledger's users."""
        return Lines(ledger, self.gap, float(self.mean))

    def lessons(self, ledger: Ledger, targets: Ints, sources: Ints) -> Lessons:
        """Ask about the basket after each source: what it held, and drawn items that it did not.

        Labels are whether it held the item, and -log r.
        """
        lines = self.lines(ledger)
        baskets = asked_about(ledger, lines, sources, self.gap)
        return self._written(ledger, lines, fewer(ledger, lines, baskets))

    def _written(self, ledger: Ledger, lines: Lines, baskets: Ints) -> Lessons:
        rng = np.random.default_rng((11, len(baskets)))
        draws = Draws.of(ledger, lines, baskets, rng)
        facts = self._facts(ledger, lines, draws.users, draws.items, draws.at)
        labels = np.stack((draws.held, -draws.log_r), axis=1)
        return Lessons(draws.keys, facts, labels.astype(np.float32), draws.at, draws.items)

    def facts(self, ledger: Ledger, users: Ints, items: Ints, at: Ints) -> Floats:
        """Count what the user had and what others take; see `recency.nn.basket_facts`."""
        return self._facts(ledger, self.lines(ledger), users, items, at)

    def _facts(self, ledger: Ledger, lines: Lines, users: Ints, items: Ints, at: Ints) -> Floats:
        sales = Sales([Sold.of(ledger.items, ledger.times)])
        things = sales.things(items, at, yearly=bool(self.yearly))
        found = mixed(lines.people(users, at), things, lines.pairs(users, items, at))
        return found.astype(np.float32)

    def ground(self, ledger: Ledger, targets: Ints, sources: Ints) -> None:
        """Fit the base; see `Head.ground`."""
        if self.base.fitted:
            return
        lines = self.lines(ledger)
        baskets = asked_about(ledger, lines, sources, self.gap)
        lessons = self._written(ledger, lines, fewer(ledger, lines, baskets, _GROUND))
        facts = torch.from_numpy(lessons.facts).to(self.mean.device)
        held, beside = torch.from_numpy(lessons.labels).unbind(1)
        self.base.fit(facts, held, lessons.at, beside.double().numpy())

    def by_counts(self, facts: Tensor) -> Tensor:
        """Give logits [n] by counts alone."""
        if not self.base.fitted:
            return facts[:, SHARE] + facts[:, SIZE]  # the item's share, of so many
        found: Tensor = self.base(facts)
        return found

    def wanted(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """Read memories [n, dim]: what is compared with items, [n, width], and added for all, [n].

        Memories of nobody, and vectors of items without weights, are zeros and say nothing.
        """
        read = self.left(self.read_output(outputs)) * _there(outputs)
        return torch.cat((self.alike * outputs, read[:, 1:]), dim=1), read[:, 0]

    def offered(self, vectors: Tensor) -> Tensor:
        """Read item vectors [m, dim] as what is compared with memories, [m, width]."""
        read = self.right(self.read_item(vectors)) / _WIDTH**0.5
        return torch.cat((vectors, read * _there(vectors)), dim=1)

    def together(self, facts: Tensor) -> Tensor:
        """Give what facts say together beyond each alone, [n]."""
        hidden = nn.functional.gelu(self.hidden(self.base.standard(facts)))
        found: Tensor = self.last(hidden)[:, 0]
        return found

    def parts(self, outputs: Tensor, vectors: Tensor, facts: Tensor) -> tuple[Tensor, Tensor]:
        """Give logits [n] of the base, and what the memory adds [n]."""
        compared, more = self.wanted(outputs)
        more = more + (compared * self.offered(vectors)).sum(1) + self.together(facts)
        return self.by_counts(facts), more

    def loss(self, outputs: Tensor, vectors: Tensor, facts: Tensor, labels: Tensor) -> Tensor:
        """Measure the mean cross-entropy in nats, as of what was drawn."""
        held, beside = labels.unbind(1)
        base, more = self.parts(outputs, vectors, facts)
        logits = base + self.curve.heard * more + beside
        return nn.functional.binary_cross_entropy_with_logits(logits, held)

    def chances(self, base: Tensor, more: Tensor) -> Tensor:
        """Give calibrated probabilities [n] for the logits of the base and what is added."""
        return torch.sigmoid(self.curve(base + self.curve.heard * more))

    def settle(self, outputs: Tensor, vectors: Tensor, facts: Tensor, labels: Tensor) -> bool:
        """Fit the curve, and how much the memory is heard; see `Head.settle`.

        A drawn item stands for as many as were not drawn.
        """
        held, beside = labels[:, :2].unbind(1)
        counts = torch.where(held > 0, torch.ones_like(held), beside.exp())
        parts = self.parts(outputs, vectors, facts)
        return self.curve.settle(self.calibration, *parts, held, counts)


def _there(rows: Tensor) -> Tensor:
    """Give 1 for each row [n, dim] that holds anything, else 0: [n, 1]."""
    return (rows != 0).any(1, keepdim=True).to(rows.dtype)
