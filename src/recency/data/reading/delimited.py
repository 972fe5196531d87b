"""Delimited: text files of fields, with or without a header line, with any separator.

Decisions: every field is read as text; no type is guessed from the first rows. Polars splits at one
character; a separator of several characters (MovieLens has ``::``) is split by an expression.
"""

import io
import re
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from recency.errors import DataError

SEPARATORS = (",", "\t", ";", "|")
_NO_CHARACTER = "\x1f"  # the unit separator: a text line never holds it, so a line is one field
_RECBOLE_TYPE = re.compile(r":(token|float|token_seq|float_seq)$")


def scan_delimited(
    file: Path | io.BytesIO,
    name: str,
    names: Sequence[str] | None,
    separator: str | None,
    *,
    typed_header: bool = False,
) -> pl.LazyFrame:
    """Scan a text file; all columns are String.

    Args:
        file: Where the text is, plain or compressed.
        name: What messages call it.
        names: Column names where the file has no header line.
        separator: Between fields; None takes the commonest of `SEPARATORS` in the first line.
        typed_header: Whether column names end in a RecBole type, which is taken off; columns of
            sequences become lists, parted at blanks.

    Raises:
        DataError: ``names`` has another length than the first line has fields.
    """
    lines = pl.scan_csv(
        file, has_header=False, separator=_NO_CHARACTER, quote_char=None, infer_schema=False
    )
    head = str(lines.head(1).collect().item(0, 0) or "")
    between = separator or max(SEPARATORS, key=head.count)  # the comma wins a draw
    if len(between) > 1:
        frame = _split_lines(lines, head.split(between), between, has_header=names is None)
    else:
        frame = pl.scan_csv(file, has_header=names is None, separator=between, infer_schema=False)
    found = frame.collect_schema().names()
    if names is None:
        return _untyped(frame, found) if typed_header else frame
    if len(names) != len(found):
        raise DataError(
            f"expected one name for each of the {len(found)} columns of {name}, "
            f"found {len(names)}: {', '.join(names)}. The first line is {head[:120]!r}."
        )
    return frame.rename(dict(zip(found, names, strict=True)))


def _split_lines(
    lines: pl.LazyFrame, head: Sequence[str], separator: str, *, has_header: bool
) -> pl.LazyFrame:
    fields = pl.first().str.split(separator)
    names = head if has_header else [f"column_{at}" for at in range(len(head))]
    # A line with too many fields tells nothing for certain: all of its fields become null.
    sure = pl.when(fields.list.len() <= len(names)).then(fields)
    columns = [sure.list.get(at, null_on_oob=True).alias(name) for at, name in enumerate(names)]
    return lines.slice(1 if has_header else 0).select(columns)


def _untyped(frame: pl.LazyFrame, found: Sequence[str]) -> pl.LazyFrame:
    columns = []
    for name in found:
        column = pl.col(name).str.split(" ") if name.endswith("_seq") else pl.col(name)
        columns.append(column.alias(_RECBOLE_TYPE.sub("", name)))
    return frame.select(columns)
