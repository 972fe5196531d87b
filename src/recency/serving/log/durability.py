"""Durability: what an acknowledgement means, as a setting and as a fact to show."""

import re
from dataclasses import dataclass
from typing import Literal, Self

from recency.errors import ConfigError

Mode = Literal["sync", "interval", "memory"]
_INTERVAL = re.compile(r"interval:([0-9]{1,6}(?:\.[0-9]{1,3})?)(ms|s)")
_SHORTEST, _LONGEST = 0.001, 60.0


@dataclass(frozen=True)
class Durability:
    """Say when what is acknowledged is safe from a power loss.

    A process that is killed loses nothing in any mode: what is acknowledged has been handed to the
    operating system. The modes differ in what a power loss, or a crash of the whole machine, may
    take.

    Attributes:
        mode: ``"sync"``: each acknowledgement waits for the disk; nothing is lost. ``"interval"``:
            the disk is waited for every ``interval`` seconds. ``"memory"``: it is waited for when
            the log is folded into the file, at no certain time.
        interval: Seconds; 0 but in the mode of that name.
    """

    mode: Mode = "sync"
    interval: float = 0.0

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``"sync"``, ``"interval:50ms"`` (or ``"interval:2s"``) or ``"memory"``.

        Raises:
            ConfigError: it is none of these, or the interval is out of reach.
        """
        if text == "sync":
            return cls("sync")
        if text == "memory":
            return cls("memory")
        found = _INTERVAL.fullmatch(text)
        if found is not None:
            seconds = float(found[1]) * (0.001 if found[2] == "ms" else 1.0)
            if _SHORTEST <= seconds <= _LONGEST:
                return cls("interval", seconds)
        raise ConfigError(
            f"expected durability as 'sync', 'interval:50ms' (1ms to 60s) or 'memory', found "
            f"{text!r}."
        )

    @property
    def loss_window_seconds(self) -> float | None:
        """Tell how far back a power loss may reach: 0 for not at all, None for no bound.

        The bound holds while one sync of the disk takes less than half the interval, because a
        sync begins at the latest after the other half.
        """
        return {"sync": 0.0, "interval": self.interval, "memory": None}[self.mode]

    @property
    def longest_wait(self) -> float | None:
        """Tell how many seconds a commit may wait for its sync to begin; None: none is begun."""
        return self.interval / 2 if self.mode == "interval" else None

    @property
    def synchronous(self) -> str:
        """Name SQLite's setting for a commit."""
        return "FULL" if self.mode == "sync" else "NORMAL"

    def __str__(self) -> str:
        return f"interval:{1000 * self.interval:g}ms" if self.mode == "interval" else self.mode


SYNC = Durability()
