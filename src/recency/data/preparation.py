"""Preparation: a file of events turned once into the arrays that training maps.

The file is read twice, block by block. The first pass gives rows to users, items and types and
counts each user's events; the second writes events into buckets, each of the users of some million
events. Then bucket after bucket is sorted and appended to the arrays. Memory holds one block or one
bucket, and the vocabularies; the rest is on disk. The result is what `Histories.build` makes of the
same log, event by event, whatever the order of the file: rows follow the first appearance in time.

Everything is written into a draft inside the folder. A preparation that was stopped leaves a draft,
which nobody reads and the next preparation removes; it then starts from the beginning.
"""

import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from recency.data.histories import Ints, stable_order
from recency.data.intake import Vocabs
from recency.data.prepared import (
    DRAFT,
    MANIFEST,
    Facts,
    Prepared,
    fingerprint,
    publish,
    read_prepared,
    source_change,
)
from recency.data.reading.blocks import EventBlocks, Reading
from recency.data.reading.logs import Report
from recency.data.reading.tables import tell
from recency.data.vocab import Vocab
from recency.errors import ConfigError, DataError, FormatError

BUCKET = 4_000_000  # events sorted at once
_CELLS = {"item": "i4", "time": "i8", "type": "i2", "value": "f4"}
_ARRAY_OF = {"item": "items", "time": "times", "type": "types", "value": "values"}
_COLUMN_OF = {"type": "event_type", "value": "value"}
_NEVER = np.iinfo(np.int64).max
Progress = Callable[[str, float], None]  # told which of `STAGES`, and the share of it that is done
STAGES = ("Giving rows to users and items", "Writing events", "Sorting events")


def prepare(
    source: str | Path,
    folder: str | Path,
    reading: Reading | None = None,
    *,
    report: Report | None = None,
    progress: Progress | None = None,
) -> Prepared:
    """Prepare a file of events for training; do nothing where that was done already.

    Args:
        source: File or folder that `recency.read_log` reads. Parquet and Arrow files may be larger
            than memory; others are read at once.
        folder: Where the arrays shall be; an older prepared log there is replaced.
        reading: How the file is read.
        report: Called with the `ReadingReport`.
        progress: Called now and then with the name of a stage and the share of it that is done.

    Returns:
        The prepared log.

    Raises:
        DataError: the file cannot be read, or has no usable event.
        FormatError: the folder holds something else.
        ConfigError: the folder lies inside the log's own.
        OSError: the disk is full; nothing is left behind, and what was there before stays.
    """
    source, folder = Path(source).expanduser(), Path(folder).expanduser()
    reading = Reading() if reading is None else reading
    if done := _done(source, folder, reading):
        return done
    _refuse_foreign(folder, source)
    blocks = EventBlocks(source, reading)
    folder.mkdir(parents=True, exist_ok=True)
    draft, buckets = folder / DRAFT, folder / f"{DRAFT}-buckets"
    try:
        for one in (draft, buckets):
            shutil.rmtree(one, ignore_errors=True)
            one.mkdir()
        before = fingerprint(source)
        facts = _written(blocks, draft, buckets, progress or _silent)
        if change := source_change(before):
            raise DataError(f"{source} was changed while it was read ({change}); try again.")
        publish(draft, folder, {**facts, "source": before, "reading": reading.facts()})
    finally:
        for one in (draft, buckets):
            shutil.rmtree(one, ignore_errors=True)
        with suppress(OSError):
            folder.rmdir()  # where nothing came of it
    assert blocks.report is not None
    tell(blocks.report, report)
    return read_prepared(folder, verify=False)


def _done(source: Path, folder: Path, reading: Reading) -> Prepared | None:
    """Give what lies in a folder already, if it is whole and of this log, read this way."""
    if not (folder / MANIFEST).is_file():
        return None
    try:
        found = read_prepared(folder)
    except (FormatError, DataError):
        return None
    known = found.facts["source"]["path"] == str(source.resolve()) and source.exists()
    return found if known and found.facts["reading"] == reading.facts() else None


