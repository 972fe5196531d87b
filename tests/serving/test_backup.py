"""Backup and restore: everything a server lives on, whole or not at all."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from benchmarks.serving.shop import DAY, START, untrained_shop
from recency.cli.app import app
from recency.errors import ConfigError, FormatError, StoreError
from recency.serving.engine import Engine
from recency.serving.models.registry import Registry
from recency.serving.snapshots.backup import back_up, read_backup, restore_backup
from recency.serving.snapshots.state_hash import state_hash
from recency.serving.users.erasure import erase_user

NOW = START + 60 * DAY


def events(first: int, last: int) -> list[dict[str, Any]]:
    return [
        {
            "event_id": f"e{n}",
            "user_id": f"u{n % 25}",
            "item_id": f"i{n % 37}",
            "timestamp": START + 31 * DAY + n * 1_000_000,
        }
        for n in range(first, last)
    ]


@pytest.fixture(scope="module")
def _model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untrained_shop(tmp_path_factory.mktemp("model") / "shop", 30, 20, 300, dim=8)


@pytest.fixture
def shop(_model: Path, tmp_path: Path) -> Path:
    """A folder that was served, with a snapshot and a tail behind it."""
    folder = Path(shutil.copytree(_model, tmp_path / "shop"))
    engine = Engine.open(folder, clock=lambda: NOW)
    engine.ingest(events(0, 100)).result()
    assert engine.snapshots is not None
    engine.snapshots.take()
    engine.ingest(events(100, 120)).result()
    engine.close()
    (folder / "serve" / "api_keys.json").write_text("{}")
    return folder


def known(folder: Path) -> str:
    engine = Engine.open(folder, clock=lambda: NOW)
    try:
        return str(engine.call(state_hash).result())
    finally:
        engine.close()


def test_a_backup_is_restored_to_the_same_knowledge(shop: Path, tmp_path: Path) -> None:
    expected = known(shop)
    backup = back_up(shop, tmp_path / "copies" / "monday")
    assert (backup.seq, backup.snapshot) == (120, 100)
    assert backup.folder.stat().st_mode & 0o077 == 0  # it holds what people did
    assert read_backup(backup.folder) == backup and backup.n_bytes > 10_000
    restored = tmp_path / "elsewhere"
    assert restore_backup(backup.folder, restored) == backup
    assert known(restored) == expected
    assert (restored / "serve" / "api_keys.json").is_file()
    assert not list(restored.rglob("*-wal")) and len(list(tmp_path.glob(".*"))) == 0


def test_versions_and_their_pointer_are_in_it(shop: Path, tmp_path: Path) -> None:
    other = untrained_shop(tmp_path / "other", 30, 20, 300, dim=8, seed=3)
    registry = Registry.of(shop)
    version = registry.publish(other)
    registry.promote(version)
    backup = back_up(shop, tmp_path / "backup")
    assert backup.model_version == version
    restored = tmp_path / "elsewhere"
    restore_backup(backup.folder, restored)
    assert Registry.of(restored).current().version == version
    assert [one.version for one in Registry.of(restored).versions()] == [
        one.version for one in registry.versions()
    ]


def test_a_model_that_was_never_served_is_backed_up_too(_model: Path, tmp_path: Path) -> None:
    backup = back_up(_model, tmp_path / "backup")
    assert (backup.seq, backup.snapshot) == (0, 0)
    restore_backup(backup.folder, tmp_path / "elsewhere")
    assert known(tmp_path / "elsewhere") == known(Path(shutil.copytree(_model, tmp_path / "copy")))


def test_a_backup_never_goes_over_anything(shop: Path, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("years of work")
    with pytest.raises(
        ConfigError, match="expected a folder that is new or empty, found something"
    ):
        back_up(shop, tmp_path / "full")
    (tmp_path / "empty").mkdir()
    backup = back_up(shop, tmp_path / "empty")
    with pytest.raises(ConfigError, match="never over it. Name another one"):
        restore_backup(backup.folder, shop)
    with pytest.raises(ConfigError, match="never over it"):
        restore_backup(backup.folder, tmp_path / "full" / "thesis.txt")


def test_all_damage_of_a_backup_is_told_at_once(shop: Path, tmp_path: Path) -> None:
    backup = back_up(shop, tmp_path / "backup").folder
    store = backup / "data" / "serve" / "events.sqlite"
    store.write_bytes(store.read_bytes()[:-5])
    weights = next((backup / "data").glob("weights-*"))
    weights.unlink()
    with pytest.raises(FormatError) as error:
        restore_backup(backup, tmp_path / "elsewhere")
    assert "serve/events.sqlite was changed or cut short" in str(error.value)
    assert f"{weights.name} is missing" in str(error.value)
    assert not (tmp_path / "elsewhere").exists()


def test_what_is_no_backup_or_a_newer_one_is_refused(shop: Path, tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="expected a backup with backup.json, found none"):
        restore_backup(shop, tmp_path / "elsewhere")
    backup = back_up(shop, tmp_path / "backup").folder
    facts = json.loads((backup / "backup.json").read_text())
    (backup / "backup.json").write_text(json.dumps(facts | {"format": 2}))
    with pytest.raises(FormatError, match="format 2, this version .* up to 1; upgrade Recency"):
        read_backup(backup)
    del facts["seq"]
    (backup / "backup.json").write_text(json.dumps(facts))
    with pytest.raises(FormatError, match=r"damaged \(KeyError\('seq'\)\); take another backup"):
        read_backup(backup)


def test_a_name_that_leads_outside_is_not_followed(shop: Path, tmp_path: Path) -> None:
    backup = back_up(shop, tmp_path / "backup").folder
    facts = json.loads((backup / "backup.json").read_text())
    facts["files"]["../backup.json"] = {"sha256": "", "bytes": 1}
    (backup / "backup.json").write_text(json.dumps(facts))
    with pytest.raises(FormatError, match=r"\.\./backup\.json is missing"):
        restore_backup(backup, tmp_path / "elsewhere")


def test_a_log_that_cannot_be_copied_fails_and_leaves_nothing(shop: Path, tmp_path: Path) -> None:
    log = shop / "serve" / "events.sqlite"
    log.write_bytes(b"SQLite format 3\x00" + b"rubbish" * 1000)
    with pytest.raises(StoreError, match="could not copy .*events.sqlite"):
        back_up(shop, tmp_path / "backup")
    assert not (tmp_path / "backup").exists() and not list(tmp_path.glob(".backup*"))


def test_an_event_store_that_is_named_has_to_be_there(shop: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected an event store, found no file .*other.sqlite"):
        back_up(shop, tmp_path / "backup", tmp_path / "other.sqlite")
    moved = (shop / "serve" / "events.sqlite").rename(tmp_path / "other.sqlite")
    assert back_up(shop, tmp_path / "backup", moved).seq == 120


def test_a_damaged_model_is_not_backed_up_as_if_it_were_sound(shop: Path, tmp_path: Path) -> None:
    next(shop.glob("weights-*")).write_bytes(b"")
    with pytest.raises(FormatError, match="was changed or cut short"):
        back_up(shop, tmp_path / "backup")


def test_who_was_erased_since_can_be_erased_in_an_old_backup(shop: Path, tmp_path: Path) -> None:
    backup = back_up(shop, tmp_path / "backup").folder
    engine = Engine.open(shop, clock=lambda: NOW)
    erase_user(engine, "u24")  # of the log alone, not of the model's own history
    expected = str(engine.call(state_hash).result())
    engine.close()
    log = str(shop / "serve" / "events.sqlite")
    arguments = ["restore", str(backup), str(tmp_path / "a"), "--erased-in", log]
    told = CliRunner().invoke(app, arguments)
    assert "1 ids" in told.stderr and expected in told.stdout
    assert not any(b"u24" in path.read_bytes() for path in (tmp_path / "a").rglob("*.sqlite*"))


def test_the_commands_do_the_same(shop: Path, tmp_path: Path) -> None:
    expected = known(shop)
    runner = CliRunner()
    told = runner.invoke(app, ["backup", str(shop), str(tmp_path / "backup"), "--json"])
    assert told.exit_code == 0 and json.loads(told.stdout)["seq"] == 120
    told = runner.invoke(app, ["restore", str(tmp_path / "backup"), str(tmp_path / "a"), "--json"])
    assert json.loads(told.stdout)["state_hash"] == expected
    told = runner.invoke(app, ["restore", str(tmp_path / "backup"), str(tmp_path / "b")])
    assert f"Hash of what it knows: {expected}" in told.stdout
    arguments = ["restore", str(tmp_path / "backup"), str(tmp_path / "c"), "--no-hash"]
    told = runner.invoke(app, arguments)
    assert "Hash" not in told.stdout and "up to seq 120" in told.stdout
    assert isinstance(runner.invoke(app, ["backup", str(tmp_path), "x"]).exception, FormatError)
