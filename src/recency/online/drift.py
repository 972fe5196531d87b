"""Drift: when what is predicted, or what comes, is no longer what it was.

Two series are watched, one value a prediction: its NDCG, by ADWIN (Bifet and Gavaldà, Learning from
Time-Changing Data with Adaptive Windowing, SDM 2007), which keeps as long a window as looks the
same throughout; and whether its item was unseen, by the test of Page and Hinkley (Page, Continuous
Inspection Schemes, Biometrika 1954), which sums up how far values lie above their mean. Both come
from river.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from recency.errors import ConfigError

SCORE, UNSEEN = "score", "unseen"


@dataclass(frozen=True)
class Drift:
    """Tell of one drift.

    Attributes:
        series: ``"score"`` or ``"unseen"``.
        n: Predictions seen by then.
        mean: Mean of the series since the drift before, or the start.
    """

    series: str
    n: int
    mean: float


Alarm = Callable[[Drift], None]


class Watch(Protocol):
    """Watch predictions for drifts; see `DriftWatch`."""

    def take(self, rows: Iterable[tuple[float, float]], *, quiet: bool = False) -> list[Drift]:
        """Watch predictions go by, and give the drifts among them."""
        ...


class DriftWatch:
    """Watch predictions for drifts.

    Args:
        alarm: Called at each drift; None counts only.
        delta: Chance of a false alarm that ADWIN allows for.
        threshold: Sum of deviations at which Page and Hinkley's test speaks.

    Attributes:
        n_drifts: Drifts so far, by series.

    Raises:
        ConfigError: river is not installed.
    """

    def __init__(
        self, alarm: Alarm | None = None, *, delta: float = 0.002, threshold: float = 50.0
    ) -> None:
        try:
            from river.drift import ADWIN, PageHinkley
        except ImportError:
            raise ConfigError(
                "watching for drifts needs the package river, which is not installed; "
                "pip install 'recency[online]'."
            ) from None
        self._alarm = alarm
        self._detectors: dict[str, Any] = {
            SCORE: ADWIN(delta=delta),  # type: ignore[no-untyped-call]  # river leaves it untyped
            UNSEEN: PageHinkley(mode="up", threshold=threshold),
        }
        self._sums = {SCORE: 0.0, UNSEEN: 0.0}
        self._counts = {SCORE: 0, UNSEEN: 0}
        self.n_drifts = {SCORE: 0, UNSEEN: 0}
        self._n = 0

    def take(self, rows: Iterable[tuple[float, float]], *, quiet: bool = False) -> list[Drift]:
        """Watch predictions go by.

        Args:
            rows: Each one's NDCG, and 1 where its item was unseen, else 0.
            quiet: Raise no alarm: these were watched before, and are only remembered.

        Returns:
            The drifts among them.
        """
        found = []
        for row in rows:
            self._n += 1
            for series, value in zip((SCORE, UNSEEN), row, strict=True):
                drift = self._watched(series, float(value))
                if drift is not None:
                    found.append(drift)
                    if self._alarm is not None and not quiet:
                        self._alarm(drift)
        return found

    def _watched(self, series: str, value: float) -> Drift | None:
        detector = self._detectors[series]
        detector.update(value)
        self._sums[series] += value
        self._counts[series] += 1
        if not detector.drift_detected:
            return None
        drift = Drift(series, self._n, self._sums[series] / self._counts[series])
        self._sums[series], self._counts[series] = 0.0, 0
        self.n_drifts[series] += 1
        return drift
