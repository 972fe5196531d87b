"""Remapping: histories over one vocabulary's rows, told in another's."""

import numpy as np
import numpy.typing as npt

from recency.data.histories import UNKNOWN, Histories, Ints


def remapped(histories: Histories, items: Ints, types: Ints | None) -> Histories:
    """Translate histories from one vocabulary's rows to another's.

    Args:
        histories: Rows of the one.
        items: [n] row in the other of each item of the one, `UNKNOWN` where it has none.
        types: The same of event types; None leaves types out.
    """
    kinds = None
    if types is not None and histories.types is not None:
        kinds = _looked_up(types, histories.types).astype(np.int16)
    return Histories(
        offsets=histories.offsets,
        items=_looked_up(items, histories.items).astype(np.int32),
        times=histories.times,
        types=kinds,
        values=histories.values,
        profiles=histories.profiles,
    )


def _looked_up(table: Ints, rows: npt.NDArray[np.integer]) -> Ints:
    found: Ints = np.append(table, UNKNOWN)[rows]  # row -1 takes the last entry: UNKNOWN
    return found
