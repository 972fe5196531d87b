"""Encodings of time: how long ago, and what time of day, week and year.

Absolute times stay int64 until only a phase or a difference is left of them: near today's epoch two
neighbouring float32 seconds lie 128 s apart.
"""

import math
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import torch
from torch import Tensor, nn

from recency.data.histories import NO_GAP
from recency.errors import ConfigError

SHORTEST, LONGEST = 1.0, 5 * 365.25 * 86_400.0  # seconds; gaps beyond are read as these
KNOTS = 32  # neighbours differ by a factor of 1.84
FIRST_YEAR, LAST_YEAR = 1970, 2100  # beyond these years a zone keeps its nearest offset
_MICROSECONDS, _DAY = 1_000_000, 86_400


class GapEncoding(nn.Module):
    """Encode a gap as a learned curve over the logarithm of seconds, one vector a gap.

    The curve is a straight line between neighbouring knots, so near gaps have near encodings and a
    rare gap learns from its neighbours. Two cases have vectors of their own: an event at the same
    instant as the one before (a page sent at once, a basket), and no event before at all.

    Args:
        dim: Width of the encoding.
        knots: Points of the curve between one second and five years.
    """

    def __init__(self, dim: int, knots: int = KNOTS) -> None:
        super().__init__()
        self.knots = knots
        self.table = side_vectors(knots + 2, dim)
        self._step = math.log(LONGEST / SHORTEST) / (knots - 1)

    def forward(self, gaps: Tensor) -> Tensor:
        """Encode gaps [...] in seconds (0: same instant, `NO_GAP`: none) as [..., dim]."""
        return self.weights(gaps) @ self.table

    def weights(self, gaps: Tensor) -> Tensor:
        """Give each table row's share [..., knots + 2]: the curve's knots, same instant, no gap.

        A matrix product with these shares is faster than gathering rows: gathering would have to
        add its gradients back row by row.
        """
        place = torch.log(gaps.clamp(SHORTEST, LONGEST) / SHORTEST) / self._step
        knots = torch.arange(self.knots, dtype=gaps.dtype, device=gaps.device)
        hats = torch.relu(1 - (place.unsqueeze(-1) - knots).abs())
        same, none = gaps == 0, gaps == NO_GAP
        hats = hats * ~(same | none).unsqueeze(-1)
        flags = torch.stack((same, none), dim=-1).to(gaps.dtype)
        return torch.cat((hats, flags), dim=-1)


