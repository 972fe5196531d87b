"""The README and the guide run: every block of Python, and every quick command."""

import contextlib
import io
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from recency.data.synthetic import shop

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
SLUG = re.compile(r"\b[a-z]+(?:-[a-z]+)+\b")  # ids of items, which the next processor may reorder
NUMBER = re.compile(r"[-+]?\d[\d,]*\.?\d*(?:e[-+]?\d+)?")


@dataclass(frozen=True)
class Block:
    """One fenced block: ``python`` and ``sh`` run, ``text`` is what the one before printed."""

    kind: str
    text: str
    line: int


def blocks(page: Path) -> Iterator[Block]:
    """List a page's fenced blocks."""
    text = page.read_text(encoding="utf-8")
    for match in BLOCK.finditer(text):
        yield Block(match["kind"], match["text"], text.count("\n", 0, match.start()) + 2)


RUNNING = [page for page in PAGES if any(b.kind in {"python", "sh"} for b in blocks(page))]


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """Give a folder with the files that pages speak of, and be in it."""
    made = shop(n_users=60, n_items=40, days=40, seed=0)
    made.log.write(tmp_path / "events.parquet")
    made.items.write_parquet(tmp_path / "items.parquet")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("page", RUNNING, ids=lambda page: page.stem)
def test_page_runs(page, workplace):
    names: dict[str, object] = {"__name__": page.stem}
    said = ""
    for block in blocks(page):
        if block.kind == "python":
            said = run_python(block, page, names)
        elif block.kind == "sh":
            said = run_commands(block)
        elif block.kind == "text":
            assert shape(said) == shape(block.text), f"{page.name}:{block.line} shows other output"


def run_python(block: Block, page: Path, names: dict[str, object]) -> str:
    """Run a block after the page's earlier ones, at its own lines, and give what it printed."""
    code = compile("\n" * (block.line - 1) + block.text, str(page), "exec")
    with contextlib.redirect_stdout(io.StringIO()) as said:
        exec(code, names)
    return said.getvalue()


def run_commands(block: Block) -> str:
    """Run each line of a block as a command of ours, in this process, and give what it printed."""
    from typer.testing import CliRunner

    from recency.cli.app import app

    said = ""
    for line in block.text.splitlines():
        program, *arguments = shlex.split(line, comments=True)
        assert program == "recency", f"only our own commands stand in sh blocks, found {line!r}"
        done = CliRunner().invoke(app, arguments)
        assert done.exit_code == 0, f"{line}\n{done.output}\n{done.exception!r}"
        said += done.stdout
    return said


def shape(text: str) -> list[str]:
    """Reduce printed text to what another machine prints too: the words, not measured numbers."""
    text = NUMBER.sub("#", SLUG.sub("#", text.strip()))
    return [re.sub(r"[\s─═┬┴┼╪-]+", " ", line).strip() for line in text.splitlines()]


def test_the_shown_run_toml_is_one(tmp_path):
    from recency.cli.run_config import read_run_config

    shown = next(block for block in blocks(ROOT / "docs" / "cli.md") if block.kind == "toml")
    (tmp_path / "run.toml").write_text(shown.text, encoding="utf-8")
    assert read_run_config(tmp_path / "run.toml").evaluate.reading == "growing"


def test_the_readme_is_short_and_comes_to_the_point():
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) < 120
    first_example = next(block for block in blocks(ROOT / "README.md") if block.kind == "python")
    assert first_example.line < 30
    assert len(first_example.text.splitlines()) <= 15


def test_links_between_files_lead_somewhere():
    broken = []
    for page in [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "benchmarks" / "README.md"]:
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
            if "://" not in target and not (page.parent / target).exists():
                broken.append(f"{page.relative_to(ROOT)}: {target}")
    assert not broken
