"""What the machine can do at most, measured; and how much arithmetic a step asks for, counted.

The ceiling is the best of several runs, since anything else that runs can only lower it. The work
is the products of matrices alone, by far the most of the arithmetic: activations, softmax, norms,
scans, gathers and the optimiser are not counted, though they take time.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from recency.nn.products import quick_products

SIZES = (512, 1_024, 2_048)  # of square matrices
TRIAD = 2**26  # numbers an array, 256 MB: more than any cache holds


@dataclass(frozen=True)
class Ceiling:
    """Hold what a device was measured to do at most.

    Attributes:
        gflops: Products of float32 matrices, 10^9 operations a second, by the library that training
            takes (`quick_products`). A multiplication and an addition are two operations.
        bf16_gflops: Of bfloat16 matrices.
        memory_gb: 10^9 bytes a second that a = b + s * c reads and writes.
        threads: Of the processor.
        device: ``"cpu"`` or ``"cuda"``.
    """

    gflops: float
    bf16_gflops: float
    memory_gb: float
    threads: int
    device: str


def measure_ceiling(
    device: str = "cpu",
    seconds: float = 1.0,
    sizes: Sequence[int] = SIZES,
    cells: int = TRIAD,
) -> Ceiling:
    """Measure the ceiling of a device.

    Args:
        device: ``"cpu"`` or ``"cuda"``.
        seconds: About how long each of the three measurements may take.
        sizes: Of the square matrices tried; the fastest counts.
        cells: Numbers an array of the memory's measurement; it takes three such arrays.
    """
    with quick_products():
        gflops = _products(device, torch.float32, seconds, sizes)
    return Ceiling(
        gflops=gflops,
        bf16_gflops=_products(device, torch.bfloat16, seconds, sizes),
        memory_gb=_memory(device, seconds, cells),
        threads=torch.get_num_threads(),
        device=device,
    )


def flop_counter() -> FlopCounterMode:
    """Make a counter of the products inside a ``with`` block; ``get_total_flops()`` tells.

    Torch's own counter knows plain products only; the dense LSTM of oneDNN, which hides products,
    is added. A product computed twice, as where memory is saved, counts twice.
    """
    known = {
        _packet("aten", "mkldnn_rnn_layer"): _cells_forward,
        _packet("aten", "mkldnn_rnn_layer_backward"): _cells_backward,
    }
    mapping = {packet: count for packet, count in known.items() if packet is not None}
    return FlopCounterMode(display=False, custom_mapping=mapping)


def wait_for(device: str) -> None:
    """Wait until a device has done all that it was asked for."""
    if device != "cpu":
        torch.cuda.synchronize()


def _products(device: str, kind: torch.dtype, seconds: float, sizes: Sequence[int]) -> float:
    rates = []
    for n in sizes:
        left, right = torch.ones(2, n, n, dtype=kind, device=device)
        work = partial(torch.mm, left, right, out=torch.empty_like(left))
        taken = _fastest(work, device, seconds / len(sizes))
        rates.append(2 * n**3 / taken / 1e9)
    return max(rates)


def _memory(device: str, seconds: float, cells: int) -> float:
    a, b, c = (torch.ones(cells, device=device) for _ in range(3))
    taken = _fastest(partial(torch.add, b, c, alpha=0.5, out=a), device, seconds)
    return 3 * a.nbytes / taken / 1e9


def _fastest(work: Callable[[], Any], device: str, seconds: float) -> float:
    """Give the shortest of many runs, after one that prepares; three runs at least."""
    work()
    wait_for(device)
    taken: list[float] = []
    end = time.perf_counter() + seconds
    while len(taken) < 3 or time.perf_counter() < end:
        started = time.perf_counter()
        work()
        wait_for(device)
        taken.append(time.perf_counter() - started)
    return min(taken)


def _packet(space: str, name: str) -> Any:
    """Give one of torch's operations, None in a torch without it."""
    return getattr(getattr(torch.ops, space), name, None)


def _cells_forward(x: Sequence[int], w: Sequence[int], u: Sequence[int], *_: Any, **__: Any) -> int:
    """Count gates [4 dim, width] and [4 dim, dim] over inputs x [length, batch, width]."""
    return 2 * x[0] * x[1] * (w[0] * w[1] + u[0] * u[1])


def _cells_backward(x: Sequence[int], w: Sequence[int], u: Sequence[int], *_: Any, **k: Any) -> int:
    return 2 * _cells_forward(x, w, u)
