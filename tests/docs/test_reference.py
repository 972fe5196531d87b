"""What is public is documented: every name in the reference, every command in the guide."""

import re
from pathlib import Path

import pytest

import recency

DOCS = Path(__file__).parents[2] / "docs"
GUIDE = "\n".join(page.read_text(encoding="utf-8") for page in sorted(DOCS.glob("*.md")))


@pytest.mark.parametrize("name", [name for name in recency.__all__ if name != "__version__"])
def test_every_public_name_is_in_the_reference(name):
    home = recency._HOME_OF[name]
    text = (DOCS / "reference.md").read_text(encoding="utf-8")
    assert re.search(rf"^::: {re.escape(home)}\.{name}$", text, re.MULTILINE)


@pytest.mark.parametrize("name", [name for name in recency.__all__ if name != "__version__"])
def test_every_public_name_says_what_it_is(name):
    assert (getattr(recency, name).__doc__ or "").strip()


@pytest.fixture(scope="module")
def commands():
    """Give every command of the command line by name."""
    from typer.main import get_group

    from recency.cli.app import app

    group = get_group(app)
    context = group.make_context("recency", ["--help"], resilient_parsing=True)
    return {name: group.get_command(context, name) for name in group.list_commands(context)}


def test_every_command_is_in_the_guide(commands):
    assert len(commands) > 5
    missing = [name for name in commands if f"recency {name}" not in GUIDE]
    assert not missing


def test_every_option_says_what_it_is(commands):
    silent = [
        f"{name} {one.name}"
        for name, command in commands.items()
        for one in command.params
        if one.param_type_name == "option" and not one.help and not one.hidden
    ]
    assert not silent
