"""The page of the service says what is so: its curl commands run, and are answered as it shows."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from recency.data.catalogue import Catalogue
from recency.data.synthetic import shop
from recency.serving.engine import Engine
from recency.units import parse_instant

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "service.md"
BLOCK = re.compile(r"^```(?P<kind>bash|json)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def client(tmp_path, fit, make_client):
    """A client of the shop that the page speaks of."""
    made = shop(n_users=60, n_items=40, days=40, seed=0)
    fit(made.log, Catalogue.from_frame(made.items)).save(tmp_path / "shop")
    clock = parse_instant("2026-03-01T09:00:00.52Z")
    engine = Engine.open(tmp_path / "shop", clock=lambda: clock)
    yield make_client(engine)
    engine.close()


def curls(text: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Read the curl commands of a block: method, path, and arguments of the client."""
    words = shlex.split(text.replace("\\\n", " "))
    starts = [n for n, word in enumerate(words) if word == "curl"]
    for start, end in zip(starts, [*starts[1:], len(words)], strict=True):
        rest = iter(words[start + 1 : end])
        method, path = "GET", ""
        arguments: dict[str, Any] = {}
        for word in rest:
            if word == "-X":
                method = next(rest)
            elif word == "-H":
                name, _, value = next(rest).partition(": ")
                arguments["headers"] = {name: value}
            elif word in ("-d", "--data-binary"):
                arguments["content"] = next(rest).encode()
                method = "POST" if method == "GET" else method
            else:
                assert word.startswith("http://127.0.0.1:8080/"), word
                path = word.removeprefix("http://127.0.0.1:8080")
        yield method, path, arguments


def shape(value: Any) -> Any:
    """Reduce an answer to what every run shares: its fields, the kinds of values, its sentences."""
    if isinstance(value, dict):
        # Whether an item is limited in time depends on which one it is.
        limits = {"available_from", "expires_at"} if "score" in value else set()
        return {name: shape(one) for name, one in value.items() if name not in limits}
    if isinstance(value, list):
        return [shape(one) for one in value]
    if isinstance(value, str):
        return value if " " in value and ": " in value else "text"
    return type(value).__name__


@pytest.mark.parametrize("page", ["service.md", "api.md"])
def test_its_commands_are_answered_as_it_shows(client, page):
    answer = None
    n_shown = 0
    for block in BLOCK.finditer((DOCS / page).read_text(encoding="utf-8")):
        if block["kind"] == "bash":
            for method, path, arguments in curls(block["text"]):
                answer = client.request(method, path, **arguments)
                assert answer.status_code < 500
        else:
            assert answer is not None
            assert shape(answer.json()) == shape(json.loads(block["text"])), block["text"]
            n_shown += 1
    assert n_shown >= (7 if page == "service.md" else 2)


def test_its_codes_are_the_codes_there_are():
    table = PAGE.read_text(encoding="utf-8").partition("| status |")[2].partition("\n\n")[0]
    shown = set(re.findall(r"`([a-z-]+)`", table.partition("\n")[2]))
    sources = (Path(__file__).parents[2] / "src" / "recency" / "serving").rglob("*.py")
    text = "\n".join(one.read_text() for one in sources if "documentation" not in one.parts)
    for code in shown - {"code", "errors"}:
        assert f'"{code}"' in text, code
    missing = {"no-model", "internal", "refused", "gone", "wrong-method"}  # they need no advice
    raised = set(re.findall(r'\d{3},\s*"([a-z-]+)"', text))
    assert raised - missing <= shown, raised - missing - shown
