"""Erasure: everything kept of a user is removed, and stays away. Export: everything is shown first.

What `erase_user` does, in this order:

1. The log. The user's events are deleted, with those of every anonymous id merged into the user,
   and their bytes are overwritten. What remains is a tombstone: a salted hash of each id, under a
   number of the log. From here on events of the id are rejected one by one.
2. The models in memory: histories, states, counts, memories. The row of the vocabulary stays, under
   a name that nobody can send, because weights are stored by row.
3. The files: the write-ahead log, every version of the model, the snapshots (`erased_files`).

Steps 1 and 2 are done when the call returns. Step 3 is too, unless the disk refuses or another
process reads the log: then the answer says ``pending``, and the next start or the next erasure
finishes it. Doing it again does nothing more. Trained weights keep what they learned until the next
full fit.
"""

import logging
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from recency.data.vocab import Id
from recency.errors import DataError, RecencyError
from recency.serving.log.identities import read_identities
from recency.serving.snapshots.snapshots import remove_before
from recency.serving.users.erased_files import erase_from_model
from recency.units import format_instant

if TYPE_CHECKING:
    from recency.serving.engine import Engine
    from recency.serving.log.event_store import EventStore
    from recency.serving.log.events import Event

logger = logging.getLogger(__name__)
_CLEANED = "erased from all files up to"  # note: the newest tombstone that no file contradicts
_cleaning = threading.Lock()


class Erased(msgspec.Struct, frozen=True):
    """Say what an erasure did.

    ``seq`` is the tombstone's place in the log; ``n_events`` counts the events deleted from it;
    ``already`` tells that the id was erased before; ``pending`` that files still hold the id and
    will be cleaned later.
    """

    user_id: Id
    seq: int
    n_events: int
    already: bool
    pending: bool


def erase_user(engine: "Engine", user: object) -> Erased:
    """Remove everything kept of a user, of its merged anonymous ids too, for good.

    Waits until that is done; in a coroutine: ``await asyncio.to_thread(erase_user, engine, user)``.

    Args:
        engine: Whose log, models and files are cleaned.
        user: Id; one never seen gets a tombstone all the same.

    Raises:
        DataError: it can be no id.
        StoreError: the erasure could not be written; nothing was done.
    """
    one = engine.checks.user(user)
    one = engine.store.identities.of(one)  # of a merged id, the whole user is erased
    outcome, n_events = engine.store.erase(one).result()
    assert outcome.seq is not None
    pending = not finish_erasures(engine)
    return Erased(one, outcome.seq, n_events, outcome.status == "duplicate", pending)


def finish_erasures(engine: "Engine") -> bool:
    """Clean all files of what was erased, where that is still to do.

    It is when an erasure was not finished, and when the model's folder is from before one: put back
    from a copy, or fitted on an export of that time.

    Returns:
        Whether nothing is left to do. What stood in the way is logged.
    """
    store = engine.store
    with _cleaning:
        newest = store.identities.newest_erasure
        if not n_pending(store) and not engine.follower.n_erased:
            return True
        try:
            engine.catch_up()
            for version in () if engine.registry is None else engine.registry.versions():
                erase_from_model(version.folder, store.identities)
            if engine.snapshots is not None:
                engine.snapshots.remove_before(newest)
            elif engine.registry is not None:
                remove_before(engine.registry.path / "snapshots", newest)
            if not store.fold():
                logger.warning("another process reads %s: it is cleaned later", store.path)
                return False
            store.write_note(_CLEANED, str(newest))
        except (RecencyError, OSError) as error:
            logger.warning("files still hold an erased user and are cleaned later: %s", error)
            return False
    return True


def n_pending(store: "EventStore") -> int:
    """Count the erased ids that files may still hold."""
    cleaned = int(store.note(_CLEANED) or 0)
    return sum(seq > cleaned for seq in store.identities.tombstones.values())


def carry_erasures(present: str | Path, restored: "EventStore") -> int:
    """Erase from an older copy of a log what was erased from the present one since.

    Restoring a backup would bring erased users back; this removes them again, before the copy is
    served.

    Args:
        present: The file of the log of today; a server may be using it.
        restored: The older copy. Both are of one origin, so that they hash ids alike.

    Returns:
        How many ids were erased.

    Raises:
        DataError: the two are not of one origin.
        StoreError: the log of today cannot be read.
    """
    here, there = read_identities(Path(present)), restored.identities
    if here.salt != there.salt:
        raise DataError(
            f"expected {restored.path} to be an older copy of {present}, found a log of its own: "
            f"ids cannot be told alike."
        )
    missing = here.tombstones.keys() - there.tombstones.keys()
    for one in restored.users():
        if there.digest(one) in missing:
            restored.erase(one).result()
    for digest in missing - restored.identities.tombstones.keys():
        restored.bury(digest).result()
    restored.fold()
    return len(missing)


def export_user(engine: "Engine", user: object) -> list[dict[str, Any]]:
    """List everything kept of a user, and of the anonymous ids merged into it.

    Waits; in a coroutine: ``await asyncio.to_thread(export_user, engine, user)``.

    Returns:
        Rows as JSON objects, oldest first. Each has ``kind``: ``"event"`` (all fields of the event
        as it was sent, ``seq`` and ``timestamp``), ``"fitted"`` (an event that the model knows from
        the log it was fitted on: ``item_id``, ``timestamp``, ``event_type``), ``"merge"``
        (``anonymous_id``, ``seq``) or ``"profile"`` (``attributes``, as they were sent). None for a
        user of whom nothing is kept.

    Raises:
        DataError: it can be no id.
    """
    store = engine.store
    one = store.identities.of(engine.checks.user(user))
    ids = store.identities.family(one)
    events = store.events_of(ids)
    known = engine.call(lambda model: model.history(one)).result().to_dicts()
    logged = {(event.item_id, event.time) for _, event in events}
    fitted = [_fitted(row) for row in known if (row["item_id"], _us(row)) not in logged]
    merges: list[dict[str, Any]] = [
        {"kind": "merge", "seq": store.identities.merge_of(each), "anonymous_id": each}
        for each in ids[1:]
    ]
    sent = [_sent(seq, event) for seq, event in events]
    said = store.profile_of(one)
    profile = [] if said is None else [{"kind": "profile", "attributes": msgspec.json.decode(said)}]
    return [*fitted, *sent, *merges, *profile]


def _sent(seq: int, event: "Event") -> dict[str, Any]:
    fields = msgspec.structs.asdict(event)
    row = {"kind": "event", "seq": seq, "timestamp": format_instant(fields.pop("time"))}
    for name in ("context", "impression"):
        if fields[name] is not None:
            fields[name] = msgspec.json.decode(fields[name])
    return row | {name: value for name, value in fields.items() if value is not None}


def _fitted(row: dict[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in row.items() if value is not None}
    return {"kind": "fitted", **kept, "timestamp": format_instant(_us(row))}


def _us(row: dict[str, Any]) -> int:
    """Give the instant of a row of a history in microseconds."""
    moment = row["timestamp"]
    return int(moment.timestamp()) * 1_000_000 + int(moment.microsecond)
