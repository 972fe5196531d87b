"""Newest items: what came last, of what may be given."""

import numpy as np

from recency.asking.selection import Selection
from recency.data.histories import Ints
from recency.data.item_facts import ALWAYS
from recency.serving.answering import known_candidates, note_length
from recency.serving.questions import AsOf, LiveRecommender, Question, Ranked

_NEVER = int(ALWAYS.min)


def newest(model: LiveRecommender, question: Question, at: int, as_of: AsOf) -> Ranked:
    """List the items that became available last; those of no known start by when they came.

    Scores are seconds since 1970 UTC from which on an item is available, 0 where none is known.

    Args:
        model: Knows the items.
        question: How many, and which of them may be given.
        at: Instant of the question, microseconds.
        as_of: What the model has seen.
    """
    selection, notes = known_candidates(question.selection, model)
    allowed = Selection(**selection).allowed(model.items, model.catalogue, at)
    rows = np.flatnonzero(allowed)[::-1]
    starts = _starts(model)[rows]
    k = min(question.k, len(rows))
    if 0 < k < len(rows) and (starts > _NEVER).any():
        # Only what may be among the first k is sorted; of one instant, the later comer is first.
        least = np.partition(starts, len(rows) - k)[len(rows) - k]
        kept = np.flatnonzero(starts >= least)
        rows, starts = rows[kept], starts[kept]
    order = np.argsort(-starts.astype(np.float64), kind="stable")[:k]
    scores = [0.0 if one == _NEVER else one / 1e6 for one in starts[order].tolist()]
    items = model.items.take(rows[order].tolist())
    notes = (*notes, *note_length(question.k, len(model.items)))
    return Ranked(None, items, scores, False, at, as_of, model.model_version, notes)


def _starts(model: LiveRecommender) -> Ints:
    """Give the microseconds from which on each item is available, the least number for always."""
    if model.catalogue is None:
        return np.full(len(model.items), _NEVER)
    return model.catalogue.shelf(model.items).cells["opens"].astype(np.int64)
