"""What every test shares: one torch thread, a log small enough to check by eye, a browser."""

import os
import shutil
from pathlib import Path

import polars as pl
import pytest

from recency.data.log import Log

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the fault tests run at full size."""
    parser.addoption("--soak", action="store_true", help="fault tests at full size, recorded")


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Keep torch to one thread: two on two busy cores wait for each other at every barrier."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture
def tiny_log() -> Log:
    """Twelve events of three users over four items from 2026-01-01, one a minute, one tie."""
    rows = [
        ("ann", "m", 0), ("bob", "n", 1), ("ann", "n", 2), ("cem", "o", 3),
        ("bob", "o", 4), ("ann", "m", 5), ("ann", "n", 5), ("cem", "p", 6),
        ("bob", "m", 7), ("cem", "o", 8), ("ann", "p", 9), ("bob", "n", 10),
    ]  # fmt: skip
    minute = 60_000_000
    start = 1_767_225_600_000_000  # 2026-01-01T00:00Z in microseconds
    frame = pl.DataFrame(
        {
            "user_id": [user for user, _, _ in rows],
            "item_id": [item for _, item, _ in rows],
            "timestamp": pl.Series([start + at * minute for _, _, at in rows]).cast(
                pl.Datetime("us", "UTC")
            ),
        }
    )
    return Log.from_frame(frame)


@pytest.fixture(scope="session")
def browser() -> Path:
    """The headless browser's program; skips where there is none, but fails in CI."""
    for name in BROWSERS:
        if found := shutil.which(name):
            return Path(found)
    reason = f"no browser on PATH (looked for {', '.join(BROWSERS)}); `make browser` installs one"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
