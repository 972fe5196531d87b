"""T6: late, future, equal, negative and ambiguous times: one rule, and a status for each event."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.serving.shop import DAY, START, untrained_shop
from recency.data.histories import NO_GAP
from recency.serving.engine import Engine
from recency.serving.intake.values import Unit
from recency.units import parse_instant

NOW = START + 300 * DAY  # 2026-10-28T00:00Z: summer time has ended three days before
SECOND, HOUR = 1_000_000, 3_600_000_000
SKEW = 300 * SECOND


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untrained_shop(tmp_path_factory.mktemp("model") / "shop", 20, 10, 100, dim=8)


@pytest.fixture
def shop(model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(model, tmp_path / "shop"))


@pytest.fixture
def engine(shop: Path) -> Iterator[Engine]:
    engine = Engine.open(shop, clock=lambda: NOW)
    yield engine
    engine.close()


def send(engine: Engine, *times: Any, unit: Unit = "us", user: str = "new") -> list[Any]:
    rows = [
        {"user_id": user, "item_id": f"i{n}", "timestamp": at, "event_id": f"{user}-{at}-{n}"}
        for n, at in enumerate(times)
    ]
    return engine.ingest(rows, unit).result(timeout=30)


def history(engine: Engine, user: str = "new") -> list[tuple[str, int]]:
    """List a user's events as (item, microseconds)."""
    found = engine.call(lambda model: model.history(user)).result(30)
    return list(
        zip(found["item_id"].to_list(), found["timestamp"].to_physical().to_list(), strict=True)
    )


def assert_no_time_travel(engine: Engine) -> None:
    """No gap that the model reads is negative, and times ascend within every history."""
    histories = engine.call(lambda model: model.live.models[0].timelines.histories()).result(30)
    first = histories.offsets[:-1][histories.lengths > 0]
    gaps = histories.gaps.copy()
    assert (gaps[first] == NO_GAP).all()
    gaps[first] = 0
    assert (gaps >= 0).all() and np.isfinite(gaps).all()


def test_t06_late_and_equal_events_go_where_their_time_belongs(
    engine: Engine, shop: Path, fault_row: Callable[..., None]
) -> None:
    times = [NOW - 5 * HOUR, NOW - HOUR, NOW - 3 * HOUR, NOW - 3 * HOUR, NOW - 300 * DAY]
    assert [one.status for one in send(engine, *times)] == ["accepted"] * 5
    expected = ["i4", "i0", "i2", "i3", "i1"]  # at one instant in the order of arrival
    assert [item for item, _ in history(engine)] == expected
    assert_no_time_travel(engine)
    engine.close()
    again = Engine.open(shop, clock=lambda: NOW)
    assert [item for item, _ in history(again)] == expected
    again.close()
    fault_row(test="T6", runs=1, lost=0, doubled=0)


def test_t06_a_late_event_changes_no_answer_about_the_time_before_it(engine: Engine) -> None:
    send(engine, NOW - 9 * HOUR, NOW - HOUR)

    def scores(at: int) -> list[float]:
        return engine.call(lambda m: m.recommend(["new"], 5, at=at).scores[0]).result(30)

    before, after = scores(NOW - 5 * HOUR), scores(NOW)
    send(engine, NOW - 4 * HOUR)
    assert scores(NOW - 5 * HOUR) == pytest.approx(before, abs=1e-6)
    assert scores(NOW) != pytest.approx(after, abs=1e-6)


def test_t06_a_clock_ahead_is_borne_up_to_the_limit_and_refused_beyond(engine: Engine) -> None:
    found = send(engine, NOW + SKEW, NOW + SKEW + SECOND, NOW)
    assert [one.status for one in found] == ["accepted", "rejected", "accepted"]
    assert found[1].seq is None and found[1].error == (
        "timestamp: 2026-10-28T00:05:01Z lies 5.02 min ahead of the server's clock "
        "(2026-10-28T00:00:00Z); at most 5 min is allowed. Check the unit, the time zone and the "
        "sender's clock."
    )
    assert engine.now() == NOW + SKEW + 1  # what was acknowledged is seen by the next answer
    assert_no_time_travel(engine)


def test_t06_events_without_a_time_get_the_clocks_and_keep_their_order(engine: Engine) -> None:
    assert [one.status for one in send(engine, None, None, None)] == ["accepted"] * 3
    found = history(engine)
    assert [item for item, _ in found] == ["i0", "i1", "i2"]
    assert [at for _, at in found] == [NOW, NOW + 1, NOW + 2]


@pytest.mark.parametrize("at", [-1, -NOW, "1969-12-31T23:59:59Z", "1970-01-01T00:00:01Z"])
def test_t06_times_at_or_before_1970_are_refused_or_told_apart(engine: Engine, at: Any) -> None:
    (outcome,) = send(engine, at)
    if outcome.status == "accepted":  # a negative count of microseconds is an instant before 1970
        assert history(engine)[0][1] == parse_instant(at)
    else:
        assert outcome.error is not None and "1970" in outcome.error
    assert_no_time_travel(engine)


def test_t06_the_hour_that_comes_twice_is_told_apart_by_its_offset(engine: Engine) -> None:
    """Europe/Berlin, 2026-10-25: 02:30 in summer time, and an hour later 02:30 again."""
    found = send(engine, "2026-10-25T02:30:00+01:00", "2026-10-25T02:30:00+02:00")
    assert [one.status for one in found] == ["accepted"] * 2
    first, second = history(engine)
    assert (first[0], second[0]) == ("i1", "i0")
    assert second[1] - first[1] == HOUR
    # Without an offset a time is UTC, and says so nowhere: both of the hour are one instant.
    send(engine, "2026-10-25T00:30:00", user="plain")
    assert history(engine, "plain")[0][1] == first[1]


@pytest.mark.parametrize("unit,per_second", [("s", 1), ("ms", 1_000), ("us", 1_000_000)])
def test_t06_one_instant_in_any_unit_is_one_instant(engine: Engine, unit: Unit, per_second) -> None:
    at = NOW - HOUR
    (outcome,) = send(engine, at * per_second // SECOND, unit=unit)
    assert outcome.status == "accepted" and history(engine) == [("i0", at)]


@pytest.mark.parametrize(
    "said,sent,looks",
    [
        ("us", NOW // 1000, "milliseconds"),
        ("us", NOW // SECOND, "seconds"),
        ("us", NOW * 1000, "nanoseconds"),
        ("ms", NOW, "microseconds"),
        ("s", NOW // 1000, "milliseconds"),
    ],
)
def test_t06_a_number_in_another_unit_is_refused_by_name(
    engine: Engine, said: Unit, sent: int, looks: str
) -> None:
    (outcome,) = send(engine, sent, unit=said)
    assert outcome.status == "rejected" and outcome.error is not None
    assert f"looks like {looks}. Send ISO 8601 text" in outcome.error
    assert history(engine) == []


def test_t06_one_bad_time_does_not_hold_up_its_neighbours(engine: Engine) -> None:
    found = send(engine, NOW - 2, "yesterday", NOW - 1, NOW + DAY, True)
    assert [one.status for one in found] == [
        "accepted", "rejected", "accepted", "rejected", "rejected",
    ]  # fmt: skip
    assert [item for item, _ in history(engine)] == ["i0", "i2"]
