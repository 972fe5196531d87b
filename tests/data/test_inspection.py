import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from recency.data.inspection import Inspection, inspect
from recency.data.inspection.findings import percent
from recency.data.inspection.profile import Profile, quantiles
from recency.data.log import Log
from recency.data.synthetic import noise
from recency.errors import ConfigError, DataError
from recency.units import DAY, SECOND, parse_instant

START = parse_instant("2026-01-05")  # a Monday


def log_of(
    users: Sequence[object], items: Sequence[object], seconds: Sequence[float], **columns: object
) -> Log:
    times = [START + round(at * SECOND) for at in seconds]
    return Log.from_frame(
        pl.DataFrame(
            {
                "user_id": users,
                "item_id": items,
                "timestamp": pl.Series(times).cast(pl.Datetime("us", "UTC")),
                **columns,
            }
        )
    )


def warning(facts: Inspection, start: str) -> str:
    found = [one for one in facts.warnings if start in one]
    assert len(found) == 1, facts.warnings
    return found[0]


def test_the_facts_of_a_log_small_enough_to_check(tiny_log: Log) -> None:
    facts = inspect(tiny_log)
    assert (facts.counts.events, facts.counts.users, facts.counts.items) == (12, 3, 4)
    assert facts.times.resolution == "minute"
    assert facts.times.end == tiny_log.end and facts.times.n_future is None
    assert facts.histories.lengths["max"] == 5
    assert facts.histories.lengths["0.5"] == 4
    assert facts.histories.tied_events == pytest.approx(2 / 12)
    # ann: m n . m n p, bob: n o m n, cem: o p o. Repeated: m, n; n; o.
    assert facts.histories.repeats == pytest.approx(4 / 12)
    assert facts.histories.gaps["0.5"] == 180
    assert facts.items.top_share == pytest.approx(4 / 12)
    assert facts.items.new_per_month == {"2026-01": 4}
    assert facts.after_cut.n_events == 2 and facts.after_cut.unseen_items == 0


def test_new_items_and_users_after_the_cut() -> None:
    users = ["a"] * 9 + ["b", "c"] * 5 + ["d"]
    items = list(range(18)) + [0, 99]
    facts = inspect(log_of(users, items, range(20)))
    assert facts.after_cut.n_events == 2 and facts.after_cut.n_users == 2
    assert facts.after_cut.unseen_items == 0.5
    assert facts.after_cut.unseen_users == 0.5
    assert warning(facts, "never seen before") == (
        "50 % of the events after the 0.9 quantile are on items never seen before: a frozen "
        "catalogue is judged on the other 50 %."
    )
    assert "have no earlier event" in warning(facts, "of the users after the 0.9 quantile")


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("day", 86_400),
        ("hour", 3_600),
        ("minute", 60),
        ("second", 1),
        ("millisecond", 0.001),
        ("microsecond", 0.000_001),
    ],
)
def test_the_resolution_is_the_coarsest_unit_that_fits(name: str, unit: float) -> None:
    # The day of a shop need not start at midnight UTC.
    times = [7_200 + unit * n for n in (0, 1, 2, 5, 7)]
    assert inspect(log_of(list("abcde"), [1] * 5, times)).times.resolution == name


def test_whole_days_and_hours_are_warned_of() -> None:
    days = inspect(log_of(list("ab"), [1, 2], [0, 86_400]))
    assert "hour of the day" in warning(days, "Times are whole days")
    hours = inspect(log_of(list("ab"), [1, 2], [0, 3_600]))
    assert "order and gaps within an hour" in warning(hours, "Times are whole hours")


def test_ties_are_warned_of_with_their_share() -> None:
    facts = inspect(log_of(["a"] * 4 + ["b"] * 4, range(8), [0, 0, 0, 1, 0, 2, 3, 4]))
    assert warning(facts, "share their second").startswith(
        "38 % of the events share their second with another of the same user: their order is that "
        "of the rows."
    )


