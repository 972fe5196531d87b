"""A log of eleven events that every rule of the protocol can be read off by hand."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import polars as pl
import pytest

from recency.data.log import TIME, Log
from recency.evaluation.protocol import Answer, Questions

START = 1_767_225_600_000_000  # 2026-01-01T00:00Z
MINUTE = 60_000_000
CUT = START + 10 * MINUTE


def log_of(text: str) -> Log:
    """Make a log of ``user item minute``, parted by commas."""
    rows = [line.split() for line in text.split(",")]
    times = [START + int(minute) * MINUTE for _, _, minute in rows]
    return Log.from_frame(
        pl.DataFrame(
            {
                "user_id": [user for user, _, _ in rows],
                "item_id": [item for _, item, _ in rows],
                "timestamp": pl.Series(times).cast(TIME),
            }
        )
    )


@dataclass
class Fixed:
    """Score each item the same for everybody; remember what was asked."""

    scores: Mapping[str, float]
    name: str = "fixed"
    block: int = 2
    asked: list[Questions] = field(default_factory=list)

    def fit(self, log: Log) -> "Fixed":
        return self

    def answer(self, questions: Questions) -> Iterator[Answer]:
        self.asked.append(questions)
        row = [self.scores.get(str(item), 0.0) for item in questions.items.ids]
        for start in range(0, len(questions), self.block):
            index = np.arange(start, min(start + self.block, len(questions)))
            yield index, np.tile(np.array(row, np.float32), (len(index), 1))


@pytest.fixture
def make_log() -> Callable[[str], Log]:
    return log_of


@pytest.fixture
def fixed() -> type[Fixed]:
    return Fixed


@pytest.fixture
def test_log() -> Log:
    """Six events after the cut at minute 10; d is cold, new has no history, two are repeats."""
    log = log_of(
        "ann a 0, bob b 1, ann b 2, bob c 3, cem a 4, "
        "ann c 10, ann a 11, ann d 11, new b 12, bob d 13, bob b 14"
    )
    return log.split_at(CUT)[1]
