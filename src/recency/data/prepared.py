"""Prepared logs: vocabularies and histories in a folder, mapped into memory and not read into it.

    prepared/
      prepared.json                format, version, counts, the log it was made of; names the files
      offsets-3f2a9c01.npy  items-….npy  times-….npy    the arrays of `Histories`
      types-….npy  values-….npy                         where the log has them
      users-….parquet  items-….parquet  types-….parquet vocabularies, in the order of rows

As in model folders, files carry a part of their SHA-256 in their name and are never changed, and
``prepared.json`` is replaced by one rename: a reader finds the old log or the new one, and never
half of either. Who reads a folder is told if a file was changed, and if the log behind it was.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from recency.data.histories import Histories
from recency.data.intake import Vocabs
from recency.data.log import Log
from recency.data.vocab import Vocab
from recency.errors import DataError, FormatError

FORMAT = 1
MANIFEST = "prepared.json"
DRAFT = ".draft"
VOCABS = ("users", "items", "types")
ARRAYS = ("offsets", "items", "times", "types", "values")
Facts = dict[str, Any]


@dataclass(frozen=True)
class Prepared:
    """Hold a log prepared for training: `SequenceRecommender.fit` takes it in place of a log.

    Attributes:
        folder: Where it lies.
        histories: The events, memory-mapped: a part is read from disk when it is touched.
        facts: What ``prepared.json`` tells: counts, instants, the source and how it was read.
        files: Name of each part and the file that holds it.
    """

    folder: Path
    histories: Histories
    facts: Facts
    files: dict[str, str]

    def __len__(self) -> int:
        return self.n_events

    @property
    def n_events(self) -> int:
        """Count the events."""
        return self.histories.n_events

    @property
    def n_users(self) -> int:
        """Count the users."""
        return self.histories.n_users

    @property
    def n_items(self) -> int:
        """Count the items."""
        return int(self.facts["n_items"])

    @property
    def start(self) -> int:
        """Give the first event's instant in microseconds."""
        return int(self.facts["start"])

    @property
    def end(self) -> int:
        """Give the instant just after the last event in microseconds."""
        return int(self.facts["end"])

    def vocabs(self) -> Vocabs:
        """Read the vocabularies: fresh ones, which their owner may let grow."""
        frames = (pl.read_parquet(self.folder / self.files[f"{one}.parquet"]) for one in VOCABS)
        return Vocabs(*(Vocab.from_frame(frame) for frame in frames))


def is_prepared(path: str | Path) -> bool:
    """Tell whether a path is a folder of `prepare`, finished or not."""
    folder = Path(path).expanduser()
    return (folder / MANIFEST).is_file() or (folder / DRAFT).is_dir()


def read_prepared(folder: str | Path, *, verify: bool = True) -> Prepared:
    """Open a folder that `prepare` wrote, and check it.

    Args:
        folder: Its path.
        verify: Compare every file's SHA-256, which reads all of them once; False compares sizes.

    Returns:
        The log, its arrays mapped and read-only.

    Raises:
        FormatError: the folder is no prepared log, unfinished, of a newer format, or files are
            missing or changed; all faults of the files together.
        DataError: the log behind the folder is at hand and was changed since.
    """
    folder = Path(folder).expanduser()
    facts, rows = _manifest(folder)
    faults = [one for row in rows.values() if (one := _fault(folder, row, verify))]
    if faults:
        raise FormatError(
            f"the prepared log in {folder} is damaged: {'; '.join(faults)}. Prepare it again."
        )
    if change := source_change(facts["source"]):
        raise DataError(
            f"the log {facts['source']['path']} was changed after it was prepared in {folder}: "
            f"{change}. Prepare it again, so that what is learned is what the log says."
        )
    files = {name: str(row["file"]) for name, row in rows.items()}
    arrays = {
        name: _mapped(folder / files[f"{name}.npy"]) if f"{name}.npy" in files else None
        for name in ARRAYS
    }
    return Prepared(folder, Histories(**arrays), facts, files)  # type: ignore[arg-type]  # the first three are always there


def rows_of(log: Log | Prepared) -> tuple[Vocabs, Histories]:
    """Give the vocabularies and histories of a log, worked out now or prepared before."""
    if isinstance(log, Prepared):
        return log.vocabs(), log.histories
    vocabs = Vocabs.of(log)
    return vocabs, Histories.build(log, vocabs.users, vocabs.items, vocabs.types)