def test_duplicates_event_ids_and_missing_values_are_counted() -> None:
    log = log_of(
        ["a", "a", "a", "b"], [1, 1, 1, 1], [0, 0, 0, 0],
        event_type=["view", "view", "buy", None], event_id=["x", "y", "x", None],
    )  # fmt: skip
    facts = inspect(log)
    assert facts.suspicions.n_duplicates == 1
    assert facts.suspicions.n_repeated_event_ids == 1
    assert facts.counts.missing == {"event_type": 1, "event_id": 1}
    assert facts.counts.event_types == {"view": 2, "buy": 1}
    assert "recency.clean drops them" in warning(facts, "1 events (25 %) repeat user, item, time")
    assert warning(facts, "event_id of an earlier one").startswith("1 events have")
    assert warning(facts, "event_type is missing") == "event_type is missing in 1 events (25 %)."


def test_bots_are_named() -> None:
    users = ["bot"] * 1_500 + [f"u{n % 200}" for n in range(2_000)]
    facts = inspect(log_of(users, [n % 50 for n in range(3_500)], range(3_500)))
    assert facts.suspicions.n_outliers == 1
    assert facts.suspicions.outliers[0].user_id == "bot"
    assert warning(facts, "far more events than the others") == (
        "1 user has far more events than the others, 43 % of all: 'bot' (1,500, 1,500 on one "
        "day). Bots, or shared accounts?"
    )


def test_times_of_the_future_and_of_before_1990_are_warned_of() -> None:
    early = (parse_instant("1970-01-02") - START) / SECOND
    facts = inspect(log_of(["a", "b", "c"], [1, 2, 3], [early, 0, 1]), now="2026-01-05T00:00:01Z")
    assert facts.times.n_early == 1 and facts.times.n_future == 1
    assert "the first at 1970-01-02T00:00:00Z" in warning(facts, "1 events lie before 1990")
    assert "the last at 2026-01-05T00:00:01Z" in warning(facts, "1 events lie in the future")


def test_one_user_one_item_one_event() -> None:
    facts = inspect(log_of(["a"], [1], [0]))
    assert facts.times.resolution == "unknown"
    assert facts.histories.gaps == {}
    assert warning(facts, "one user") == "There is one user: nothing can be learned from others."
    assert warning(facts, "one item") == "There is one item: every recommendation is that item."
    assert warning(facts, "are few") == "1 events are few: a metric on a tenth of them is noise."
    assert "events a user  median 1" in str(facts)


def test_events_of_one_instant_cannot_be_split() -> None:
    facts = inspect(log_of(["a", "b"], [1, 2], [0, 0]))
    assert warning(facts, "same time") == (
        "All events have the same time: nothing can be split by time."
    )


def test_a_thin_tail_is_warned_of() -> None:
    seconds = [*range(1_999), 10**6]
    facts = inspect(log_of([n % 20 for n in range(2_000)], [n % 30 for n in range(2_000)], seconds))
    assert warning(facts, "The last 0.1 %").endswith(
        "cut by quantile, not by date, or the test is nearly empty."
    )


def test_gaps_made_by_a_program_are_found() -> None:
    rng = np.random.default_rng(0)
    gaps = np.where(rng.random(2_000) < 0.4, 30, rng.integers(40, 90_000, 2_000))
    facts = inspect(
        log_of(["a", "b"] * 1_000, rng.integers(0, 50, 2_000).tolist(), np.cumsum(gaps).tolist())
    )
    # Users alternate, so the sum of two gaps counts: 60 s occurs for 16 % of them.
    assert facts.histories.commonest_gap == 60
    assert warning(facts, "made by a program").startswith(
        f"{percent(facts.histories.commonest_gap_share)} of the gaps between a user's events are "
        f"exactly 1 min"
    )


