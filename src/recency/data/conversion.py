"""Conversion: a raw column of ids, numbers or words into the type that a log keeps.

Decisions: a column is judged by all of its values. Text becomes integers only where every value is
written the way an integer is, so ``007`` stays text; one word among numbers makes the column text,
and the count is told. Nothing is dropped here: rows that cannot be used come back as faults, and
the caller decides.
"""

from dataclasses import dataclass

import polars as pl

from recency.errors import DataError

MAX_ID_LENGTH = 1_024  # characters; longer ids are a sign of a column of texts, or of an attack
_LISTS = pl.List(pl.String)
_EXACT_FLOAT = 2**53  # above it, neighbouring integers share a float64


@dataclass(frozen=True)
class Fault:
    """Say what is wrong with some rows.

    Attributes:
        what: Such as ``user_id is missing``.
        rows: [n] True at the faulty rows.
        example: The first faulty row and its value.
    """

    what: str
    rows: pl.Series
    example: str

    @property
    def n_rows(self) -> int:
        """Count the faulty rows."""
        return int(self.rows.sum())

    def __str__(self) -> str:
        return f"{self.what} in {self.n_rows:,} of {len(self.rows):,} rows (first: {self.example})"


@dataclass(frozen=True)
class Column:
    """Hold a converted column, what is wrong with it, and what its reader should know."""

    values: pl.Series
    faults: tuple[Fault, ...] = ()
    notes: tuple[str, ...] = ()


def fault(what: str, rows: pl.Series, raw: pl.Series) -> tuple[Fault, ...]:
    """Make a fault of the marked rows; none where nothing is marked."""
    first = rows.arg_max() if rows.any() else None
    if first is None:
        return ()
    value = raw[first]
    shown = "" if value is None else f": {_shorten(value)}"
    return (Fault(what, rows, f"row {first + 1:,}{shown}"),)


def to_ids(raw: pl.Series, name: str, *, is_text: bool) -> Column:
    """Turn a column into ids of type Int64 or String.

    Args:
        raw: Integers, floats without fraction, or text.
        name: What messages call the column.
        is_text: Whether the source has no types, so that a number may be written as text.

    Returns:
        Ids; null where a fault is reported: missing, not whole, or longer than `MAX_ID_LENGTH`.

    Raises:
        DataError: the column is of a type that cannot name anything, such as Boolean or Date.
    """
    if raw.dtype == pl.Null:
        raw = raw.cast(pl.String)
    if raw.dtype.is_integer():
        return _whole(raw, name)
    if raw.dtype.is_float():
        return _whole_floats(raw, name)
    if raw.dtype.is_decimal():
        return _text_ids(raw.cast(pl.String), name, is_text=True)
    if raw.dtype in (pl.String, pl.Categorical, pl.Enum):
        return _text_ids(raw.cast(pl.String), name, is_text=is_text)
    raise DataError(
        f"expected {name} as integers or text, found {raw.dtype} in column {raw.name!r}; "
        f"name another column or convert it."
    )


def to_text(raw: pl.Series, name: str) -> pl.Series:
    """Turn a column of words or numbers into text; floats without fraction lose their ``.0``.

    A list of words becomes one text.

    Raises:
        DataError: the column holds records, bytes or other lists.
    """
    if raw.dtype == pl.List(pl.String):
        return raw.list.join(" ")
    if raw.dtype.is_nested() or raw.dtype in (pl.Binary, pl.Object):
        raise DataError(
            f"expected {name} as text, found {raw.dtype} in column {raw.name!r}; "
            f"name another column, or leave it out with columns={{'{name}': None}}."
        )
    if raw.dtype.is_float():
        whole = raw.cast(pl.Int64, strict=False)
        if bool((whole.cast(raw.dtype) == raw).fill_null(True).all()):
            raw = whole
    return raw.cast(pl.String)


def to_lists(raw: pl.Series, name: str) -> pl.Series:
    """Turn a column into lists of text; a text is parted at ``|``, else ``;``, else ``,``.

    One separator serves the whole column: the first of the three that occurs anywhere in it.
    Empty parts vanish, and so does the empty list: it becomes null.

    Raises:
        DataError: the column is neither text nor lists of it.
    """
    if raw.dtype in (pl.Categorical, pl.Enum, pl.Null) or raw.dtype.is_integer():
        raw = raw.cast(pl.String)
    if raw.dtype == pl.String:
        between = next((mark for mark in "|;," if raw.str.contains(mark, literal=True).any()), "|")
        raw = raw.str.split(between)
    elif not isinstance(raw.dtype, pl.List | pl.Array):
        raise DataError(
            f"expected {name} as text or lists, found {raw.dtype} in column {raw.name!r}; "
            f"name another column, or leave it out with columns={{'{name}': None}}."
        )
    stripped = pl.element().str.strip_chars()
    parts = pl.col("parts").list.eval(stripped.filter(stripped != ""))
    lists = raw.alias("parts").to_frame().lazy().with_columns(pl.col("parts").cast(_LISTS))
    found = lists.select(parts).select(pl.when(pl.col("parts").list.len() > 0).then("parts"))
    return found.collect().to_series().alias(raw.name)  # one query: a single item is often read


