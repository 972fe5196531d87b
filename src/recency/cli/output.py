"""Output: results on stdout, everything else on stderr, and what the exit codes mean.

Exit codes: 0 done; 1 the data or the model is at fault; 2 the call is at fault. With ``--json`` the
result is one JSON value on stdout, and stdout holds nothing else.
"""

import json
import math
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

import typer

from recency.errors import ConfigError, RecencyError, UnknownIdError

if TYPE_CHECKING:
    import polars as pl

    from recency.data.catalogue import Catalogue
    from recency.data.reading.tables import ReadingReport

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]

# What a message of the library says, and how the command line says it.
_FLAGS = {
    "columns=": "--user, --item, --time NAME",
    "on_bad=": "--drop-bad",
    "time_format=": "--time-format FORMAT",
    "names=": "--names NAME,NAME,...",
    "unit=": "--unit UNIT",
}
_WIDEST = 60  # characters of a cell


def source(file: str) -> Path | IO[bytes]:
    """Turn an argument into something to read: a path, or NDJSON on standard input for ``-``."""
    if file == "-":
        return sys.stdin.buffer
    if not Path(file).expanduser().exists():
        raise ConfigError(f"there is no file {file!r}; check the path, or give - for NDJSON.")
    return Path(file)


def tell(text: str) -> None:
    """Say something on stderr."""
    typer.echo(text, err=True)


def tell_reading(report: "ReadingReport") -> None:
    """Say on stderr how a table was read."""
    tell(f"Read {report}\n")


def result(facts: Any, *, as_json: bool, text: Callable[[Any], str]) -> None:
    """Print a result: as one JSON value, or as text made of it."""
    typer.echo(json.dumps(_plain(facts), ensure_ascii=False) if as_json else text(facts))


def table(frame: "pl.DataFrame") -> str:
    """Write a frame as aligned columns: numbers to the right, text to the left."""
    numeric = [kind.is_numeric() for kind in frame.dtypes]
    rows = [frame.columns, *([_cell(value) for value in row] for row in frame.iter_rows())]
    return align(rows, numeric)


def align(rows: Sequence[Sequence[str]], right: Sequence[bool]) -> str:
    """Write rows of cells in columns of even width.

    Args:
        rows: The first one holds the headings.
        right: Which columns stand to the right.
    """
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in rows
    )


def titled(frame: "pl.DataFrame", catalogue: "Catalogue | None") -> "pl.DataFrame":
    """Put titles beside the items of a table, where they are known."""
    import polars as pl

    if catalogue is None:
        return frame
    titles = catalogue.titles(frame["item_id"].to_list())
    return frame.with_columns(title=pl.Series(titles, dtype=pl.String))


def instant(microseconds: int) -> str:
    """Write an instant as ISO 8601, UTC."""
    from recency.units import format_instant

    return format_instant(microseconds)


def explain(error: RecencyError) -> int:
    """Say on stderr what went wrong, without a stack trace; give the exit code."""
    said = str(error)
    flags = [flag for argument, flag in _FLAGS.items() if re.search(rf"\b{argument}", said)]
    if flags:
        said = f"{said}\nOn the command line: {'; '.join(flags)}."
    tell(f"{type(error).__name__}: {said}")
    return 2 if isinstance(error, ConfigError | UnknownIdError) else 1


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    shown = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return shown if len(shown) <= _WIDEST else f"{shown[: _WIDEST - 1]}…"


def _plain(value: Any) -> Any:
    """Bring a value to what JSON knows; NaN and infinity become null."""
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if hasattr(value, "item"):  # a NumPy scalar
        return _plain(value.item())
    return str(value)
