"""Whether an event is of a type: a click, a purchase, a like."""

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from recency.data.histories import Ints
from recency.data.tallies import (
    DAY,
    HOUR,
    Doubles,
    Ledger,
    Tally,
    clocks,
    rates,
    sized,
    waited,
)
from recency.errors import ConfigError, DataError
from recency.nn.additive import Additive
from recency.nn.curve import Curve
from recency.nn.head import Floats, Head, Lessons, Settings, check_weight
from recency.nn.rating_head import row_of
from recency.units import parse_duration

Calibration = Literal["temperature", "isotonic", "none"]
Flags = npt.NDArray[np.bool_]
_WIDTH = 32
_SPANS = (HOUR, DAY, 7 * DAY, 30 * DAY, 90 * DAY)
# Facts that tell more together, of the user and of the item: shares of events and of pairs wanted,
# how much there was, and how long ago.
_MULTIPLIED = (12, 19, 15, 16, 32, 39, 35, 36)
_DRAWN = 10.0  # events asked about that rates are drawn in by


class TypeHead(Head):
    """Tell how likely an event of a user on an item is of a type: binary cross-entropy.

    It learns from logged events only, never from items drawn at random: a probability of what was
    never shown would mean nothing. Without ``given`` the question is which type an event has, given
    that there is one. With it, whether an event of one type (a view, an impression) is followed by
    one of the types wanted, of the same user on the same item, within a time.

    Args:
        event_types: What is wanted: one type, or several of which each will do.
        given: The type of event asked about; None: every event.
        within: How long the answer may take, where ``given`` is said: seconds, or as ``"7d"``.
        weight: Of its loss.
        calibration: Fitted on the newest slice: ``"temperature"`` (a line through logits),
            ``"isotonic"`` (any rising curve), or ``"none"``.

    Raises:
        ConfigError: an argument is impossible.
    """

    n_facts = 2 * 20 + 7

    def __init__(
        self,
        event_types: str | Sequence[str],
        *,
        given: str | None = None,
        within: str | float = "7d",
        weight: float = 0.1,
        calibration: Calibration = "temperature",
    ) -> None:
        super().__init__()
        check_weight("TypeHead", weight)
        check_calibration("TypeHead", calibration)
        self.event_types = [event_types] if isinstance(event_types, str) else list(event_types)
        if not self.event_types or given in self.event_types:
            raise ConfigError(
                f"TypeHead({self.event_types!r}, given={given!r}): expected at least one type, and "
                f"another one given."
            )
        self.given, self.within, self.weight = given, parse_duration(within), weight
        self.calibration: Calibration = calibration

    @property
    def name(self) -> str:
        """Name the head."""
        given = "" if self.given is None else f" given {self.given}"
        return f"type {'|'.join(self.event_types)}{given}"

    def config(self) -> Settings:
        """Give the constructor's arguments."""
        return {
            "event_types": self.event_types,
            "given": self.given,
            "within": self.within,
            "weight": self.weight,
            "calibration": self.calibration,
        }

    def build(self, dim: int) -> None:
        """Make fresh weights; what the memory adds to the base starts at nothing."""
        self.read_output, self.read_item = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.left, self.right = nn.Linear(dim, _WIDTH), nn.Linear(dim, _WIDTH)
        self.hidden = nn.Linear(3 * _WIDTH + 1, 64)
        self.last = nn.Linear(64, 1)
        self.base, self.curve = Additive(self.n_facts, "chance", _MULTIPLIED), Curve()
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)
        self.register_buffer("share", torch.tensor(0.5))
        self.register_buffer("rows", torch.full((len(self.event_types),), -1))
        self.register_buffer("given_row", torch.tensor(-1))
        self.share: Tensor
        self.rows: Tensor
        self.given_row: Tensor

    def study(self, ledger: Ledger, types: Sequence[str]) -> None:
        """Find the types, and how often the answer is yes; see `Head.study`."""
        rows = [row_of("TypeHead", one, types) for one in self.event_types]
        self.rows.copy_(torch.tensor(rows))
        if self.given is not None:
            self.given_row.fill_(row_of("TypeHead", self.given, types))
        asked = np.flatnonzero(np.isfinite(labels := self._labels(ledger)))
        share = float(labels[asked].mean()) if len(asked) else 0.0
        if not 0 < share < 1:
            of = "events" if self.given is None else f"events of type {self.given!r}"
            raise DataError(
                f"TypeHead({self.name[5:]!r}): expected {of} of which some are and some are not "
                f"followed by it or of it, found {share:.0%} of {len(asked):,}; log what was shown "
                f"and not taken too, such as impressions."
            )
        self.share.fill_(share)

    def lessons(self, ledger: Ledger, targets: Ints, sources: Ints) -> Lessons:
        """Ask about each target of the type given; see `Head.lessons`."""
        labels = self._labels(ledger)[targets]
        asked = np.isfinite(labels)
        targets, labels = targets[asked], labels[asked]
        at = ledger.times[targets]
        facts = self.facts(ledger, ledger.users[targets], ledger.items[targets], at)
        return Lessons(targets, facts, labels.astype(np.float32)[:, None], at)

    def facts(self, ledger: Ledger, users: Ints, items: Ints, at: Ints) -> Floats:
        """Count what was asked about and what was wanted, lately and ever, and the times since.

        Events are counted, and pairs of a user and an item: see `_of_pairs`.
        """
        wanted = self._wanted(ledger)
        asked = ledger.types == int(self.given_row) if self.given is not None else ~wanted
        amounts = np.stack((asked, wanted), axis=1).astype(np.float64)
        columns = []
        pairs, ours = ledger.pairs(ledger.users, ledger.items), ledger.pairs(users, items)
        met, won = _of_pairs(pairs, ledger.times, asked if self.given else None, wanted)
        for keys, who in ((ledger.users, users), (ledger.items, items)):
            columns += self._of_one(ledger, keys, who, at, amounts)
            n_met, n_won = (
                Tally(keys[part], ledger.times[part], np.ones(part.sum())).before(who, at)[0]
                for part in (met & np.isin(keys, who), won & np.isin(keys, who))
            )
            columns.append(rates(n_won, n_met, float(self.share), _DRAWN))
        mine = np.isin(ledger.users, users)
        of_pair = Tally(pairs[mine], ledger.times[mine], amounts[mine])
        counts, sums = of_pair.before(ours, at)
        columns += [sized(counts), sized(sums[:, 1]), waited(of_pair.newest(ours, at))]
        columns += clocks(at)
        return np.stack(columns, axis=1).astype(np.float32)

    def _of_one(
        self, ledger: Ledger, keys: Ints, who: Ints, at: Ints, amounts: Doubles
    ) -> list[Doubles]:
        """Describe users, or items: see `facts`."""
        theirs = np.isin(keys, who)
        keys, times, amounts = keys[theirs], ledger.times[theirs], amounts[theirs]
        tally = Tally(keys, times, amounts)
        own = Tally(keys, times, np.where(amounts[:, 1] > 0, 1.0, np.nan))
        counts, sums = tally.before(who, at)
        parts = [np.column_stack((counts, sums)), *tally.lately(who, at, _SPANS)]
        columns = [sized(part[:, j]) for part in parts for j in (1, 2)]
        share = float(self.share)
        for part in (parts[0], parts[3], parts[4]):  # ever, in seven days and in thirty
            n = part[:, 1] + (part[:, 2] if self.given is None else 0)
            columns.append(rates(part[:, 2], n, share, _DRAWN))
        waits = (tally.newest(who, at), own.newest(who, at), tally.oldest(who, at))
        return [*columns, sized(counts), *(waited(one) for one in waits)]

    def parts(self, outputs: Tensor, vectors: Tensor, facts: Tensor) -> tuple[Tensor, Tensor]:
        """Give logits [n] of the base, and what the memory adds [n]."""
        said = self.base(facts) if self.base.fitted else torch.logit(self.share).expand(len(facts))
        q, item = self.left(self.read_output(outputs)), self.right(self.read_item(vectors))
        # Of facts it reads the base's answer alone: small logs would be learned by heart.
        known = torch.cat((q, item, q * item, said[:, None]), dim=1)
        return said, self.last(nn.functional.gelu(self.hidden(known)))[:, 0]

    def ground(self, ledger: Ledger, targets: Ints, sources: Ints) -> None:
        """Fit the base; see `Head.ground`."""
        if not self.base.fitted:
            self.base.learn(self.lessons(ledger, targets, sources))

    def forward(self, outputs: Tensor, vectors: Tensor, facts: Tensor) -> Tensor:
        """Give logits [n], not yet calibrated."""
        base, more = self.parts(outputs, vectors, facts)
        return base + self.curve.heard * more

    def loss(self, outputs: Tensor, vectors: Tensor, facts: Tensor, labels: Tensor) -> Tensor:
        """Measure the mean cross-entropy in nats."""
        logits = self(outputs, vectors, facts)
        return nn.functional.binary_cross_entropy_with_logits(logits, labels[:, 0])

    def chances(self, outputs: Tensor, vectors: Tensor, facts: Tensor) -> Tensor:
        """Give calibrated probabilities [n]."""
        return torch.sigmoid(self.curve(self(outputs, vectors, facts)))

    def settle(self, outputs: Tensor, vectors: Tensor, facts: Tensor, labels: Tensor) -> bool:
        """Fit the curve, and how much the memory is heard; see `Head.settle`."""
        parts = self.parts(outputs, vectors, facts)
        return self.curve.settle(self.calibration, *parts, labels[:, 0])

    def _wanted(self, ledger: Ledger) -> npt.NDArray[np.bool_]:
        return np.isin(ledger.types, self.rows.cpu().numpy())

    def _labels(self, ledger: Ledger) -> Doubles:
        """Give 1, 0, or NaN where nothing is asked or nobody knows yet, for every event."""
        wanted = self._wanted(ledger)
        if self.given is None:
            return np.where(ledger.types < 0, np.nan, wanted.astype(np.float64))
        end = ledger.times + round(self.within * 1e6)
        pairs = ledger.pairs(ledger.users, ledger.items)
        tally = Tally(pairs, ledger.times, np.where(wanted, 1.0, np.nan))
        came = tally.before(pairs, end)[0] > tally.before(pairs, ledger.times)[0]
        asked = (ledger.types == int(self.given_row)) & (end <= ledger.until)
        return np.where(asked, came.astype(np.float64), np.nan)


