"""Choosing a setting: the one that answers the newest slice of the training events best.

The slice is cut by time and judged as `recency.evaluate` judges, so nothing after the training log
is looked at, and a baseline is tuned for what it will be asked.
"""

import logging
from collections.abc import Callable, Mapping
from typing import TypeVar

from recency.data.log import Log
from recency.errors import DataError
from recency.evaluation.exam import build_exam
from recency.evaluation.judge import judge
from recency.evaluation.protocol import Recommender
from recency.evaluation.settings import Settings
from recency.ranking.metrics import ndcg

Setting = TypeVar("Setting")

NEWEST = 0.1  # share of the training events that settings are chosen on
K = 10
MAX_TARGETS = 2_000

_logger = logging.getLogger(__name__)


def choose(
    log: Log,
    fit: Callable[[Log], Mapping[Setting, Recommender]],
    *,
    repeats: bool,
    default: Setting,
) -> Setting:
    """Choose the setting of highest NDCG@10 on the newest tenth of a log.

    Args:
        log: Training events.
        fit: Fits one recommender a setting on the events before the slice.
        repeats: Whether items of the history are candidates and count as targets.
        default: Taken, and logged, where the log is too short for a slice.

    Returns:
        The best setting, the first of equals.
    """
    try:
        before, newest = log.split_at(log.quantile(1 - NEWEST))
        settings = Settings(ks=(K,), repeats=repeats, max_targets=MAX_TARGETS)
        exam = build_exam(newest, settings)
    except DataError as fault:
        _logger.warning("too few events to choose a setting on, so %s is taken: %s", default, fault)
        return default
    found = {
        setting: float(ndcg(judge(model, exam).ranks, K).mean())
        for setting, model in fit(before).items()
    }
    return max(found, key=lambda setting: found[setting])
