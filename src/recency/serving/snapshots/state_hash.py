"""The hash of what a recommender knows: equal for equal knowledge, however it was come by.

It covers the weights (by name), every user's events in their order, the catalogue and what is known
of users, all by outside ids, sorted. So it does not depend on the order in which users and items
first came, which events came late, how many came at once, or what was asked in between. States and
counts are left out: they follow from weights and events, and the last bit of a sum depends on its
order.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from recency.data.catalogue import Catalogue
from recency.data.histories import Histories, Ints
from recency.data.profiles import Profiles
from recency.data.user_attributes import NOTHING
from recency.live.people import profiles_of
from recency.serving.questions import LiveRecommender

_UNKNOWN = -1


def state_hash(recommender: LiveRecommender) -> str:
    """Compute the SHA-256 of what a recommender knows, in hexadecimal.

    Takes seconds for ten million events. Run it in the thread that owns the recommender, or on one
    that nobody uses.
    """
    lead = recommender.live.models[0]
    histories = lead.timelines.histories()
    digest = hashlib.sha256(recommender.model_version.encode())
    users, by_id = _sorted(lead.vocabs.users.ids, np.flatnonzero(histories.lengths))
    histories = histories.select(by_id)
    for part in (users, histories.lengths, histories.times, _values(histories)):
        _add(digest, part)
    for ids, rows in (
        (lead.vocabs.items.ids, histories.items),
        (lead.vocabs.types.ids, histories.types),
    ):
        if rows is not None:
            _add_rows(digest, ids, rows.astype(np.int64))
    if recommender.catalogue is not None:
        _add_catalogue(digest, recommender.catalogue)
    if (profiles := profiles_of(recommender.live.models[0])) is not None:
        _add_profiles(digest, profiles)
    return digest.hexdigest()


def _sorted(ids: pl.Series, rows: Ints) -> tuple[pl.Series, Ints]:
    """Sort some rows of a vocabulary by their ids."""
    some = ids.gather(rows)
    order = some.arg_sort().to_numpy()
    return some.gather(order), rows[order]


def _add_rows(digest: Any, ids: pl.Series, rows: Ints) -> None:
    """Take in what rows stand for: the ids that occur, sorted, and which of them each is."""
    known = np.unique(rows[rows >= 0])
    found, by_id = _sorted(ids, known)
    place = np.full(len(ids) + 1, _UNKNOWN, np.int64)  # row -1 takes the last: unknown
    place[by_id] = np.arange(len(by_id))
    _add(digest, found)
    _add(digest, place[rows])


def _add_catalogue(digest: Any, catalogue: Catalogue) -> None:
    frame = catalogue.frame.sort("item_id")
    for name in sorted(frame.columns):
        if frame[name].null_count() < frame.height:  # a column of nothing tells nothing
            digest.update(name.encode())
            _add(digest, frame[name])


def _add_profiles(digest: Any, profiles: Profiles) -> None:
    """Take in the users of whom anything is known, and what."""
    known = profiles.freeze()
    ids, rows = _sorted(known.ids, np.flatnonzero((known.codes != NOTHING).any(1)))
    _add(digest, ids)
    _add(digest, known.codes[rows])


def _values(histories: Histories) -> npt.NDArray[np.float32]:
    if histories.values is None:
        return np.empty(0, np.float32)
    return np.where(np.isnan(histories.values), np.float32(np.nan), histories.values)


def _add(digest: Any, cells: "pl.Series | npt.NDArray[Any]") -> None:
    """Take in one column with its length, so that neighbours cannot run into each other."""
    digest.update(len(cells).to_bytes(8, "little"))
    if isinstance(cells, np.ndarray):
        digest.update(np.ascontiguousarray(cells).data)
    elif cells.dtype == pl.Int64 and not cells.has_nulls():
        digest.update(cells.to_numpy().data)
    else:
        digest.update(repr(cells.dtype).encode())
        for text in _texts(cells):
            digest.update(text)


def _texts(cells: pl.Series) -> Sequence[bytes]:
    """Give values as text, each with its length."""
    texts = [str(one).encode() for one in cells.to_list()]
    return [b"%d:%s" % (len(one), one) for one in texts]
