"""Encoding: the texts of a catalogue to vectors, each text once, kept on disk."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from recency.content.text import Encodes
from recency.content.vector_cache import VectorCache

Floats = npt.NDArray[np.float32]
Progress = Callable[[int, int], None]  # texts done, texts in all
_KEPT_AT_ONCE = 4_096  # texts; what a kill may cost


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
    different: list[str] = distinct.tolist()
    kept = None if cache is None else VectorCache(cache, encoder.identity)
    vectors, there = None, np.zeros(len(different), bool)
    if kept is not None:
        vectors, there = kept.find(different)
    missing = np.flatnonzero(~there)
    if vectors is None or not there.any():
        vectors = np.zeros((len(different), encoder.dim), np.float32)
    n_done = 0

    def told(n: int) -> None:
        nonlocal n_done
        n_done += n
        if progress is not None:
            progress(n_done, len(missing))

    # Like lengths together, and the cache filled as it goes.
    missing = missing[np.argsort([-len(different[one]) for one in missing], kind="stable")]
    for start in range(0, len(missing), _KEPT_AT_ONCE):
        rows = missing[start : start + _KEPT_AT_ONCE]
        chosen = [different[row] for row in rows]
        vectors[rows] = encoder.encode(chosen, told)
        if kept is not None:
            kept.add(chosen, vectors[rows])
    found: Floats = vectors[place]
    return found
