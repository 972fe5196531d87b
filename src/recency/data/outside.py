"""Outside: histories as people name them, told and heard."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from recency.data.histories import Histories
from recency.data.intake import EventRow, Vocabs, events_of
from recency.data.log import TIME
from recency.data.vocab import Vocab


def frame_of(histories: Histories, vocabs: Vocabs) -> pl.DataFrame:
    """List events with outside ids, in the order of the histories."""
    items, types = vocabs.items, vocabs.types
    columns = {
        "item_id": pl.Series(items.take(histories.items), dtype=items.dtype),
        "timestamp": pl.Series(histories.times).cast(TIME),
    }
    if histories.types is not None:
        kinds = [None if kind < 0 else types.id_of(kind) for kind in histories.types]
        columns["event_type"] = pl.Series(kinds, dtype=pl.String)
    return pl.DataFrame(columns)


def history_of(events: Sequence[EventRow], vocabs: Vocabs) -> Histories:
    """Turn the events of somebody without a name into one history; vocabularies stay.

    Raises:
        DataError: an event cannot be read.
    """
    nameless = Vocabs(Vocab(pl.String), vocabs.items, vocabs.types)
    found = events_of([{**event, "user_id": ""} for event in events], nameless, grow=False)
    order = np.argsort(found.times, kind="stable")
    return Histories(
        offsets=np.array([0, len(order)]),
        items=found.items[order].astype(np.int32),
        times=found.times[order],
        types=found.types[order].astype(np.int16),
        values=found.values[order],
    )
