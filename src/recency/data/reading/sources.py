"""Sources: one way to list the columns of a file or frame and to take some of them.

Decisions: Polars does the reading, lazily, and only the columns that are kept are ever held.
Text files are read as text, without guessing types from their first rows, because a guess merges
the ids ``007`` and ``7`` and fails on row 10,001; `recency.data.conversion` decides when it has
seen all values. NDJSON and Parquet name their types and keep them.
"""

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, Literal, get_args

import polars as pl

from recency.data.reading.delimited import scan_delimited
from recency.errors import ConfigError, DataError

Format = Literal["csv", "tsv", "ndjson", "parquet", "arrow", "recbole"]
FORMATS: tuple[Format, ...] = get_args(Format)
SUFFIXES: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".inter": "recbole",
    ".item": "recbole",
    ".user": "recbole",
}
COMPRESSED = (".gz", ".zst")
_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"PAR1", "Parquet"),
    (b"ARROW1", "Arrow"),
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"PK\x03\x04", "zip or Excel"),
)
_SIGNS = {
    "unexpected end of file": "it is cut off: the compressed data end early. Fetch it again.",
    "incomplete frame": "it is cut off: the compressed data end early. Fetch it again.",
    "must end with PAR1": "it is cut off: a Parquet file ends with PAR1. Fetch it again.",
    "out of specification": "its bytes were changed: it is no valid Parquet. Fetch it again.",
    "invalid utf-8": "its text is not UTF-8. Convert it (iconv -f latin1 -t utf8 IN > OUT).",
    "more fields than": (
        "some rows have more fields than the first line. Check the separator "
        "(separator=) and quote fields that contain it."
    ),
    "expected to contain JSON object": (
        "expected one JSON object a line, as NDJSON has it, found something else (a JSON array?). "
        "Write one event a line."
    ),
    "Syntax at character": "a line is no complete JSON object. Write one event a line.",
    "empty CSV": "it holds no line; expected a table of events.",
}


@dataclass(frozen=True)
class Source:
    """Name a table, its columns, and a way to take some of them.

    Attributes:
        name: What messages call it: a path, or the kind of frame.
        columns: The column names found.
        is_text: Whether values are untyped text (CSV, TSV, RecBole).
        take: Reads the named columns; every other column stays unread.
        rows: Parquet and Arrow files as a lazy frame, of which any rows can be read without those
            before them; else None.
    """

    name: str
    columns: tuple[str, ...]
    is_text: bool
    take: Callable[[Sequence[str]], pl.DataFrame]
    rows: pl.LazyFrame | None = None

    def part(self, start: int, n_rows: int) -> "Source":
        """Give the rows from ``start`` on, ``n_rows`` of them; for sources with `rows`."""
        assert self.rows is not None
        name = f"{self.name}, rows {start + 1:,} to {start + n_rows:,}"
        return _from_lazy(self.rows.slice(start, n_rows), name, is_text=False)


def open_source(
    source: Any,
    *,
    format: Format | None = None,
    names: Sequence[str] | None = None,
    separator: str | None = None,
) -> Source:
    """Open a file, folder or frame without reading its rows.

    Args:
        source: Path of a CSV, TSV, NDJSON, Parquet, Arrow or RecBole file (text also as ``.gz`` or
            ``.zst``), a folder of Parquet files, an open binary file (NDJSON unless ``format``
            says otherwise), a Polars frame (eager or lazy), a pandas frame, anything with the
            Arrow stream interface, a list of dicts, or a `Source`.
        format: What the file is; None tells from its suffix.
        names: Column names of a text file that has no header line.
        separator: Between the fields of a text file, one character or several (``"::"``); None
            tells from the first line.

    Raises:
        DataError: there is no such file, it is empty, cut off, or not what its suffix says.
        ConfigError: an unknown ``format``, or text options for something that is no text.
    """
    if isinstance(source, Source):
        return source
    if format is not None and format not in FORMATS:
        raise ConfigError(f"unknown format {format!r}; known: {', '.join(FORMATS)}.")
    if isinstance(source, str | Path):
        return _open_path(Path(source).expanduser(), format, names, separator)
    if hasattr(source, "read"):
        return _open_stream(source, format or "ndjson", names, separator)
    if format is not None or names is not None or separator is not None:
        raise ConfigError(
            "format, names and separator are for files; "
            f"this source is a {type(source).__name__}, whose columns have names and types."
        )
    return _open_frame(source)


