"""Auditions: a version is loaded, shown the whole log and put through the gate, all in background.

What comes out is a seat that may serve at once: in step with the log, its states of those who are
about to ask made, its answers tried. Or a refusal, with every reason that was found.
"""

import logging
from collections.abc import Callable, Collection
from typing import Any

from recency.errors import RecencyError
from recency.serving.log.event_store import EventStore
from recency.serving.models.gate import GateConfig, folder_faults, known_faults
from recency.serving.models.item_rows import ItemRows
from recency.serving.models.registry import Registry
from recency.serving.models.seats import Seat, Seats
from recency.serving.models.versions import Version
from recency.serving.models.warm_up import touch, warm_up
from recency.serving.questions import LiveRecommender
from recency.serving.refusals import RefusedModelError, StoppedError
from recency.serving.snapshots.snapshots import Origin, restore
from recency.serving.users.erased_files import erase_from_model

logger = logging.getLogger(__name__)
_RECENT = 2_000  # newest events of the log whose users are made ready


class Auditions:
    """Load versions and put them through the gate; in one background thread.

    Args:
        registry: Holds the versions, and is told of refusals.
        store: The event log.
        seats: Who serves.
        run: Runs a function in the model's thread and waits for its result.
        now: Instant of questions that name none, microseconds.
        gate: What is asked of a version.
    """

    def __init__(
        self,
        registry: Registry,
        store: EventStore,
        seats: Seats,
        run: Callable[[Callable[[], Any]], Any],
        now: Callable[[], int],
        gate: GateConfig,
    ) -> None:
        self._registry, self._store, self._seats = registry, store, seats
        self._run, self._now, self._gate = run, now, gate
        self._stopped = False
        self._stood_in_for = ""  # the champion that was judged on older events, once

    def stop(self) -> None:
        """Give up what is being loaded, at the next step."""
        self._stopped = True

    def seat(self, version: str, *, scored: bool = True) -> Seat:
        """Load a version and judge it by all but its score.

        Args:
            version: Of the registry.
            scored: Whether the score is to be known; else it may start from a snapshot.

        Raises:
            RefusedModelError: it may not serve; the registry is told why.
            StoppedError: `stop` was called.
            UnknownIdError: there is no such version.
        """
        entry = self._registry.version(version)
        try:
            seat, faults = self._judged(entry, scored)
        except StoppedError:
            raise
        except RecencyError as error:
            seat, faults = None, [str(error)]
        except Exception as error:
            logger.exception("version %s failed while it was loaded", version)
            seat, faults = None, [f"{type(error).__name__}: {error}"]
        if seat is None or faults:
            reason = " ".join(faults)
            self._registry.refuse(version, reason)
            raise RefusedModelError(f"version {version} was refused: {reason}")
        return seat

    def _judged(self, entry: Version, scored: bool) -> tuple[Seat | None, list[str]]:
        if faults := folder_faults(entry.folder):
            return None, faults
        users, items = self._run(self._ids)  # before the log is read, which brings more
        judged = self._events_to_judge_by() if scored else None
        seat = self._opened(entry, judged)
        recommender = seat.recommender
        faults = known_faults("users", recommender.users, users, self._gate)
        faults += known_faults("items", recommender.items, items, self._gate)
        if faults:
            seat.retire()
            return None, faults
        asked = self._run(lambda: list(self._seats.asked))
        faults = warm_up(recommender, asked, self._now())
        self._go_on()
        recent = self._store.read(max(0, self._store.last_seq - _RECENT), _RECENT)
        touch(recommender, list(dict.fromkeys(one.user_id for _, one in recent)), self._now())
        seat.catch_up(judged or ())
        return seat, faults

    def _opened(self, entry: Version, judged: frozenset[int] | None) -> Seat:
        """Load a folder and show it the log."""
        from recency.loading import load

        self._go_on()
        erase_from_model(entry.folder, self._store.identities)  # it may be from before an erasure
        recommender = load(entry.folder)
        champion = self._seats.champion.recommender
        for noun, one, other in (
            ("users", recommender.users, champion.users),
            ("items", recommender.items, champion.items),
        ):
            if one.dtype != other.dtype:
                raise RefusedModelError(
                    f"expected {noun} with ids of {other.dtype}, as in the log, found {one.dtype}; "
                    f"fit the model on this log."
                )
        self._go_on()
        seat, _ = seat_of(recommender, self._store, self._registry, version=entry, judged=judged)
        self._go_on()
        return seat

    def _events_to_judge_by(self) -> frozenset[int]:
        """Choose the events on which a version is compared with the champion.

        Those that the champion was judged on while it served. Where it has not served long enough,
        the newest of the log, on which a fresh copy of the champion is judged now.
        """
        scores = self._seats.champion.scores
        seqs = scores.seqs[-self._gate.events :]
        if len(seqs) >= self._gate.least:
            return frozenset(seqs)
        newest = self._store.read(max(0, self._store.last_seq - self._gate.events))
        version = self._seats.champion.model_version
        if len(newest) < self._gate.least or version == self._stood_in_for:
            return frozenset(seqs)
        self._stood_in_for = version
        chosen = frozenset(seq for seq, _ in newest)
        champion = self._registry.version(version)
        stand_in = self._opened(champion, chosen)
        scores.add(stand_in.scores)
        stand_in.retire()
        return chosen | frozenset(seqs)

    def _ids(self) -> tuple[Any, Any]:
        champion = self._seats.champion.recommender
        return champion.users.named, champion.items.ids

    def _go_on(self) -> None:
        if self._stopped:
            raise StoppedError("the server is stopping: nothing was changed.")


def seat_of(
    recommender: LiveRecommender,
    store: EventStore,
    registry: Registry | None = None,
    *,
    version: Version | None = None,
    judged: Collection[int] | None = None,
) -> tuple[Seat, int]:
    """Bring a recommender in step with the log.

    Args:
        recommender: As its folder was written.
        store: The event log.
        registry: Beside which snapshots lie; None for none.
        version: What the registry says of the recommender; None for its current version.
        judged: Places of events to judge it on, for which the whole log is shown to it; None lets
            it start from a snapshot.

    Returns:
        Its seat, and the place in the log of the snapshot that it was restored from, 0 for none.
    """
    if registry is None:
        seat = Seat(recommender, store)
        seat.follower.replay()
        seat.rows.settle()
        return seat, 0
    rows = ItemRows(recommender, registry.path / "vectors")
    origin = Origin.of(recommender, store.log_id)
    seq = 0
    if judged is None:
        kept = registry.path / "snapshots"
        seq = restore(kept, recommender, origin, last_seq=store.last_seq)
    seat = Seat(recommender, store, origin, rows)
    if seq:
        rows.tell_restored()
        seat.follower.replay(seq, items_after=seq)
    else:
        known = known_until(registry.current() if version is None else version, store)
        seat.follower.replay(known, judged or ())
    rows.settle()
    return seat, seq


def known_until(entry: Version, store: EventStore) -> int:
    """Give the place in a log up to which a version's own histories go; 0 where it is unknown."""
    seq, log = entry.facts.get("seq"), entry.facts.get("log")
    if isinstance(seq, int) and log == store.log_id and seq <= store.last_seq:
        return seq
    return 0