def _refuse_foreign(folder: Path, source: Path) -> None:
    if source.is_dir() and folder.resolve().is_relative_to(source.resolve()):
        raise ConfigError(
            f"expected a folder outside the log's own, found {folder} in {source}: what is written "
            f"there would be read as a part of the log. Choose another folder."
        )
    if not folder.exists():
        return
    ours = {DRAFT, f"{DRAFT}-buckets"}
    if not folder.is_dir() or (
        any(one.name not in ours for one in folder.iterdir()) and not (folder / MANIFEST).is_file()
    ):
        raise FormatError(
            f"{folder} exists and is no prepared log; nothing was written. Choose another folder."
        )


def _silent(stage: str, share: float) -> None:
    """Tell nobody."""


def _watched(blocks: EventBlocks, stage: str, progress: Progress) -> Iterator[pl.DataFrame]:
    """Give the blocks, and tell how many of them are worked off."""
    done = 0
    for block in blocks:
        yield block
        done += block.height
        progress(stage, done / blocks.n_rows)
    progress(stage, 1.0)


# --- first pass ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Survey:
    """Hold what the first pass found: rows of all ids, and the events of each user."""

    vocabs: Vocabs
    counts: Ints
    start: int
    last: int
    in_order: bool
    columns: tuple[str, ...]


class _Finder:
    """Give rows to the ids of one column, in the order of their first appearance in time.

    Args:
        dtype: Of the ids.
        in_order: Events come in the order of time, so that the first to come are the first.
    """

    def __init__(self, dtype: Any, in_order: bool) -> None:
        self._vocab, self._in_order = Vocab(dtype), in_order
        self._counts = np.empty(0, np.int64)
        self._times, self._places = np.empty(0, np.int64), np.empty(0, np.int64)

    def take(self, ids: pl.Series, times: Ints, places: Ints) -> None:
        """Take a block's ids, with the instant of each and its place in the file."""
        rows = self._vocab.extend(ids)
        n = len(self._vocab)
        more = n - len(self._counts)
        self._counts = np.append(self._counts, np.zeros(more, np.int64))
        self._counts += np.bincount(rows, minlength=n)
        if self._in_order:
            return
        self._times = np.append(self._times, np.full(more, _NEVER))
        self._places = np.append(self._places, np.full(more, _NEVER))
        latest_first = np.argsort(times, kind="stable")[::-1]
        firsts = np.full(n, -1)
        firsts[rows[latest_first]] = latest_first  # the last to be written stays: the earliest
        seen = np.flatnonzero(firsts >= 0)
        seen = seen[times[firsts[seen]] < self._times[seen]]
        self._times[seen], self._places[seen] = times[firsts[seen]], places[firsts[seen]]

    def found(self) -> tuple[Vocab, Ints]:
        """Give the vocabulary, and how often each id came."""
        if self._in_order:
            return self._vocab, self._counts
        order = np.lexsort((self._places, self._times))
        return Vocab.from_ids(self._vocab.ids.gather(order)), self._counts[order]


def _surveyed(blocks: EventBlocks, progress: Progress) -> _Survey:
    """Read all blocks once, or twice where the file turns out not to be in the order of time."""
    found = _survey(_watched(blocks, STAGES[0], progress), in_order=True) or _survey(
        _watched(blocks, STAGES[0], progress), in_order=False
    )
    assert found is not None
    return found


def _survey(blocks: Iterable[pl.DataFrame], *, in_order: bool) -> _Survey | None:
    finders: dict[str, _Finder] = {}
    start, last, place = _NEVER, -_NEVER, 0
    columns: tuple[str, ...] = ()
    for block in blocks:
        columns = tuple(block.columns)
        times = block["timestamp"].to_physical().to_numpy()
        if in_order and (times[0] < last or bool((np.diff(times) < 0).any())):
            return None
        places = np.arange(place, place + len(times))
        for name in ("user_id", "item_id", "event_type"):
            if name in columns:
                ids = block[name]
                there = ids.is_not_null().to_numpy()
                finder = finders.setdefault(name, _Finder(ids.dtype, in_order))
                finder.take(ids.drop_nulls(), times[there], places[there])
        start, last = min(start, int(times.min())), max(last, int(times.max()))
        place += len(times)
    if not place:
        raise DataError("no event is left to prepare; expected at least one before `until`.")
    users, counts = finders["user_id"].found()
    items, _ = finders["item_id"].found()
    types = finders["event_type"].found()[0] if "event_type" in finders else Vocab(pl.String)
    return _Survey(Vocabs(users, items, types), counts, start, last, in_order, columns)