def _open_path(
    path: Path, format: Format | None, names: Sequence[str] | None, separator: str | None
) -> Source:
    if not path.exists():
        raise DataError(f"there is no file {str(path)!r}; check the path.")
    if path.is_dir():
        return _open_folder(path)
    if path.stat().st_size == 0:
        raise DataError(f"{path} is empty (0 bytes); expected a table of events.")
    form = format or _format_of(path)
    _check_magic(path, form)
    return _scan(path, form, str(path), names, separator)


def _open_folder(folder: Path) -> Source:
    files = sorted(folder.rglob("*.parquet"))
    if not files:
        raise DataError(
            f"the folder {folder} holds no .parquet file; pass a file or such a folder."
        )
    headers = {file: tuple(_parquet_columns(file)) for file in files}
    first = files[0]
    for file, columns in headers.items():
        if set(columns) != set(headers[first]):
            raise DataError(
                f"expected one table in the folder {folder}, found files with different columns: "
                f"{first.relative_to(folder)} ({', '.join(headers[first])}) and "
                f"{file.relative_to(folder)} ({', '.join(columns)}). Pass the file of events."
            )
    # Parts may differ in the order of columns, and in the width of integers.
    parts = [
        pl.scan_parquet(file, hive_partitioning=False).select(headers[first]) for file in files
    ]
    whole = pl.concat(parts, how="vertical_relaxed")
    return replace(_from_lazy(whole, str(folder), is_text=False), rows=whole)


def _parquet_columns(file: Path) -> list[str]:
    with _readable(str(file)):
        return list(pl.read_parquet_schema(file))


def _open_stream(
    stream: IO[bytes], format: Format, names: Sequence[str] | None, separator: str | None
) -> Source:
    content = stream.read()
    if isinstance(content, str):
        raise ConfigError("expected a file opened in binary mode, found one in text mode.")
    name = "standard input" if getattr(stream, "name", "") == "<stdin>" else "the open file"
    if not content:
        raise DataError(f"{name} is empty (0 bytes); expected a table of events.")
    return _scan(io.BytesIO(content), format, name, names, separator)


def _open_frame(source: Any) -> Source:
    kind = f"{type(source).__module__.partition('.')[0]} {type(source).__name__}"
    if isinstance(source, pl.LazyFrame):
        return _from_lazy(source, kind, is_text=False)
    if isinstance(source, pl.DataFrame):
        return Source(kind, tuple(source.columns), False, lambda names: source.select(names))
    if kind.startswith("pandas "):
        names = tuple(str(name) for name in source.columns)
        return Source(kind, names, False, lambda names: _from_pandas(source, names))
    if hasattr(source, "__arrow_c_stream__"):
        return _open_frame(pl.DataFrame(source))
    if isinstance(source, list) and all(isinstance(row, dict) for row in source):
        return _open_rows(source)
    raise ConfigError(
        "expected a path, an open file, a Polars, pandas or Arrow frame, or a list of dicts; "
        f"found {type(source).__name__}."
    )


def _open_rows(rows: list[dict[str, Any]]) -> Source:
    columns = dict.fromkeys(name for row in rows for name in row)

    def take(names: Sequence[str]) -> pl.DataFrame:
        return pl.DataFrame(
            {name: _series(name, [row.get(name) for row in rows]) for name in names}
        )

    return Source("list of dicts", tuple(columns), False, take)


