"""Evaluation by domain: candidates, directions and slices, counted by hand."""

from collections.abc import Iterator
from typing import Self

import numpy as np
import polars as pl
import pytest

from recency.data.catalogue import Catalogue
from recency.data.domains import domain_codes, item_domains, with_domains
from recency.data.log import TIME, Log
from recency.data.vocab import Vocab
from recency.errors import ConfigError, DataWarning
from recency.evaluation.domains import evaluate_domains
from recency.evaluation.protocol import Answer, Questions

START = 1_767_225_600_000_000  # 2026-01-01T00:00Z
CUT = START + 100_000_000


def log_of(rows: list[tuple[str, str, int, str | None]]) -> Log:
    """Make a log of user, item, second, domain."""
    frame = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp", "domain"], orient="row")
    return Log.from_frame(frame.with_columns((pl.col("timestamp") * 1_000_000 + START).cast(TIME)))


EVENTS: list[tuple[str, str, int, str | None]] = [
    ("ann", "f1", 1, "films"),
    ("ann", "f2", 2, "films"),
    ("bob", "f1", 3, "films"),
    ("bob", "b1", 4, "books"),
    ("bob", "b2", 5, "books"),
    ("cem", "b3", 6, "books"),
    ("ann", "b1", 100, "books"),  # films → books, none of the domain before
    ("bob", "b3", 101, "books"),  # books → books, two before
    ("bob", "f2", 102, "films"),  # books → films, one before
    ("dan", "f1", 103, "films"),  # nothing before
]


class FirstItem:
    """Say that the first item of the catalogue comes next, then the second, and so on."""

    name = "first"

    def fit(self, log: Log) -> Self:
        return self

    def answer(self, questions: Questions) -> Iterator[Answer]:
        n_items = len(questions.items)
        scores = np.tile(-np.arange(n_items, dtype=np.float32), (len(questions), 1))
        yield np.arange(len(questions)), scores


def test_candidates_are_the_items_of_the_target_s_domain() -> None:
    test = log_of(EVENTS).split_at(CUT)[1]
    found = evaluate_domains(FirstItem(), test, baselines=False, resamples=2)
    assert list(found) == ["books", "films"]
    # Items in order: f1, f2, b1, b2, b3. Within books b1 comes first and b3 last.
    assert found["books"].ranks["first"].tolist() == [1.0, 3.0]
    assert sorted(found["films"].ranks["first"].tolist()) == [1.0, 2.0]
    assert found["books"].counts.n_items == 3 and found["films"].counts.n_items == 2


def bins(slices: pl.DataFrame, name: str) -> dict[str, int]:
    part = slices.filter(slices["slice"] == name)
    return dict(zip(part["bin"], part["n_units"], strict=True))


def test_slices_tell_directions_and_what_was_known() -> None:
    test = log_of(EVENTS).split_at(CUT)[1]
    found = evaluate_domains(FirstItem(), test, baselines=False, resamples=2)
    books, films = (found[one].slices for one in ("books", "films"))
    assert bins(books, "domain") == {"books": 2}
    assert bins(books, "direction") == {"films → books": 1, "books → books": 1}
    assert bins(films, "direction") == {"books → films": 1, "none → films": 1}
    assert bins(books, "events in the domain") == {"0": 1, "1 - 4": 1}
    assert bins(films, "events in the domain") == {"0": 1, "1 - 4": 1}


def test_a_catalogue_may_name_the_domains() -> None:
    log = log_of(EVENTS)
    items = Catalogue.from_frame(item_domains(log))
    test = Log.from_frame(log.events.drop("domain")).split_at(CUT)[1]
    found = evaluate_domains(FirstItem(), test, catalogue=items, baselines=False, resamples=2)
    assert found["books"].ranks["first"].tolist() == [1.0, 3.0]
    assert bins(found["books"].slices, "domain") == {"books": 2}


def test_bad_questions_are_told() -> None:
    log = log_of(EVENTS)
    test = log.split_at(CUT)[1]
    with pytest.raises(ConfigError, match="no item has the domain 'games'. Known: books, films"):
        evaluate_domains(FirstItem(), test, domains=["games"])
    with pytest.raises(ConfigError, match="candidates are the items of each domain"):
        evaluate_domains(FirstItem(), test, candidates=["f1"])
    bare = Log.from_frame(log.events.drop("domain")).split_at(CUT)[1]
    with pytest.raises(ConfigError, match="expected a column domain in the log or in catalogue="):
        evaluate_domains(FirstItem(), bare)


def test_an_item_of_several_domains_is_put_where_most_events_are() -> None:
    rows = [("ann", "x", n, "films") for n in range(2)] + [("ann", "x", 3, "books")]
    with pytest.warns(DataWarning, match="such as item 'x'"):
        found = item_domains(log_of([*rows, ("ann", "y", 4, None)]))
    assert found.to_dicts() == [{"item_id": "x", "domain": "films"}]


def test_codes_are_places_in_sorted_names() -> None:
    items = Vocab.from_ids(pl.Series(["f1", "b1", "z"]))
    catalogue = with_domains(log_of(EVENTS), None)
    codes, names = domain_codes(items, catalogue)
    assert codes.tolist() == [1, 0, -1] and names == ("books", "films")


def test_what_a_catalogue_says_of_domains_counts_more_than_the_log() -> None:
    items = Catalogue.from_frame(pl.DataFrame({"item_id": ["f1"], "domain": ["cinema"]}))
    found = with_domains(log_of(EVENTS), items)
    assert found is not None
    assert found.describe("f1") == {"item_id": "f1", "domain": "cinema"}
    assert found.describe("b1") == {"item_id": "b1", "domain": "books"}
