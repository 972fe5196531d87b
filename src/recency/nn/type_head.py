"""Whether an event is of a type: a click, a purchase, a like."""

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from recency.data.histories import Ints
from recency.data.tallies import Doubles, Ledger, Tally
from recency.errors import ConfigError, DataError
from recency.nn.curve import Curve
from recency.nn.heads import Floats, Head, Lessons, Settings, check_weight
from recency.nn.rating_head import row_of
from recency.units import parse_duration

Calibration = Literal["temperature", "isotonic", "none"]
_WIDTH = 32
_PRIORS = 3  # tallies: of the user, the item and both


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

    n_facts = 9

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
        """Make fresh weights; the head starts as what was counted of the user, alone."""
        self.read_output, self.read_item = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.left, self.right = nn.Linear(dim, _WIDTH), nn.Linear(dim, _WIDTH)
        n_counted = 2 * _PRIORS + 3
        self.counted = nn.Linear(n_counted, 1)
        self.hidden = nn.Linear(3 * _WIDTH + n_counted, 64)
        self.last = nn.Linear(64, 1)
        self.prior = nn.Parameter(torch.full((_PRIORS,), 2.3))
        self.curve = Curve()
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)
        nn.init.zeros_(self.counted.weight)
        nn.init.zeros_(self.counted.bias)
        with torch.no_grad():
            self.counted.weight[0, 0] = 1.0
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
        """Count events and those wanted, of users, items and pairs, and the time since either."""
        wanted = self._wanted(ledger).astype(np.float64)
        pairs, asked = ledger.pairs(ledger.users, ledger.items), ledger.pairs(users, items)
        columns, since = [], []
        for keys, ours in ((ledger.users, users), (ledger.items, items), (pairs, asked)):
            tally = Tally(keys, ledger.times, wanted)
            columns += list(tally.before(ours, at))
            since.append(tally.newest(ours, at))
        columns += [_of_wait(since[0]), _of_wait(since[2]), np.isfinite(since[2]).astype(float)]
        return np.concatenate([c.reshape(len(at), 1) for c in columns], axis=1).astype(np.float32)

    def forward(self, outputs: Tensor, vectors: Tensor, facts: Tensor) -> Tensor:
        """Give logits [n], not yet calibrated."""
        counts, yes = facts[:, 0 : 2 * _PRIORS : 2], facts[:, 1 : 2 * _PRIORS : 2]
        more = torch.exp(self.prior)
        shares = ((yes + more * self.share) / (counts + more)).clamp(1e-5, 1 - 1e-5)
        base = torch.logit(self.share)
        counted = (torch.logit(shares) - base, torch.log1p(counts) / 3, facts[:, 2 * _PRIORS :])
        known = torch.cat(counted, dim=1)
        q, item = self.left(self.read_output(outputs)), self.right(self.read_item(vectors))
        hidden = nn.functional.gelu(self.hidden(torch.cat((q, item, q * item, known), dim=1)))
        logits: Tensor = base + (self.counted(known) + self.last(hidden))[:, 0]
        return logits

    def loss(self, outputs: Tensor, vectors: Tensor, facts: Tensor, labels: Tensor) -> Tensor:
        """Measure the mean cross-entropy in nats."""
        logits = self(outputs, vectors, facts)
        return nn.functional.binary_cross_entropy_with_logits(logits, labels[:, 0])

    def chances(self, outputs: Tensor, vectors: Tensor, facts: Tensor) -> Tensor:
        """Give calibrated probabilities [n]."""
        return torch.sigmoid(self.curve(self(outputs, vectors, facts)))

    def settle(self, outputs: Tensor, vectors: Tensor, facts: Tensor, labels: Tensor) -> bool:
        """Fit the curve; see `Head.settle`."""
        logits = self(outputs, vectors, facts)
        return self.calibration == "none" or self.curve.fit(self.calibration, logits, labels[:, 0])

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


def check_calibration(head: str, calibration: object) -> None:
    """Refuse a calibration that there is none of.

    Raises:
        ConfigError: it is none of the three.
    """
    if calibration not in get_args(Calibration):
        raise ConfigError(
            f"{head}(calibration={calibration!r}): expected 'temperature', 'isotonic' or 'none'."
        )


def _of_wait(seconds: Doubles) -> Doubles:
    """Turn waits into numbers near 1; 0 where nothing was waited for."""
    return np.where(np.isfinite(seconds), (np.log1p(np.nan_to_num(seconds)) - 6) / 6, 0.0)
