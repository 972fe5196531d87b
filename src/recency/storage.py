"""Model folders: safetensors, JSON and Parquet, with checksums; no pickle anywhere.

    shop/
      manifest.json                  format, version, configuration; names the files that follow
      weights-3f2a9c01.safetensors   parameters
      histories-….safetensors        events known to the model, as flat arrays
      users-….parquet  items-….parquet  types-….parquet   vocabularies, in the order of rows
      catalogue-….parquet            item attributes, where given

Files carry a part of their SHA-256 in their name and are never changed. The manifest is the
pointer: it is replaced by one rename, so that a reader finds the old model or the new one, never
half of each. Other files in the folder, such as the service's event store, are left alone.
"""

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recency.errors import FormatError

FORMAT = 1
MANIFEST = "manifest.json"
_CHECKED_AT_ONCE = 4  # files


@dataclass(frozen=True)
class Manifest:
    """Describe a saved model.

    Attributes:
        folder: Where it lies.
        content: Configuration, as it was given to `written_folder`.
        files: Name of each part and the file that holds it, such as ``weights.safetensors`` and
            ``weights-3f2a9c01.safetensors``.
    """

    folder: Path
    content: dict[str, Any]
    files: dict[str, str]

    def __contains__(self, name: str) -> bool:
        return name in self.files

    def path(self, name: str) -> Path:
        """Give the path of a part.

        Raises:
            FormatError: the model has no such part.
        """
        if name not in self.files:
            raise FormatError(f"the model in {self.folder} has no {name}; save it again.")
        return self.folder / self.files[name]


@contextmanager
def written_folder(folder: str | Path, content: dict[str, Any]) -> Iterator[Path]:
    """Save a model in one piece: the block fills a draft, then the manifest points at its files.

    Args:
        folder: Where the model shall be; an older model there is replaced.
        content: What `read_manifest` gives back, as JSON.

    Raises:
        FormatError: the folder exists, is not empty, and holds no model.
    """
    target = Path(folder)
    _refuse_foreign(target)
    fresh = not target.exists()
    target.mkdir(parents=True, exist_ok=True)
    if fresh:
        sync(target.parent)
    draft = target / f".draft-{uuid.uuid4().hex[:8]}"
    draft.mkdir()
    try:
        yield draft
        _publish(draft, target, content)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def read_manifest(folder: str | Path) -> Manifest:
    """Read a model folder's manifest and check every file against it.

    Raises:
        FormatError: no model is there, it is of a newer format, or files are missing or changed;
            all faults of the files together.
    """
    path = Path(folder) / MANIFEST
    if not path.is_file():
        raise FormatError(f"expected a model folder with {MANIFEST}, found none in {folder}.")
    try:
        raw = json.loads(path.read_text())
        version, content = int(raw["format"]), dict(raw["content"])
        files = {str(name): str(row["file"]) for name, row in raw["files"].items()}
        sums = {row["file"]: row["sha256"] for row in raw["files"].values()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FormatError(f"{path} is damaged ({error!r}); save the model again.") from None
    if version > FORMAT:
        raise FormatError(
            f"{folder} has format {version}, this version of Recency reads up to {FORMAT}; "
            f"upgrade Recency."
        )
    with ThreadPoolExecutor(_CHECKED_AT_ONCE) as pool:  # hashing lets other threads run
        checked = pool.map(lambda one: _fault(path, *one), sums.items())
        faults = [fault for fault in checked if fault]
    if faults:
        raise FormatError(
            f"the model in {folder} is damaged: {'; '.join(faults)}. "
            f"Restore it from a copy or save it again."
        )
    return Manifest(Path(folder), content, files)


def sha256(path: Path) -> str:
    """Compute the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fault(manifest: Path, name: str, expected: str) -> str | None:
    file = manifest.parent / name
    if Path(name).name != name or not file.is_file():
        return f"{name} is missing"
    return None if sha256(file) == expected else f"{name} was changed or cut short"


def _refuse_foreign(target: Path) -> None:
    if not target.exists():
        return
    if not target.is_dir() or (any(target.iterdir()) and not (target / MANIFEST).is_file()):
        raise FormatError(
            f"{target} exists and is no Recency model; nothing was written. Choose another folder."
        )


def _publish(draft: Path, target: Path, content: dict[str, Any]) -> None:
    """Move the files in, point the manifest at them, and remove what it pointed at before."""
    files = {}
    for path in sorted(draft.iterdir()):
        checksum = sha256(path)
        name = f"{path.stem}-{checksum[:8]}{path.suffix}"
        sync(path)
        path.replace(target / name)
        files[path.name] = {"file": name, "sha256": checksum}
    old = _files_of(target / MANIFEST)
    pointer = draft / MANIFEST
    pointer.write_text(
        json.dumps({"format": FORMAT, "content": content, "files": files}, indent=2) + "\n"
    )
    sync(pointer)
    sync(target)
    pointer.replace(target / MANIFEST)
    sync(target)
    for name in old - {row["file"] for row in files.values()}:
        (target / name).unlink(missing_ok=True)


def _files_of(manifest: Path) -> set[str]:
    try:
        names = {row["file"] for row in json.loads(manifest.read_text())["files"].values()}
    except (ValueError, KeyError, TypeError, AttributeError, OSError):
        return set()
    return {name for name in names if Path(name).name == name}


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
