"""Backup: a copy of everything a server lives on, taken while it runs; and the way back.

    backup/
      backup.json            the place in the log (seq), the model's version, every file's checksum
      data/                  the folder as `recency serve` finds it:
        manifest.json …      the model, and the registry's versions
        serve/events.sqlite  the log up to seq
        serve/snapshots/     the newest snapshot not beyond it

Parts are copied in an order that keeps them consistent whatever the server does meanwhile: versions
and snapshots first, the log last. A start needs of the log only what comes after its snapshot, so a
log that knows more than the rest is what every restart finds. The log is copied by SQLite itself,
which gives one moment of it and holds up nobody.

A backup holds what it held when it was taken: also what was erased since. Keep it no longer than
you may, and repeat after a restore the erasures made since `seq`.
"""

import json
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from recency import __version__
from recency.errors import ConfigError, FormatError, StoreError, raise_all
from recency.serving.models.registry import Registry
from recency.storage import MANIFEST, read_manifest, sha256, sync

FORMAT = 1
_FACTS, _DATA = "backup.json", "data"
_LOG = Path("serve") / "events.sqlite"
_POINTERS = ("current.json", "history.jsonl")
# Kept by the server for itself, made anew where it is missing, or a copy already.
_LEFT_OUT = {"models", "snapshots", "backups", "incoming", "uploads", *_POINTERS}
_TRIES = 5


@dataclass(frozen=True)
class Backup:
    """Describe a backup.

    Attributes:
        folder: Where it lies.
        seq: The newest entry of the log in it, 0 for none.
        snapshot: The place of its snapshot in the log, 0 for none.
        model_version: Names the current weights.
        n_files: Files in it.
        n_bytes: Their size.
        taken: When, ISO 8601 in UTC.
    """

    folder: Path
    seq: int
    snapshot: int
    model_version: str
    n_files: int
    n_bytes: int
    taken: str


def back_up(folder: str | Path, to: str | Path, events: str | Path | None = None) -> Backup:
    """Copy a model, its versions and its event log; a server may be using them.

    Waits for the disk. Run it in any thread but the model's.

    Args:
        folder: What ``recency serve`` was given: a model folder or a registry.
        to: A folder that does not exist yet, or is empty; appears whole or not at all.
        events: The event store; default ``serve/events.sqlite`` in the folder.

    Raises:
        ConfigError: ``to`` holds something, or the event store named is not there.
        FormatError: the folder holds no model, or a damaged one.
        StoreError: the event store cannot be read.
    """
    source, target = Path(folder), Path(to)
    _check_empty(target, "a backup goes into a folder of its own")
    log = source / _LOG if events is None else Path(events)
    if events is not None and not log.is_file():
        raise ConfigError(f"expected an event store, found no file {log}; check --events.")
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}-{uuid4().hex[:8]}")
    draft.mkdir(mode=0o700)  # it holds what people did
    try:
        data = draft / _DATA
        current = _copy_versions(source, data)
        _copy_rest(source / "serve", data / "serve")
        snapshot = _copy_snapshot(source, data, current)
        seq = _copy_log(log, data / _LOG) if log.is_file() else 0
        _write_facts(draft, seq, snapshot, current)
        _sync_all(draft)
        if target.exists():
            target.rmdir()
        draft.rename(target)
        sync(target.parent)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return read_backup(target)


def restore_backup(backup: str | Path, folder: str | Path) -> Backup:
    """Put a backup in place, ready for ``recency serve``, after checking every file.

    Args:
        backup: Written by `back_up`.
        folder: A folder that does not exist yet, or is empty.

    Raises:
        FormatError: it is no backup, of a newer version, or files are missing or changed; all
            faults together.
        ConfigError: ``folder`` holds something.
    """
    found, target = read_backup(backup), Path(folder)
    _check_empty(target, "a backup is restored beside what is there, never over it")
    faults = [fault for fault in _faults(found.folder) if fault]
    raise_all(faults, FormatError)
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}-{uuid4().hex[:8]}")
    try:
        shutil.copytree(found.folder / _DATA, draft)
        _sync_all(draft)
        if target.exists():
            target.rmdir()
        draft.rename(target)
        sync(target.parent)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return found


def read_backup(folder: str | Path) -> Backup:
    """Read what a backup says of itself; its files are not checked.

    Raises:
        FormatError: it is no backup, or of a newer version.
    """
    facts = _facts(Path(folder))
    return Backup(
        folder=Path(folder),
        seq=facts["seq"],
        snapshot=facts["snapshot"],
        model_version=facts["model_version"],
        n_files=len(facts["files"]),
        n_bytes=sum(one["bytes"] for one in facts["files"].values()),
        taken=facts["taken"],
    )


def _facts(folder: Path) -> dict[str, Any]:
    path = folder / _FACTS
    if not path.is_file():
        raise FormatError(f"expected a backup with {_FACTS}, found none in {folder}.")
    try:
        facts = json.loads(path.read_text())
        version = int(facts["format"])
        missing = {"seq", "snapshot", "model_version", "taken", "files"} - set(facts)
        if missing:
            raise KeyError(*sorted(missing))
    except (ValueError, KeyError, TypeError) as fault:
        raise FormatError(f"{path} is damaged ({fault!r}); take another backup.") from None
    if version > FORMAT:
        raise FormatError(
            f"{folder} is a backup of format {version}, this version of Recency reads up to "
            f"{FORMAT}; upgrade Recency."
        )
    return dict(facts)


