"""Asking before observing: the live model is asked about an event just before it is told of it."""

from collections.abc import Sequence
from itertools import groupby

import numpy as np

from recency.asking.selection import Selection
from recency.data.vocab import Id, Vocab
from recency.live.people import describe_as_said
from recency.online.feed import Description, Entry, Happening, Merge
from recency.online.prequential import Asked, Prequential
from recency.ranking.filters import keep_items
from recency.ranking.ranks import count_above
from recency.recommender import SequenceRecommender


def ask_and_observe(
    recommender: SequenceRecommender,
    entries: Sequence[Happening],
    scores: Prequential,
    most: int,
) -> None:
    """Let a recommender observe events in their order, asking it about some just before.

    An event older than what is known already is not asked about: it is no longer the next one.

    Args:
        recommender: Asked and told.
        entries: What happened; what is no event is only followed.
        scores: Takes the predictions down.
        most: Events asked about, evenly spread.
    """
    chosen = np.unique(np.linspace(0, len(entries) - 1, min(most, len(entries))).astype(np.int64))
    done = 0
    for place in chosen.tolist():
        observe(recommender, entries[done:place])
        done = place
        one = entries[place]
        if not isinstance(one, Entry):
            continue
        newest = recommender.live.timelines.newest
        if newest is None or one.time >= newest:
            scores.ask(_asked(recommender, one))
    observe(recommender, entries[done:])


def observe(recommender: SequenceRecommender, entries: Sequence[Happening]) -> None:
    """Let a recommender take what happened, in its order."""
    for kind, run in groupby(entries, key=type):
        if kind is Entry:
            recommender.observe([one.row for one in run if isinstance(one, Entry)])
            continue
        for one in run:
            if isinstance(one, Merge):
                recommender.merge_users(one.anonymous_id, one.user_id)
            elif isinstance(one, Description):
                describe_as_said(recommender.live, {one.user_id: one.said})


def _asked(recommender: SequenceRecommender, one: Entry) -> Asked:
    """Ask for the item of an event at its instant, and rank it among all that may be given."""
    live, at = recommender.live, one.time
    user, item = _row(recommender.users, one.user_id), _row(recommender.items, one.item_id)
    rows = np.array([user])
    found, _ = live.scores(rows, at)
    allowed = Selection().allowed(recommender.items, recommender.catalogue, at)
    keep_items(found, allowed)
    greater, at_least = 0, 0
    if item >= 0:
        above, level = count_above(found, np.array([0]), np.array([item]))
        greater, at_least = int(above[0]), int(level[0])
    seen = live.seen(rows, at)
    gap = at - int(seen.times[-1]) if seen.n_events else -1
    return Asked(at, gap, greater, at_least, not 0 <= item < live.n_learned)


def _row(vocab: Vocab, one: Id) -> int:
    return vocab.row(vocab.coerce(one))