# --- second pass ---------------------------------------------------------------------------------


def _written(blocks: EventBlocks, draft: Path, buckets: Path, progress: Progress) -> Facts:
    """Write vocabularies and arrays into a draft, and give the facts of the manifest."""
    survey = _surveyed(blocks, progress)
    offsets = np.append(0, np.cumsum(survey.counts))
    borders = _borders(offsets)
    _scatter(_watched(blocks, STAGES[1], progress), survey, borders, buckets)
    for name in ("users", "items", "types"):
        vocab: Vocab = getattr(survey.vocabs, name)
        vocab.to_frame().write_parquet(draft / f"{name}.parquet")
    np.save(draft / "offsets.npy", offsets, allow_pickle=False)
    _gather(buckets, survey, int(offsets[-1]), draft, progress)
    return {
        "n_events": int(offsets[-1]),
        "n_users": len(survey.vocabs.users),
        "n_items": len(survey.vocabs.items),
        "n_types": len(survey.vocabs.types),
        "start": survey.start,
        "end": survey.last + 1,
    }


def _borders(offsets: Ints) -> Ints:
    """Part the users into buckets of about `BUCKET` events: the first user of each, and the end."""
    marks = np.arange(0, int(offsets[-1]), BUCKET)
    return np.unique(np.append(np.searchsorted(offsets[:-1], marks), len(offsets) - 1))


def _record(survey: _Survey) -> np.dtype[np.void]:
    """Give the layout of an event in a bucket."""
    kept = [name for name in _CELLS if _COLUMN_OF.get(name, "user_id") in survey.columns]
    return np.dtype([("user", "i4"), *((name, _CELLS[name]) for name in kept)])


def _scatter(blocks: Iterable[pl.DataFrame], survey: _Survey, borders: Ints, buckets: Path) -> None:
    """Append every event to its user's bucket, in the order of the file."""
    for block in blocks:
        users = survey.vocabs.users.rows(block["user_id"])
        order = stable_order(users)
        cells = np.empty(len(order), _record(survey))
        cells["user"] = users[order]
        for name, column in _columns(block, survey):
            cells[name] = column[order]
        cuts = np.searchsorted(cells["user"], borders.astype(np.int32))
        for number, (a, b) in enumerate(zip(cuts, cuts[1:], strict=False)):
            if b > a:
                with (buckets / f"{number}.bin").open("ab") as file:
                    cells[a:b].tofile(file)


def _columns(block: pl.DataFrame, survey: _Survey) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    yield "item", survey.vocabs.items.rows(block["item_id"])
    yield "time", block["timestamp"].to_physical().to_numpy()
    if "event_type" in survey.columns:
        yield "type", survey.vocabs.types.rows(block["event_type"])
    if "value" in survey.columns:
        yield "value", block["value"].fill_null(float("nan")).to_numpy()


def _gather(buckets: Path, survey: _Survey, n_events: int, draft: Path, progress: Progress) -> None:
    """Sort each bucket by user and time, and append its columns to the arrays."""
    record = _record(survey)
    names = [name for name in record.names or () if name != "user"]
    paths = {name: draft / f"{_ARRAY_OF[name]}.npy" for name in names}
    for name, path in paths.items():
        shape = {"descr": record[name].str, "fortran_order": False, "shape": (n_events,)}
        with path.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, shape)
    found = sorted(buckets.iterdir(), key=lambda path: int(path.stem))
    for done, bucket in enumerate(found, start=1):
        cells = np.fromfile(bucket, record)
        bucket.unlink()
        if survey.in_order:
            order = stable_order(cells["user"])
        else:
            order = np.lexsort((cells["time"], cells["user"]))
        for name, path in paths.items():
            with path.open("ab") as file:
                cells[name][order].tofile(file)
        progress(STAGES[2], done / len(found))
