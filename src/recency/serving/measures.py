"""Measures: how large and how far an engine is, for gauges and for the status; nothing is changed.

All of it may be read by any thread: counts, lengths and sizes, never what they count.
"""

import os
import platform
import resource
import sys
from collections.abc import Iterable
from functools import cache
from importlib.metadata import version
from pathlib import Path

from recency import __version__
from recency.data.vocab import Id
from recency.ensemble.ensemble import Ensemble
from recency.recommender import SequenceRecommender
from recency.serving.engine import Engine
from recency.serving.questions import LiveRecommender

_LIBRARIES = ("torch", "numpy", "polars", "fastapi", "uvicorn")


def n_states(model: LiveRecommender) -> tuple[int, int]:
    """Count the users whose state is in memory, and the bytes of all states."""
    if not isinstance(model, SequenceRecommender | Ensemble):
        return 0, 0
    states = [one.states for one in model.live.models]
    return max(map(len, states), default=0), sum(4 * len(one) * one.size for one in states)


def searches(model: LiveRecommender) -> list[str]:
    """Tell how each model's best items are looked for, and what was measured to choose it."""
    if not isinstance(model, SequenceRecommender | Ensemble):
        return []
    there = [one for one in model.live.models if one.model.bias.device.type == "cpu"]
    return [str(one.scoring.shortlists.table.search) for one in there]


def n_unlearned(model: LiveRecommender, items: Iterable[Id]) -> int:
    """Count the events on items that came after the weights: these know them by features only."""
    if not isinstance(model, SequenceRecommender | Ensemble):
        return 0
    known, learned = model.items, model.live.n_learned
    return sum(item not in known or known.row(item) >= learned for item in items)


def lag(engine: Engine) -> int:
    """Count the entries of the log that the model has not seen."""
    return max(0, engine.last_seq - engine.as_of.seq)


def memory_bytes() -> int:
    """Give the memory that the process holds; where the system does not tell, its peak."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else 1024 * peak
    return pages * os.sysconf("SC_PAGE_SIZE")


@cache
def versions() -> dict[str, str]:
    """Name the versions of what matters for an answer."""
    return {
        "recency": __version__,
        "python": platform.python_version(),
        **{name: version(name) for name in _LIBRARIES},
    }