def _from_pandas(frame: Any, names: Sequence[str]) -> pl.DataFrame:
    by_name = {str(name): name for name in frame.columns}
    columns = {}
    for name in names:
        column = frame[by_name[name]]
        if str(column.dtype) == "object":  # Python objects of any kind, mixed perhaps
            columns[name] = _series(name, [None if one != one else one for one in column])
        else:
            columns[name] = pl.Series(name, column)
    return pl.DataFrame(columns)


def _series(name: str, values: list[Any]) -> pl.Series:
    """Make a column of Python objects; text where they are of more than one kind."""
    kinds = {type(value) for value in values if value is not None}
    if len(kinds) > 1 and not kinds <= {int, float}:
        return pl.Series(name, [None if v is None else str(v) for v in values], dtype=pl.String)
    return pl.Series(name, values, strict=False)


def _format_of(path: Path) -> Format:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in COMPRESSED:
        suffixes.pop()
    form = SUFFIXES.get(suffixes[-1]) if suffixes else None
    if form is None:
        known = ", ".join(SUFFIXES)
        found = _magic(path)
        seems = f" It looks like {found}." if found else ""
        raise DataError(
            f"cannot tell the format of {path} by its suffix; known suffixes: {known} "
            f"(text also with .gz or .zst).{seems} Pass format= one of {', '.join(FORMATS)}."
        )
    return form


def _magic(path: Path) -> str | None:
    with path.open("rb") as file:
        head = file.read(8)
    return next((kind for magic, kind in _MAGIC if head.startswith(magic)), None)


def _check_magic(path: Path, form: Format) -> None:
    """Refuse a file whose first bytes are those of another format."""
    found = _magic(path)
    wanted = {"parquet": "Parquet", "arrow": "Arrow"}.get(form)
    if wanted is not None and found != wanted:
        raise DataError(
            f"expected a {wanted} file, found {found or 'something else, perhaps text'}: {path}. "
            f"Correct its suffix or pass format=."
        )
    if wanted is None and found in ("Parquet", "Arrow", "zip or Excel"):
        raise DataError(
            f"expected {form} text, found {found}: {path}. Correct its suffix, pass format=, "
            f"or export it to CSV or Parquet first."
        )


def _scan(
    file: Path | io.BytesIO,
    form: Format,
    name: str,
    names: Sequence[str] | None,
    separator: str | None,
) -> Source:
    is_text = form in ("csv", "tsv", "recbole")
    if not is_text and (names is not None or separator is not None):
        raise ConfigError(f"names and separator are for text files; {name} is {form}.")
    with _readable(name):
        if is_text:
            between = separator or (None if form == "csv" else "\t")
            text = scan_delimited(file, name, names, between, typed_header=form == "recbole")
            return _from_lazy(text, name, is_text=True)
        if form == "ndjson":
            # All rows are looked at: a field that appears late, or changes its type, is seen.
            frame = pl.scan_ndjson(file, infer_schema_length=None)
        elif form == "arrow":
            frame = pl.scan_ipc(file)
        else:
            frame = pl.scan_parquet(file, hive_partitioning=False)
        rows = None if form == "ndjson" else frame
        return replace(_from_lazy(frame, name, is_text=False), rows=rows)


def _from_lazy(frame: pl.LazyFrame, name: str, *, is_text: bool) -> Source:
    with _readable(name):
        columns = tuple(frame.collect_schema().names())

    # Reading some fields of a text line only, Polars does not see that a line has too many, and
    # takes the wrong ones. So every field is parsed, batch by batch, and those kept are collected.
    flags = pl.QueryOptFlags(projection_pushdown=not is_text)

    def take(names: Sequence[str]) -> pl.DataFrame:
        with _readable(name):
            return frame.select(names).collect(engine="streaming", optimizations=flags)

    return Source(name, columns, is_text, take)


@contextmanager
def _readable(name: str) -> Iterator[None]:
    """Turn what Polars says about a damaged file into what is wrong and what to do."""
    try:
        yield
    except (pl.exceptions.PolarsError, OSError) as error:
        said = str(error).partition("\n")[0]
        advice = next((text for sign, text in _SIGNS.items() if sign in said), None)
        raise DataError(f"cannot read {name}: {advice or said}") from error
