"""The study's folder: whose it is, what is wrong with it, and which log it is of."""

import os
import sys
from pathlib import Path

import polars as pl
import pytest
from sqlalchemy.exc import OperationalError

from recency.data.log import Log
from recency.errors import ConfigError, FormatError, StoreError
from recency.tuning.study import digest_log, open_storage


def test_two_processes_do_not_share_a_folder(tmp_path: Path) -> None:
    with (
        open_storage(tmp_path, {}, None),
        pytest.raises(ConfigError, match=f"being tuned by process {os.getpid()}; wait for it"),
        open_storage(tmp_path, {}, None),
    ):
        pass
    with open_storage(tmp_path, {}, None):
        pass  # free again


def test_a_file_that_is_no_study_is_told(tmp_path: Path) -> None:
    (tmp_path / "study.sqlite").write_bytes(b"no database at all, only words" * 100)
    with (
        pytest.raises(FormatError, match="study.sqlite cannot be read as a study .*not a database"),
        open_storage(tmp_path, {}, None),
    ):
        pass


def test_a_full_disk_is_told_and_what_was_kept_stays(tmp_path: Path) -> None:
    full = OperationalError("INSERT", {}, Exception("database or disk is full"))
    with (
        pytest.raises(StoreError, match="cannot be written .*disk is full.*run the same again"),
        open_storage(tmp_path, {}, None) as study,
    ):
        study.set_user_attr("kept", True)
        raise full
    with open_storage(tmp_path, {}, None) as study:
        assert study.user_attrs["kept"]


def test_without_a_folder_nothing_is_written(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with open_storage(None, {}, None):
        pass
    assert not list(tmp_path.iterdir())


def test_a_missing_optuna_is_named_with_the_way_to_get_it(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with (
        pytest.raises(ConfigError, match=r"pip install 'recency\[tune\]'"),
        open_storage(None, {}, None),
    ):
        pass


def test_the_digest_knows_every_change_that_a_model_would(tiny_log: Log) -> None:
    events = tiny_log.events
    shuffled = events.with_columns(pl.col("item_id").shuffle(seed=1))
    typed = events.with_columns(event_type=pl.lit("view"))
    values = typed.with_columns(value=pl.Series([None, *[1.5] * 11]))
    logs = [tiny_log, Log(events.head(11)), Log(shuffled), Log(typed), Log(values)]
    assert len({digest_log(one) for one in logs}) == len(logs)
    assert digest_log(Log(events.clone())) == digest_log(tiny_log)
    numbers = events.with_columns(
        pl.col("user_id").cast(pl.Categorical).to_physical().cast(pl.Int64)
    )
    assert len(digest_log(Log(numbers))) == 16
