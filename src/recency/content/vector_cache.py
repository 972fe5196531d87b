"""Vector cache: what was encoded once is not encoded again.

    cache/3f2a9c01d2e4b5a6-256-float32/
      keys-5d1c….npy      [n] the first 16 bytes of each text's SHA-256
      vectors-5d1c….npy   [n, dim] float32

One folder an encoder, so that vectors of two models never meet. Keys are renamed into place after
their vectors: an encoding that was killed leaves whole pairs of files, and goes on from there. Two
processes may add at once.
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
        found, there = np.zeros((len(texts), 0), np.float32), np.zeros(len(texts), bool)
        wanted = _keys(texts)
        for path in sorted(self.folder.glob("keys-*.npy")):
            keys, vectors = self._read(path)
            if not found.shape[1]:
                found = np.zeros((len(texts), vectors.shape[1]), np.float32)
            elif found.shape[1] != vectors.shape[1]:
                raise self._damage(path, f"vectors of {vectors.shape[1]} and {found.shape[1]}")
            order = np.argsort(keys)
            rows = order[np.minimum(np.searchsorted(keys[order], wanted), len(keys) - 1)]
            hit = keys[rows] == wanted
            found[hit] = vectors[rows[hit]]
            there |= hit
        return found, there

    def add(self, texts: Sequence[str], vectors: Floats) -> None:
        """Keep vectors [n, dim] of n texts."""
        if not len(texts):
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        name = uuid.uuid4().hex
        self._write(f"vectors-{name}.npy", np.ascontiguousarray(vectors, np.float32))
        self._write(f"keys-{name}.npy", _keys(texts))

    def _write(self, name: str, cells: npt.NDArray[Any]) -> None:
        draft = self.folder / f".{name}"
        with draft.open("wb") as file:
            np.save(file, cells, allow_pickle=False)
        draft.replace(self.folder / name)

    def _read(self, path: Path) -> tuple[Keys, Floats]:
        try:
            keys = np.load(path, allow_pickle=False)
            vectors = np.load(
                path.with_name(path.name.replace("keys", "vectors", 1)), mmap_mode="r"
            )
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


def _keys(texts: Sequence[str]) -> Keys:
    digests = [hashlib.sha256(text.encode()).digest()[:_KEY] for text in texts]
    return np.array(digests, f"S{_KEY}")