def to_numbers(raw: pl.Series, name: str) -> Column:
    """Turn a column into Float64; what is no finite number becomes null, and is counted in a note.

    Raises:
        DataError: the column is of a type that holds no numbers, such as Date or List.
    """
    if not (raw.dtype.is_numeric() or raw.dtype in (pl.String, pl.Boolean, pl.Null)):
        raise DataError(
            f"expected {name} as numbers, found {raw.dtype} in column {raw.name!r}; "
            f"name another column, or leave it out with columns={{'{name}': None}}."
        )
    text = raw.str.strip_chars() if raw.dtype == pl.String else raw
    values = text.cast(pl.Float64, strict=False)
    values = pl.select(pl.when(values.is_finite()).then(values)).to_series().alias(raw.name)
    present = raw.is_not_null() & (raw != "") if raw.dtype == pl.String else raw.is_not_null()
    bad = fault(f"{name} is no finite number", present & values.is_null(), raw)
    return Column(values, notes=tuple(f"{one}; kept as missing" for one in bad))


def to_natural(raw: pl.Series) -> pl.Series:
    """Give untyped text the narrowest type that loses nothing: Int64, Float64, else String."""
    if raw.dtype != pl.String:
        return raw
    present = raw.drop_nulls()
    if not len(present):
        return raw
    if bool(_is_integer(present).all()):
        return raw.str.to_integer(strict=False)
    numbers = raw.cast(pl.Float64, strict=False)
    zeros = present.str.contains(r"^[+-]?0\d|[A-Za-z]")  # 007, and words such as inf
    if numbers.null_count() == raw.null_count() and not bool(zeros.any()):
        return numbers
    return raw


def _whole(raw: pl.Series, name: str) -> Column:
    missing = fault(f"{name} is missing", raw.is_null(), raw)
    values = raw.cast(pl.Int64, strict=False)
    if beyond := values.null_count() - raw.null_count():
        note = (
            f"{name}: {beyond:,} of {len(raw):,} integers exceed 64 bits signed; all read as text"
        )
        return Column(raw.cast(pl.String), missing, (note,))
    return Column(values, missing)


def _whole_floats(raw: pl.Series, name: str) -> Column:
    missing = raw.is_null() | raw.is_nan().fill_null(False)
    whole = (raw.floor() == raw) & (raw.abs() <= _EXACT_FLOAT)
    broken = ~missing & ~whole.fill_null(False)
    usable = pl.select(pl.when(~missing & ~broken).then(raw)).to_series().alias(raw.name)
    faults = fault(f"{name} is missing", missing, raw)
    faults += fault(f"{name} is no whole number", broken, raw)
    note = f"{name}: the column holds floats without fraction; read as integers"
    return Column(usable.cast(pl.Int64), faults, () if broken.all() else (note,))


def _text_ids(raw: pl.Series, name: str, *, is_text: bool) -> Column:
    missing = (raw.is_null() | (raw.str.strip_chars() == "")).fill_null(True)
    long = raw.str.len_bytes().fill_null(0) > MAX_ID_LENGTH  # a quick look before the exact one
    if long.any():
        long = raw.str.len_chars().fill_null(0) > MAX_ID_LENGTH
    faults = fault(f"{name} is missing", missing, raw)
    faults += fault(f"{name} is longer than {MAX_ID_LENGTH:,} characters", long, raw)
    values = raw.set(missing | long, None) if faults else raw
    integers = _is_integer(values)
    n_present, n_integers = len(values) - values.null_count(), int(integers.sum())
    if is_text and n_present and n_integers == n_present:
        return Column(values.str.to_integer(strict=False), faults)
    if is_text and n_present and _are_whole(values, integers):
        note = f"{name}: the column holds floats without fraction; read as integers"
        numbers = values.cast(pl.Float64, strict=False).cast(pl.Int64)
        return Column(numbers, faults, (note,))
    if 0 < n_integers < n_present:
        word = values.filter(~integers & values.is_not_null())[0]
        note = (
            f"{name}: {n_integers:,} of {n_present:,} are integers, the others text such as "
            f"{_shorten(word)}; all read as text"
        )
        return Column(values, faults, (note,))
    return Column(values, faults)


def _are_whole(values: pl.Series, integers: pl.Series) -> bool:
    """Tell whether all values are written as integers or as floats without fraction."""
    floats = values.str.contains(r"^-?\d{1,15}\.0+$").fill_null(False)
    return int((integers | floats).sum()) == len(values) - values.null_count()


def _is_integer(text: pl.Series) -> pl.Series:
    """Mark what is written exactly as Python writes an int64: no ``+``, no leading zero."""
    return (text.str.to_integer(strict=False).cast(pl.String) == text).fill_null(False)


def _shorten(value: object, length: int = 40) -> str:
    shown = repr(value)
    return shown if len(shown) <= length else f"{shown[: length - 4]}...{shown[-1]}"
