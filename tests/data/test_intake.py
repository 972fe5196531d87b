from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from recency.data.histories import UNKNOWN
from recency.data.intake import EventRow, Vocabs, events_of
from recency.data.log import Log
from recency.data.vocab import Vocab
from recency.errors import DataError


@pytest.fixture
def vocabs() -> Vocabs:
    return Vocabs(
        Vocab.from_ids(pl.Series(["u"])), Vocab.from_ids(pl.Series([5])), Vocab(pl.String)
    )


def test_dictionaries(vocabs: Vocabs) -> None:
    events = events_of(
        [
            {"user_id": "u", "item_id": "5", "timestamp": "2026-01-01", "event_type": "view"},
            {"user_id": 9, "item_id": 6, "timestamp": datetime(2026, 1, 2, tzinfo=UTC), "value": 2},
        ],
        vocabs,
    )
    assert events.users.tolist() == [0, 1] and vocabs.users.ids.to_list() == ["u", "9"]
    assert events.items.tolist() == [0, 1] and vocabs.items.ids.to_list() == [5, 6]
    assert events.types.tolist() == [0, UNKNOWN]
    assert np.isnan(events.values[0]) and events.values[1] == 2.0
    assert np.diff(events.times).tolist() == [86_400_000_000]
    assert len(events_of([], vocabs)) == 0


def test_all_faults_come_together_and_nothing_is_taken(vocabs: Vocabs) -> None:
    rows: list[EventRow] = [
        {"user_id": "new", "item_id": 7, "timestamp": "2026-01-01"},
        {"user_id": "u", "timestamp": "2026-01-01"},
        {"user_id": "u", "item_id": "x", "timestamp": "2026-01-01"},
        {"user_id": "u", "item_id": 5, "timestamp": 1_700_000_000},
        {"user_id": "u", "item_id": 5, "timestamp": "2026-01-01", "value": "much"},
        {"user_id": "u", "item_id": 5, "timestamp": "2026-01-01", "event_type": 3},
    ]
    with pytest.raises(DataError) as caught:
        events_of(rows, vocabs)
    text = str(caught.value)
    assert "5 faults" in text and "event 1: item_id missing" in text
    assert "event 2: ids of this log are integers, found 'x'" in text
    assert "event 3: an integer instant is microseconds" in text and "looks like seconds" in text
    assert "event 4: expected value as a number, found 'much'" in text
    assert "event 5: expected event_type as text, found 3" in text
    assert len(vocabs.users) == 1 and len(vocabs.items) == 1


def test_many_faults_are_counted(vocabs: Vocabs) -> None:
    with pytest.raises(DataError, match="… and 15 more"):
        events_of([{}] * 25, vocabs)


def test_a_log_gives_the_same_rows_as_dictionaries(vocabs: Vocabs) -> None:
    frame = pl.DataFrame(
        {
            "user_id": ["u", "v"],
            "item_id": [5, 8],
            "timestamp": [datetime(2026, 1, 1, tzinfo=UTC)] * 2,
            "event_type": ["view", None],
            "value": [1.5, None],
        }
    )
    events = events_of(Log.from_frame(frame), vocabs)
    assert (events.users.tolist(), events.items.tolist()) == ([0, 1], [0, 1])
    assert events.types.tolist() == [0, UNKNOWN]
    assert events.values[0] == 1.5 and np.isnan(events.values[1])


def test_vocabularies_can_be_left_alone(vocabs: Vocabs) -> None:
    events = events_of(
        [{"user_id": "?", "item_id": 99, "timestamp": "2026-01-01", "event_type": "buy"}],
        vocabs,
        grow=False,
    )
    assert (events.users[0], events.items[0], events.types[0]) == (UNKNOWN,) * 3
    assert len(vocabs.items) == 1
