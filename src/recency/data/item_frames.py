"""Item frames: tables of items in Recency's column names, checked and brought to its types.

Flags may be true and false, numbers (above 0 is true) or texts: a stock of 0 pieces is no stock.
"""

import polars as pl

from recency.data.conversion import to_lists
from recency.data.log import TIME
from recency.errors import DataError, raise_all
from recency.units import parse_instant

COLUMNS: dict[str, pl.DataType] = {
    "title": pl.String(),
    "text": pl.String(),
    "categories": pl.List(pl.String()),
    "price": pl.Float64(),
    "available_from": TIME,
    "expires_at": TIME,
    "is_hidden": pl.Boolean(),
    "in_stock": pl.Boolean(),
    "domain": pl.String(),
}
_FLAGS = {"true": True, "yes": True, "false": False, "no": False}


def checked(frame: pl.DataFrame) -> pl.DataFrame:
    """Check a table of items and bring it to Recency's types.

    Args:
        frame: One row an item, with ``item_id`` as Int64 or String.

    Raises:
        DataError: ``item_id`` is missing, null, of a wrong type or not unique, a column cannot
            be converted, or an item expires before it is available; all faults together.
    """
    if "item_id" not in frame.columns:
        raise DataError(
            f"expected a column item_id; found: {', '.join(frame.columns) or 'none'}. "
            f"Use read_items(columns=...) to name yours."
        )
    faults = _id_faults(frame["item_id"])
    columns = {}
    for name in frame.columns:
        try:
            columns[name] = _converted(frame[name])
        except (DataError, pl.exceptions.PolarsError) as error:
            faults.append(f"{name}: {str(error).splitlines()[0]}")
    raise_all(faults, DataError)
    found = pl.DataFrame(columns)
    raise_all(_span_faults(found), DataError)
    return found


def _id_faults(ids: pl.Series) -> list[str]:
    if ids.dtype not in (pl.Int64, pl.String):
        return [f"expected item_id as Int64 or String, found {ids.dtype}; read_items converts it."]
    faults = []
    if n_null := ids.null_count():
        faults.append(f"item_id is null in {n_null:,} of {len(ids):,} rows; drop or repair them.")
    twice = ids.drop_nulls().filter(ids.drop_nulls().is_duplicated()).unique(maintain_order=True)
    if len(twice):
        faults.append(
            f"expected one row for each item, found {len(twice):,} items with several, "
            f"such as {twice.head(3).to_list()}; keep one row of each."
        )
    return faults


def _converted(column: pl.Series) -> pl.Series:
    if column.name not in COLUMNS:
        return column
    kind = COLUMNS[column.name]
    if column.dtype == pl.Null:
        return column.cast(kind)
    if column.name == "categories":
        return to_lists(column, "categories")
    if kind == pl.Boolean:
        return _flags(column)
    if kind == TIME and column.dtype == pl.String:
        # ISO 8601, as a person or a client writes it.
        texts = column.to_list()
        return pl.Series(
            column.name, [None if one is None else parse_instant(one) for one in texts], pl.Int64
        ).cast(TIME)
    if kind == TIME and column.dtype.is_integer():
        present = column.drop_nulls().to_list()
        for one in present:
            parse_instant(one)  # refuses seconds and milliseconds
    if kind == TIME and isinstance(column.dtype, pl.Datetime) and column.dtype.time_zone is None:
        column = column.dt.replace_time_zone("UTC")
    return column.cast(kind)


def _flags(column: pl.Series) -> pl.Series:
    """Read a column of flags: true and false, numbers, or the usual texts."""
    if column.dtype == pl.String:
        lowered = column.str.strip_chars().str.to_lowercase()
        words = lowered.replace_strict(_FLAGS, default=None, return_dtype=pl.Boolean)
        found = words.fill_null(lowered.cast(pl.Float64, strict=False) > 0)
        strange = lowered.filter(found.is_null() & lowered.is_not_null() & (lowered != ""))
        if len(strange):
            raise DataError(f"expected true or false, found {strange[0]!r}; write one of them.")
        return found
    if column.dtype.is_numeric():
        return column > 0
    return column.cast(pl.Boolean)


def _span_faults(frame: pl.DataFrame) -> list[str]:
    if not {"available_from", "expires_at"} <= set(frame.columns):
        return []
    wrong = frame.filter(pl.col("expires_at") < pl.col("available_from"))
    if not wrong.height:
        return []
    return [
        f"{wrong.height:,} items expire before they are available, such as "
        f"{wrong['item_id'][0]!r}: expires_at {wrong['expires_at'][0]}, "
        f"available_from {wrong['available_from'][0]}; correct these times."
    ]
