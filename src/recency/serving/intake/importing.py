"""Importing: a file of events or items goes through the same checks as what is posted.

Events without an id get one from the file's digest and their row, so that the same file may be sent
again, after a stop or by mistake, and nothing is kept twice.
"""

import hashlib
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from recency.serving.engine import Engine
from recency.serving.intake.event_aliases import with_event_id
from recency.serving.intake.item_checks import ItemChecks
from recency.serving.intake.jobs import Job
from recency.serving.intake.tables import BadRow, Kind, read_parts
from recency.serving.intake.values import Unit
from recency.serving.log.events import Event, ItemChange, Outcome
from recency.serving.refusals import OverloadedError

What = Literal["events", "items"]
_MOST_ERRORS = 100  # shown of one job
_TRIES, _PAUSE = 100, 0.05  # while others fill the log


@dataclass(frozen=True)
class Import:
    """Say what is in a file, and what is to be done with it.

    Attributes:
        path: Of the file.
        kind: How it is written.
        what: What its rows are.
        unit: Unit of instants that are numbers.
        validate_only: Whether rows are only checked, and nothing is kept.
        discard: Whether the file is removed at the end.
    """

    path: Path
    kind: Kind
    what: What = "events"
    unit: Unit = "us"
    validate_only: bool = False
    discard: bool = False


def import_file(engine: Engine, order: Import, job: Job) -> None:
    """Read a file and keep what is in it; the job's facts tell how far that is.

    Raises:
        DataError: the file is damaged, or not of its kind; what came before is kept.
        StoreError: the log cannot be written.
    """
    counts: Counter[str] = Counter(rows=0, accepted=0, duplicate=0, rejected=0)
    errors: list[dict[str, Any]] = []
    try:
        for start, outcomes in _outcomes(engine, order):
            counts["rows"] += len(outcomes)
            for place, one in enumerate(outcomes, start):
                counts[one.status] += 1
                if one.status == "rejected" and len(errors) < _MOST_ERRORS:
                    errors.append({"row": place, "error": one.error})
            job.facts = {**counts, "errors": list(errors), "last_seq": engine.last_seq}
    finally:
        job.facts = {**counts, "errors": errors, "last_seq": engine.last_seq}
        if order.discard:
            order.path.unlink(missing_ok=True)


def _outcomes(engine: Engine, order: Import) -> Iterator[tuple[int, Sequence[Outcome]]]:
    """Give the outcomes of each part of a file, with the number of its first row, from 1."""
    stem = _digest(order.path) if order.what == "events" else ""
    start = 1
    for part in read_parts(order.path, order.kind):
        if order.what == "events":
            rows = [_event(row, f"f{stem}-{n}") for n, row in enumerate(part, start)]
            yield start, _keep_events(engine, order, rows)
        else:
            yield start, _keep_items(engine, order, part)
        start += len(part)


def _event(row: object, event_id: str) -> object:
    """Give an event its id; what an export says of its place in another log is left out."""
    if not isinstance(row, Mapping):
        return row
    return with_event_id({name: one for name, one in row.items() if name != "seq"}, event_id)


def _keep_events(engine: Engine, order: Import, rows: Sequence[object]) -> Sequence[Outcome]:
    readable = [row for row in rows if not isinstance(row, BadRow)]
    if order.validate_only:
        checked = [engine.checks.check(row, order.unit) for row in readable]
        kept: Sequence[Outcome] = [
            Outcome(one.event_id, "accepted") if isinstance(one, Event) else one for one in checked
        ]
    else:
        kept = _patiently(lambda: engine.ingest(readable, order.unit).result())
    rest = iter(kept)
    return [_bad(row) if isinstance(row, BadRow) else next(rest) for row in rows]


def _keep_items(engine: Engine, order: Import, rows: Sequence[object]) -> Sequence[Outcome]:
    checks = ItemChecks(engine.checks)
    checked = [
        _bad(row) if isinstance(row, BadRow) else checks.check(row, order.unit) for row in rows
    ]
    changes = [one for one in checked if isinstance(one, ItemChange)]
    if changes and not order.validate_only:
        _patiently(lambda: engine.put_items(changes).result())
    return [one if isinstance(one, Outcome) else Outcome(None, "accepted") for one in checked]


def _patiently(keep: Any) -> Any:
    """Try again while the log is full of others' events: an import has time."""
    for _ in range(_TRIES):
        try:
            return keep()
        except OverloadedError:
            time.sleep(_PAUSE)
    return keep()


def _bad(row: BadRow) -> Outcome:
    return Outcome(None, "rejected", error=row.detail)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=15)).hexdigest()
