"""The splits: what is learned from and what is asked about, on each public log, with checksums.

    python -m benchmarks.accuracy.splits DATA/ml-100k DATA/deskdrop [--write runs/splits]

writes ``splits.json`` beside this file: counts and SHA-256 of each part, and with ``--write`` the
parts themselves as CSV. The data may not be passed on; with the sums anybody who has them can check
that they hold the same. The sum is of the text ``user_id,item_id,microseconds`` with one line an
event, in the order in which models see the events.

Two kinds. ``time``: all cut at one instant, the 0.9 quantile; every later event is asked about.
``last``: the last event of each user is asked about, as papers do; it leaks, for others' later
events are learned from.
"""

import argparse
import hashlib
import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import polars as pl

import recency as rc
from recency.data.log import TIME
from recency.data.splits import leave_last_out
from recency.errors import LeakWarning
from recency.evaluation.settings import Reading, Targets
from recency.units import SECOND

Kind = Literal["time", "last"]

CUT = 0.9
HERE = Path(__file__).parent
_CENTURY = 946_684_800_000_000  # 2000-01-01, where made-up instants end


@dataclass(frozen=True)
class Variant:
    """Say what is asked of one split: what may be recommended, and what counts as a target."""

    repeats: bool
    reading: Reading
    targets: Targets = "event"

    @property
    def key(self) -> str:
        """Name it in files."""
        return f"{'any' if self.repeats else 'new'}-{self.reading}-{self.targets}"


@dataclass(frozen=True)
class Source:
    """Say how one log is read, split and asked about.

    Attributes:
        read: Reads the folder.
        note: What that does to the log, for the protocol's text.
        kinds: Splits that make sense.
        order_only: Its instants are made up: nothing but order may be read from them.
        by_day: Its times are days, and the places of events within a day belong to their user only:
            what others do on the same day must not be known.
        max_len: Newest events that models read at most, under ``last`` (as the papers have it).
        max_targets: Users are drawn up to so many targets; None asks about all.
        baskets: With repeats, the basket is the target.
    """

    read: Callable[[Path], rc.Log]
    note: str = ""
    kinds: tuple[Kind, ...] = ("time",)
    order_only: bool = False
    by_day: bool = False
    max_len: int = 200
    max_targets: int | None = None
    baskets: bool = False


@dataclass(frozen=True)
class Split:
    """Hold one split of one log.

    Attributes:
        data: Name of the log.
        kind: How it is cut.
        source: How the log is read.
        train: What comes before the questions.
        test: What is asked about; ``test.past`` is ``train``.
    """

    data: str
    kind: Kind
    source: Source
    train: rc.Log
    test: rc.Log

    @property
    def variants(self) -> tuple[Variant, ...]:
        """List what is asked."""
        if self.kind == "last":
            return (Variant(repeats=False, reading="misses"),)
        basket: Targets = "basket" if self.source.baskets else "event"
        readings: tuple[Reading, ...] = ("warm", "growing")
        return tuple(
            Variant(repeats, reading, basket if repeats else "event")
            for repeats in (False, True)
            for reading in readings
        )

    @property
    def text(self) -> str:
        """Say how the log was split, for the protocol."""
        source = self.source
        parts = {
            "time": f"time · split at the {CUT} quantile of time",
            "last": f"last · the last event of each user · at most {source.max_len} events read",
        }
        said = [parts[self.kind]] + ([source.note] if source.note else [])
        return " · ".join(said)

    def inner(self) -> "Split":
        """Split training once more, the same way: settings are chosen on it."""
        return _split(self.data, self.kind, self.source, self.train)


def split_of(folder: Path, kind: Kind) -> Split:
    """Read a log and split it.

    Raises:
        SystemExit: that kind of split makes no sense for the log.
    """
    source = SOURCES.get(folder.name, Source(_as_it_is))
    if kind not in source.kinds:
        raise SystemExit(f"{folder.name}: expected one of {', '.join(source.kinds)}, found {kind}.")
    return _split(folder.name, kind, source, source.read(folder))