def _of_pairs(pairs: Ints, times: Ints, asked: Flags | None, wanted: Flags) -> tuple[Flags, Flags]:
    """Mark where pairs of a user and an item began, and where each came to what is wanted.

    Who looks at a thing ten times and likes it once has liked it: of each pair the first event
    asked about counts (None: the first of all), and the first one wanted that is not older.

    Args:
        pairs: [n] keys.
        times: [n] microseconds.
        asked: [n] whether an event is asked about.
        wanted: [n] whether it is wanted.

    Returns:
        Two masks [n]; what comes later never changes them.
    """
    met = _firsts(pairs, times, np.ones(len(pairs), bool) if asked is None else asked)
    keys = pairs[met]
    order = np.argsort(keys)
    keys, began = keys[order], times[met][order]
    if not len(keys):
        return met, met
    place = np.minimum(np.searchsorted(keys, pairs), len(keys) - 1)
    after = (keys[place] == pairs) & (times >= began[place])
    return met, _firsts(pairs, times, wanted & after)


def _firsts(keys: Ints, times: Ints, of: Flags) -> Flags:
    """Mark the oldest event of each key among some events."""
    places = np.flatnonzero(of)
    places = places[np.lexsort((times[places], keys[places]))]
    first = np.zeros(len(keys), bool)
    first[places[np.diff(keys[places], prepend=np.iinfo(np.int64).min) != 0]] = True
    return first


def check_calibration(head: str, calibration: object) -> None:
    """Refuse a calibration that there is none of.

    Raises:
        ConfigError: it is none of the three.
    """
    if calibration not in get_args(Calibration):
        raise ConfigError(
            f"{head}(calibration={calibration!r}): expected 'temperature', 'isotonic' or 'none'."
        )
