"""Whether a user does something within a time: buys next month, comes back this week."""

from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from recency.data.histories import Ints
from recency.data.tallies import (
    DAY,
    YEAR,
    Doubles,
    Ledger,
    Tally,
    rates,
    seasons,
    sized,
    waited,
)
from recency.errors import ConfigError, DataError
from recency.nn.additive import Additive
from recency.nn.curve import Curve
from recency.nn.head import Floats, Head, Lessons, Settings, check_weight
from recency.nn.rating_head import row_of
from recency.nn.type_head import Calibration, check_calibration
from recency.units import format_duration, parse_duration

SPANS = (0.25, 0.5, 1, 2, 3, 6, 12)  # horizons that are looked back on
_YEAR_AGO = 365 * DAY
_STEPS = 4  # questions a horizon
_MOST = 300_000  # lessons
# Facts that tell more together: how often and how much ever; how often in half a horizon, in one
# and in three; how long ago, since when, the mean gap, how overdue, and a year ago.
_MULTIPLIED = (0, 1, 4, 6, 10, 16, 17, 19, 20, 23)


class HorizonHead(Head):
    """Tell how likely a user does an event within a horizon from now: binary cross-entropy.

    It is asked on a grid of instants through the training time, a quarter of the horizon apart, of
    every user who had an event by then: also those who had long been away, as in service. An answer
    is known only where the whole horizon lies in the training time. Beside the memory it reads how
    long ago, how often and since when (recency, frequency and time of Fader, Hardie and Lee,
    Counting your customers the easy way, Marketing Science 24(2), 2005), and, where training saw a
    whole year and a horizon more, the season; of less, a season would be told from a trend by luck.

    Args:
        event_type: What is to be done; None: anything.
        horizon: Seconds, or as ``"30d"``.
        weight: Of its loss.
        calibration: As of `recency.TypeHead`.

    Raises:
        ConfigError: an argument is impossible.
    """

    by: ClassVar[Literal["target", "source"]] = "source"
    n_facts = 2 * 8 + 8 + 7 + 4

    def __init__(
        self,
        event_type: str | None = None,
        horizon: str | float = "30d",
        weight: float = 0.1,
        calibration: Calibration = "temperature",
    ) -> None:
        super().__init__()
        check_weight("HorizonHead", weight)
        check_calibration("HorizonHead", calibration)
        self.event_type, self.horizon = event_type, parse_duration(horizon)
        self.reach = self.horizon
        if self.horizon <= 0:
            raise ConfigError(f"HorizonHead(horizon={horizon!r}): expected more than 0 seconds.")
        self.weight = weight
        self.calibration: Calibration = calibration

    @property
    def name(self) -> str:
        """Name the head."""
        return f"{self.event_type or 'any event'} within {format_duration(self.horizon)}"

    def config(self) -> Settings:
        """Give the constructor's arguments."""
        return {
            "event_type": self.event_type,
            "horizon": self.horizon,
            "weight": self.weight,
            "calibration": self.calibration,
        }

    def build(self, dim: int) -> None:
        """Make fresh weights; what the memory adds to the base starts at nothing."""
        self.read_output = nn.LayerNorm(dim)
        self.hidden = nn.Linear(dim + self.n_facts, 64)
        self.last = nn.Linear(64, 1)
        self.base, self.curve = Additive(self.n_facts, "chance", _MULTIPLIED), Curve()
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)
        self.register_buffer("share", torch.tensor(0.5))
        self.register_buffer("row", torch.tensor(-1))
        self.register_buffer("yearly", torch.tensor(False))
        self.share: Tensor
        self.row: Tensor
        self.yearly: Tensor

    def study(self, ledger: Ledger, types: Sequence[str]) -> None:
        """Find the type, and how often it is done within the horizon; see `Head.study`."""
        if self.event_type is not None:
            self.row.fill_(row_of("HorizonHead", self.event_type, types))
        span = (ledger.until - int(ledger.times.min())) / 1e6
        if span < 2 * self.horizon:
            raise DataError(
                f"HorizonHead(horizon={format_duration(self.horizon)!r}): expected training events "
                f"over two horizons at least, found {format_duration(span)}; ask for a shorter one."
            )
        self.yearly.fill_(span >= YEAR + self.horizon)
        users, at = self._grid(ledger)
        labels = self._came(ledger, users, at)
        share = float(labels.mean()) if len(labels) else 0.0
        if not 0 < share < 1:
            raise DataError(
                f"HorizonHead: expected users of whom some have {self.name} and some have not, "
                f"found {share:.0%} of {len(labels):,} questions; ask for another horizon."
            )
        self.share.fill_(share)

    def lessons(self, ledger: Ledger, targets: Ints, sources: Ints) -> Lessons:
        """Ask on the grid; a lesson belongs to the newest event before its instant."""
        users, at = self._grid(ledger)
        keys = ledger.histories.stops_before(users, at) - 1
        order = np.argsort(keys, kind="stable")
        users, at, keys = users[order], at[order], keys[order]
        facts = self.facts(ledger, users, np.full(len(users), -1), at)
        # One lesson of an event is drawn at a time, and stands for all of them.
        _, place, counts = np.unique(keys, return_inverse=True, return_counts=True)
        labels = np.stack((self._came(ledger, users, at), counts[place]), axis=1)
        return Lessons(keys, facts, labels.astype(np.float32), at)

    def facts(self, ledger: Ledger, users: Ints, items: Ints, at: Ints) -> Floats:
        """Tell how long ago, how often, how much and since when, of all events and those wanted."""
        wanted = self._wanted(ledger)
        every = Tally(ledger.users, ledger.times, wanted.astype(np.float64))
        worth = np.where(np.isfinite(ledger.values), ledger.values, 0.0)
        own = Tally(ledger.users, ledger.times, np.where(wanted, worth, np.nan))
        whole = [np.column_stack(own.before(users, at))]
        whole += own.lately(users, at, [k * self.horizon for k in SPANS])
        columns = [sized(part[:, j]) for part in whole for j in (0, 1)]
        counts, yes = every.before(users, at)
        last, first = own.newest(users, at), own.oldest(users, at)
        gap = np.maximum(first - last, 0) / np.maximum(whole[0][:, 0] - 1, 1)
        overdue = np.where(gap > 0, last / np.maximum(gap, DAY), np.nan)
        columns += [waited(one) for one in (last, first, every.newest(users, at), gap)]
        columns += [sized(np.where(np.isfinite(overdue), overdue, 0.0)), sized(counts - yes[:, 0])]
        columns.append(rates(whole[0][:, 0], first / self.horizon, 0.5, 2.0))
        year = at - round(_YEAR_AGO * 1e6)  # many shops live by the calendar
        ahead = round(self.horizon * 1e6)
        columns.append(sized(own.before(users, year + ahead)[0] - own.before(users, year)[0]))
        columns += _together(columns)
        columns += [float(self.yearly) * one for one in seasons(at)]
        return np.nan_to_num(np.stack(columns, axis=1)).astype(np.float32)

    def parts(self, outputs: Tensor, facts: Tensor) -> tuple[Tensor, Tensor]:
        """Give logits [n] of the base, and what the memory adds [n]."""
        read = torch.cat((self.read_output(outputs), self.base.standard(facts)), dim=1)
        said = self.base(facts) if self.base.fitted else torch.logit(self.share).expand(len(facts))
        return said, self.last(nn.functional.gelu(self.hidden(read)))[:, 0]

    def ground(self, ledger: Ledger, targets: Ints, sources: Ints) -> None:
        """Fit the base; see `Head.ground`."""
        if not self.base.fitted:
            self.base.learn(self.lessons(ledger, targets, sources))

    def forward(self, outputs: Tensor, facts: Tensor) -> Tensor:
        """Give logits [n], not yet calibrated."""
        base, more = self.parts(outputs, facts)
        return base + self.curve.heard * more

    def loss(self, outputs: Tensor, vectors: Tensor, facts: Tensor, labels: Tensor) -> Tensor:
        """Measure the mean cross-entropy in nats, each lesson for as many as it stands for."""
        came, n = labels.unbind(1)
        nats = nn.functional.binary_cross_entropy_with_logits(
            self(outputs, facts), came, reduction="none"
        )
        return (nats * n).sum() / n.sum()

    def chances(self, outputs: Tensor, facts: Tensor) -> Tensor:
        """Give calibrated probabilities [n]."""
        return torch.sigmoid(self.curve(self(outputs, facts)))

    def settle(self, outputs: Tensor, vectors: Tensor, facts: Tensor, labels: Tensor) -> bool:
        """Fit the curve, and how much the memory is heard; see `Head.settle`."""
        return self.curve.settle(self.calibration, *self.parts(outputs, facts), labels[:, 0])

    def _wanted(self, ledger: Ledger) -> npt.NDArray[np.bool_]:
        row = int(self.row)
        return np.ones(len(ledger.users), bool) if row < 0 else ledger.types == row

    def _grid(self, ledger: Ledger) -> tuple[Ints, Ints]:
        """Give the users [n] and instants [n] that are asked about."""
        step = round(self.horizon * 1e6 / _STEPS)
        last, start = ledger.until - _STEPS * step, int(ledger.times.min())
        n_users = ledger.histories.n_users
        step *= max(1, -(-((last - start) // step * n_users) // _MOST))
        instants = np.arange(last, start, -step)
        users, at = np.tile(np.arange(n_users), len(instants)), np.repeat(instants, n_users)
        known = ledger.histories.stops_before(users, at) > ledger.histories.offsets[users]
        return users[known], at[known]

    def _came(self, ledger: Ledger, users: Ints, at: Ints) -> Doubles:
        own = Tally(ledger.users, ledger.times, np.where(self._wanted(ledger), 1.0, np.nan))
        end = at + round(self.horizon * 1e6)
        return (own.before(users, end)[0] > own.before(users, at)[0]).astype(np.float64)


def _together(columns: list[Doubles]) -> list[Doubles]:
    """Multiply what tells more together: how often, how long ago and since when."""
    n, worth, last, first = columns[0], columns[1], columns[16], columns[17]
    each = worth - n  # the logarithm of what one is worth
    often = [n, columns[8], columns[12], each]  # ever, in two horizons, in six; and worth
    return [*(one * last for one in often), n * first, last * first, each]
