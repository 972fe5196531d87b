import subprocess
import sys
import warnings

import pytest

from recency import __version__
from recency.cli import output
from recency.cli.app import app
from recency.errors import ConfigError, DataError, DataWarning, UnknownIdError

COMMANDS = (
    "demo",
    "inspect",
    "split",
    "fit",
    "evaluate",
    "recommend",
    "serve",
    "doctor",
    "datasets",
)


@pytest.mark.parametrize("arguments", [["--help"], ["-h"]])
def test_help_names_every_command(run, arguments):
    ran = run(*arguments)
    assert ran.code == 0 and not ran.err
    for command in COMMANDS:
        assert f" {command} " in ran.out
    assert "Exit codes: 0 done" in ran.out


def test_no_command_shows_the_help(run):
    ran = run()
    assert ran.code == 2
    assert "Usage: recency" in ran.out + ran.err


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_of_its_own(run, command):
    ran = run(command, "--help")
    assert ran.code == 0 and "Usage: recency" in ran.out


def test_every_command_knows_json(run):
    for command in COMMANDS:
        if command not in ("serve", "demo"):
            assert "--json" in run(command, "--help").out, command


def test_the_version_is_told(run):
    assert run("--version").out == f"recency {__version__}\n"


def test_python_dash_m_is_the_same_program():
    ran = subprocess.run(
        [sys.executable, "-m", "recency", "--version"], capture_output=True, text=True, check=True
    )
    assert ran.stdout == f"recency {__version__}\n"


def test_a_wrong_call_is_exit_code_2(run):
    ran = run("inspect", "--nonsense")
    assert ran.code == 2 and not ran.out
    assert "No such option: --nonsense" in ran.err
    assert run("nonsense").code == 2


@pytest.mark.parametrize(
    ("error", "code"),
    [(DataError("bad"), 1), (ConfigError("bad"), 2), (UnknownIdError("bad"), 2)],
)
def test_an_error_becomes_one_message_and_a_code(run, monkeypatch, error, code):
    def fail(**_: object) -> None:
        raise error

    monkeypatch.setattr("recency.cli.app.app", fail)
    ran = run()
    assert (ran.code, ran.out, ran.err) == (code, "", f"{type(error).__name__}: bad\n")


def test_a_warning_becomes_one_line_on_stderr(run, monkeypatch):
    def warn(**_: object) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("dropped 3 rows", DataWarning, stacklevel=1)

    monkeypatch.setattr("recency.cli.app.app", warn)
    showwarning = warnings.showwarning
    try:
        ran = run()
    finally:
        warnings.showwarning = showwarning
    assert ran.err == "DataWarning: dropped 3 rows\n"


def test_messages_of_the_library_name_the_flags(capsys):
    output.explain(DataError("time_format= or columns={'user_id': '...'}"))
    assert capsys.readouterr().err.endswith(
        "On the command line: --user, --item, --time NAME; --time-format FORMAT.\n"
    )


def test_json_holds_only_what_json_knows(capsys):
    numpy = pytest.importorskip("numpy")
    facts = {"nan": float("nan"), "n": numpy.int64(3), "list": (1, None), "path": app.info.name}
    output.result(facts, as_json=True, text=str)
    assert (
        capsys.readouterr().out == '{"nan": null, "n": 3, "list": [1, null], "path": "recency"}\n'
    )


def test_tables_are_aligned():
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame(
        {"item": ["tea", "a cup"], "score": [0.123456, 12.0], "x": [["a"], None]}
    )
    assert output.table(frame) == ("item    score  x\ntea    0.1235  a\na cup      12")
