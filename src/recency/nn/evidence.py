"""Evidence: what the experts knew of every training target strictly before it, found all at once.

The counts do not depend on weights, so they are looked up once before training and not in every
epoch (`recency.data.lookback`).
"""

import math

import numpy as np
import numpy.typing as npt
import torch

from recency.data.histories import Histories, Ints, Older
from recency.data.lookback import DecayedSums
from recency.data.newest import newest_n_begin
from recency.data.pairs import WINDOW, pairs_of
from recency.nn.experts import Evidence, ExpertConfig
from recency.nn.fading import Context
from recency.nn.voices import context_of

_PAIRS = 2**23  # pairs looked up together; more are taken in turns, so that memory stays bounded
_NEVER = 2**62  # microseconds
_LEAST = 1e-300  # of a weight: sums are kept as logarithms
Shares = npt.NDArray[np.float32]


class EvidenceTable:
    """Look up evidence for the targets of a log.

    Args:
        histories: All training events; evidence of an event comes from those before it.
        config: Which experts.
        ages_to_target: Whether ages count to the target's instant, as ``request_time="known"``
            allows, or to the user's newest event before it.
        targets: [n] absolute positions, ascending, of those that will be asked about; None for all.
        paired: Count the pairs of so many of the newest events only: of a long log, counting all of
            them takes nearly all of the time. None counts all.
    """

    def __init__(
        self,
        histories: Histories,
        config: ExpertConfig,
        *,
        ages_to_target: bool,
        targets: Ints | None = None,
        paired: int | None = None,
    ) -> None:
        self._histories, self._targets = histories, targets
        self._ages_to_target = ages_to_target
        rows = np.arange(histories.n_events) if targets is None else targets
        at = config.known_until(histories.times[rows])
        self._crowd = _crowd(histories, config.crowd_half_lives, rows, at)
        self._pair = _pair(histories, config.pair_half_lives, rows, at, paired)

    def context(self, targets: Ints) -> Context:
        """Give the own events before targets, [n] absolute positions in the histories."""
        histories = self._histories
        stops = histories.group_start[targets]
        starts = histories.offsets[histories.user_of[targets]]
        at = histories.times[targets] if self._ages_to_target else None
        return context_of(histories, starts, stops, at)

    def of(self, targets: Ints, device: torch.device) -> Evidence:
        """Give all evidence of targets, [n] absolute positions in the histories."""
        context = self.context(targets)
        rows = targets if self._targets is None else np.searchsorted(self._targets, targets)
        return Evidence(
            context=Context(context.items.to(device), context.ages.to(device)),
            pair=torch.from_numpy(self._pair[rows]).to(device),
            crowd=torch.from_numpy(self._crowd[rows]).to(device),
        )


def _crowd(histories: Histories, half_lives: list[float], rows: Ints, at: Ints) -> Shares:
    """Give the share of the item of each event of ``rows`` at each half-life: [n, half-lives].

    ``at`` [n] are the instants in microseconds up to which is counted.
    """
    known = histories.items >= 0
    items, times = histories.items.astype(np.int64), histories.times
    shares = np.full((len(rows), len(half_lives)), math.nan, np.float32)
    aged = _Aged(histories.older, min(times.min(initial=_NEVER), at.min(initial=_NEVER)))
    own = DecayedSums(
        np.concatenate((aged.items, aged.late_items, items[known])),
        np.concatenate((aged.times, aged.late_times, times[known])),
    )
    total_times = np.concatenate((aged.times[:1], aged.late_times, times[known]))
    every = DecayedSums(np.zeros(len(total_times), np.int64), total_times)
    own_places = own.places(items[rows], at)
    every_places = every.places(np.zeros(len(rows), np.int64), at)
    for column, half_life in enumerate(half_lives):
        weights = aged.weights(half_life)
        summed = weights[:0] if not len(weights) else weights.sum(keepdims=True)
        ones = np.ones(len(total_times) - len(summed))
        total = every.logs(half_life, np.concatenate((summed, ones)))[every_places]
        some = np.isfinite(total)
        own_logs = own.logs(half_life, np.concatenate((weights, ones)))
        shares[some, column] = np.exp2(own_logs[own_places[some]] - total[some])
    return shares


class _Aged:
    """Sum up events that came before histories begin, item by item, to one instant before these.

    Args:
        older: The events; None for none.
        first: No question is asked before, microseconds. Older events from then on stay single.

    Attributes:
        items: [n] those that occur, ascending; times: [n] the instant, the same for all.
        late_items, late_times: Of the single events.
    """

    def __init__(self, older: Older | None, first: int) -> None:
        found = np.empty(0, np.int64) if older is None else older.items.astype(np.int64)
        times = np.empty(0, np.int64) if older is None else older.times
        late, early = (found >= 0) & (times >= first), (found >= 0) & (times < first)
        self.late_items, self.late_times = found[late], times[late]
        self.items, self._place = np.unique(found[early], return_inverse=True)
        self.times = np.full(len(self.items), first - 1)
        self._ages = (first - 1 - times[early]) / 1e6

    def weights(self, half_life: float) -> npt.NDArray[np.float64]:
        """Give what is left of each item's events at the instant, [n], above 0."""
        left = np.exp2(-self._ages / half_life)
        return np.maximum(np.bincount(self._place, left, len(self.items)), _LEAST)


def _pair(
    histories: Histories, half_lives: list[float], rows: Ints, at: Ints, paired: int | None
) -> Shares:
    """Give the probability of the item of each event of ``rows`` beside each own item before it.

    Counted before ``at`` [n], among pairs of so many of the newest events: [n, `WINDOW`,
    half-lives], NaN where nothing is known of the own item.
    """
    items, times = histories.items.astype(np.int64), histories.times
    shares = np.full((len(rows), WINDOW, len(half_lives)), math.nan, np.float32)
    if not half_lives or len(items) < 2:
        return shares
    fresh = None if paired is None else times >= newest_n_begin(times, paired)
    ones, others, instants, weights = pairs_of(histories.user_of, items, times, fresh)
    n_turns = -(-len(ones) // _PAIRS)
    n_rows = int(items.max()) + 1
    goals, ends = items[rows], histories.group_start[rows]
    starts = histories.offsets[histories.user_of[rows]]
    for turn in range(n_turns):
        mine = slice(None) if n_turns == 1 else ones % n_turns == turn
        one, key = ones[mine], ones[mine] * n_rows + others[mine]
        sums = DecayedSums(one, instants[mine], weights[mine])
        cells = DecayedSums(key, instants[mine], weights[mine])
        logs = [(sums.logs(half_life), cells.logs(half_life)) for half_life in half_lives]
        for place in range(WINDOW):
            source = ends - 1 - place
            asked = np.flatnonzero((source >= starts) & (goals >= 0))
            beside = items[source[asked]]
            here = (beside >= 0) & (beside % n_turns == turn)
            asked, beside = asked[here], beside[here]
            in_sums = sums.places(beside, at[asked])
            in_cells = cells.places(beside * n_rows + goals[asked], at[asked])
            for column, (of_sums, of_cells) in enumerate(logs):
                total = of_sums[in_sums]
                known = np.isfinite(total)
                own = of_cells[in_cells[known]]
                shares[asked[known], place, column] = np.exp2(own - total[known])
    return shares