def _faults(folder: Path) -> Iterator[str]:
    """Say what is wrong with the files of a backup."""
    for name, told in _facts(folder)["files"].items():
        path = folder / _DATA / name
        if ".." in Path(name).parts or Path(name).is_absolute() or not path.is_file():
            yield f"the backup {folder} is damaged: {name} is missing; take another one."
        elif sha256(path) != told["sha256"]:
            yield f"the backup {folder} is damaged: {name} was changed or cut short."


def _copy_versions(source: Path, data: Path) -> str:
    """Copy the pointer and the models that it may name; give the version that serves."""
    for _ in range(_TRIES):  # a publisher may move the pointer or remove a version in between
        shutil.rmtree(data, ignore_errors=True)
        registry = Registry.of(source)
        place = data / registry.path.relative_to(source)
        place.mkdir(parents=True)
        for name in _POINTERS:
            if (registry.path / name).is_file():
                shutil.copyfile(registry.path / name, place / name)
        if registry.home is not None:
            _copy_model(source, data)
        folders = sorted(registry.models.iterdir()) if registry.models.is_dir() else []
        for folder in folders:
            if (folder / MANIFEST).is_file() and not folder.name.startswith("."):
                _copy_model(folder, place / "models" / folder.name)
        copied = Registry.of(data)
        pointer = copied.pointer().version
        versions = {one.version for one in copied.versions()}
        if pointer is None and registry.home is not None:
            pointer = read_manifest(data).content["model_version"]
        if pointer in versions:
            return str(pointer)
    raise StoreError(
        f"the versions in {source} changed {_TRIES} times while they were copied; try again."
    )


def _copy_model(source: Path, target: Path) -> None:
    """Copy a model folder's own files; it may be replaced meanwhile, or removed.

    Raises:
        FormatError: it is damaged.
    """
    target.mkdir(parents=True, exist_ok=True)
    for last in (*[False] * (_TRIES - 1), True):
        try:
            manifest = read_manifest(source)
            more = [path.name for path in source.glob("*.json") if path.name != MANIFEST]
            for name in (*manifest.files.values(), *more, MANIFEST):
                shutil.copyfile(source / name, target / name)
            read_manifest(target)
            return
        except (FormatError, FileNotFoundError):
            for path in (one for one in target.iterdir() if one.is_file()):
                path.unlink()
            if last or not source.exists():
                raise


def _copy_rest(source: Path, target: Path) -> None:
    """Copy what else the server keeps, such as the hashes of keys; no locks, no drafts."""
    for path in sorted(source.iterdir()) if source.is_dir() else []:
        name = path.name
        mine = name in _LEFT_OUT or name.startswith((".", _LOG.name)) or name.endswith(".lock")
        if not mine and path.is_file():
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target / name)


def _copy_snapshot(source: Path, data: Path, version: str) -> int:
    """Copy the newest snapshot that is whole; give its place in the log."""
    place = Registry.of(source).path / "snapshots"
    for _ in range(_TRIES):
        found = sorted(place.glob(f"{version}-*"), reverse=True) if place.is_dir() else []
        for folder in found:
            target = data / folder.relative_to(source)
            try:
                shutil.copytree(folder, target)
                read_manifest(target)
                return int(folder.name.rpartition("-")[2])
            except (FormatError, OSError, shutil.Error):  # removed for a newer one, or damaged
                shutil.rmtree(target, ignore_errors=True)
        if found == sorted(place.glob(f"{version}-*"), reverse=True):
            break
    return 0


def _copy_log(source: Path, target: Path) -> int:
    """Copy an event store as of one moment; give the number of its newest entry."""
    target.parent.mkdir(parents=True, exist_ok=True)
    address = f"{source.resolve().as_uri()}?mode=ro"
    try:
        with (
            closing(sqlite3.connect(address, uri=True, timeout=30.0)) as log,
            closing(sqlite3.connect(target)) as copy,
        ):
            log.backup(copy)  # all pages in one step: one moment
            copy.execute("PRAGMA journal_mode = DELETE").fetchone()
            if (verdict := copy.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
                raise FormatError(f"the event store {source} is damaged: {verdict}.")
            return max(_newest(copy, table) for table in ("events", "items", "user_changes"))
    except sqlite3.Error as fault:
        raise StoreError(f"could not copy {source}: {fault}; check the disk, try again.") from fault


def _newest(log: sqlite3.Connection, table: str) -> int:
    there = "SELECT count(*) FROM sqlite_master WHERE name = ?"
    if not log.execute(there, (table,)).fetchone()[0]:  # a store of an older version
        return 0
    return int(log.execute(f"SELECT coalesce(max(seq), 0) FROM {table}").fetchone()[0])


def _write_facts(draft: Path, seq: int, snapshot: int, version: str) -> None:
    data = draft / _DATA
    paths = sorted(path for path in data.rglob("*") if path.is_file())
    facts = {
        "format": FORMAT,
        "recency": __version__,
        "taken": datetime.now(UTC).isoformat(timespec="seconds"),
        "seq": seq,
        "snapshot": snapshot,
        "model_version": version,
        "files": {
            path.relative_to(data).as_posix(): {
                "sha256": sha256(path),
                "bytes": path.stat().st_size,
            }
            for path in paths
        },
    }
    (draft / _FACTS).write_text(json.dumps(facts, indent=1) + "\n")


def _check_empty(target: Path, why: str) -> None:
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ConfigError(
            f"expected a folder that is new or empty, found something in {target}: {why}. "
            f"Name another one."
        )


def _sync_all(folder: Path) -> None:
    for place, _, names in os.walk(folder):
        for name in names:
            sync(Path(place) / name)
        sync(Path(place))
