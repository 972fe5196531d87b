"""Encodings of gaps and of calendar time."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recency.data.histories import NO_GAP
from recency.errors import ConfigError
from recency.nn.time import KNOTS, LONGEST, SHORTEST, CalendarEncoding, GapEncoding, zone_table

YEAR = 365.25 * 86_400


def microseconds(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


# --- gaps ----------------------------------------------------------------------------------------


def test_a_gap_between_two_knots_is_on_the_line_between_them():
    encoding = GapEncoding(4)
    ratio = (LONGEST / SHORTEST) ** (1 / (KNOTS - 1))
    third = SHORTEST * ratio**7  # on knot 7
    between = third * ratio**0.25
    found = encoding(torch.tensor([third, between]))
    torch.testing.assert_close(found[0], encoding.table[7], rtol=0, atol=1e-5)
    line = 0.75 * encoding.table[7] + 0.25 * encoding.table[8]
    torch.testing.assert_close(found[1], line, rtol=0, atol=1e-5)


def test_the_same_instant_and_no_event_before_have_vectors_of_their_own():
    encoding = GapEncoding(4)
    same, none, second = encoding(torch.tensor([0.0, NO_GAP, 1.0]))
    assert torch.equal(same, encoding.table[KNOTS])
    assert torch.equal(none, encoding.table[KNOTS + 1])
    torch.testing.assert_close(second, encoding.table[0], rtol=0, atol=1e-6)
    assert not torch.allclose(same, second)


def test_gaps_beyond_the_ends_are_read_as_the_ends():
    encoding = GapEncoding(4)
    found = encoding(torch.tensor([1e-6, 0.5, 1.0, 5 * YEAR, 40 * YEAR]))
    assert torch.equal(found[0], found[2]) and torch.equal(found[1], found[2])
    assert torch.equal(found[3], found[4])


@settings(deadline=None)
@given(st.floats(min_value=1e-6, max_value=1e10))
def test_the_shares_of_any_gap_sum_to_one(seconds: float):
    shares = GapEncoding(1).weights(torch.tensor([seconds], dtype=torch.float32))[0]
    assert shares.min() >= 0 and abs(float(shares.sum()) - 1) < 1e-4
    assert int((shares > 0).sum()) <= 2


def test_gaps_keep_the_shape_of_their_batch():
    assert GapEncoding(4)(torch.ones(2, 3)).shape == (2, 3, 4)


# --- time zones ----------------------------------------------------------------------------------

ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Africa/Casablanca"]


@settings(deadline=None)
@given(
    st.sampled_from(ZONES),
    st.datetimes(datetime(1970, 1, 2), datetime(2099, 12, 31), timezones=st.just(UTC)),
)
def test_phases_are_those_of_the_local_clock(zone: str, moment: datetime):
    local = moment.astimezone(ZoneInfo(zone))
    midnight = datetime(local.year, local.month, local.day)
    second = (local.replace(tzinfo=None) - midnight).total_seconds() // 1
    day, week, year = CalendarEncoding(2, zone).phases(torch.tensor([microseconds(moment)]))
    days_of_year = (datetime(local.year + 1, 1, 1) - datetime(local.year, 1, 1)).days
    passed = (midnight - datetime(local.year, 1, 1)).days
    assert float(day) == pytest.approx(second / 86_400, abs=1e-6)
    assert float(week) == pytest.approx((local.weekday() + second / 86_400) / 7, abs=1e-6)
    assert float(year) == pytest.approx((passed + second / 86_400) / days_of_year, abs=1e-6)


def test_clock_changes_are_found_to_the_second():
    changes, offsets = zone_table("Europe/Berlin")
    spring = int(datetime(2026, 3, 29, 1, tzinfo=UTC).timestamp())  # 02:00 becomes 03:00
    place = changes.index(spring)
    assert offsets[place : place + 2] == [3_600, 7_200]
    calendar = CalendarEncoding(2, "Europe/Berlin")
    around = torch.tensor([spring * 1_000_000 - 1, spring * 1_000_000])
    hours = calendar.phases(around)[0] * 24
    assert hours.tolist() == pytest.approx([2.0, 3.0], abs=1e-3)


def test_two_instants_a_second_apart_are_told_apart():
    """In float32 seconds since 1970 both would be the same number."""
    calendar = CalendarEncoding(2)
    now = microseconds(datetime(2026, 3, 1, 9, tzinfo=UTC))
    day = calendar.phases(torch.tensor([now, now + 1_000_000]))[0]
    assert float(day[1] - day[0]) * 86_400 == pytest.approx(1.0, abs=0.01)
    assert np.float32(now / 1e6) == np.float32((now + 1_000_000) / 1e6)


def test_times_before_1970_are_read_too():
    moment = datetime(1969, 12, 31, 18, tzinfo=UTC)  # a Wednesday
    day, week, _ = CalendarEncoding(2).phases(torch.tensor([microseconds(moment)]))
    assert float(day) == pytest.approx(0.75) and float(week) == pytest.approx(2.75 / 7)


def test_an_unknown_time_zone_is_named():
    with pytest.raises(ConfigError, match="expected an IANA time zone.*found 'Europe/Berlinn'"):
        CalendarEncoding(4, "Europe/Berlinn")


def test_the_year_counts_only_when_it_is_shown():
    calendar = CalendarEncoding(4)
    torch.nn.init.normal_(calendar.project.weight)
    winter = microseconds(datetime(2026, 1, 5, 9, tzinfo=UTC))
    summer = winter + 26 * 7 * 86_400_000_000  # the same hour and weekday
    times = torch.tensor([winter, summer])
    torch.testing.assert_close(*calendar(times))
    calendar.show_year(True)
    assert not torch.allclose(*calendar(times))
    twin = CalendarEncoding(4)
    twin.load_state_dict(calendar.state_dict())  # what was shown is saved
    torch.testing.assert_close(twin(times), calendar(times))


def test_weekdays_can_be_told_apart_by_a_linear_layer():
    noon = microseconds(datetime(2026, 3, 2, 12, tzinfo=UTC))
    week = noon + np.arange(7) * 86_400_000_000
    features = CalendarEncoding(2).features(torch.from_numpy(week))[:, 4:10]
    with_constant = torch.cat((features, torch.ones(7, 1)), dim=1)
    assert torch.linalg.matrix_rank(with_constant) == 7


def test_features_are_named_sizes():
    calendar = CalendarEncoding(3)
    assert calendar.features(torch.zeros(2, 5, dtype=torch.int64)).shape == (2, 5, calendar.size)
    assert calendar(torch.zeros(2, 5, dtype=torch.int64)).shape == (2, 5, 3)
    assert calendar(torch.tensor([2**62, -(2**62)])).isfinite().all()  # however wrong the time
