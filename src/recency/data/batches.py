"""Training batches: histories cut into windows, each target asked from what was known before it.

A target is an event with at least one earlier event of its user. It is asked from the output after
the newest event of strictly smaller time, its *source*: events at one instant have no known order,
so they share a source and never give each other away.

A history longer than ``max_len`` is read in several windows. A target should not be asked from a
window's first few events only, so windows overlap: the first half of each later window is context
and only the second half is asked about. Every target is asked exactly once an epoch, from
min(events before it, max_len / 2) events at least; the price is that long histories are read up to
twice. Borders move at random from epoch to epoch.

An encoder that carries all it knows in its state needs no such context. For it, a history's windows
can follow one another, each from the state in which the one before ended (``carried=True``). They
come in their order, never two of one history in a batch, in as many batches as if they overlapped,
since steps are what learning needs. Windows that are followed are of one length, which varies from
epoch to epoch, so that no padding comes between. Too long histories overlap even so.

Windows of near lengths go into one batch, since padding costs as much as events do: they are
shuffled, sorted by length inside pools of some batches, cut by a budget of cells, shuffled again.
Widths are rounded up by a sixteenth at most, so that batches come in few shapes: a machine prepares
its matrix products for each shape that it meets. No step loops over events or windows in Python,
only over batches.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recency.data.histories import Batch, Histories, Ints, ragged_positions
from recency.data.scratch import is_mapped, scratch, smallest_integer
from recency.errors import ConfigError

Places = npt.NDArray[np.int32] | npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

POOL = 64  # batches a pool: enough for little padding, few enough for varied batches


@dataclass(frozen=True)
class TrainingBatch:
    """Hold windows of histories and the N targets asked from them.

    Attributes:
        batch: [B, L] events, padded on the right.
        rows: [N] row of the batch in which the target is asked.
        sources: [N] column whose output is asked: the newest event before the target's instant.
        targets: [N] item rows to be told.
        at: [N] microseconds, when the target happened.
        positions: [N] the target's place among all events of the histories.
        slots: [B] where the state after a row is kept for the window that follows it, -1 where none
            does; None where windows overlap.
        follows: [B] whether a row goes on from the state in its slot; None as ``slots``.
    """

    batch: Batch
    rows: Ints
    sources: Ints
    targets: Ints
    at: Ints
    positions: Ints
    slots: Ints | None = None
    follows: Bools | None = None

    @property
    def last_times(self) -> Ints:
        """Give the instant [N] of each source in microseconds."""
        return self.batch.times[self.rows, self.sources]


@dataclass(frozen=True)
class _Cut:
    """Hold one epoch's windows: input [start, stop), and targets [first, last) of the list.

    Attributes:
        most: Events of the longest.
        number: 0 for a history's first window, 1, …; None where windows overlap.
        slots: As of `TrainingBatch`.
        of: [windows] how many its history has; None where windows overlap.
    """

    start: Ints
    stop: Ints
    first: Ints
    last: Ints
    most: int
    number: Ints | None = None
    slots: Ints | None = None
    of: Ints | None = None

    @property
    def widths(self) -> Ints:
        """Give the cells of a row that each window takes."""
        return rounded_up(self.stop - self.start, self.most)


class TrainingWindows:
    """List what there is to learn from in histories, and cut it into batches an epoch.

    Args:
        histories: All events that may be read.
        max_len: Most events a window, at least 2.
        since: Ask for targets at or after this instant only, in microseconds.
        until: Ask for targets strictly before this instant only; nothing later is read either.
        max_targets: Keep at most so many targets, evenly spread over users and time.
        read: What the windows show of the same events, if not the histories themselves.
        replayed: Ask for at most so many targets from before ``since`` too, drawn at random.
        seed: Of the draw.

    Raises:
        ConfigError: ``max_len`` is too small.
    """

    def __init__(
        self,
        histories: Histories,
        *,
        max_len: int,
        since: int | None = None,
        until: int | None = None,
        max_targets: int | None = None,
        read: Histories | None = None,
        replayed: int = 0,
        seed: int = 0,
    ) -> None:
        if max_len < 2:
            raise ConfigError(f"expected max_len of at least 2 events, found {max_len}.")
        self.histories, self.max_len = histories, max_len
        self._read = histories if read is None else read
        targets, sources = _asked(histories, since, until)
        if max_targets is not None and len(targets) > max_targets:
            kept = np.linspace(0, len(targets) - 1, max_targets).astype(np.int64)
            targets, sources = targets[kept], sources[kept]
        if replayed and since is not None:
            older = _drawn(_asked(histories, None, since), replayed, seed)
            targets, sources = _merged(older, (targets, sources))
        self._targets, self._sources = targets, sources  # both ascend

    @property
    def n_targets(self) -> int:
        """Count the targets of an epoch."""
        return len(self._targets)

    @property
    def nbytes(self) -> int:
        """Count the bytes that the list of targets takes: 8 a target, 16 in logs beyond 2**31."""
        return self._targets.nbytes + self._sources.nbytes

    @property
    def positions(self) -> Ints:
        """Give the place of each target among all events of the histories, ascending."""
        return self._targets.astype(np.int64)

    def epoch(
        self, tokens: int, rng: np.random.Generator | None = None, *, carried: bool = False
    ) -> "Epoch":
        """Cut an epoch into batches.

        Args:
            tokens: Most cells a batch (windows times the longest), if more than one window.
            rng: Moves borders and shuffles; without it every epoch is the same, longest first.
            carried: Let windows follow one another from state to state, where that can be.
        """
        if carried and rng is not None and self.n_targets:
            cut = self._cut(rng, carried=True)
            widths = cut.widths
            fewer = min(tokens, int(tokens * widths.sum() / self._cut(None).widths.sum()))
            pools = _pools(cut, widths, fewer, rng)
            if pools is not None:
                return Epoch(self, cut, _packed(widths, fewer, rng, pools))
        cut = self._cut(rng)
        return Epoch(self, cut, _packed(cut.widths, tokens, rng))

    def _cut(self, rng: np.random.Generator | None, *, carried: bool = False) -> _Cut:
        """Cut each user's sources into stretches, one a window, and put context before them.

        Carried windows have context before the first one only.
        """
        most = self.max_len
        stride = max(1, most // 2)
        context = most - stride
        if carried and rng is not None:
            most = stride = int(rng.integers(-(-3 * most // 4), most, endpoint=True))
            context = most // 2
        if not self.n_targets:
            none = np.empty(0, dtype=np.int64)
            return _Cut(none, none, none, none, most)
        edges = self._first_at(self._targets, self.histories.offsets)
        users = np.flatnonzero(np.diff(edges))  # those with a target
        begin = self.histories.offsets[users]
        low = self._sources[edges[users]].astype(np.int64)
        high = self._sources[edges[users + 1] - 1].astype(np.int64) + 1
        # The first window takes all it can hold, less a random shift if one is not enough.
        room = most - np.minimum(low - begin, context)
        shift = np.zeros_like(room)
        if rng is not None and not carried:
            shift = rng.integers(0, stride, size=len(room))
        first = np.where(high - low <= room, room, room - shift)
        more = np.maximum(0, -(-(high - low - first) // stride))
        which = np.repeat(np.arange(len(low)), 1 + more)
        number = ragged_positions(np.zeros_like(more), 1 + more)  # 0, 1, … within each user
        border = low[which] + np.where(number > 0, first[which] + (number - 1) * stride, 0)
        end = np.minimum(low[which] + first[which] + number * stride, high[which])
        a, b = self._first_at(self._sources, border), self._first_at(self._sources, end)
        if carried:
            start = np.where(number > 0, border, np.maximum(begin[which], border - context))
            slots = np.where(more > 0, np.cumsum(more > 0) - 1, -1)[which]
            return _Cut(start, end, a, b, most, number, slots, 1 + more[which])
        used = b > a
        start = np.maximum(begin[which], border - context)[used]
        a, b = a[used], b[used]
        return _Cut(start, self._sources[b - 1].astype(np.int64) + 1, a, b, most)

    @staticmethod
    def _first_at(ascending: Places, positions: Ints) -> Ints:
        """Find where positions stand in an ascending list, without a copy of the list."""
        return np.searchsorted(ascending, positions.astype(ascending.dtype))

    def _gather(self, cut: _Cut, windows: Ints) -> TrainingBatch:
        start, stop, first = cut.start[windows], cut.stop[windows], cut.first[windows]
        width = int(rounded_up(stop - start, cut.most).max())
        counts = cut.last[windows] - first
        chosen = ragged_positions(first, counts)
        rows = np.repeat(np.arange(len(windows)), counts)
        positions = self._targets[chosen].astype(np.int64)
        return TrainingBatch(
            batch=self._read.gather(start, stop, width),
            rows=rows,
            sources=self._sources[chosen] - start[rows],
            targets=self.histories.items[positions].astype(np.int64),
            at=self.histories.times[positions],
            positions=positions,
            slots=None if cut.slots is None else cut.slots[windows],
            follows=None if cut.number is None else cut.number[windows] > 0,
        )


class Epoch:
    """Iterate over one epoch's batches; its length is their number.

    Attributes:
        n_slots: For states that windows hand on; see `TrainingBatch`.
    """

    def __init__(self, windows: TrainingWindows, cut: _Cut, batches: list[Ints]) -> None:
        self._windows, self._cut, self._batches = windows, cut, batches
        self.n_slots = 0 if cut.slots is None else int(cut.slots.max(initial=-1)) + 1

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[TrainingBatch]:
        for windows in self._batches:
            yield self._windows._gather(self._cut, windows)


def _asked(histories: Histories, since: int | None, until: int | None) -> tuple[Places, Places]:
    """Find the targets and their sources, block by block; see `TrainingWindows`."""
    kind = smallest_integer(histories.n_events)
    on_disk = is_mapped(histories.times)
    found = [scratch(histories.n_events, kind, on_disk=on_disk) for _ in range(2)]
    n_found = 0
    for first, last in histories.blocks():
        start, stop = int(histories.offsets[first]), int(histories.offsets[last])
        times, heads = histories.times[start:stop], histories.offsets[first:last] - start
        fresh = np.diff(times, prepend=-1) != 0
        fresh[heads[heads < len(times)]] = True
        group = np.maximum.accumulate(np.where(fresh, np.arange(len(times)), 0))
        asked = histories.items[start:stop] >= 0
        asked &= group > np.repeat(heads, histories.lengths[first:last])
        if since is not None:
            asked &= times >= since
        if until is not None:
            asked &= times < until
        places = np.flatnonzero(asked)
        part = slice(n_found, n_found + len(places))
        found[0][part], found[1][part] = places + start, group[places] + (start - 1)
        n_found = part.stop
    return found[0][:n_found], found[1][:n_found]  # what was never written takes no memory


def _drawn(found: tuple[Places, Places], most: int, seed: int) -> tuple[Places, Places]:
    """Draw some targets with their sources, in the order of the histories."""
    if len(found[0]) <= most:
        return found
    kept = np.random.default_rng(seed).choice(len(found[0]), most, replace=False)
    kept.sort()
    return found[0][kept], found[1][kept]


def _merged(a: tuple[Places, Places], b: tuple[Places, Places]) -> tuple[Places, Places]:
    """Put two lists of targets with their sources into the order of the histories."""
    targets = np.concatenate((a[0].astype(np.int64), b[0].astype(np.int64)))
    sources = np.concatenate((a[1].astype(np.int64), b[1].astype(np.int64)))
    order = np.argsort(targets)
    return targets[order], sources[order]


def rounded_up(lengths: Ints, most: int) -> Ints:
    """Round lengths up to the next of 16 to 31 times a power of two, but to ``most`` at most."""
    step = 2 ** np.maximum(np.log2(np.maximum(lengths, 1)).astype(np.int64) - 4, 0)
    rounded: Ints = np.minimum(-(-lengths // step) * step, np.maximum(most, lengths))
    return rounded


def _pools(cut: _Cut, widths: Ints, tokens: int, rng: np.random.Generator) -> Ints | None:
    """Draw a pool for each window, so that those of one history lie in later and later ones.

    Each history's windows are spread evenly over the pools. None where that cannot be: a history
    has more windows than there are batches, or a window has nothing to ask.
    """
    assert cut.number is not None and cut.of is not None
    n_batches = -(-int(widths.sum()) // tokens)
    longest = int(cut.of.max())
    if longest > n_batches or bool((cut.first == cut.last).any()):
        return None
    n_pools = max(longest, -(-n_batches // POOL))
    low, high = cut.number * n_pools // cut.of, (cut.number + 1) * n_pools // cut.of
    return rng.integers(low, high)


def _packed(
    lengths: Ints, tokens: int, rng: np.random.Generator | None, pools: Ints | None = None
) -> list[Ints]:
    """Pack windows of near lengths into batches, in the order of ``pools`` where they are given."""
    order = np.arange(len(lengths)) if rng is None else rng.permutation(len(lengths))
    if pools is not None:
        pool = pools[order]
    else:
        pool = np.cumsum(lengths[order]) // (POOL * tokens) if rng is not None else 0 * order
    order = order[np.lexsort((-lengths[order], pool))]
    pool = np.sort(pool)
    ends = np.append(np.flatnonzero(np.diff(pool)) + 1, len(order))
    batches: list[Ints] = []
    at = 0
    for end in ends.tolist():
        while at < end:
            rows = max(1, tokens // int(lengths[order[at]]))
            batches.append(order[at : min(at + rows, end)])
            at += len(batches[-1])
    if rng is None:
        return batches
    mixed = rng.permutation(len(batches))
    if pools is not None:
        mixed = mixed[np.argsort([pools[batches[i][0]] for i in mixed], kind="stable")]
    return [batches[i] for i in mixed]
