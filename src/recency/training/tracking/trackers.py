"""Trackers: told of a run as it begins, after every epoch, and as it ends.

Three are adapters to the clients of other products (`recency.training.tracking.clients`); any
object with the three methods of `Tracker` is one as well. Decisions:

- What a tracker cannot do at the beginning (a client that is missing, not logged in, or without a
  server) is an error, since nothing is lost yet. What fails later costs the tracker, never the run:
  it is named in one warning and left out from then on.
- A run that goes on from its checkpoint tells the epochs before it once more, so that what is
  tracked is whole.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Protocol, runtime_checkable

from recency.errors import ConfigError, RecencyError, raise_all
from recency.training.config import EpochRecord
from recency.training.tracking.clients import MLflow, TensorBoard, WeightsAndBiases
from recency.training.tracking.facts import Facts

log = logging.getLogger(__name__)


@runtime_checkable
class Tracker(Protocol):
    """Follow a training; an attribute ``name`` is how messages call it, else its class's name."""

    def begin(self, facts: Facts) -> None:
        """Take note of a run: settings, seed, and what it learns from; see `run_facts`."""

    def epoch(self, record: EpochRecord, lr: float) -> None:
        """Take note of an epoch that is done, and of the learning rate at its end."""

    def end(self, facts: Facts) -> None:
        """Take note of the end: ``status`` is ``"finished"``, ``"failed"`` or ``"stopped"``.

        With ``"finished"`` come ``model_version``, ``epochs``, ``ndcg@10`` and ``notes``; with the
        others ``fault``.
        """


Trackers = str | Tracker | Sequence[str | Tracker]


class Tracking:
    """Tell all trackers of a run; leave out one that fails.

    Attributes:
        notes: What failed, in words.
    """

    def __init__(self, trackers: Sequence[Tracker]) -> None:
        self._trackers = list(trackers)
        self.notes: list[str] = []

    def begin(self, facts: Facts) -> None:
        """Tell all that a run begins.

        Raises:
            ConfigError: some cannot; all of them together, and the others are told of the end.
        """
        faults, begun = [], []
        for tracker in self._trackers:
            try:
                tracker.begin(facts)
                begun.append(tracker)
            except RecencyError as fault:
                faults.append(str(fault))
            except Exception as fault:  # whatever other people's clients raise
                faults.append(
                    f"{_name(tracker)} cannot begin: {_told(fault)}; mend it, or train without it."
                )
        if faults:
            self._trackers = begun
            self.end({"status": "failed", "fault": "another tracker could not begin"})
        raise_all(faults, ConfigError)

    def epoch(self, record: EpochRecord, lr: float) -> None:
        """Tell all of an epoch."""
        self._tell(lambda one: one.epoch(record, lr), f"after {record.stage} epoch {record.epoch}")

    def end(self, facts: Facts) -> None:
        """Tell all of the end."""
        self._tell(lambda one: one.end(facts), "at the end")

    def _tell(self, what: Callable[[Tracker], None], when: str) -> None:
        for tracker in list(self._trackers):
            try:
                what(tracker)
            except Exception as fault:  # whatever other people's clients raise
                self._trackers.remove(tracker)
                note = (
                    f"{_name(tracker)} failed {when} and was left out from then on: "
                    f"{_told(fault)}; the training itself lost nothing."
                )
                self.notes.append(note)
                log.warning(note)


@contextmanager
def tracked(trackers: Sequence[Tracker], facts: Callable[[], Facts]) -> Iterator[Tracking]:
    """Tell trackers that a run begins and, where the block raises, that it ended.

    Args:
        trackers: Perhaps none.
        facts: Gives the facts of the run; asked only if there is a tracker, since it digests all
            events.

    Raises:
        ConfigError: a tracker cannot begin.
    """
    tracking = Tracking(trackers)
    if trackers:
        tracking.begin(facts())
    try:
        yield tracking
    except BaseException as fault:
        status = "failed" if isinstance(fault, Exception) else "stopped"
        tracking.end({"status": status, "fault": _told(fault)})
        raise


def trackers_of(given: Trackers | None, folder: str | Path | None = None) -> list[Tracker]:
    """Turn names and objects into trackers.

    Args:
        given: A name, an object, a list of both, or None.
        folder: Of the run: clients that write files write them there.

    Raises:
        ConfigError: a name or an object is no tracker, or its package is missing; all together.
    """
    if given is None:
        return []
    makers: dict[str, Callable[[], Tracker]] = {
        "tensorboard": lambda: TensorBoard(None if folder is None else Path(folder, "tensorboard")),
        "wandb": lambda: WeightsAndBiases(folder=folder),
        "mlflow": MLflow,
    }
    listed = given if isinstance(given, list | tuple) else [given]
    found: list[Tracker] = []
    faults = []
    for one in listed:
        if isinstance(one, str) and one in makers:
            try:
                found.append(makers[one]())
            except ConfigError as fault:
                faults.append(str(fault))
        elif not isinstance(one, str) and isinstance(one, Tracker):
            found.append(one)
        else:
            faults.append(_no_tracker(one, list(makers)))
    raise_all(faults, ConfigError)
    return found


def _no_tracker(one: object, known: list[str]) -> str:
    near = get_close_matches(one, known, n=1) if isinstance(one, str) else []
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return (
        f"tracker={one!r}: expected {', '.join(map(repr, known))}, or an object with begin, epoch "
        f"and end.{hint}"
    )


def _name(tracker: Tracker) -> str:
    return str(getattr(tracker, "name", type(tracker).__name__))


def _told(fault: BaseException) -> str:
    return f"{type(fault).__name__}: {fault}" if str(fault) else type(fault).__name__