class CalendarEncoding(nn.Module):
    """Encode the hour of the day, the weekday and the day of the year in a stated time zone.

    Each cycle is written as sines and cosines of one to three turns, then projected. The year's
    part is off until `show_year`: in less than two years of events, the day of the year only names
    when an event was seen.

    Args:
        dim: Width of the encoding.
        time_zone: IANA name such as ``Europe/Berlin``; its clock changes are honoured.

    Raises:
        ConfigError: the time zone is unknown.
    """

    # Turns a cycle: day (24 h, 12 h), week (three, which tell any seven days apart), year.
    turns = (("day", 2), ("week", 3), ("year", 2))
    size = 2 * (2 + 3 + 2)

    def __init__(self, dim: int, time_zone: str = "UTC") -> None:
        super().__init__()
        changes, offsets = zone_table(time_zone)
        self.project = nn.Linear(self.size, dim)
        nn.init.zeros_(self.project.weight)  # see `side_vectors`
        nn.init.zeros_(self.project.bias)
        # Tables follow from the zone's name and are not saved; whether the year counts is.
        self.register_buffer("_changes", torch.tensor(changes, dtype=torch.int64), persistent=False)
        self.register_buffer("_offsets", torch.tensor(offsets, dtype=torch.int64), persistent=False)
        self.register_buffer("_years", torch.tensor(_year_starts()), persistent=False)
        self.register_buffer("year_shown", torch.zeros(()))
        self._changes: Tensor
        self._offsets: Tensor
        self._years: Tensor
        self.year_shown: Tensor

    def forward(self, times: Tensor) -> Tensor:
        """Encode int64 microseconds since 1970 UTC [...] as [..., dim]."""
        encoded: Tensor = self.project(self.features(times))
        return encoded

    def show_year(self, shown: bool) -> None:
        """Let the day of the year count, or not."""
        self.year_shown.fill_(float(shown))

    def tables(self) -> tuple[list[int], list[int], list[int]]:
        """Give what `phases` looks up: the zone's changes, its offsets, and days of new years."""
        return self._changes.tolist(), self._offsets.tolist(), self._years.tolist()

    def features(self, times: Tensor) -> Tensor:
        """Give the sines and cosines [..., 14] of day, week and year, in this order."""
        parts = []
        for (name, turns), share in zip(self.turns, self.phases(times), strict=True):
            for turn in range(1, turns + 1):
                angle = (2 * math.pi * turn) * share
                waves = torch.stack((angle.sin(), angle.cos()), dim=-1)
                parts.append(waves * self.year_shown if name == "year" else waves)
        return torch.cat(parts, dim=-1)

    def phases(self, times: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Give the shares in [0, 1) of the local day, week (from Monday) and year gone by."""
        seconds = torch.div(times, _MICROSECONDS, rounding_mode="floor")
        zone = torch.searchsorted(self._changes, seconds, right=True)
        local = seconds + self._offsets[zone]
        days = torch.div(local, _DAY, rounding_mode="floor")
        second = local - days * _DAY  # of the day
        weekday = (days + 3) % 7  # 1970-01-01 was a Thursday; Monday is 0
        year = (torch.searchsorted(self._years, days, right=True) - 1).clamp(
            0, len(self._years) - 2
        )
        start, end = self._years[year], self._years[year + 1]
        in_year = (days - start).clamp(min=0)
        return (
            second.float() / _DAY,
            (weekday * _DAY + second).float() / (7 * _DAY),
            (in_year.float() + second.float() / _DAY) / (end - start).float(),
        )


def side_vectors(n: int, dim: int) -> nn.Parameter:
    """Draw vectors for what is known of an event beside its item: a tenth of an item's length.

    Drawn as long as items, they would drown them for the first epochs, in which the model then
    learns popularity alone.
    """
    return nn.Parameter(torch.empty(n, dim).normal_(std=0.1 / math.sqrt(dim)))


@lru_cache(maxsize=16)
def zone_table(time_zone: str) -> tuple[list[int], list[int]]:
    """Tabulate a time zone from 1970 to 2100, so that offsets are looked up by the million.

    Args:
        time_zone: IANA name.

    Returns:
        Instants in seconds since 1970 UTC at which the offset changes, ascending; and the offsets
        from UTC in seconds, one more: before the first change, then from each change on.

    Raises:
        ConfigError: the time zone is unknown.
    """
    try:
        zone = ZoneInfo(time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ConfigError(
            f"expected an IANA time zone such as 'UTC' or 'Europe/Berlin', found {time_zone!r}."
        ) from None
    first = _epoch_day(FIRST_YEAR) * _DAY
    last = _epoch_day(LAST_YEAR + 1) * _DAY
    changes: list[int] = []
    offsets = [_offset(zone, first)]
    for day in range(first, last, _DAY):  # changes lie days apart
        if (after := _offset(zone, day + _DAY)) != offsets[-1]:
            changes.append(_change_between(zone, day, day + _DAY))
            offsets.append(after)
    return changes, offsets


def _change_between(zone: ZoneInfo, low: int, high: int) -> int:
    """Find the first second in (low, high] that has the offset of ``high``."""
    new = _offset(zone, high)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _offset(zone, middle) == new else (middle, high)
    return high


def _offset(zone: ZoneInfo, seconds: int) -> int:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    offset = moment.astimezone(zone).utcoffset()
    return 0 if offset is None else int(offset.total_seconds())


def _epoch_day(year: int) -> int:
    return date(year, 1, 1).toordinal() - date(1970, 1, 1).toordinal()


def _year_starts() -> list[int]:
    """Days since 1970 at which the years 1900 to 2201 begin."""
    return [_epoch_day(year) for year in range(1900, 2202)]
