"""History: what became of each version of a model, one line an act, never changed.

A line that a killed writer left torn is passed over by readers and ended by the next writer.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from recency.serving.durable_files import append_durably, turn

_VERDICTS = ("published", "promoted", "refused")


@dataclass(frozen=True)
class Act:
    """Say what happened to a version.

    Attributes:
        at: Microseconds since 1970 UTC.
        what: ``published``, ``tried``, ``challenged``, ``promoted``, ``refused`` or ``removed``.
        version: Of the model.
        reason: In a person's words; may be empty.
    """

    at: int
    what: str
    version: str
    reason: str


class History:
    """Keep acts in a file.

    Args:
        path: Of the file; made with the first act.
        clock: Microseconds since 1970 UTC.
    """

    def __init__(self, path: Path, clock: Callable[[], int]) -> None:
        self._path, self._clock = path, clock
        self._read: tuple[tuple[int, int], list[Act]] = ((0, 0), [])  # when it was read, and what

    def note(self, what: str, version: str, reason: str = "") -> None:
        """Add an act, and wait until it is on the disk."""
        line = json.dumps(asdict(Act(self._clock(), what, version, reason)))
        with turn(self._path):
            append_durably(self._path, line)

    def acts(self) -> list[Act]:
        """List what happened, the oldest first."""
        try:
            found = self._path.stat()
            stamp = (found.st_mtime_ns, found.st_size)
            if self._read[0] != stamp:
                lines = self._path.read_text(errors="replace").splitlines()
                self._read = (stamp, [act for line in lines if (act := _act(line)) is not None])
        except FileNotFoundError:
            return []
        return self._read[1]

    def newest(self, *kinds: str) -> str | None:
        """Name the version of the newest act of some kinds, None without any."""
        return next((act.version for act in reversed(self.acts()) if act.what in kinds), None)

    def refusals(self) -> dict[str, str]:
        """Give the reason of each version whose last verdict was a refusal."""
        last = {act.version: act for act in self.acts() if act.what in _VERDICTS}
        return {name: act.reason for name, act in last.items() if act.what == "refused"}


def _act(line: str) -> Act | None:
    try:
        raw = json.loads(line)
        return Act(int(raw["at"]), *(str(raw[one]) for one in ("what", "version", "reason")))
    except (ValueError, KeyError, TypeError):
        return None
