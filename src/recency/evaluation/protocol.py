"""The protocol: what an evaluation asks, and what a recommender answers.

Evaluation knows this page only, so it judges baselines, our models and other libraries alike.

Decisions: a question says whose history may be read up to where (`Questions.stop`) and which events
of the world are known by then (`Questions.world_stop`). It carries no target, so none can leak by
mistake. An answer is a block of scores of the whole catalogue; the recommender chooses the order
and the size of the blocks, and evaluation keeps none of them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol, Self, runtime_checkable

import numpy as np
import numpy.typing as npt

from recency.data.histories import Histories
from recency.data.log import Log
from recency.data.vocab import Vocab

Ints = npt.NDArray[np.int64]
Scores = npt.NDArray[np.float32]

BLOCK_BYTES = 64 * 2**20


@dataclass(frozen=True)
class World:
    """Hold everybody's events in the order of time; equal times keep the log's order.

    Attributes:
        times: [n] microseconds since 1970 UTC, ascending.
        items: [n] rows of `Questions.items`.
        users: [n] rows of `Questions.users`.
    """

    times: Ints
    items: Ints
    users: Ints

    def __len__(self) -> int:
        return len(self.times)


@dataclass(frozen=True)
class Questions:
    """Ask n times: what will this user take next, at this instant, after these events?

    Attributes:
        users: Every user of train and test.
        items: The evaluation's catalogue: every item of train, then those that only test has, then
            those that are only listed.
        n_warm: Items of rows below it occur in train.
        histories: Train and test events of all users, over these vocabularies.
        world: The same events in the order of time.
        user: [n] user rows.
        at: [n] instant of each question in microseconds. Nothing at or after it may be used.
        stop: [n] positions in ``histories``: ``[offsets[user], stop)`` may be answered from.
        world_stop: [n] positions in ``world``: ``[0, world_stop)`` is what everybody did by then.
        types: Event types of train and test, None where the log has none.
        repeats: Whether items of the history may be given; where not, their scores do not count.
    """

    users: Vocab
    items: Vocab
    n_warm: int
    histories: Histories
    world: World
    user: Ints
    at: Ints
    stop: Ints
    world_stop: Ints
    types: Vocab | None = None
    repeats: bool = True

    def __len__(self) -> int:
        return len(self.user)

    @property
    def start(self) -> Ints:
        """Give the position in ``histories`` of the first event of each question's user, [n]."""
        return self.histories.offsets[self.user]

    @property
    def in_time(self) -> Ints:
        """Order the questions by what is known of the world, then by their instants: places [n]."""
        order: Ints = np.lexsort((self.at, self.world_stop))
        return order

    def take(self, index: Ints) -> "Questions":
        """Keep the questions at some positions, in the given order."""
        return replace(
            self,
            user=self.user[index],
            at=self.at[index],
            stop=self.stop[index],
            world_stop=self.world_stop[index],
        )


# Positions of the questions answered [m], and scores of the whole catalogue [m, len(items)]: higher
# is better, -inf is "not to be recommended", NaN is an error. The evaluation may write into the
# scores; they are the recommender's again when it is asked for the next block.
Answer = tuple[Ints, Scores]


@runtime_checkable
class Recommender(Protocol):
    """Name what a recommender must have to be evaluated.

    A model that knows whether scores depend on the instant of the question says so in an attribute
    ``request_time``; one that knows the end of what it learned from, in microseconds, in ``cut``.
    Both are optional and appear in the report.
    """

    @property
    def name(self) -> str:
        """Name the recommender in reports."""
        ...

    def fit(self, log: Log) -> Self:
        """Learn from a log, forgetting what was learned before."""
        ...

    def answer(self, questions: Questions) -> Iterator[Answer]:
        """Answer each question exactly once, in blocks of about `BLOCK_BYTES` of scores."""
        ...


def block_length(n_items: int) -> int:
    """Give the number of questions whose scores fill one block of `BLOCK_BYTES`."""
    return max(1, BLOCK_BYTES // (4 * max(1, n_items)))
