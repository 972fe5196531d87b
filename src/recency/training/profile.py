"""Where a training step's time goes, measured on the very loop that trains.

`train` is called as ever and stopped when the time is over; it says itself what it has just done
(`recency.training.laps`), and two modules of the model say it too. The first steps, in which
memory is fetched and matrix products are prepared for new shapes, do not count. Products are
counted in a few more steps afterwards, since counting takes time; judging is measured in a second
call, an epoch over few users.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace

import numpy as np

from recency.data.batches import TrainingWindows
from recency.data.histories import Histories, Ints
from recency.nn.model import SequenceModel
from recency.training.ceiling import Ceiling, flop_counter, wait_for
from recency.training.config import TrainConfig
from recency.training.laps import lap, listening
from recency.training.loop import train
from recency.training.plan import tokens_for

PARTS = (
    "reading",
    "embedding",
    "encoder",
    "output",
    "evidence",
    "loss",
    "backward",
    "clipping",
    "optimiser",
)
WARM_UP = 3  # steps
COUNTED = 8  # steps whose products are counted
MOST_EVENTS = 1_000_000  # of a log that are looked at
_DAY = 86_400_000_000  # microseconds
_SAMPLE = (2_000, 50_000)  # events of the epoch that is judged


@dataclass(frozen=True)
class StepProfile:
    """Tell where the time of a mean training step went.

    Attributes:
        seconds: Of each of `PARTS`.
        n_steps: Steps measured.
        n_targets: Targets a step.
        flops: Operations of counted matrix products a target; see `recency.training.ceiling`.
        judging_seconds: To judge an epoch of the whole log; None where epochs are not judged.
        epoch_seconds: To learn from every target of the log once, judgement aside.
    """

    seconds: dict[str, float]
    n_steps: int
    n_targets: float
    flops: float
    judging_seconds: float | None
    epoch_seconds: float

    @property
    def targets_per_second(self) -> float:
        """Give the rate of learning, judgement aside."""
        return self.n_targets / sum(self.seconds.values())

    @property
    def gflops(self) -> float:
        """Give the rate of counted products, 10^9 operations a second."""
        return self.flops * self.targets_per_second / 1e9

    def share_of(self, ceiling: Ceiling) -> float:
        """Give the share of the measured rate of float32 products that training reaches."""
        return self.gflops / ceiling.gflops


def profile_training(
    model: SequenceModel,
    histories: Histories,
    config: TrainConfig | None = None,
    *,
    seed: int = 0,
    seconds: float = 4.0,
) -> StepProfile:
    """Measure where the time of training goes.

    Args:
        model: Learns a little on the way, so take one that nobody needs.
        histories: What would be learned from; of a long log, some users only (`some_users`).
        config: Settings; batches are as large as for the whole log.
        seed: Of batches and dropout.
        seconds: Of steps measured. Counting and judging take about as long again.

    Raises:
        DataError: there is nothing to learn from.
    """
    config = TrainConfig() if config is None else config
    n_targets = TrainingWindows(histories, max_len=config.max_len).n_targets
    config = replace(
        config, epochs=10**6, tokens=config.tokens or tokens_for(n_targets), checkpoint_dir=None
    )
    everything = replace(config, valid_share=0.0)
    read = some_users(histories, MOST_EVENTS if model.experts is None else MOST_EVENTS // 10)
    timed, flops = _steps(model, read, everything, seconds, seed)
    rate = timed.n_targets / timed.total
    judging = None
    if config.valid_share:
        each = _judging_seconds(model, read, config, int(rate * seconds / 2), seed)
        n_judged = min(config.max_valid_targets, config.valid_share * n_targets)
        judging = None if each is None else each * n_judged
    return StepProfile(
        seconds={part: timed.seconds.get(part, 0.0) / timed.n_steps for part in PARTS},
        n_steps=timed.n_steps,
        n_targets=timed.n_targets / timed.n_steps,
        flops=flops,
        judging_seconds=judging,
        epoch_seconds=n_targets / rate,
    )


class Stopwatch:
    """Add the seconds of each part up, over whole steps.

    Args:
        device: Is waited for at every lap.
        limit: Seconds of steps after which it is done.
        most_steps: Steps after which it is done.
        warm_up: First steps that do not count.
    """

    def __init__(
        self, device: str, limit: float, most_steps: int | None = None, warm_up: int = WARM_UP
    ) -> None:
        self.seconds: dict[str, float] = {}
        self.n_steps = self.n_targets = 0
        self._device, self._limit, self._most_steps = device, limit, most_steps
        self._warm_up = warm_up
        self.start()

    @property
    def total(self) -> float:
        """Give the seconds of all steps that count."""
        return sum(self.seconds.values())

    @property
    def is_done(self) -> bool:
        """Tell whether the steps that counted are enough."""
        return self.total >= self._limit or self.n_steps == self._most_steps

    def start(self) -> None:
        """Begin a step now."""
        self._step: dict[str, float] = {}
        self._step_targets = 0
        self._last = time.perf_counter()

    def hear(self, part: str, n_targets: int) -> None:
        """Take the time since the last lap as this part's."""
        wait_for(self._device)
        now = time.perf_counter()
        if part in PARTS:
            self._step[part] = self._step.get(part, 0.0) + now - self._last
            self._step_targets += n_targets
        self._last = now
        if part == PARTS[-1]:
            self._finish_step()

    def _finish_step(self) -> None:
        step, targets = self._step, self._step_targets
        self.start()
        if self._warm_up:
            self._warm_up -= 1
            return
        self.n_steps, self.n_targets = self.n_steps + 1, self.n_targets + targets
        for part, taken in step.items():
            self.seconds[part] = self.seconds.get(part, 0.0) + taken


