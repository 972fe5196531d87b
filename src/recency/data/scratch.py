"""Scratch arrays: what is worked out of a log and is as long as the log.

Beside arrays in memory it lies in memory. Beside memory-mapped ones it lies in a file without a
name, in the folder of temporary files (``TMPDIR``), so that a log larger than memory needs no
memory of its length either. The file is gone when the array is. Its room is taken at once
where the system can: a full disk is an error here and not a crash in the middle of a write.
"""

import mmap
import os
import tempfile
from typing import Any

import numpy as np
import numpy.typing as npt


def scratch(length: int, dtype: npt.DTypeLike, *, on_disk: bool) -> npt.NDArray[Any]:
    """Make an array that is to be filled.

    Args:
        length: Entries.
        dtype: Of an entry.
        on_disk: Put it into a temporary file.

    Raises:
        OSError: the disk of the temporary files is full.
    """
    if not on_disk or not length:
        return np.empty(length, dtype)
    with tempfile.TemporaryFile() as file:
        n_bytes = length * np.dtype(dtype).itemsize
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, n_bytes)
        else:
            file.truncate(n_bytes)
        return np.asarray(np.memmap(file, dtype, "r+", shape=(length,)))


def is_mapped(array: npt.NDArray[Any]) -> bool:
    """Tell whether an array lies in a memory-mapped file."""
    below: object = array
    while isinstance(below, np.ndarray):
        below = below.base
    return isinstance(below, mmap.mmap)


def smallest_integer(most: int) -> type[np.int32] | type[np.int64]:
    """Give the type of four bytes where it holds numbers up to ``most``, else that of eight."""
    return np.int32 if most <= np.iinfo(np.int32).max else np.int64
