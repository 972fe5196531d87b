"""Merging and exporting through the engine: seen by the next answer, the same after a restart."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recency.errors import DataError
from recency.recommender import SequenceRecommender
from recency.serving.engine import Engine
from recency.serving.questions import Question
from recency.serving.snapshots.state_hash import state_hash
from recency.serving.users.erasure import erase_user, export_user
from recency.serving.users.merging import Merged, merge_users

DAY = 86_400_000_000
NOW = 1_767_225_600_000_000 + 40 * DAY


def events(*users: str, first: int = 0) -> list[dict[str, Any]]:
    return [
        {
            "user_id": user,
            "item_id": f"i{(3 * n) % 30}",
            "timestamp": NOW - DAY + n * 1_000_000,
            "event_id": f"e{n}",
        }
        for n, user in enumerate(users, first)
    ]


def ranked(engine: Engine, user: str) -> dict[Any, float]:
    found = engine.recommend(Question(user, k=30)).result(30)
    return dict(zip(found.items, found.scores, strict=True))


def alike(one: dict[Any, float], other: dict[Any, float]) -> bool:
    return one.keys() == other.keys() and all(
        one[item] == pytest.approx(other[item], abs=1e-5) for item in one
    )


def hashed(engine: Engine) -> str:
    return engine.call(state_hash).result(30)


def test_a_merge_is_seen_by_the_next_answer_and_after_a_restart(
    shop: Path, clock: Callable[[], int], engine: Engine
):
    engine.ingest(events("a1", "u3", "a1", "u5", "u3")).result(30)
    before = ranked(engine, "u3")
    assert merge_users(engine, "a1", "u3") == Merged("u3", "a1", 6, 2, False)
    assert engine.as_of.seq == 6
    after = ranked(engine, "u3")
    assert not alike(after, before)
    late = [{"anonymous_id": "a1", "item_id": "i9", "timestamp": NOW - 60, "event_id": "late"}]
    assert engine.ingest(late).result(30)[0].status == "accepted"
    history = engine.call(lambda model: model.history("u3")).result(30)
    assert history["item_id"].to_list()[-4:] == ["i3", "i6", "i12", "i9"]
    expected, known = ranked(engine, "u3"), hashed(engine)
    engine.close()
    again = Engine.open(shop, clock=clock)
    assert alike(ranked(again, "u3"), expected) and hashed(again) == known
    assert merge_users(again, "a1", "u3").already
    again.close()


def test_a_merge_equals_a_log_that_knew_from_the_start(
    shop: Path, tmp_path: Path, clock: Callable[[], int], engine: Engine
):
    import shutil

    other = Engine.open(shutil.copytree(shop, tmp_path / "other", ignore=_serve), clock=clock)
    engine.ingest(events("a1", "u3", "a1", "u5", "u3")).result(30)
    ranked(engine, "u3")  # a state is kept from here on
    merge_users(engine, "a1", "u3")
    engine.ingest(events("u5", "u3", first=5)).result(30)
    other.ingest(events("u3", "u3", "u3", "u5", "u3", "u5", "u3")).result(30)
    assert hashed(engine) == hashed(other)
    for user in ("u3", "u5", "u1", "a1"):
        assert alike(ranked(engine, user), ranked(other, user))
    other.close()


def _serve(folder: str, names: list[str]) -> set[str]:
    return {"serve"} & set(names)


def test_a_model_fitted_on_the_merged_history_counts_no_event_twice(
    shop: Path, clock: Callable[[], int], engine: Engine, make_model
):
    """The log was exported under the ids that count and learned from; the store is replayed."""
    rows = events("a1", "u3", "a1")
    engine.ingest(rows).result(30)
    merge_users(engine, "a1", "u3")
    engine.close()
    fitted: SequenceRecommender = make_model([row | {"user_id": "u3"} for row in rows])
    n_events = fitted.live.timelines.n_events
    fitted.save(shop)
    again = Engine.open(shop, clock=clock)
    assert again.follower.n_absorbed == 3
    assert again.call(lambda model: model.live.models[0].timelines.n_events).result(30) == n_events
    again.close()


def test_what_cannot_be_merged_is_refused_and_harms_nobody(engine: Engine):
    with pytest.raises(DataError, match="expected two ids to merge"):
        merge_users(engine, "u1", "u1")
    with pytest.raises(DataError, match="user_id must not be empty"):
        merge_users(engine, "", "u1")
    assert engine.fault is None
    assert engine.ingest(events("u1")).result(30)[0].status == "accepted"


def test_an_export_shows_the_fitted_the_sent_and_the_merged(engine: Engine):
    n_fitted = engine.call(lambda model: model.history("u3").height).result(30)
    engine.ingest(events("a1", "u3")).result(30)
    merge_users(engine, "a1", "u3")
    rows = export_user(engine, "u3")
    assert [row["kind"] for row in rows] == ["fitted"] * n_fitted + ["event"] * 2 + ["merge"]
    assert set(rows[0]) == {"kind", "item_id", "timestamp", "event_type"}
    assert [row.get("user_id") for row in rows[-3:-1]] == ["a1", "u3"]
    assert export_user(engine, "nobody") == []
    erase_user(engine, "u3")
    assert export_user(engine, "u3") == export_user(engine, "a1") == []


def test_questions_of_an_erased_user_are_answered_as_a_strangers(engine: Engine):
    engine.ingest(events("u3", "u3")).result(30)
    assert erase_user(engine, "u3").n_events == 2
    found = engine.recommend(Question("u3", k=5)).result(30)
    assert found.fallback and len(found.items) == 5
