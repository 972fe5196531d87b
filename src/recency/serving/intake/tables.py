"""Tables: events or items in a file (JSON lines, CSV, Parquet), read a part at a time.

A file is read by its declared kind only, never by guessing; nothing in it is run, and no part of it
is larger in memory than some thousand rows.
"""

import csv
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import msgspec
import polars as pl

from recency.errors import DataError

Kind = Literal["jsonl", "csv", "parquet"]
KINDS: dict[str, Kind] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".parquet": "parquet",
}
_PART = 1000  # rows
_LINE_BYTES = 2**20
# Texts that stand for numbers, flags and lists in a CSV file; all else stays text.
_NUMBERS = frozenset(
    {"timestamp", "value", "price", "available_from", "expires_at", "sentAt", "eventTime"}
    | {"Timestamp", "eventValue", "Value"}
)
_FLAGS = frozenset({"is_hidden", "in_stock"})
_decode = msgspec.json.Decoder().decode


class BadRow:
    """Stand for a row that cannot be read, and say why."""

    def __init__(self, detail: str) -> None:
        self.detail = detail


Rows = list[Mapping[str, Any] | BadRow | object]


def read_parts(path: Path, kind: Kind) -> Iterator[Rows]:
    """Read a file part by part.

    Yields:
        Rows as they would be decoded from JSON; `BadRow` for one that cannot be read.

    Raises:
        DataError: the file is not of this kind, or is damaged.
    """
    if kind == "parquet":
        yield from _parquet(path)
        return
    part: Rows = []
    for row in _lines(path) if kind == "jsonl" else _csv(path):
        part.append(row)
        if len(part) == _PART:
            yield part
            part = []
    if part:
        yield part


def _lines(path: Path) -> Iterator[object]:
    with path.open("rb") as file:
        number = 0
        while line := file.readline(_LINE_BYTES + 1):
            number += 1
            if len(line) > _LINE_BYTES:
                raise DataError(f"expected lines of at most {_LINE_BYTES:,} bytes, line {number}.")
            if line.strip():
                yield _line(line, number)


def _line(line: bytes, number: int) -> object:
    try:
        return _decode(line)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        return BadRow(f"line {number} is not JSON: {error}.")


def _csv(path: Path) -> Iterator[object]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for row in csv.DictReader(file, restkey="", strict=True):
                if "" in row:
                    yield BadRow("it has more fields than the first line names.")
                else:
                    yield {name: _cell(name, text) for name, text in row.items() if text}
    except UnicodeDecodeError as error:
        raise DataError(f"expected CSV as UTF-8, found something else: {error}.") from None
    except csv.Error as error:
        raise DataError(f"expected CSV, found something else: {error}.") from None


def _cell(name: str, text: str) -> object:
    if name in _NUMBERS:
        try:
            return int(text) if text.lstrip("-").isdecimal() else float(text)
        except ValueError:
            return text
    if name in _FLAGS:
        return {"true": True, "1": True, "false": False, "0": False}.get(text.lower(), text)
    if name == "categories":
        return [one for one in text.split("|") if one]
    return text


def _parquet(path: Path) -> Iterator[Rows]:
    try:
        table = pl.scan_parquet(path)
        n_rows = table.select(pl.len()).collect().item()
        for start in range(0, n_rows, _PART):
            rows = table.slice(start, _PART).collect().to_dicts()
            yield [
                {name: _value(one) for name, one in row.items() if one is not None} for row in rows
            ]
    except pl.exceptions.PolarsError as error:
        found = (str(error).splitlines() or [""])[0][:200]
        raise DataError(f"expected a Parquet file, found something else: {found}.") from None


def _value(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else value
