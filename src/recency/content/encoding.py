"""Encoding: texts, or other things of a catalogue, to vectors, each once, kept on disk."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from recency.content.text import Encodes, Told
from recency.content.vector_cache import VectorCache

Floats = npt.NDArray[np.float32]
Progress = Callable[[int, int], None]  # done, in all
_KEPT_AT_ONCE = 4_096  # texts; what a kill may cost


class Known(Protocol):
    """What names its vectors; see `recency.content.text.Encodes`."""

    @property
    def identity(self) -> str:
        """Name the encoder by what it computes."""
        ...

    @property
    def dim(self) -> int:
        """Count the numbers of a vector."""
        ...


def encode_texts(
    texts: Sequence[str],
    encoder: Encodes,
    cache: str | Path | None = None,
    progress: Progress | None = None,
) -> Floats:
    """Encode texts; those seen before are taken from the cache.

    Args:
        texts: n texts, of which many may be equal.
        encoder: Turns them into vectors; not even loaded where all are in the cache.
        cache: Folder to keep vectors in; None keeps none.
        progress: Told of texts done and texts in all, of those that had to be encoded.

    Returns:
        [n, dim] float32, each row of length 1; zeros for an empty text.
    """
    distinct, place = np.unique(np.array(texts, dtype=object), return_inverse=True)
    order = np.argsort([-len(text) for text in distinct], kind="stable")  # like lengths together
    different: list[str] = distinct[order].tolist()

    def encoded(rows: Sequence[int], told: Told) -> Floats:
        return encoder.encode([different[row] for row in rows], told)

    vectors = encode_new(different, encoder, encoded, cache, progress, _KEPT_AT_ONCE)
    found: Floats = vectors[np.argsort(order)[place]]
    return found


def encode_new(
    keys: Sequence[str],
    encoder: Known,
    encoded: Callable[[Sequence[int], Told], Floats],
    cache: str | Path | None,
    progress: Progress | None,
    at_once: int,
) -> Floats:
    """Encode what a cache lacks, and fill it on the way.

    Args:
        keys: n different names of what is encoded.
        encoder: Whose vectors these are; its width is asked for where nothing was in the cache.
        encoded: Gives the vectors of some of the n, NaN where there is none, and tells of each
            part that is done.
        cache: Folder to keep vectors in; None keeps none.
        progress: Told how many are done, and of how many.
        at_once: Most that are kept together; what a kill may cost.

    Returns:
        [n, dim].
    """
    kept = None if cache is None else VectorCache(cache, encoder.identity)
    vectors, there = None, np.zeros(len(keys), bool)
    if kept is not None:
        vectors, there = kept.find(keys)
    missing = np.flatnonzero(~there).tolist()
    if vectors is None or not there.any():
        vectors = np.zeros((len(keys), encoder.dim), np.float32)
    n_done = 0

    def told(n: int) -> None:
        nonlocal n_done
        n_done += n
        if progress is not None:
            progress(n_done, len(missing))

    for start in range(0, len(missing), at_once):
        rows = missing[start : start + at_once]
        vectors[rows] = encoded(rows, told)
        if kept is not None:
            real = [row for row in rows if not np.isnan(vectors[row, 0])]
            kept.add([keys[row] for row in real], vectors[real])
    return vectors
