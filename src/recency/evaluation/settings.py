"""What an evaluation is an evaluation of: the settings that a number means nothing without."""

from dataclasses import dataclass
from typing import Literal, get_args

from recency.errors import ConfigError, raise_all
from recency.ranking.ranks import TIES, Ties

History = Literal["rolling", "frozen"]
Reading = Literal["warm", "misses", "growing", "listed"]
Targets = Literal["event", "basket"]


@dataclass(frozen=True)
class Settings:
    """Hold the protocol of one evaluation.

    Attributes:
        ks: Cut-offs; the first is the headline.
        history: ``"rolling"``: test events before the question are read; ``"frozen"``: none is, and
            all questions are asked at the cut.
        repeats: Whether items of the history are candidates and count as targets.
        reading: What becomes of items that training never saw. ``"warm"``: their events are no
            targets; ``"misses"``: they count as missed; ``"growing"``: an item is a candidate from
            its first event on, and that first event itself counts as missed; ``"listed"``: every
            item that the catalogue lists is a candidate, whether it ever had an event or not.
        ties: Rank of a target whose score others share; see `recency.ranking.ranks`.
        targets: ``"event"``: every event is one question; ``"basket"``: the different items of one
            user at one instant are one question.
        max_targets: Most targets; users are drawn whole. None takes all.
        resamples: Bootstrap samples of users.
        seed: Of the users drawn and of the bootstrap.
    """

    ks: tuple[int, ...] = (10,)
    history: History = "rolling"
    repeats: bool = True
    reading: Reading = "warm"
    ties: Ties = "mean"
    targets: Targets = "event"
    max_targets: int | None = None
    resamples: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        """Check everything at once.

        Raises:
            ConfigError: with all faults.
        """
        faults = [
            f"expected {name} as one of {', '.join(map(repr, allowed))}, found {value!r}."
            for name, value, allowed in (
                ("history", self.history, get_args(History)),
                ("reading", self.reading, get_args(Reading)),
                ("ties", self.ties, TIES),
                ("targets", self.targets, get_args(Targets)),
                ("repeats", self.repeats, (True, False)),
            )
            if value not in allowed
        ]
        if not self.ks or any(not _is_count(k) for k in self.ks):
            faults.append(f"expected k as one or more whole numbers from 1, found {self.ks!r}.")
        if self.max_targets is not None and not _is_count(self.max_targets):
            faults.append(
                f"expected max_targets of at least 1 or None, found {self.max_targets!r}."
            )
        if not _is_count(self.resamples):
            faults.append(f"expected resamples of at least 1, found {self.resamples!r}.")
        raise_all(faults, ConfigError)

    @property
    def k(self) -> int:
        """Give the headline's cut-off."""
        return self.ks[0]


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
