"""Run the command line in this process, as a person would."""

import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from recency.cli.app import main


@dataclass(frozen=True)
class Ran:
    """Hold what a command left: its exit code, stdout and stderr."""

    code: int
    out: str
    err: str


Run = Callable[..., Ran]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Give a function that runs ``recency`` with some arguments."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("NO_COLOR", "1")

    def run(*arguments: object) -> Ran:
        monkeypatch.setattr(sys, "argv", ["recency", *map(str, arguments)])
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        printed = capsys.readouterr()
        return Ran(code, printed.out, printed.err)

    return run
