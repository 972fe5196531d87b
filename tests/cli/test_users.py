"""``recency fit --users`` and the sections ``[domains]`` and ``[profiles]`` of run.toml."""

from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from recency.cli.app import app
from recency.cli.run_config import read_run_config
from recency.data.synthetic import shop
from recency.errors import ConfigError
from recency.recommender import SequenceRecommender

RUN = """
[model]
encoder = "gru"
dim = 8
experts = false
[training]
epochs = 1
valid_share = 0.0
[profiles]
columns = ["country"]
shrinkage = 50
"""


def test_sections_reach_the_recommender(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text(RUN + "[domains]\nwithin = 1.0\nrank = 4\n")
    made = read_run_config(path).recommender()
    assert made.domains is not None and (made.domains.within, made.domains.rank) == (1.0, 4)
    assert made.profiles is not None and made.profiles.columns == ("country",)


def test_a_mistake_in_a_section_is_named(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text("[domains]\nwithin = 2\n[profiles]\ncolums = []\n")
    with pytest.raises(ConfigError) as told:
        read_run_config(path)
    assert "DomainConfig(within=2.0)" in str(told.value) and "colums" in str(told.value)


def test_a_fit_reads_a_file_of_users(tmp_path: Path) -> None:
    log = shop(n_users=30, n_items=20, days=10, seed=0).log
    log.write(tmp_path / "events.parquet")
    names = log.events["user_id"].unique(maintain_order=True)
    countries = ["AT" if n % 2 else "DE" for n in range(len(names))]
    users = pl.DataFrame({"user_id": names, "country": countries})
    users.write_parquet(tmp_path / "users.parquet")
    (tmp_path / "run.toml").write_text(RUN)
    out = tmp_path / "model"
    fit = ["fit", str(tmp_path / "events.parquet"), "--out", str(out)]
    asked = ["--users", str(tmp_path / "users.parquet")]
    done = CliRunner().invoke(app, [*fit, *asked, "--config", str(tmp_path / "run.toml")])
    assert done.exit_code == 0, done.output
    found = SequenceRecommender.load(out)
    assert found.known_profiles is not None and len(found.known_profiles) == len(names)
    with pytest.raises(ConfigError, match="say what is made of profiles in run.toml"):
        CliRunner().invoke(app, [*fit, *asked], catch_exceptions=False)
