"""Unpacking: the archive of a public set into a log and a catalogue."""

import shutil
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from recency.data.catalogue import Catalogue
from recency.data.log import Log
from recency.data.public import Layout, Progress, PublicSet, download, public_set
from recency.data.reading import read_items, read_log
from recency.data.reading.tables import ReadingReport
from recency.errors import FormatError

_RATINGS = ("user_id", "item_id", "value", "timestamp")
_CHECKINS = ("user_id", "timestamp", "latitude", "longitude", "item_id")
# MovieLens 100K marks 19 genres with 0 or 1 behind five other fields.
_GENRES = (
    *("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime"),
    *("Documentary", "Drama", "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery"),
    *("Romance", "Sci-Fi", "Thriller", "War", "Western"),
)
_FILES: dict[Layout, tuple[str, str, str]] = {  # ratings, films, separator
    "movielens-tab": ("u.data", "u.item", "\t"),
    "movielens-dat": ("ratings.dat", "movies.dat", "::"),
    "movielens-csv": ("ratings.csv", "movies.csv", ","),
}


@dataclass(frozen=True)
class Prepared:
    """Tell where a public set lies, ready to be read.

    Attributes:
        events: Parquet file with Recency's column names.
        items: Parquet file of the catalogue, None where the set has none.
        n_events: Events written.
        sha256: Checksum of the archive.
        checked_by: What the archive was compared with: ``sha256``, ``md5`` or ``nothing``.
        report: How the ratings were read.
    """

    events: Path
    items: Path | None
    n_events: int
    sha256: str
    checked_by: str
    report: ReadingReport


def prepare(
    name: str,
    folder: str | Path,
    *,
    base_url: str | None = None,
    progress: Progress | None = None,
) -> Prepared:
    """Fetch a public set and write its events and items as Parquet beside the archive.

    Args:
        name: Key of `recency.data.public.PUBLIC_SETS`.
        folder: A folder of the set's name is made in it.
        base_url: A mirror; None is the official address.
        progress: Called with the bytes so far and the bytes in all.

    Raises:
        ConfigError, DataError, FormatError: as `recency.data.public.download`.
        FormatError: the archive lacks a file.
    """
    wanted = public_set(name)
    home = Path(folder) / name
    fetched = download(name, home, base_url=base_url, progress=progress)
    reports: list[ReadingReport] = []
    with tempfile.TemporaryDirectory(dir=home) as desk:
        if wanted.layout == "checkins":
            log = read_log(
                fetched.path,
                format="tsv",
                names=_CHECKINS,
                on_bad="drop",  # some check-ins name no place
                report=reports.append,
            )
            items = None
        else:
            ratings, films = _extract(fetched.path, wanted, Path(desk))
            log = _ratings(ratings, wanted.layout, reports.append)
            items = _films(films, wanted.layout)
        log.write(home / "events.parquet")
        if items is not None:
            items.write(home / "items.parquet")
    return Prepared(
        events=home / "events.parquet",
        items=home / "items.parquet" if items is not None else None,
        n_events=log.n_events,
        sha256=fetched.sha256,
        checked_by=fetched.checked_by,
        report=reports[0],
    )


def _ratings(path: Path, layout: Layout, report: Callable[[ReadingReport], None]) -> Log:
    if layout == "movielens-csv":
        return read_log(path, unit="s", report=report)
    separator = _FILES[layout][2]
    return read_log(
        path, unit="s", format="csv", names=_RATINGS, separator=separator, report=report
    )


def _extract(archive: Path, wanted: PublicSet, desk: Path) -> tuple[Path, Path]:
    """Take the two files that are read out of the archive, under our own names."""
    taken = []
    try:
        with zipfile.ZipFile(archive) as opened:
            for name in _FILES[wanted.layout][:2]:
                with opened.open(f"{wanted.folder}/{name}") as inside:
                    taken.append(desk / name)
                    with taken[-1].open("wb") as outside:
                        shutil.copyfileobj(inside, outside)
    except (zipfile.BadZipFile, KeyError) as error:
        raise FormatError(
            f"{archive} is not the archive expected: {error}. Delete it and fetch it again."
        ) from error
    return taken[0], taken[1]


def _films(path: Path, layout: Layout) -> Catalogue:
    if layout == "movielens-csv":
        films = read_items(path, report=lambda _: None)
        return Catalogue.from_frame(films.frame.with_columns(_without_placeholder()))
    content = path.read_bytes()
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:  # the older sets
        text = content.decode("latin-1")
    between = "|" if layout == "movielens-tab" else "::"
    rows = [line.split(between) for line in text.splitlines() if line]
    frame = pl.DataFrame(
        {
            "item_id": [int(row[0]) for row in rows],
            "title": [row[1] for row in rows],
            "categories": [_genres(row) if layout == "movielens-tab" else row[2] for row in rows],
        }
    )
    return Catalogue.from_frame(frame)


def _genres(row: list[str]) -> str:
    marks = zip(_GENRES, row[-len(_GENRES) :], strict=True)
    return "|".join(genre for genre, mark in marks if mark == "1")


def _without_placeholder() -> pl.Expr:
    real = pl.element() != "(no genres listed)"
    named = pl.col("categories").list.eval(pl.element().filter(real))
    return pl.when(named.list.len() > 0).then(named).alias("categories")
