"""What a run learns from and what it is judged on."""

import logging
import math
from dataclasses import dataclass, replace

import numpy as np

from recency.data.batches import TrainingWindows
from recency.data.histories import BLOCK, UNKNOWN, Histories
from recency.data.newest import newest_begins
from recency.data.scratch import is_mapped, scratch
from recency.errors import DataError
from recency.training.config import TrainConfig
from recency.units import format_instant

JUDGED = 2**31  # scores of a judgement: at 1,000,000 items those of 2,147 targets
FEWEST_VALID = 20  # targets; an epoch judged on fewer would be chosen by luck

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """Hold the parts of a run.

    Attributes:
        everything: All targets.
        older: The targets before the newest slice; None where nothing is judged.
        newest: The targets of the newest slice on items seen before it; None where nothing is
            judged.
        tokens: Most cells a batch.
        arrivals: All targets of the newest slice, on items new in it too; None as `newest`.
        cut: Where the newest slice begins, microseconds; None as `newest`.
        notes: What cannot be done as asked for, in words.
    """

    everything: TrainingWindows
    older: TrainingWindows | None
    newest: TrainingWindows | None
    tokens: int
    arrivals: TrainingWindows | None = None
    cut: int | None = None
    notes: tuple[str, ...] = ()


def plan_training(
    histories: Histories, config: TrainConfig, since: int | None, replayed: int = 0, seed: int = 0
) -> Plan:
    """Find the targets, and hold the newest slice back to judge epochs on.

    Args:
        histories: Training events only.
        config: Its ``valid_share``, ``max_len``, ``tokens`` and ``max_valid_targets`` count.
        since: Learn from targets at or after this instant only, in microseconds.
        replayed: Learn from at most so many older targets with them.
        seed: Of their draw.

    Raises:
        DataError: there is no target.
    """
    everything = TrainingWindows(
        histories, max_len=config.max_len, since=since, replayed=replayed, seed=seed
    )
    if not everything.n_targets:
        raise DataError(_nothing_to_learn(histories, since))
    tokens = config.tokens or tokens_for(everything.n_targets)
    if not config.valid_share:
        return Plan(everything, None, None, tokens)
    cut = newest_begins(histories.times, config.valid_share, since)
    older = TrainingWindows(histories, max_len=config.max_len, since=since, until=cut)
    n_items = int(histories.items.max(initial=0)) + 1
    seen, most = as_seen_at(histories, cut), min(config.max_valid_targets, JUDGED // n_items)
    newest = TrainingWindows(seen, max_len=2 * config.max_len, since=cut, max_targets=most)
    if older.n_targets and newest.n_targets >= FEWEST_VALID:
        arrivals = TrainingWindows(
            histories, max_len=2 * config.max_len, since=cut, max_targets=most, read=seen
        )
        return Plan(everything, older, newest, tokens, arrivals, cut)
    note = (
        f"the newest {config.valid_share:.0%} of the training events (from {format_instant(cut)}) "
        f"hold {newest.n_targets:,} targets on items seen before and leave {older.n_targets:,} to "
        f"learn from, too few to judge epochs on; trained all {config.epochs} epochs on everything."
    )
    log.warning(note)
    return Plan(everything, None, None, tokens, notes=(note,))


def as_seen_at(histories: Histories, cut: int) -> Histories:
    """Turn items that nobody had seen before an instant into `UNKNOWN`.

    The newest slice then looks as the time after training will: no new item can be told, and none
    is read as anything but unknown. In a log of news nearly all of the newest items are new, and
    what an untrained vector happens to say of them would decide which epoch is best.
    """
    items, times = histories.items, histories.times
    seen = np.zeros(int(items.max(initial=0)) + 1, bool)
    known = scratch(len(items), items.dtype, on_disk=is_mapped(items))
    parts = [slice(start, start + BLOCK) for start in range(0, len(items), BLOCK)]
    for part in parts:
        seen[items[part][(times[part] < cut) & (items[part] >= 0)]] = True
    for part in parts:
        known[part] = np.where((items[part] >= 0) & seen[items[part]], items[part], UNKNOWN)
    return replace(histories, items=known)


def tokens_for(n_targets: int) -> int:
    """Give the cells a batch that suit so many targets: 1,024 at 100,000, growing as the root.

    Small batches take more steps, which small logs need; large ones waste less of a machine.
    """
    return int(np.clip(1_024 * math.sqrt(n_targets / 100_000), 256, 16_384))


def _nothing_to_learn(histories: Histories, since: int | None) -> str:
    when = "" if since is None else f" at or after {format_instant(since)}"
    return (
        f"there is nothing to learn from: no event{when} has an earlier event of its own user "
        f"(found {histories.n_events:,} events of {int((histories.lengths > 0).sum()):,} users); "
        f"a sequence model needs users with events at two instants at least."
    )
