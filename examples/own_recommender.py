"""Judge a recommender of your own beside the baselines: anything that answers the protocol will do.

python examples/own_recommender.py
"""

from collections.abc import Iterator
from typing import Self

import numpy as np

import recency as rc
from recency.data.synthetic import shop
from recency.evaluation.protocol import Answer, Questions, block_length


class Trending:
    """Score an item by its events in the last day before the question, whoever made them."""

    name = "trending today"
    request_time = "known"

    def fit(self, log: rc.Log) -> Self:
        """Learn nothing: all that is needed comes with the question."""
        return self

    def answer(self, questions: Questions) -> Iterator[Answer]:
        """Count, for each question, the world's events of the day before it."""
        world, day = questions.world, 86_400_000_000
        first = np.searchsorted(world.times, questions.at - day)
        size = block_length(len(questions.items))
        for start in range(0, len(questions), size):
            index = np.arange(start, min(start + size, len(questions)))
            scores = np.stack(
                [
                    np.bincount(
                        world.items[first[i] : questions.world_stop[i]],
                        minlength=len(questions.items),
                    )
                    for i in index
                ]
            )
            yield index, scores.astype(np.float32)


def main(n_users: int = 500) -> None:
    """Run the example; a test runs it smaller."""
    log = shop(n_users=n_users, n_items=100, seed=3).log
    train, test = log.split_at(log.quantile(0.9))
    print(rc.evaluate(Trending().fit(train), test, k=10, history="rolling"))


if __name__ == "__main__":
    main()
