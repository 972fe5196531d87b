"""Vector cache: what was encoded once is not encoded again.

    cache/3f2a9c01d2e4b5a6-256-float32/
      keys-5d1c….npy      [n] the first 16 bytes of each text's SHA-256
      vectors-5d1c….npy   [n, dim] float32

One folder an encoder, so that vectors of two models never meet. Keys are renamed into place after
their vectors: an encoding that was killed leaves whole pairs of files, and goes on from there. Two
processes may add at once. A service adds a few texts at a time, so small files are joined now and
then; who reads meanwhile begins anew.
"""

import hashlib
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from recency.errors import FormatError

Floats = npt.NDArray[np.float32]
Keys = npt.NDArray[np.bytes_]
_KEY = 16  # bytes
_SMALL = 4_096  # texts; files with fewer are joined
_MOST_SMALL = 32  # such files
_TRIES = 5  # to read, while others join files


class VectorCache:
    """Keep vectors of texts in a folder.

    Args:
        folder: Of all encoders' caches; made when it does not exist.
        identity: Of the encoder (`recency.content.text.Encodes.identity`).
    """

    def __init__(self, folder: str | Path, identity: str) -> None:
        self.folder = Path(folder) / identity

    def find(self, texts: Sequence[str]) -> tuple[Floats, npt.NDArray[np.bool_]]:
        """Give the vectors that are there.

        Returns:
            [n, dim] float32, zeros where there is none ([n, 0] in an empty cache), and [n] whether
            there is one.

        Raises:
            FormatError: a file is damaged, or vectors are of several widths.
        """
        wanted = _keys(texts)
        for _ in range(_TRIES):
            try:
                return self._found(wanted)
            except FileNotFoundError:  # joined with others just now
                continue
        raise self._damage(self.folder, "keys without vectors")

    def _found(self, wanted: Keys) -> tuple[Floats, npt.NDArray[np.bool_]]:
        pairs = [self._read(path) for path in sorted(self.folder.glob("keys-*.npy"))]
        widths = {vectors.shape[1] for _, vectors in pairs}
        if len(widths) > 1:
            raise self._damage(self.folder, f"vectors of {' and '.join(map(str, widths))} numbers")
        found = np.zeros((len(wanted), next(iter(widths), 0)), np.float32)
        if not sum(len(keys) for keys, _ in pairs):
            return found, np.zeros(len(wanted), bool)
        keys = np.concatenate([one for one, _ in pairs])
        order = np.argsort(keys)
        rows = order[np.minimum(np.searchsorted(keys[order], wanted), len(keys) - 1)]
        there = keys[rows] == wanted
        start = 0
        for _, vectors in pairs:
            here = there & (rows >= start) & (rows < start + len(vectors))
            found[here] = vectors[rows[here] - start]
            start += len(vectors)
        return found, there

    def add(self, texts: Sequence[str], vectors: Floats) -> None:
        """Keep vectors [n, dim] of n texts."""
        if not len(texts):
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        self._keep(_keys(texts), vectors)
        small = [
            path for path in self.folder.glob("keys-*.npy") if path.stat().st_size < _KEY * _SMALL
        ]
        if len(small) > _MOST_SMALL:
            self._join(small)

    def _join(self, paths: Sequence[Path]) -> None:
        """Keep several files as one; nothing is lost, whenever this is cut off."""
        pairs = [self._read(path) for path in paths]
        keys, first = np.unique(np.concatenate([one for one, _ in pairs]), return_index=True)
        self._keep(keys, np.concatenate([one for _, one in pairs])[first])
        for path in paths:
            path.unlink(missing_ok=True)
            _vectors_of(path).unlink(missing_ok=True)

    def _keep(self, keys: Keys, vectors: Floats) -> None:
        name = uuid.uuid4().hex
        self._write(f"vectors-{name}.npy", np.ascontiguousarray(vectors, np.float32))
        self._write(f"keys-{name}.npy", keys)

    def _write(self, name: str, cells: npt.NDArray[Any]) -> None:
        draft = self.folder / f".{name}"
        with draft.open("wb") as file:
            np.save(file, cells, allow_pickle=False)
        draft.replace(self.folder / name)

    def _read(self, path: Path) -> tuple[Keys, Floats]:
        try:
            keys = np.load(path, allow_pickle=False)
            vectors = np.load(_vectors_of(path), mmap_mode="r")
        except FileNotFoundError:
            raise
        except (OSError, ValueError, EOFError) as error:
            raise self._damage(path, str(error)) from None
        if keys.shape != vectors.shape[:1] or vectors.ndim != 2 or keys.dtype != f"S{_KEY}":
            raise self._damage(path, f"{keys.shape} keys of {keys.dtype}, vectors {vectors.shape}")
        return keys, vectors

    def _damage(self, path: Path, what: str) -> FormatError:
        return FormatError(
            f"expected keys and as many vectors in {path}, found {what}. "
            f"Remove {self.folder}: it is made anew."
        )


def _vectors_of(path: Path) -> Path:
    return path.with_name(path.name.replace("keys", "vectors", 1))


def _keys(texts: Sequence[str]) -> Keys:
    digests = [hashlib.sha256(text.encode()).digest()[:_KEY] for text in texts]
    return np.array(digests, f"S{_KEY}")
