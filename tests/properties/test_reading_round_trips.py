"""What is written in any of the formats is read back as it was."""

import io

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from recency.data.cleaning import drop_duplicates
from recency.data.inspection import inspect
from recency.data.log import Log
from recency.data.reading import read_log
from recency.data.screens import k_core

WORDS = st.text(alphabet="abcAB019_-é ", min_size=1, max_size=6).filter(lambda word: word.strip())
# From 1990 to 2100: relative times and those of antiquity are told apart by other tests.
SECONDS = st.integers(631_152_000, 4_102_444_800)
EVENTS = st.lists(st.tuples(st.integers(0, 9), WORDS, SECONDS), min_size=1, max_size=30)


def frame(events: list[tuple[int, str, int]]) -> pl.DataFrame:
    return pl.DataFrame(events, schema=["user_id", "item_id", "timestamp"], orient="row")


def quiet(source: object, **options: object) -> Log:
    return read_log(source, report=lambda _: None, **options)  # type: ignore[arg-type]  # passed on


@settings(max_examples=40, deadline=None)
@given(EVENTS)
def test_parquet_and_ndjson_give_the_same_log_as_the_frame(
    events: list[tuple[int, str, int]],
) -> None:
    table = frame(events)
    expected = quiet(table).events
    assert expected["timestamp"].is_sorted()
    for form in ("parquet", "ndjson"):
        file = io.BytesIO()
        table.write_parquet(file) if form == "parquet" else table.write_ndjson(file)
        file.seek(0)
        assert quiet(file, format=form).events.equals(expected)


@settings(max_examples=40, deadline=None)
@given(EVENTS)
def test_text_gives_the_same_ids_and_times(events: list[tuple[int, str, int]]) -> None:
    table = frame(events)
    file = io.BytesIO()
    table.write_csv(file)
    file.seek(0)
    read = quiet(file, format="csv").events
    expected = quiet(table).events
    assert read["user_id"].equals(expected["user_id"])
    assert read["timestamp"].equals(expected["timestamp"])
    # Items that are all written as integers become integers; nothing else changes.
    assert read["item_id"].cast(pl.String).equals(expected["item_id"])


@settings(max_examples=40, deadline=None)
@given(EVENTS, st.sampled_from([("ms", 1_000), ("us", 1_000_000), ("ns", 1_000_000_000)]))
def test_the_unit_changes_nothing(
    events: list[tuple[int, str, int]], unit: tuple[str, int]
) -> None:
    table = frame(events)
    scaled = table.with_columns(pl.col("timestamp") * unit[1])
    assert quiet(scaled, unit=unit[0]).events.equals(quiet(table).events)


@settings(max_examples=30, deadline=None)
@given(EVENTS, st.integers(1, 4), st.integers(1, 4))
def test_a_core_is_a_core_and_the_largest_one(
    events: list[tuple[int, str, int]], k_users: int, k_items: int
) -> None:
    log = quiet(frame(events))
    screen = k_core(log, k_users=k_users, k_items=k_items)
    rest, removal = screen.apply(log)
    assert rest.n_events + removal.n_events == log.n_events
    if rest.n_events:
        assert rest.events["user_id"].value_counts()["count"].min() >= k_users  # type: ignore[operator]  # a count
        assert rest.events["item_id"].value_counts()["count"].min() >= k_items  # type: ignore[operator]  # a count
        again = k_core(rest, k_users=k_users, k_items=k_items)
        assert not len(again.dropped_users) and not len(again.dropped_items)


@settings(max_examples=30, deadline=None)
@given(EVENTS)
def test_inspecting_counts_what_cleaning_drops(events: list[tuple[int, str, int]]) -> None:
    log = quiet(frame(events + events[:3]))
    facts = inspect(log)
    assert drop_duplicates(log)[1].n_events == facts.suspicions.n_duplicates
    assert 0 <= facts.histories.tied_events <= 1 and 0 <= facts.histories.repeats < 1
