"""Segments: what is popular with people like a user, for those without a history.

With c_a,i the decayed count of item i in the user's segment of attribute a (of one age, say), C_a
its sum, and p_i the share of item i in everybody's counts, an item scores

    log2 p_i + sum over a of log2((c_a,i + m p_i) / (C_a + m)) - log2 p_i

that is the log-share under independent attributes (naive Bayes), each segment mixed with m events
of everybody (`ProfileConfig.shrinkage`): a segment that did little says little, and one that fades
falls back to the whole. Counts are of events before the instant of the question, and move with
every event.
"""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from recency.data.counts import DecayedCounts
from recency.data.histories import Histories, Ints
from recency.data.profiles import People
from recency.data.user_attributes import NOTHING

Floats = npt.NDArray[np.float32]
Codes = Callable[[Ints], Ints]  # user rows [n] to codes [n, n_attributes]


class Segments:
    """Count events by item in each segment of users, and in all.

    Args:
        half_life: Seconds in which an event loses half its weight.
        codes: Gives the codes of users by row.
        places: Which attributes count, as columns of the codes.
        shrinkage: Events of everybody that a segment's own are mixed with.
    """

    def __init__(
        self, half_life: float, codes: Codes, places: Sequence[int], shrinkage: float
    ) -> None:
        self._half_life, self._codes = half_life, codes
        self._places, self.shrinkage = tuple(places), shrinkage
        self._counts: dict[tuple[int, int], DecayedCounts] = {}
        self._whole = DecayedCounts(half_life)

    def add(self, users: Ints, items: npt.NDArray[np.integer], times: Ints) -> None:
        """Count events: user and item rows, negative ones left out, and microseconds, [n] each."""
        self._whole.add(items, times)
        codes = self._codes(users)
        for place in self._places:
            column = codes[:, place]
            for code in np.unique(column[column != NOTHING]).tolist():
                key = (place, code)
                if key not in self._counts:
                    self._counts[key] = DecayedCounts(self._half_life)
                mine = column == code
                self._counts[key].add(items[mine], times[mine])

    def over(self, codes: Codes) -> "Segments":
        """Give an empty count of the same kind for the rows of another vocabulary."""
        return Segments(self._half_life, codes, self._places, self.shrinkage)

    def afresh(self, histories: Histories, until: int | None = None) -> "Segments":
        """Count anew what happened, all or strictly before an instant in microseconds."""
        one = self.over(self._codes)
        users, items, times = histories.user_of, histories.items, histories.times
        if until is not None:
            before = times < until
            users, items, times = users[before], items[before], times[before]
        one.add(users, items, times)
        return one

    def as_of(self, at: int, now: int, known: Callable[[], Histories]) -> "Segments":
        """Give the counts strictly before an instant: these, or what of all that is known."""
        return self if at >= now else self.afresh(known(), until=at)

    def scores(self, users: Ints, at: int, n_items: int) -> Floats:
        """Score items for users by row, as of an instant after every event counted.

        Returns:
            [n, n_items] on the scale of log2 of everybody's counts, which are the answer for users
            of whom nothing is known; -inf for items without events.
        """
        whole = self._whole.at(at, n_items)
        base, total = self._whole.log_counts(at, n_items), whole.sum()
        codes, rows = np.unique(self._codes(users), axis=0, return_inverse=True)
        found = np.empty((len(codes), n_items), np.float32)
        for row, one in enumerate(codes):
            found[row] = base + (self._lift(one, at, whole / total) if total > 0 else 0.0)
        return found[rows.reshape(-1)]

    def _lift(self, codes: Ints, at: int, shares: npt.NDArray[np.float64]) -> Floats:
        """Give how much more an item is taken in the user's segments: log2 factors [n_items]."""
        lift = np.zeros(len(shares))
        for place in self._places:
            counted = self._counts.get((place, int(codes[place])))
            if counted is None or np.isinf(self.shrinkage):
                continue
            own = counted.at(at, len(shares))
            mixed = (own + self.shrinkage * shares) / (own.sum() + self.shrinkage)
            known = (shares > 0) & (mixed > 0)
            lift[known] += np.log2(mixed[known] / shares[known])
        return np.round(lift, 6).astype(np.float32)


def recounted(
    segments: Segments | None, known: Callable[[], Histories], people: People | None = None
) -> Segments | None:
    """Count segments anew, by the rows of other people if there are any; None where none are."""
    if segments is None:
        return None
    return (segments if people is None else segments.over(people.of)).afresh(known())
