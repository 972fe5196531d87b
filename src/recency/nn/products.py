"""Products of float32 matrices, by the faster of the two libraries that torch carries for a CPU.

On some processors (AMD's with AVX-512) oneDNN multiplies float32 matrices far faster than MKL,
which torch asks by default (`recency doctor --profile` shows the rate of the machine at hand).
Torch hands them to oneDNN only together with the leave to round their entries to bfloat16. oneDNN
makes use of that leave where the processor has matrix units (AMX), and else multiplies in full
float32: `exact` finds out which.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch

_TOLERANCE = 1e-4  # of sums of 256 products; rounded entries are off by 1e-2 and more


@contextmanager
def quick_products(rounded: bool = False) -> Iterator[None]:
    """Let oneDNN multiply matrices inside the block, as long as no digit is lost.

    Args:
        rounded: Let it even where it rounds entries to bfloat16; sums stay float32.
    """
    backend = _backend()
    if backend is None or not (rounded or exact()):
        yield
        return
    before = backend.fp32_precision
    backend.fp32_precision = "bf16"
    try:
        yield
    finally:
        backend.fp32_precision = before


@contextmanager
def plain_products(wanted: bool = True) -> Iterator[None]:
    """Take torch's own choice inside the block, where one is wanted: for many small products."""
    backend = _backend()
    if backend is None or not wanted:
        yield
        return
    before = backend.fp32_precision
    backend.fp32_precision = "ieee"
    try:
        yield
    finally:
        backend.fp32_precision = before


@cache
def exact() -> bool:
    """Tell whether oneDNN keeps every digit of float32 on this processor, by one small product."""
    generator = torch.Generator().manual_seed(0)
    left, right = torch.randn(2, 256, 256, generator=generator)
    with quick_products(rounded=True):
        found = left @ right
    wanted = left.double() @ right.double()
    return bool((found - wanted).abs().max() < _TOLERANCE)


def _backend() -> Any:
    """Give the switch, None in a torch without oneDNN or without the switch."""
    switch: Any = torch.backends.mkldnn
    return getattr(switch, "matmul", None) if switch.is_available() else None
