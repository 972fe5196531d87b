"""Flags over run.toml: each goes over its own key, and leaves the others as they are."""

from pathlib import Path

import pytest

from recency.cli.run_flags import columns_of, run_of
from recency.errors import ConfigError


def test_flags_go_over_their_keys_and_no_others(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text(
        '[data]\nunit = "s"\ncolumns = { user_id = "who", timestamp = "when" }\n'
        '[model]\nencoder = "gru"\nseed = 3\n[evaluate]\nk = [5]\n'
    )
    found = run_of(path, user="customer", item=None, seed=4, encoder=None, k=[20], trials=7)
    assert found.data.columns == {"user_id": "customer", "timestamp": "when"}
    assert (found.data.unit, found.model.encoder, found.model.seed) == ("s", "gru", 4)
    assert found.evaluate.k == [20] and found.tune.trials == 7


def test_without_a_file_flags_are_all_there_is() -> None:
    found = run_of(None, user=None, item=None, time="ts", until="0.9", text=None, vectors=None)
    assert found.data.columns == {"timestamp": "ts"} and found.split.until == "0.9"
    assert found.content is None
    assert columns_of("u", None, None) == {"user_id": "u"}


def test_a_flag_over_what_is_no_section_is_told_with_the_rest(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text("data = 3\n")
    with pytest.raises(ConfigError, match=r"data: expected a section \[data\], found 3"):
        run_of(tmp_path / "run.toml", unit="s", time="ts")
