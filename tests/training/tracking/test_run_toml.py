"""run.toml, written: what is written is read back by Python's own reader."""

import math
import tomllib
from typing import Any

from recency.training.tracking.run_toml import run_toml


def test_what_is_written_is_read():
    sections: dict[str, dict[str, Any]] = {
        "data": {"columns": {"user_id": "who was it", "item id": "sku"}, "unit": "ms"},
        "model": {"experts": True, "dim": 64, "lr": 1e-05, "half": 0.1 + 0.2, "big": float("inf")},
        "ex perts": {"crowd": ["1h", 7.5, ["a", {"b": -1}]], "pair": (), "none": {}},
        "text": {"quoted": 'a "b" \\ c', "lines": "x\ny\tz\x00\x7f", "far": "grün 🙂"},
    }
    read = tomllib.loads(run_toml(sections))
    assert read["ex perts"]["pair"] == []
    read["ex perts"]["pair"] = ()
    assert read == sections
    assert math.isnan(tomllib.loads(run_toml({"a": {"b": float("nan")}}))["a"]["b"])


def test_none_and_empty_sections_are_left_out():
    text = run_toml({"a": {"b": None, "c": {"d": None, "e": 1}}, "f": {}, "g": {"h": None}})
    assert text == "[a]\nc = { e = 1 }\n"


def test_the_heading_stands_above_as_comments():
    text = run_toml({"a": {"b": False}}, "One.\n\nTwo.")
    assert text == "# One.\n#\n# Two.\n\n[a]\nb = false\n"
