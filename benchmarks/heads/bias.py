"""The bias model: mean, user and item bias, regularised; as fitted once, and brought up to date.

    v = mu + b_u + b_i,  minimising  sum (v - mu - b_u - b_i)^2 + l_u sum b_u^2 + l_i sum b_i^2

`frozen` knows what came before the cut alone, as the usual anchor does: a user who came later has a
bias of 0. `running` takes the biases of items from there and goes on: before each question the
biases of its user and item are those of all that they gave and got until then. It is the stronger
one by far where most users are new, and the fair one beside a model that reads a user's newest
events.

Source:
    Koren, Factor in the Neighbors, TKDD 2010, section 2.1.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmarks.heads.tally import Tally

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_ROUNDS = 60
GRID = (1.0, 2.0, 4.0, 8.0, 16.0)


@dataclass(frozen=True)
class Ratings:
    """Hold n ratings in the order of time: rows of users and items, seconds since 1970, values."""

    users: Ints
    items: Ints
    times: Ints
    values: Floats

    def __len__(self) -> int:
        return len(self.values)

    def part(self, start: int, stop: int) -> "Ratings":
        """Keep the ratings ``[start, stop)``."""
        kept = slice(start, stop)
        return Ratings(self.users[kept], self.items[kept], self.times[kept], self.values[kept])


@dataclass(frozen=True)
class Biases:
    """Hold a fitted bias model."""

    mean: float
    users: Floats
    items: Floats
    user_weight: float
    item_weight: float


def fit_biases(train: Ratings, shape: tuple[int, int], weights: tuple[float, float]) -> Biases:
    """Fit by going back and forth between users and items until it stands still."""
    (n_users, n_items), (l_u, l_i) = shape, weights
    mean = float(train.values.mean())
    rest = train.values - mean
    n_u = np.bincount(train.users, minlength=n_users) + l_u
    n_i = np.bincount(train.items, minlength=n_items) + l_i
    users, items = np.zeros(n_users), np.zeros(n_items)
    for _ in range(_ROUNDS):
        items = np.bincount(train.items, rest - users[train.users], n_items) / n_i
        users = np.bincount(train.users, rest - items[train.items], n_users) / n_u
    return Biases(mean, users, items, l_u, l_i)


def frozen(biases: Biases, asked: Ratings) -> Floats:
    """Foretell from what was fitted alone."""
    return biases.mean + biases.users[asked.users] + biases.items[asked.items]


def running(biases: Biases, everything: Ratings, start: int) -> Floats:
    """Foretell each rating from place ``start`` on, from all ratings of earlier seconds."""
    asked = everything.part(start, len(everything))
    rest = everything.values - biases.mean
    # What others gave an item, less their own bias at the time: of training, that was fitted.
    given = Tally.of(everything.items, everything.times, rest - _user_biases(biases, everything))
    got = given.total(asked.items, asked.times) / (
        given.count(asked.items, asked.times) + biases.item_weight
    )
    own = Tally.of(everything.users, everything.times, rest - biases.items[everything.items])
    user = own.total(asked.users, asked.times) / (
        own.count(asked.users, asked.times) + biases.user_weight
    )
    return biases.mean + user + got


def _user_biases(biases: Biases, everything: Ratings) -> Floats:
    """Give the bias of each rating's user as known before it."""
    rest = everything.values - biases.mean - biases.items[everything.items]
    own = Tally.of(everything.users, everything.times, rest)
    known: Floats = own.total(everything.users, everything.times) / (
        own.count(everything.users, everything.times) + biases.user_weight
    )
    learned = biases.users[everything.users]
    return np.where(learned != 0, learned, known)
