"""Calibration: heads are set right by all that the newest slice holds, new items too."""

import numpy as np
import polars as pl
import pytest
from torch import Tensor

import recency as rc
from recency.nn.time_head import TimeHead
from recency.nn.type_head import TypeHead

DAY = 86_400
N_USERS, DAYS = 12, 40


@pytest.fixture
def news() -> rc.Log:
    """Everybody views something every day, and every day's items are new that day."""
    days, users = (part.ravel() for part in np.mgrid[:DAYS, :N_USERS])
    frame = pl.DataFrame(
        {
            "user_id": users,
            "item_id": [f"day {day} {user % 3}" for day, user in zip(days, users, strict=True)],
            "timestamp": DAY * days + 60 * users,
            "event_type": ["like" if (day + user) % 3 == 0 else "view" for day, user in
                           zip(days, users, strict=True)],
        }
    )  # fmt: skip
    old = frame.with_columns(item_id=pl.lit("old"), timestamp=pl.col("timestamp") + 7_200)
    return rc.read_log(pl.concat([frame, old.filter(pl.col("user_id") < 4)]))


def fit(log: rc.Log, head: rc.TimeHead | rc.TypeHead) -> None:
    training = rc.TrainConfig(epochs=1, valid_share=0.2, heads="apart")
    rc.SequenceRecommender(rc.GRU(dim=8), training=training, experts=None, heads=[head]).fit(log)


def test_waits_that_new_items_ended_are_no_open_ones(news, monkeypatch):
    found: list[Tensor] = []

    def settle(head: TimeHead, *read: Tensor) -> bool:
        found.append(read[-1])
        return True

    monkeypatch.setattr(TimeHead, "settle", settle)
    fit(news, rc.TimeHead(parts=2))
    came = found[0][:, 1]
    # Each user waits for one more day at the end; all other waits of the slice have ended.
    assert int((came == 0).sum()) == N_USERS
    assert int((came > 0).sum()) > 5 * N_USERS


def test_what_is_told_of_items_is_set_right_by_items_with_weights(news, monkeypatch):
    found: list[Tensor] = []

    def settle(head: TypeHead, *read: Tensor) -> bool:
        found.append(read[1])
        return True

    monkeypatch.setattr(TypeHead, "settle", settle)
    fit(news, rc.TypeHead("like"))
    assert 0 < len(found[0]) < 5 * N_USERS  # the slice holds more, most of them on new items
    assert found[0].any(dim=1).all()
