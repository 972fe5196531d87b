import io
import json
import sys
from types import SimpleNamespace

START = 1_767_225_600
TEXT = f"customer,sku,ts,junk\n1,a,{START},x\n1,b,{START + 60},x\n2,a,{START + 90},x\n"


def test_facts_go_to_stdout_and_guesses_to_stderr(run, tmp_path):
    (tmp_path / "events.csv").write_text(TEXT)
    ran = run("inspect", tmp_path / "events.csv")
    assert ran.code == 0
    assert ran.out.startswith("events         3\nusers          2\nitems          2\n")
    assert "! 3 events are few" in ran.out
    assert "user_id   = customer  (guessed)" in ran.err
    assert "timestamp = ts  (guessed, unit s)" in ran.err
    assert "not read: junk" in ran.err


def test_json_is_one_value(run, tmp_path):
    (tmp_path / "events.csv").write_text(TEXT)
    ran = run("inspect", tmp_path / "events.csv", "--json")
    assert json.loads(ran.out)["counts"]["events"] == 3


def test_columns_and_unit_can_be_said(run, tmp_path):
    (tmp_path / "e.csv").write_text(f"a,b,c\n1,x,{START}000\n")
    ran = run(
        "inspect", tmp_path / "e.csv", "--user", "a", "--item", "b", "--time", "c", "--unit", "ms"
    )
    assert ran.code == 0 and "unit ms" in ran.err
    ran = run("inspect", tmp_path / "e.csv", "--user", "a")
    assert ran.code == 1 and not ran.out
    assert "On the command line: --user, --item, --time NAME." in ran.err
    ran = run("inspect", tmp_path / "e.csv", "--user=a", "--item=b", "--time=c", "--unit=s")
    assert ran.code == 1 and ran.err.startswith("UnitError: column 'c' looks like milliseconds")


def test_a_file_without_header_line(run, tmp_path):
    (tmp_path / "e.tsv").write_text(f"1\tx\t{START}\n")
    assert run("inspect", tmp_path / "e.tsv").code == 1
    ran = run("inspect", tmp_path / "e.tsv", "--names", "user_id, item_id, timestamp")
    assert ran.code == 0 and "events         1\n" in ran.out


def test_bad_rows_stop_it_unless_dropped(run, tmp_path):
    (tmp_path / "e.csv").write_text(f"user,item,time\n1,x,{START}\n1,,{START}\n")
    ran = run("inspect", tmp_path / "e.csv")
    assert ran.code == 1 and not ran.out
    assert "item_id is missing in 1 of 2 rows (first: row 2)" in ran.err
    assert "On the command line: --drop-bad." in ran.err
    ran = run("inspect", tmp_path / "e.csv", "--drop-bad")
    assert ran.code == 0 and "dropped: 1 rows, item_id is missing" in ran.err


def test_standard_input_is_ndjson(run, monkeypatch):
    lines = f'{{"user": 1, "item": "x", "time": {START}}}\n'.encode()
    stdin = SimpleNamespace(buffer=io.BytesIO(lines))
    monkeypatch.setattr(sys, "stdin", stdin)
    ran = run("inspect", "-")
    assert ran.code == 0 and "events         1\n" in ran.out


def test_a_missing_file_is_a_wrong_call(run, tmp_path):
    ran = run("inspect", tmp_path / "nothing.csv")
    assert ran.code == 2
    assert ran.err.startswith("ConfigError: there is no file")


def test_a_picture_is_drawn_beside_the_text(run, tmp_path):
    (tmp_path / "events.csv").write_text(TEXT)
    ran = run("inspect", tmp_path / "events.csv", "--picture", tmp_path / "p.html")
    assert ran.code == 0 and ran.out.startswith("events")
    assert f"Drawn: {tmp_path / 'p.html'}" in ran.err
    assert "<title>events.csv</title>" in (tmp_path / "p.html").read_text()


def test_a_picture_that_cannot_be_drawn_is_told(run, tmp_path):
    (tmp_path / "events.csv").write_text(TEXT)
    ran = run("inspect", tmp_path / "events.csv", "--picture", tmp_path / "p.gif")
    assert ran.code == 2 and not ran.out
    assert "expected a picture ending in .png, .svg or .html" in ran.err
    ran = run("inspect", tmp_path / "events.csv", "--picture", tmp_path / "no" / "p.png")
    assert ran.code == 1 and "FileNotFoundError" in ran.err and "Traceback" not in ran.err


def test_the_present_is_the_clock_of_the_command(run, tmp_path):
    (tmp_path / "e.csv").write_text("user,item,time\n1,x,2199-01-01\n1,y,2026-01-01\n")
    ran = run("inspect", tmp_path / "e.csv")
    assert "! 1 events lie in the future, the last at 2199-01-01T00:00:00Z" in ran.out
