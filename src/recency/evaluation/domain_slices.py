"""Slices of a log with several domains: by domain, by direction, and by what is known of a user."""

import numpy as np
import polars as pl

from recency.data.domains import item_domains
from recency.data.histories import UNKNOWN, Ints
from recency.data.log import Log
from recency.data.vocab import Vocab
from recency.evaluation.exam import Exam
from recency.evaluation.slices import Slice

_BINS = (1, 5, 21)
_NAMES = ("0", "1 - 4", "5 - 20", "> 20")


def domain_slices(exam: Exam) -> list[Slice]:
    """Cut the units by the target's domain, by direction, and by the user's events in the domain.

    The direction runs from the domain of the newest event that may be read to the target's. A
    basket is put where its first target belongs.

    Returns:
        No slices where the log names no domains.
    """
    if not (exam.test.has("domain") and exam.train.has("domain")):
        return []
    targets, questions = exam.targets, exam.questions
    codes, names = _codes(exam)
    if not names:
        return []
    first = targets.first_of_unit
    question, domain = targets.question[first], codes[targets.item[first]]
    start, stop = questions.start[question], questions.stop[question]
    read = codes[questions.histories.items]
    newest = np.where(stop > start, read[np.maximum(stop - 1, 0)], UNKNOWN)
    told = (*names, "none")
    ways = tuple(f"{one} → {other}" for one in told for other in told)
    return [
        Slice("domain", told, domain % len(told)),
        Slice("direction", ways, newest % len(told) * len(told) + domain % len(told)),
        Slice(
            "events in the domain", _NAMES, np.digitize(_known(read, domain, start, stop), _BINS)
        ),
    ]


def _codes(exam: Exam) -> tuple[Ints, tuple[str, ...]]:
    """Give the domain of each item as a place in a list of names, `UNKNOWN` where there is none."""
    items = exam.questions.items
    codes = np.full(len(items), UNKNOWN)
    named = sorted({*_named(exam.train), *_named(exam.test)})
    names = Vocab.from_ids(pl.Series(named, dtype=pl.String))
    for log in (exam.test, exam.train):  # what training says of an item counts more
        found = item_domains(log)
        codes[items.rows(found["item_id"])] = names.rows(found["domain"])
    return codes, tuple(str(one) for one in names.ids)


def _named(log: Log) -> list[str]:
    return [str(one) for one in log.events["domain"].drop_nulls().unique().to_list()]


def _known(read: Ints, domain: Ints, start: Ints, stop: Ints) -> Ints:
    """Count the events in [start, stop) that are of the domain asked about, for each unit."""
    counts = np.zeros(len(domain), np.int64)
    for code in np.unique(domain[domain >= 0]).tolist():
        before = np.concatenate([[0], np.cumsum(read == code)])
        mine = domain == code
        counts[mine] = before[stop[mine]] - before[start[mine]]
    return counts
