"""The settings of learning while it runs."""

import math
from dataclasses import dataclass

from recency.errors import ConfigError, DataError, raise_all
from recency.units import parse_duration

FEWEST = 8  # targets that are worth a round of learning


@dataclass(frozen=True)
class LearnConfig:
    """Choose how a learner learns on.

    Attributes:
        round_events: Most events of a round.
        asked: Events of a round that are predicted before they are observed; evenly spread.
        k: Length of the lists that are scored.
        window: Newest predictions that the score is taken of.
        delay: Time after which an event counts in the score and may be learned from.
        recent: Newest events whose pairs are counted, and that the whole model learns from with
            what their users did among them. The crowd is counted over all there ever were.
        quick: Whether rounds move gate, trust, item vectors as scored, biases and fallback.
        gate_targets: Newest targets that the gate learns from, each as it was predicted by weights
            that had not learned it.
        gate_steps: Steps over them, after the trust was found.
        head_epochs: Passes of item vectors and biases over the new targets; 0 leaves them.
        head_lr: Their learning rate.
        whole: Time of the log between two rounds that move the whole model; None: never.
        whole_epochs: Passes over the events since the last of these.
        calm: Share of the first training's learning rate.
        held: Share of what came since the last of these that is held back, in [0, 1): what was
            learned is kept only if with it that is foreseen no worse than without, in nats; and is
            part of the next one's lesson. 0 keeps everything.
        replayed: Older targets learned with each new one, so that less is forgotten.
        hurry: The whole model's rhythm is so many times faster for a while after a drift.
        seed: Repeats a run, on a CPU bit by bit.
    """

    round_events: int = 2_000
    asked: int = 200
    k: int = 10
    window: int = 5_000
    delay: str | float = 0.0
    recent: int = 200_000
    quick: bool = True
    gate_targets: int = 5_000
    gate_steps: int = 20
    head_epochs: int = 1
    head_lr: float = 1e-3
    whole: str | float | None = "1h"
    whole_epochs: int = 1
    calm: float = 0.3
    held: float = 0.25
    replayed: float = 1.0
    hurry: int = 4
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse impossible settings, all together."""
        least = {
            "round_events": 1, "asked": 0, "k": 1, "window": 1, "recent": 100, "gate_targets": 1,
            "gate_steps": 0, "head_epochs": 0, "whole_epochs": 1, "hurry": 1,
        }  # fmt: skip
        faults = [
            f"LearnConfig({name}={getattr(self, name)!r}): expected a whole number of at least {n}."
            for name, n in least.items()
            if isinstance(getattr(self, name), bool)
            or not isinstance(getattr(self, name), int)
            or getattr(self, name) < n
        ]
        faults += [
            f"LearnConfig({name}={getattr(self, name)!r}): expected a number above 0."
            for name in ("head_lr", "calm")
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) > 0)
        ]
        if not (math.isfinite(self.replayed) and self.replayed >= 0):
            faults.append(
                f"LearnConfig(replayed={self.replayed!r}): expected a number of 0 or more."
            )
        if not 0 <= self.held < 1:
            faults.append(f"LearnConfig(held={self.held!r}): expected a share from 0 to below 1.")
        for name, given in (("delay", self.delay), ("whole", self.whole)):
            try:
                if given is not None and not parse_duration(given) and name == "whole":
                    faults.append("LearnConfig(whole=0): expected a time above 0, or None.")
            except DataError as fault:
                faults.append(f"LearnConfig({name}={given!r}): {fault}")
        raise_all(faults, ConfigError)

    @property
    def delay_us(self) -> int:
        """Give the delay in microseconds."""
        return round(parse_duration(self.delay) * 1e6)

    @property
    def whole_us(self) -> int | None:
        """Give the time between two whole rounds in microseconds."""
        return None if self.whole is None else round(parse_duration(self.whole) * 1e6)
