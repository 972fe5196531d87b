"""What heads count in the book is what they count in all events, whatever came in which order."""

import numpy as np
import pytest
import torch

from recency.data.arrivals import Events
from recency.data.histories import Histories, Ints
from recency.data.tallies import Doubles, Ledger
from recency.data.timelines import Timelines
from recency.live import book as book_module
from recency.live.book import Book
from recency.nn.head import Head
from recency.nn.rating_head import RatingHead
from recency.nn.type_head import TypeHead

N_ITEMS, N_USERS, HOUR = 12, 9, 3_600_000_000


def events(rng: np.random.Generator, n: int, first: int, last: int) -> Events:
    """Draw events of hours in a span, many of them of one instant; a fifth without a value."""
    values = rng.integers(1, 6, n).astype(np.float32)
    values[rng.random(n) < 0.2] = np.nan
    return Events(
        users=rng.integers(0, N_USERS, n),
        items=rng.integers(0, N_ITEMS, n),
        times=np.sort(rng.integers(first, last, n)) * HOUR,
        types=rng.integers(0, 2, n),
        values=values,
    )


@pytest.fixture
def timelines() -> Timelines:
    none = Histories(
        offsets=np.zeros(1, np.int64),
        items=np.empty(0, np.int32),
        times=np.empty(0, np.int64),
        types=np.empty(0, np.int16),
        values=np.empty(0, np.float32),
    )
    known = Timelines(none)
    known.add(events(np.random.default_rng(0), 150, 0, 500))
    known.fold()
    return known


def studied(head: Head, timelines: Timelines) -> Head:
    head.build(4)
    head.study(Ledger.of(timelines.histories(), N_ITEMS), ["view", "buy"])
    if isinstance(head, RatingHead):
        head.factors = torch.randn(N_ITEMS, 8, generator=torch.Generator().manual_seed(1))
    return head


def check(book: Book, head: Head, timelines: Timelines, users: Ints, items: Ints) -> None:
    """Compare what a head counts in the book with what it counts in everything."""
    known = timelines.freeze()
    assert known.base is book.base
    at = np.resize(np.array([700, 20, 300]) * HOUR, len(users))
    ledger, rows = book.ledger(head, known.arrived, users, items, N_ITEMS)
    whole = Ledger.of(timelines.histories(), N_ITEMS)
    strangers = np.where(users < whole.histories.n_users, users, -1)
    wanted = head.facts(whole, strangers, items, at)
    np.testing.assert_allclose(head.facts(ledger, rows, items, at), wanted, rtol=1e-5, atol=1e-6)


HEADS = [RatingHead(), TypeHead("buy"), TypeHead("buy", given="view", within="7d")]


@pytest.mark.parametrize("head", HEADS, ids=lambda head: head.name)
def test_a_book_counts_what_all_events_say(head, timelines, monkeypatch):
    monkeypatch.setattr(book_module, "_LOOKED_THROUGH", 4)  # the index grows now and then
    head, rng = studied(head, timelines), np.random.default_rng(3)
    book = Book(timelines.freeze().base)
    first = 500
    for n in (0, 1, 1, 7, 30, 2, 20):
        timelines.add(events(rng, n, first, first + 10))
        first += 10
        users, items = rng.integers(-1, N_USERS + 1, 6), rng.integers(-1, N_ITEMS, 6)
        check(book, head, timelines, users, np.where(items < 0, -2, items))


def test_a_late_event_changes_the_notes_of_newer_ones(timelines):
    head, rng = studied(RatingHead(), timelines), np.random.default_rng(4)
    book = Book(timelines.freeze().base)
    everybody, items = np.arange(N_USERS), rng.integers(0, N_ITEMS, N_USERS)
    for first, last in ((500, 510), (100, 400), (505, 506), (0, 500), (511, 512)):
        check(book, head, timelines, everybody, items)
        timelines.add(events(rng, 5, first, last))
    check(book, head, timelines, everybody, items)


class Counting(RatingHead):
    """Write down of how many events notes are taken at once."""

    def __init__(self) -> None:
        super().__init__()
        self.read: list[int] = []

    def notes(self, ledger: Ledger) -> Doubles:
        self.read.append(len(ledger.users))
        return super().notes(ledger)


def test_notes_of_known_events_are_not_taken_again(timelines):
    head, rng = Counting(), np.random.default_rng(5)
    studied(head, timelines)
    book = Book(timelines.freeze().base)
    for first in (500, 510, 520):
        for _ in range(2):
            known = timelines.freeze()
            book.ledger(head, known.arrived, np.array([0]), np.array([0]), N_ITEMS)
        timelines.add(events(rng, 1, first, first + 1))
    assert len(head.read) == 3 and head.read[0] == 150
    assert max(head.read[1:]) < 75  # the events of one user and on one item


def test_erasing_and_merging_want_another_book(timelines):
    book = Book(timelines.freeze().base)
    timelines.move(0, 1)
    assert timelines.freeze().base is not book.base