class Enough(Exception):
    """Ends training from inside: all is measured. Nothing went wrong."""


def some_users(histories: Histories, n_events: int) -> Histories:
    """Take whole histories, evenly spread over the users, of about so many events in all."""
    if histories.n_events <= n_events:
        return histories
    n_users = max(1, histories.n_users * n_events // histories.n_events)
    users = np.linspace(0, histories.n_users - 1, n_users).astype(np.int64)
    kept = np.zeros(histories.n_users, bool)
    kept[users] = True
    events = kept[histories.user_of]
    lengths = histories.lengths[kept]
    return replace(
        histories,
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        items=histories.items[events],
        times=histories.times[events],
        types=None if histories.types is None else histories.types[events],
        values=None if histories.values is None else histories.values[events],
    )


def drawn_histories(n_events: int, n_items: int, max_len: int, seed: int = 0) -> Histories:
    """Draw histories to measure on, when there is no log at hand.

    Lengths are log-normal around a quarter of ``max_len``, and one history in twenty is longer than
    ``max_len``; a few items are in most of them; gaps are exponential, a day in the mean.

    Args:
        n_events: About how many.
        n_items: Items drawn from.
        max_len: Most events a window.
        seed: Same seed, same histories.
    """
    rng = np.random.default_rng(seed)
    some = np.exp(rng.normal(np.log(max_len / 4), 0.85, size=max(8, 16 * n_events // max_len)))
    lengths = np.clip(some, 2, 4 * max_len).astype(np.int64)
    lengths = lengths[: max(4, int(np.searchsorted(np.cumsum(lengths), n_events)))]
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    waits = rng.exponential(_DAY, size=int(offsets[-1])).astype(np.int64) + 1
    items = (n_items * rng.random(len(waits)) ** 3).astype(np.int32)
    return Histories(offsets, items, np.cumsum(waits) - np.repeat(_starts(waits, offsets), lengths))


def _starts(waits: Ints, offsets: Ints) -> Ints:
    """Give what the running sum has reached before each user's first event."""
    reached: Ints = np.concatenate([[0], np.cumsum(waits)])[offsets[:-1]]
    return reached


def _steps(
    model: SequenceModel, histories: Histories, config: TrainConfig, seconds: float, seed: int
) -> tuple[Stopwatch, float]:
    """Train until all is measured; give the time of steps, and the operations a target."""
    device = config.torch_device().type
    timed = Stopwatch(device, seconds)
    counted = Stopwatch(device, seconds / 2, most_steps=COUNTED, warm_up=0)
    counter = flop_counter()
    with ExitStack() as stack:

        def hear(part: str, n_targets: int) -> None:
            if not timed.is_done:
                timed.hear(part, n_targets)
                if timed.is_done:
                    stack.enter_context(counter)
                    counted.start()
                return
            counted.hear(part, n_targets)
            if counted.is_done:
                raise Enough

        with suppress(Enough), listening(hear), _telling(model):
            train(model, histories, config, seed=seed)
    return timed, counter.get_total_flops() / counted.n_targets


@contextmanager
def _telling(model: SequenceModel) -> Iterator[None]:
    """Have the model's parts say when they begin and end."""
    hooks = [
        model.events.register_forward_pre_hook(lambda *_: lap("reading")),
        model.events.register_forward_hook(lambda *_: lap("embedding")),
        model.encoder.register_forward_hook(lambda *_: lap("encoder")),
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _judging_seconds(
    model: SequenceModel, histories: Histories, config: TrainConfig, n_events: int, seed: int
) -> float | None:
    """Train and judge one epoch of few users, and give the seconds a judged target."""
    device = config.torch_device().type
    heard: dict[str, float] = {}

    def hear(part: str, n_targets: int) -> None:
        if part in ("epoch", "judging"):
            wait_for(device)
            heard[part] = time.perf_counter()

    few = some_users(histories, int(np.clip(n_events, *_SAMPLE)))
    with listening(hear):
        result = train(model, few, replace(config, epochs=1, refit=False), seed=seed)
    if not result.n_valid_targets:
        return None
    return (heard["judging"] - heard["epoch"]) / result.n_valid_targets
