"""Cursors: where the next page of a list begins."""

from recency.serving.http.question_checks import Reader
from recency.serving.intake.values import shown

_DIGITS = 15


def row_of(reader: Reader, name: str = "cursor") -> int:
    """Read the row at which a page begins, 0 where none is named; note a fault for what is none.

    Args:
        reader: Of the address.
        name: Of the field.
    """
    text = reader.raw.get(name)
    if text is None:
        return 0
    if not isinstance(text, str) or text[:1] != "r" or not _is_number(text[1:]):
        reader.fault(name, f"expected the next_cursor of the page before, found {shown(text)}.")
        return 0
    return int(text[1:])


def cursor_at(row: int) -> str:
    """Name a row as a cursor."""
    return f"r{row}"


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= _DIGITS
