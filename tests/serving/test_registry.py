"""The registry: versions come whole or not at all, the pointer moves in one step."""

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recency.baselines import Markov
from recency.data.log import Log
from recency.ensemble import Ensemble
from recency.ensemble.members import Member
from recency.errors import ConfigError, FormatError, StoreError, UnknownIdError
from recency.loading import load
from recency.nn.recurrent import GRU
from recency.recommender import SequenceRecommender
from recency.serving import durable_files
from recency.serving.log.file_lock import FileLock
from recency.serving.models.gate import folder_faults
from recency.serving.models.registry import Registry
from recency.training.config import TrainConfig


@pytest.fixture
def stamped() -> Callable[[Path, str], Path]:
    """Copy a model under another name of its weights; the weights themselves do not matter here."""

    def stamp(folder: Path, version: str) -> Path:
        target = folder.with_name(f"as-{version}")
        target.mkdir()
        for one in folder.iterdir():
            if one.is_file():
                (target / one.name).write_bytes(one.read_bytes())
        manifest = json.loads((target / "manifest.json").read_text())
        manifest["content"]["model_version"] = version
        (target / "manifest.json").write_text(json.dumps(manifest))
        return target

    return stamp


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    ticks = iter(range(1, 10_000))
    return Registry(tmp_path / "registry", keep=3, clock=lambda: next(ticks))


def names(registry: Registry) -> list[str]:
    return [one.version for one in registry.versions()]


def test_a_version_is_published_whole_and_promoted_by_name(registry, shop):
    version = registry.publish(shop, {"seq": 7, "reason": "hourly"}, candidate=True)
    (found,) = registry.versions()
    assert (found.version, found.candidate, dict(found.facts)) == (
        version, True, {"seq": 7, "reason": "hourly"}
    )  # fmt: skip
    assert load(found.folder).model_version == version
    assert [one.version for one in registry.candidates()] == [version]
    with pytest.raises(UnknownIdError, match="no version of .* was promoted yet"):
        registry.current()
    registry.promote(version, "by hand")
    assert registry.current().version == version
    assert registry.candidates() == []
    assert [(act.what, act.reason) for act in registry.history.acts()] == [
        ("published", "hourly"), ("promoted", "by hand")
    ]  # fmt: skip


def test_publishing_again_changes_nothing(registry, shop):
    version = registry.publish(shop)
    before = (registry.models / version / "entry.json").read_text()
    assert registry.publish(shop, {"other": 1}) == version
    assert (registry.models / version / "entry.json").read_text() == before


def test_an_ensemble_is_a_version_too(registry, shop_log_frame, tmp_path):
    training = TrainConfig(epochs=1, valid_share=0.0, device="cpu")
    members: list[Member] = [SequenceRecommender(GRU(8), training=training), Markov()]
    Ensemble(members, valid_share=0.2).fit(Log.from_frame(shop_log_frame)).save(tmp_path / "both")
    version = registry.publish(tmp_path / "both")
    folder = registry.version(version).folder
    assert load(folder).model_version == version
    assert folder_faults(folder) == []


def test_rollback_goes_back_and_forth(registry, shop, stamped):
    with pytest.raises(ConfigError, match="no version to go back to"):
        registry.rollback()
    for name in ("a1", "b2"):
        registry.promote(registry.publish(stamped(shop, name)))
    assert registry.rollback("too slow").version == "a1"
    assert registry.rollback().version == "b2"
    assert [act.reason for act in registry.history.acts()][-2:] == ["too slow", "rolled back"]


def test_old_versions_go_but_not_those_in_use(registry, shop, stamped):
    for name in ("a1", "b2"):
        registry.promote(registry.publish(stamped(shop, name)))
    for name in ("c3", "d4", "e5", "f6"):
        registry.publish(stamped(shop, name))
    assert names(registry) == ["a1", "b2", "d4", "e5", "f6"]
    assert [act.version for act in registry.history.acts() if act.what == "removed"] == ["c3"]
    with pytest.raises(ConfigError, match="expected to keep at least 3 versions, found keep=2"):
        Registry("x", keep=2)


@pytest.mark.parametrize("name", ["../shop", "a/b", "", ".", "..", ".draft-1", "a" * 65, "a\0b"])
def test_names_lead_nowhere_else(registry, shop, stamped, name):
    registry.incoming.mkdir(parents=True)
    with pytest.raises(ConfigError, match="expected the name of a version"):
        registry.version(name)
    with pytest.raises(ConfigError, match="expected the name of a folder in"):
        registry.publish_incoming(name)
    with pytest.raises(FormatError, match="to name a model_version of letters and digits"):
        registry.publish(_named(shop, name))


def _named(shop: Path, version: str) -> Path:
    manifest = json.loads((shop / "manifest.json").read_text())
    manifest["content"]["model_version"] = version
    (shop / "manifest.json").write_text(json.dumps(manifest))
    return shop


