"""What a recommender answers: ranked items for each user, and as of when."""

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from recency.data.vocab import Id
from recency.units import format_instant


@dataclass(frozen=True)
class Recommendations:
    """Hold one ranked list for each question; lists may be shorter than k where little is allowed.

    Attributes:
        users: Who was asked about; None for a history without a name.
        items: Item ids, best first.
        scores: Their scores, which promise no scale. They descend unless the list was arranged to
            differ or to explore.
        fallback: Whether the list is what is popular, because the user had no history.
        at: Instant of the question, microseconds.
        as_of: Instant of the newest event the model knew, microseconds; None without events.
        model_version: Names the weights.
    """

    users: list[Id | None]
    items: list[list[Id]]
    scores: list[list[float]]
    fallback: list[bool]
    at: int
    as_of: int | None
    model_version: str

    def __len__(self) -> int:
        return len(self.users)

    def __iter__(self) -> Iterator[tuple[Id | None, list[Id]]]:
        return zip(self.users, self.items, strict=True)

    def to_frame(self) -> pl.DataFrame:
        """List all recommendations: ``user_id``, ``rank`` (1 = best), ``item_id``, ``score``."""
        rows = [
            (user, rank, item, score, popular)
            for user, items, scores, popular in zip(
                self.users, self.items, self.scores, self.fallback, strict=True
            )
            for rank, (item, score) in enumerate(zip(items, scores, strict=True), start=1)
        ]
        names = ("user_id", "rank", "item_id", "score", "fallback")
        return pl.DataFrame(rows, schema=names, orient="row")

    def __str__(self) -> str:
        frame = self.to_frame()
        with pl.Config(tbl_hide_dataframe_shape=True, tbl_hide_column_data_types=True):
            return f"{frame}\nat {format_instant(self.at)}, model {self.model_version}"
