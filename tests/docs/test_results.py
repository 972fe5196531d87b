"""No figure is typed by hand: what is shown is what the benchmarks wrote."""

import json

import pytest

from benchmarks import record, render


def test_the_page_of_results_is_rendered():
    assert render.PAGE.read_text(encoding="utf-8") == render.page(), "run `make results`"


def test_the_table_of_the_readme_is_rendered():
    text = render.README.read_text(encoding="utf-8")
    assert text == render.update_readme(text), "run `make results`"


@pytest.mark.parametrize("path", sorted(record.RESULTS.glob("*.json")), ids=lambda path: path.stem)
def test_every_row_says_where_it_comes_from(path):
    for row in json.loads(path.read_text(encoding="utf-8")):
        assert tuple(row) == record.KEYS
        assert row["table"] == path.stem
        for key in ("data", "model", *record.ORIGIN):
            assert row[key], f"{key} is missing in {row}"


@pytest.fixture
def results(tmp_path, monkeypatch):
    monkeypatch.setattr(record, "RESULTS", tmp_path)
    monkeypatch.setattr(record, "commit", lambda *, dirty=False: "0123456789ab")
    return tmp_path


def test_a_newer_row_replaces_the_older_one(results):
    record.record("speed", [{"data": "a", "model": "m", "metrics": {"seconds": 2.0}}])
    record.record("speed", [{"data": "b", "model": "m", "metrics": {"seconds": 3.0}}])
    path = record.record("speed", [{"data": "a", "model": "m", "metrics": {"seconds": 1.0}}])
    rows = json.loads(path.read_text())
    assert [(row["data"], row["metrics"]["seconds"]) for row in rows] == [("a", 1.0), ("b", 3.0)]
    assert rows[0]["seed"] is None and rows[0]["commit"] == "0123456789ab"


def test_rows_afresh_drop_every_older_row_of_the_same_data(results):
    record.record("speed", [{"data": "a", "model": "m"}, {"data": "b", "model": "m"}])
    path = record.record("speed", [{"data": "a", "model": "n"}], afresh=True)
    rows = json.loads(path.read_text())
    assert [(row["data"], row["model"]) for row in rows] == [("b", "m"), ("a", "n")]


def test_an_unknown_key_is_refused_by_name(results):
    with pytest.raises(SystemExit, match="found metrisc"):
        record.record("speed", [{"data": "a", "metrisc": {}}])
    assert not list(results.iterdir())


def test_uncommitted_changes_are_refused_or_marked(monkeypatch):
    answers = {"status": " M src/recency/units.py", "rev-parse": "0123456789ab"}
    monkeypatch.setattr(record, "_git", lambda command, *rest: answers[command])
    with pytest.raises(SystemExit, match="found changes in 1 files.*\n.*units.py\n.*--dirty"):
        record.commit()
    assert record.commit(dirty=True) == "0123456789ab+dirty"
    answers["status"] = ""
    assert record.commit(dirty=True) == record.commit() == "0123456789ab"


def test_a_folder_of_data_is_not_part_of_the_command(monkeypatch, tmp_path):
    inside = str(record.RESULTS)
    monkeypatch.setattr("sys.argv", ["run.py", str(tmp_path), "--dirty", "--save", inside])
    assert record.command().endswith(f"DATA/{tmp_path.name} --save benchmarks/results")
    assert str(tmp_path) not in record.command()


def test_intervals_stand_in_brackets_and_numbers_keep_their_digits():
    row = dict.fromkeys(record.KEYS) | {
        "model": "GRU",
        "metrics": {"ndcg@10": 0.0506, "ndcg@10 low": 0.0471, "ndcg@10 high": 0.0682, "s": 1234.5},
        "n_targets": 9702,
    }
    lines = render._markdown([row]).splitlines()
    assert lines[0] == "| model | ndcg@10 | s | n targets |"
    assert lines[2] == "| GRU | 0.0506 [0.0471, 0.0682] | 1,234 | 9,702 |"