def checksum(log: rc.Log) -> str:
    """Give the SHA-256 of a log's canonical text."""
    return hashlib.sha256(_text(log).encode()).hexdigest()


def described(split: Split) -> dict[str, object]:
    """Count and sum both parts."""
    parts = {"train": split.train, "test": split.test}
    return {
        "split": split.text,
        **{
            name: {
                "events": part.n_events,
                "users": part.n_users,
                "items": part.n_items,
                "sha256": checksum(part),
            }
            for name, part in parts.items()
        },
    }


def main() -> None:
    """Write counts and sums of all splits of the folders given, and the parts if wanted."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folders", type=Path, nargs="+", help="folders with events.parquet")
    parser.add_argument("--write", type=Path, help="write the parts as CSV into this folder")
    arguments = parser.parse_args()
    path = HERE / "splits.json"
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    for folder in arguments.folders:
        if not (folder / "events.parquet").exists():
            print(f"skipped: there is no {folder / 'events.parquet'}")
            continue
        for kind in SOURCES.get(folder.name, Source(_as_it_is)).kinds:
            split = split_of(folder, kind)
            known.setdefault(folder.name, {})[kind] = described(split)
            if arguments.write:
                place = arguments.write / folder.name / kind
                place.mkdir(parents=True, exist_ok=True)
                (place / "train.csv").write_text(_text(split.train))
                (place / "test.csv").write_text(_text(split.test))
    text = json.dumps(dict(sorted(known.items())), indent=1, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")
    print(path)


def _split(data: str, kind: Kind, source: Source, log: rc.Log) -> Split:
    if kind == "time":
        cut = log.quantile(CUT) // SECOND * SECOND  # not within made-up microseconds
        train, test = log.split_at(cut)
        return Split(data, kind, source, train, test)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LeakWarning)  # known: it is what this kind is
        found = leave_last_out(log)
    return Split(data, kind, source, found.train, found.test)


def _text(log: rc.Log) -> str:
    columns = [pl.col("user_id"), pl.col("item_id"), pl.col("timestamp").to_physical()]
    return log.events.select(columns).write_csv(include_header=False)


def _as_it_is(folder: Path) -> rc.Log:
    return rc.read_log(folder / "events.parquet")


def _purchases(folder: Path) -> rc.Log:
    events = pl.read_parquet(folder / "events.parquet")
    kept = events.filter(pl.col("event_type") == "purchase")
    return rc.read_log(kept.select("user_id", "item_id", "timestamp"))


def _by_position(folder: Path) -> rc.Log:
    """Keep the times, and part equal ones by a microsecond a place, in the published order."""
    events = pl.read_parquet(folder / "events.parquet")
    times = pl.col("timestamp") * 1_000_000 + pl.col("position")
    return rc.Log.from_frame(
        events.select("user_id", "item_id", times.cast(pl.Int64).cast(TIME).alias("timestamp"))
    )


def _order_only(folder: Path) -> rc.Log:
    """Make instants up: places in seconds, counted so that all histories end at one instant.

    The newest slice, on which epochs are judged, then holds the last events of every user.
    """
    events = pl.read_parquet(folder / "events.parquet")
    left = pl.col("position").max().over("user_id") - pl.col("position")
    times = _CENTURY - left.cast(pl.Int64) * 1_000_000
    return rc.Log.from_frame(
        events.select(
            pl.col("user_id", "item_id").cast(pl.Int64), times.cast(TIME).alias("timestamp")
        )
    )


SOURCES = {
    "ml-1m-order": Source(
        _order_only,
        "instants made up, one second a place, all histories ending together: only order is known",
        kinds=("last",),
        order_only=True,
        max_len=200,
    ),
    "amazon-beauty": Source(
        _by_position,
        "events of a day in the published order, a microsecond apart",
        kinds=("time", "last"),
        by_day=True,
        max_len=50,
    ),
    "online-retail": Source(
        _purchases, "purchases only, returns left out of history and targets", baskets=True
    ),
    "globo-news": Source(_as_it_is, max_targets=10_000),
}


if __name__ == "__main__":
    main()
