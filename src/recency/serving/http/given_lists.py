"""Given lists: what was answered of late, so that the next page repeats none of it.

Kept in memory only, for some minutes and up to a number of ids; the oldest go first. A restart
forgets them all. Who comes back later is told to ask anew.
"""

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable

import msgspec

from recency.asking.selection import Selection
from recency.data.vocab import Id
from recency.serving.engine import Engine
from recency.serving.http.problems import Problem
from recency.serving.http.question_checks import Asked
from recency.serving.http.terms import Terms
from recency.serving.questions import Question, Ranked, Row

KEPT_SECONDS = 600.0

Find = Callable[[Engine, Question], Awaitable[Ranked]]


class GivenList(msgspec.Struct, frozen=True, gc=False):
    """One list that was given, with what was given before it in its chain.

    It holds the parts of its question, not the question: of the many lists that are kept, the
    garbage collector then has nothing to look through.

    Attributes:
        user, history, k, at, selection, details: The question as it was first asked.
        find: Answers it.
        items: All items of the chain so far.
        until: When it is forgotten, seconds of the clock.
    """

    user: Id | None
    history: tuple[Row, ...] | None
    k: int
    at: int | None
    selection: Selection
    details: bool
    find: Find
    items: tuple[Id, ...]
    until: float

    @property
    def weight(self) -> int:
        """Count the ids that it holds."""
        held = (self.history, self.selection.candidates, self.selection.exclude)
        return 1 + len(self.items) + sum(len(one) for one in held if one is not None)

    def asked(self, k: int, terms: Terms) -> Asked:
        """Give its question anew, on other terms; ``k`` of 0 for as many as before."""
        question = Question(self.user, self.history, k or self.k, self.at, self.selection)
        return Asked(question, self.details, terms)


class GivenLists:
    """Remember lists by their recommendation id.

    Args:
        seconds: How long each is kept.
        most_ids: Most ids of all lists together.
        longest: Most items of one chain; then it ends.
        clock: Seconds, never going back.
    """

    def __init__(
        self,
        seconds: float = KEPT_SECONDS,
        most_ids: int = 1_000_000,
        longest: int = 10_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._seconds, self._most, self._longest = seconds, most_ids, longest
        self._clock = clock
        self._lists: OrderedDict[str, GivenList] = OrderedDict()
        self._weight = 0

    def __len__(self) -> int:
        return len(self._lists)

    def keep(self, name: str, asked: Asked, find: Find, items: tuple[Id, ...]) -> None:
        """Remember a list under the id of its answer."""
        now = self._clock()
        one, until = asked.question, now + self._seconds
        kept = GivenList(
            one.user, one.history, one.k, one.at, one.selection, asked.details, find, items, until
        )
        self._lists[name] = kept
        self._weight += kept.weight
        while self._lists and (self._weight > self._most or self._oldest().until < now):
            self._weight -= self._lists.popitem(last=False)[1].weight

    def following(self, name: str, k: int, terms: Terms) -> tuple[Asked, GivenList]:
        """Give the question that goes on where a list ended, and that list.

        Args:
            name: Id of the answer that gave the list.
            k: Most items; 0 for as many as before.
            terms: Of the new question.

        Raises:
            Problem: 410 when the list is not known any more; 422 when the chain is too long.
        """
        found = self._lists.get(name)
        if found is None or found.until < self._clock():
            raise Problem(
                410,
                "list-expired",
                f"no list is kept under recommendation_id {name[:80]!r}: they are kept for "
                f"{self._seconds:g} s, fewer where many are asked for, and not over a restart. "
                f"Ask anew.",
            )
        if len(found.items) >= self._longest:
            raise Problem(
                422,
                "list-too-long",
                f"expected at most {self._longest:,} items in one chain, found "
                f"{len(found.items):,}; ask anew.",
            )
        return found.asked(k, terms), found

    def forget(self, user: Id) -> None:
        """Drop what was answered about a user."""
        for name in [name for name, one in self._lists.items() if one.user == user]:
            self._weight -= self._lists.pop(name).weight

    def _oldest(self) -> GivenList:
        return next(iter(self._lists.values()))