def test_repeats_short_histories_and_popularity_are_warned_of() -> None:
    users = [n // 2 for n in range(2_000)]
    items = [0 if n % 3 else n for n in range(2_000)]
    facts = inspect(log_of(users, items, [n * 7 for n in range(2_000)]))
    assert "at most 2 events" in warning(facts, "Half of the users")
    assert "look at coverage too" in warning(facts, "The top 1 % of the items take 67 %")
    same = inspect(log_of(["a"] * 4, [1, 1, 1, 2], range(4)))
    assert "give both" in warning(same, "50 % of the events repeat an item")


def test_noise_gives_no_warning_and_text_says_so() -> None:
    log = noise(n_users=60, n_items=400, n_events=3_000)
    facts = inspect(log)
    assert facts.warnings == ()
    assert str(facts).endswith("\n\nNothing in it looks misleading.")


def test_an_empty_log_is_refused(tiny_log: Log) -> None:
    with pytest.raises(DataError, match="an empty log cannot be inspected"):
        inspect(tiny_log.before(tiny_log.start))


def test_facts_are_plain_values(tiny_log: Log) -> None:
    plain = json.loads(json.dumps(inspect(tiny_log).to_dict()))
    assert plain["counts"]["events"] == 12
    assert set(plain) == {
        "counts", "times", "histories", "items", "after_cut", "suspicions", "warnings",
    }  # fmt: skip


def test_distributions_count_every_event_once() -> None:
    log = noise(n_users=60, n_items=40, n_events=3_000)
    drawn = inspect(log).distributions
    assert drawn.over_time.sum() == drawn.by_hour.sum() == 3_000
    assert drawn.lengths.sum() == 60
    assert drawn.gaps.sum() + drawn.n_ties == 3_000 - 60
    assert drawn.ages[-1] == 1 and (np.diff(drawn.ages) >= 0).all()
    assert drawn.popularity[0] == drawn.popularity.max()


def test_hours_are_local_and_weekdays_start_on_monday() -> None:
    log = log_of(["a"], [1], [3_600 * 3])  # Monday 03:00 UTC
    assert inspect(log).distributions.by_hour[0, 3] == 1
    assert inspect(log, time_zone="America/New_York").distributions.by_hour[6, 22] == 1


def test_pictures_are_saved(tmp_path: Path, tiny_log: Log) -> None:
    facts = inspect(tiny_log)
    png = facts.picture(tmp_path / "log.png", "A shop")
    assert png.read_bytes().startswith(b"\x89PNG") and png.stat().st_size > 20_000
    page = facts.picture(tmp_path / "log.html", "A <shop>").read_text()
    assert "A &lt;shop&gt;" in page and "data:image/png;base64," in page
    assert "12 events are few" in page and "http" not in page
    with pytest.raises(ConfigError, match=r"ending in .png, .svg or .html, found '.*log.gif'"):
        facts.picture(tmp_path / "log.gif")


@pytest.mark.parametrize("case", ["one event", "one instant", "whole days"])
def test_odd_logs_are_drawn_too(tmp_path: Path, case: str) -> None:
    seconds = {"one event": [0], "one instant": [0, 0], "whole days": [0, 86_400]}[case]
    facts = inspect(log_of(["a"] * len(seconds), range(len(seconds)), seconds))
    assert facts.picture(tmp_path / "log.svg").stat().st_size > 1_000


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0, "0 %"),
        (1, "100 %"),
        (0.999, "99.9 %"),
        (0.774, "77 %"),
        (0.031, "3.1 %"),
        (0.0004, "0.04 %"),
    ],
)
def test_percentages_have_the_digits_that_matter(share: float, text: str) -> None:
    assert percent(share) == text


def test_many_users_are_grouped_in_the_order_of_time() -> None:
    rng = np.random.default_rng(1)
    users = rng.integers(0, 90_000, 100_000)  # more than 16 bits
    profile = Profile(log_of(users.tolist(), [1] * len(users), range(len(users))))
    assert (np.diff(profile.by_user_users) >= 0).all()
    assert (profile.order == np.argsort(profile.users, kind="stable")).all()


def test_quantiles_are_named() -> None:
    values = np.random.default_rng(0).normal(size=101)
    expected = np.quantile(values, [0.1, 0.35])
    assert list(quantiles(values, (0.1, 0.35)).values()) == pytest.approx(expected)
    assert quantiles(np.array([1, 2, 3]), (0.5,)) == {"0.5": 2.0}
    assert quantiles(np.array([], dtype=np.int64), (0.5,)) == {}


def test_an_inspection_does_not_depend_on_the_order_of_ties() -> None:
    log = log_of(["a", "b", "a"], [1, 2, 3], [0, 0, DAY / SECOND])
    turned = Log.from_frame(log.events[[1, 0, 2]])
    assert inspect(log).to_dict() == inspect(turned).to_dict()
