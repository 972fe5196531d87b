"""What the fault tests share: their size, and the row that a soak leaves behind.

Each test stands for one line of the list of faults: `T3` is a torn tail. By default they are small
enough for every run; `pytest tests/faults --soak` runs them at full size and records the results
in ``benchmarks/results/faults.json``.
"""

from collections.abc import Callable

import pytest

from benchmarks.record import record


@pytest.fixture(scope="session")
def soak(request: pytest.FixtureRequest) -> bool:
    """Whether the tests run at full size."""
    return bool(request.config.getoption("--soak"))


@pytest.fixture
def fault_row(soak: bool, request: pytest.FixtureRequest) -> Callable[..., None]:
    """Take down what a fault test counted; kept when soaking."""

    def keep(test: str, *, runs: int, lost: int, doubled: int, **more: float) -> None:
        if not soak:
            return
        row = {
            "data": "generated",
            "protocol": test,
            "model": request.node.name,
            "metrics": {"runs": runs, "lost": lost, "doubled": doubled, **more},
            "command": "python -m pytest tests/faults -m 'not gpu' --soak",
        }
        record("faults", [row])

    return keep