def fingerprint(path: Path) -> Facts:
    """Describe the file of a log, or the Parquet files of a folder, by size, time and SHA-256."""
    return {"path": str(path.resolve()), "files": [_print(one, path) for one in _files(path)]}


def source_change(source: Facts) -> str | None:
    """Tell what has become of a log since its `fingerprint`; None where nothing has, or it is gone.

    Sizes and times are compared first; contents only where a time differs and the size does not.
    """
    path, known = Path(source["path"]), {one["name"]: one for one in source["files"]}
    if not path.exists():
        return None
    found = {one.relative_to(path).as_posix(): one for one in _files(path)}
    for name in sorted(set(known) | set(found)):
        label = path.name if name == "." else name
        if name not in known or name not in found:
            return f"{label} is {'gone' if name in known else 'new'}"
        facts, size = found[name].stat(), known[name]["size"]
        if facts.st_size != size:
            return f"{label} had {size:,} bytes and has {facts.st_size:,}"
        if facts.st_mtime_ns != known[name]["mtime_ns"] and (
            sha256(found[name]) != known[name]["sha256"]
        ):
            return f"{label} has other contents"
    return None


def sha256(path: Path) -> str:
    """Compute the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def publish(draft: Path, folder: Path, facts: Facts) -> None:
    """Move the files of a draft in, point the manifest at them, and remove the older ones."""
    rows = {}
    for path in sorted(draft.iterdir()):
        checksum, size = sha256(path), path.stat().st_size
        name = f"{path.stem}-{checksum[:8]}{path.suffix}"
        _sync(path)
        path.replace(folder / name)
        rows[path.name] = {"file": name, "size": size, "sha256": checksum}
    old = set(_names(folder / MANIFEST))
    pointer = draft / MANIFEST
    pointer.write_text(json.dumps({"format": FORMAT, "facts": facts, "files": rows}, indent=2))
    _sync(pointer)
    _sync(folder)
    pointer.replace(folder / MANIFEST)
    _sync(folder)
    for name in old - {str(row["file"]) for row in rows.values()}:
        (folder / name).unlink(missing_ok=True)


def _manifest(folder: Path) -> tuple[Facts, dict[str, Facts]]:
    path = folder / MANIFEST
    if not path.is_file():
        unfinished = (folder / DRAFT).is_dir()
        said = "one whose preparation was stopped before its end" if unfinished else "none"
        raise FormatError(
            f"expected a prepared log with {MANIFEST} in {folder}, found {said}; "
            f"make it with recency prepare FILE --out {folder}."
        )
    try:
        raw = json.loads(path.read_text())
        version, facts, rows = int(raw["format"]), dict(raw["facts"]), dict(raw["files"])
    except (ValueError, KeyError, TypeError) as error:
        raise FormatError(f"{path} is damaged ({error!r}); prepare the log again.") from None
    if version > FORMAT:
        raise FormatError(
            f"{folder} has format {version} of prepared logs, this version of Recency reads up to "
            f"{FORMAT}; upgrade Recency or prepare the log again."
        )
    return facts, rows


def _fault(folder: Path, row: Facts, verify: bool) -> str | None:
    name, path = row["file"], folder / row["file"]
    if Path(name).name != name or not path.is_file():
        return f"{name} is missing"
    if path.stat().st_size != row["size"]:
        return f"{name} has {path.stat().st_size:,} bytes instead of {row['size']:,}"
    return f"{name} was changed" if verify and sha256(path) != row["sha256"] else None


def _mapped(path: Path) -> npt.NDArray[Any]:
    return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))


def _files(path: Path) -> list[Path]:
    return sorted(path.rglob("*.parquet")) if path.is_dir() else [path]


def _print(file: Path, root: Path) -> Facts:
    facts = file.stat()
    name = file.relative_to(root).as_posix()
    size, time = facts.st_size, facts.st_mtime_ns
    return {"name": name, "size": size, "mtime_ns": time, "sha256": sha256(file)}


def _names(manifest: Path) -> Iterator[str]:
    try:
        rows = json.loads(manifest.read_text())["files"].values()
        names = [str(row["file"]) for row in rows]
    except (ValueError, KeyError, TypeError, AttributeError, OSError):
        return
    yield from (name for name in names if Path(name).name == name)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
