"""The event log: who did what, when.

A `Log` is an immutable table of events, sorted by time. Equal times keep the order in which they
came, never an order by id: sorting ties by id lets a model learn "the next id is larger".
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from recency.errors import DataError, raise_all
from recency.units import Instant, format_instant, parse_instant

TIME = pl.Datetime("us", "UTC")
REQUIRED = ("user_id", "item_id", "timestamp")
OPTIONAL: dict[str, type[pl.DataType]] = {
    "event_type": pl.String,
    "value": pl.Float64,
    "session_id": pl.String,
    "domain": pl.String,
    "event_id": pl.String,
}


@dataclass(frozen=True)
class Log:
    """Hold events sorted by time.

    Attributes:
        events: Columns ``user_id`` and ``item_id`` (Int64 or String), ``timestamp`` (Datetime in
            microseconds, UTC), and those of ``event_type``, ``value``, ``session_id``, ``domain``,
            ``event_id`` and context that the source has.
        past: Everything before this log where it was cut off from a longer one, else None.
    """

    events: pl.DataFrame
    past: "Log | None" = None

    @classmethod
    def from_frame(cls, frame: pl.DataFrame, past: "Log | None" = None) -> "Log":
        """Check a frame with Recency's column names and sort it by time, keeping the order of ties.

        Use `recency.read_log` for files and for frames with other column names.

        Raises:
            DataError: a column is missing, of a wrong type, or has nulls; all faults together.
        """
        raise_all(_faults(frame), DataError)
        kinds: dict[str, pl.DataType | type[pl.DataType]] = {"timestamp": TIME, **OPTIONAL}
        events = frame.cast({name: kinds[name] for name in kinds if name in frame.columns})
        if not events["timestamp"].is_sorted():
            events = events.sort("timestamp", maintain_order=True)
        return cls(events, past)

    def __len__(self) -> int:
        return self.events.height

    @property
    def n_events(self) -> int:
        """Count the events."""
        return self.events.height

    @cached_property
    def n_users(self) -> int:
        """Count the different users."""
        return self.events["user_id"].n_unique()

    @cached_property
    def n_items(self) -> int:
        """Count the different items."""
        return self.events["item_id"].n_unique()

    @cached_property
    def times(self) -> npt.NDArray[np.int64]:
        """Give the times of all events, microseconds since 1970 UTC, ascending."""
        return self.events["timestamp"].to_physical().to_numpy()

    @property
    def start(self) -> int:
        """Give the first event's instant in microseconds."""
        self._require_events("start")
        return int(self.times[0])

    @property
    def end(self) -> int:
        """Give the instant just after the last event in microseconds (the span is half-open)."""
        self._require_events("end")
        return int(self.times[-1]) + 1

    def has(self, column: str) -> bool:
        """Tell whether the log has a column."""
        return column in self.events.columns

    def before(self, at: Instant) -> "Log":
        """Keep the events strictly before an instant."""
        return self._slice(0, self._position(at))

    def since(self, at: Instant) -> "Log":
        """Keep the events at or after an instant; `past` holds the rest."""
        position = self._position(at)
        return self._slice(position, self.n_events, past=self._past_before(position))

    def between(self, start: Instant, end: Instant) -> "Log":
        """Keep the events in ``[start, end)``; `past` holds those before ``start``."""
        first, last = self._position(start), self._position(end)
        if last < first:
            raise DataError(f"expected start before end, found start {start!r} and end {end!r}.")
        return self._slice(first, last, past=self._past_before(first))

    def quantile(self, q: float) -> int:
        """Give the instant of the event at quantile ``q`` of the log's order, in microseconds.

        Args:
            q: Share of the events in [0, 1].
        """
        self._require_events("quantile")
        if not 0 <= q <= 1:
            raise DataError(f"expected a quantile between 0 and 1, found {q}.")
        return int(self.times[min(int(q * self.n_events), self.n_events - 1)])

    def split_at(self, *cuts: Instant) -> tuple["Log", ...]:
        """Split by time: one part before the first cut, one from each cut on.

        An event at a cut belongs to the later part. Each later part knows everything before it as
        ``past``, which is what `recency.evaluate` builds histories from.

        Args:
            cuts: One or several instants, ascending.

        Returns:
            One log more than there are cuts.

        Raises:
            DataError: a cut is out of order, or leaves a part without events.
        """
        instants = [parse_instant(cut) for cut in cuts]
        raise_all(self._cut_faults(instants), DataError)
        borders = [0, *(int(p) for p in np.searchsorted(self.times, instants)), self.n_events]
        return tuple(
            self._slice(a, b, past=self._past_before(a) if a else self.past)
            for a, b in zip(borders, borders[1:], strict=False)
        )

    def write(self, path: str | Path) -> None:
        """Write the events as a Parquet file."""
        self.events.write_parquet(path, compression="zstd")

    def _position(self, at: Instant) -> int:
        return int(np.searchsorted(self.times, parse_instant(at), side="left"))

    def _slice(self, start: int, stop: int, past: "Log | None" = None) -> "Log":
        return Log(self.events.slice(start, stop - start), past)

    def _past_before(self, position: int) -> "Log":
        """Give everything before a position, what lies before this log included."""
        head = self._slice(0, position)
        if self.past is None:
            return head
        return Log.from_frame(pl.concat((self.past.events, head.events), how="diagonal"))

    def _require_events(self, what: str) -> None:
        if not self.n_events:
            raise DataError(f"an empty log has no {what}; read a log with at least one event.")

    def _cut_faults(self, instants: list[int]) -> list[str]:
        if not self.n_events:
            return ["an empty log cannot be split; read a log with at least one event."]
        if not instants:
            return ["split_at needs at least one cut, such as log.quantile(0.9) or '2026-03-01'."]
        first, last = format_instant(self.start), format_instant(self.end - 1)
        span = f"the log's first event is {first}, its last {last}"
        faults = [
            f"the cut {format_instant(cut)} leaves no event {side}; {span}."
            for cut in instants
            for side, empty in (
                ("before it", cut <= self.start),
                ("at or after it", cut >= self.end),
            )
            if empty
        ]
        for a, b in zip(instants, instants[1:], strict=False):
            if b <= a:
                faults.append(
                    f"cuts must ascend; {format_instant(b)} is not after {format_instant(a)}."
                )
            elif not faults and np.searchsorted(self.times, a) == np.searchsorted(self.times, b):
                faults.append(
                    f"no event lies between the cuts {format_instant(a)} and {format_instant(b)}."
                )
        return faults


def _faults(frame: pl.DataFrame) -> list[str]:
    missing = [name for name in REQUIRED if name not in frame.columns]
    if missing:
        return [
            f"expected columns {', '.join(REQUIRED)}; missing: {', '.join(missing)}; "
            f"found: {', '.join(frame.columns) or 'none'}. Use read_log(columns=...) to name yours."
        ]
    faults = []
    for name in ("user_id", "item_id"):
        if frame[name].dtype not in (pl.Int64, pl.String):
            faults.append(
                f"expected {name} as Int64 or String, found {frame[name].dtype}; "
                f"read_log converts it."
            )
    if not isinstance(frame["timestamp"].dtype, pl.Datetime):
        faults.append(
            f"expected timestamp as Datetime, found {frame['timestamp'].dtype}; "
            f"read_log converts it."
        )
    elif frame["timestamp"].dtype.time_zone is None:
        faults.append("expected timestamp with time zone UTC, found none; read_log converts it.")
    for name in REQUIRED:
        if n_null := frame[name].null_count():
            faults.append(
                f"{name} is null in {n_null:,} of {frame.height:,} rows; "
                f"drop or repair them (read_log(on_bad='drop') drops and counts them)."
            )
    return faults