def test_only_what_the_manifest_lists_is_copied(registry, shop):
    (shop / "serve").mkdir(exist_ok=True)
    (shop / "serve" / "events.sqlite").write_text("users")
    (shop / "notes.txt").write_text("private")
    folder = registry.version(registry.publish(shop)).folder
    assert {one.suffix for one in folder.iterdir()} == {".json", ".parquet", ".safetensors"}


def test_a_manifest_that_points_outside_is_refused(registry, shop):
    manifest = json.loads((shop / "manifest.json").read_text())
    manifest["files"]["weights.safetensors"]["file"] = "../../etc/passwd"
    (shop / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(FormatError, match="is missing"):
        registry.publish(shop)
    assert registry.versions() == []


def test_a_link_in_incoming_is_refused(registry, shop):
    registry.incoming.mkdir(parents=True)
    (registry.incoming / "shop").symlink_to(shop)
    with pytest.raises(ConfigError, match="expected the name of a folder in"):
        registry.publish_incoming("shop")


def test_a_damaged_folder_is_refused_and_leaves_nothing(registry, shop):
    (weights,) = shop.glob("weights-*")
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(FormatError, match="was changed or cut short"):
        registry.publish(shop)
    assert list(registry.path.rglob("*")) == []


def test_a_copy_that_went_wrong_is_not_published(registry, shop, monkeypatch):
    copy = durable_files.copy_durably

    def torn(files: Any, target: Path) -> None:
        copy(files, target)
        (weights,) = target.glob("weights-*")
        weights.write_bytes(b"")

    monkeypatch.setattr("recency.serving.models.drafts.copy_durably", torn)
    with pytest.raises(FormatError, match="was changed or cut short"):
        registry.publish(shop)
    assert registry.versions() == [] and list(registry.models.glob(".draft*")) == []


def test_drafts_of_the_dead_are_not_read_and_are_removed(registry, shop):
    draft = registry.models / ".draft-0123"
    draft.mkdir(parents=True)
    (draft / "manifest.json").write_text("{}")
    assert registry.versions() == []
    registry.publish(shop)
    assert not draft.exists()


def test_eight_publishers_at_once_publish_all(registry, shop, stamped):
    registry = Registry(registry.path, keep=8)
    folders = [stamped(shop, f"v{n}") for n in range(8)]
    threads = [threading.Thread(target=registry.publish, args=(one,)) for one in folders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(names(registry)) == [f"v{n}" for n in range(8)]
    assert len(registry.history.acts()) == 8


def test_who_never_gets_a_turn_says_so(registry, shop, monkeypatch):
    monkeypatch.setattr(durable_files, "_PATIENCE", 0.05)
    registry.path.mkdir(parents=True)
    held = FileLock(registry.models)
    with pytest.raises(StoreError, match=r"expected a turn at .* found another process at it"):
        registry.publish(shop)
    held.release()
    registry.publish(shop)


def test_a_torn_line_of_the_history_is_passed_over(registry, shop, stamped):
    registry.publish(stamped(shop, "a1"))
    with (registry.path / "history.jsonl").open("a") as file:
        file.write('{"at": 3, "wh')
    registry.refuse("a1", "too old")
    assert [act.what for act in registry.history.acts()] == ["published", "refused"]
    assert registry.version("a1").refused == "too old"


def test_a_plain_folder_is_its_own_first_version(shop, fit, shop_log_frame):
    registry = Registry.of(shop)
    first = SequenceRecommender.load(shop).model_version
    assert registry.current().folder == shop and names(registry) == [first]
    registry.adopt_home()
    assert not (shop / "serve").exists()  # looking changes nothing
    second = _other(shop, fit, shop_log_frame)
    registry.promote(registry.publish(second))
    assert Registry.of(shop).current().folder == registry.models / names(registry)[-1]
    registry.rollback()
    assert registry.current().folder == shop
    registry.rollback()
    # Fitted anew into the folder: current from the next start on.
    third = _other(shop, fit, shop_log_frame, seed=2)
    load(third).save(shop)
    registry = Registry.of(shop)
    registry.adopt_home()
    assert registry.current().folder == shop
    assert registry.current().version == load(third).model_version


def _other(shop: Path, fit: Any, frame: Any, seed: int = 1) -> Path:
    target = shop.with_name(f"other-{seed}")
    fit(Log.from_frame(frame.head(300 + seed))).save(target)
    return target


def test_a_folder_that_is_neither_is_refused(tmp_path):
    with pytest.raises(FormatError, match="expected a model folder or a registry, found neither"):
        Registry.of(tmp_path)


def test_what_another_process_does_is_seen_by_its_stamp(registry, shop, stamped):
    stamps = [registry.stamp()]
    version = registry.publish(stamped(shop, "a1"))
    stamps.append(registry.stamp())
    registry.promote(version)
    stamps.append(registry.stamp())
    assert len(set(stamps)) == 3 and registry.stamp() == stamps[-1]
