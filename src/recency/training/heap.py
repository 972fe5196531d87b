"""The heap: memory that one step gives back is kept for the next one.

A step of training takes and gives back the same temporaries, many of some megabytes. GNU's libc
hands the top of its heap back to the system as soon as it is free and takes it anew a moment later,
page by page, which costs a step with drawn negatives much of its time. So it is told to keep what
is free as long as training goes on, which costs no more than the peak that was there anyway.
"""

import ctypes
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of mallopt
_KEPT = 2**30  # bytes
_LARGE = 2**25  # bytes; larger ones are given back as ever, and glibc allows no more here
_CHOSEN_BY = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES", "LD_PRELOAD")


@contextmanager
def kept_heap() -> Iterator[None]:
    """Keep freed memory inside the block; a machine without GNU's libc does as ever.

    Who has chosen thresholds or another allocator by the environment is left alone.
    """
    chosen = any(name in os.environ for name in _CHOSEN_BY)
    if chosen or platform.libc_ver()[0] != "glibc":
        yield
        return
    libc = ctypes.CDLL(None)
    libc.mallopt(_MMAP_THRESHOLD, _LARGE)
    libc.mallopt(_TRIM_THRESHOLD, _KEPT)
    try:
        yield
    finally:
        libc.mallopt(_TRIM_THRESHOLD, 2 * _LARGE)  # where glibc itself ends up in such a program
        libc.malloc_trim(0)
