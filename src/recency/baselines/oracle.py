"""Oracle: ranks by the truth of a synthetic shop, and so marks what is possible at best."""

from collections.abc import Iterator
from typing import Self

import numpy as np
import polars as pl

from recency.data.log import TIME, Log
from recency.data.synthetic import Shop
from recency.errors import DataError
from recency.evaluation.protocol import Answer, Ints, Questions, block_length
from recency.units import format_instant


class Oracle:
    """Answer with the chances from which the shop drew its events.

    It knows what no log tells, such as the intent of a visit before its first event, so it is a
    ceiling and not a competitor.

    Args:
        shop: Questions must be about events of its log.
    """

    name = "truth"
    request_time = "known"

    def __init__(self, shop: Shop) -> None:
        self._shop = shop

    def fit(self, log: Log) -> Self:
        """Learn nothing: everything is known."""
        return self

    def answer(self, questions: Questions) -> Iterator[Answer]:
        """Answer questions about events of the shop's log.

        Raises:
            DataError: no event of a question's user lies at its instant.
        """
        events = self._events(questions)
        columns = questions.items.rows(self._shop.items["item_id"])
        known = columns >= 0
        size = block_length(len(questions.items))
        for start in range(0, len(questions), size):
            index = np.arange(start, min(start + size, len(questions)))
            scores = np.full((len(index), len(questions.items)), -np.inf, np.float32)
            chances = self._shop.truth.probabilities(events[index])
            scores[:, columns[known]] = chances[:, known]
            yield index, scores

    def _events(self, questions: Questions) -> Ints:
        """Find the event that each question is about: the user's first one at its instant."""
        users = questions.users.ids.gather(questions.user).alias("user_id")
        asked = pl.DataFrame([users, pl.Series("timestamp", questions.at).cast(TIME)])
        log = self._shop.log.events.select("user_id", "timestamp").with_row_index("event")
        places = log.unique(["user_id", "timestamp"], keep="first", maintain_order=True)
        found = asked.join(places, on=["user_id", "timestamp"], how="left", maintain_order="left")
        if missing := found["event"].null_count():
            first = found.filter(pl.col("event").is_null()).row(0, named=True)
            at = int(pl.Series([first["timestamp"]]).to_physical()[0])
            raise DataError(
                f"expected questions about events of the shop's own log; {missing:,} of "
                f"{len(questions):,} are not, such as {first['user_id']!r} at {format_instant(at)}."
            )
        return found["event"].to_numpy().astype(np.int64)
