"""The app: every command, and what happens to an error.

A command's file is imported when the command is run, or when the help lists it.
"""

import os
import sys
import warnings
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from recency import __version__
from recency.cli import output
from recency.errors import RecencyError

_PANELS = {
    "demo": "Start",
    "doctor": "Start",
    "datasets": "Start",
    "inspect": "Look at a log",
    "split": "Look at a log",
    "prepare": "Look at a log",
    "pretrain": "Learn and judge",
    "fit": "Learn and judge",
    "tune": "Learn and judge",
    "evaluate": "Learn and judge",
    "replay": "Learn and judge",
    "recommend": "Learn and judge",
    "foretell": "Learn and judge",
    "explain": "Learn and judge",
    "search": "Learn and judge",
    "serve": "Run",
    "learn": "Run",
    "models": "Run",
    "backup": "Run",
    "restore": "Run",
    "keys": "Run",
}


class Commands(TyperGroup):
    """Find a command in the file of its name."""

    def list_commands(self, ctx: Any) -> list[str]:
        """List the commands in the order of the help."""
        return list(_PANELS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import a command; a file that holds an app of its own becomes a group."""
        if cmd_name not in _PANELS:
            return None
        module = import_module(f"recency.cli.{cmd_name}")
        part = getattr(module, "app", None)
        if part is None:
            part = typer.Typer(add_completion=False)
            part.command(cmd_name)(getattr(module, cmd_name))
        command: Any = typer.main.get_command(part)
        command.name, command.rich_help_panel = cmd_name, _PANELS[cmd_name]
        return command


app = typer.Typer(
    name="recency",
    cls=Commands,
    help="Turn an event log into recommendations that know what time it is.",
    epilog="Results go to stdout, progress and guesses to stderr. Exit codes: 0 done, 1 the data "
    "or the model is at fault, 2 the call is.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"recency {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Take the options that belong to no command."""


def main() -> None:
    """Run the command line; an error of ours becomes one message and an exit code."""
    warnings.showwarning = _show_warning
    try:
        app(prog_name="recency")
    except RecencyError as error:
        sys.exit(output.explain(error))
    except BrokenPipeError:  # the reader of a pipe, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:  # a full disk, a folder that may not be written
        output.tell(f"{type(error).__name__}: {error}")
        sys.exit(1)


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: object = None,
    line: str | None = None,
) -> None:
    output.tell(f"{category.__name__}: {message}")
