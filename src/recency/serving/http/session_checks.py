"""Session checks: turn the events of a visit into a question.

They come in the shape in which events are posted. A visit has no name, so what would tie its events
to somebody or to the log is left aside.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.datastructures import QueryParams

from recency.serving.http.bodies import Unreadable
from recency.serving.http.question_checks import (
    QUERY_FIELDS,
    VISIT_FIELDS,
    Asked,
    Reader,
    asked_by,
    query_reader,
)
from recency.serving.intake.event_aliases import by_own_names
from recency.serving.intake.event_checks import EVENT_FIELDS, EventChecks

_ASIDE = frozenset(EVENT_FIELDS) - frozenset(VISIT_FIELDS)


def asked_in_session(
    rows: Sequence[object], query: QueryParams, checks: EventChecks, now: int
) -> Asked:
    """Read a question about the events of a visit.

    Args:
        rows: Events; those without a timestamp happened just now, in the order given.
        query: All else, as for a user.
        checks: Knows ids, clock and limits.
        now: Microseconds.

    Raises:
        Problem: 422, with all faults.
    """
    reader = query_reader(query, checks)
    reader.known_only(QUERY_FIELDS)
    unit = reader.unit()
    end = reader.instant("at", unit)
    end = now if end is None else end
    visits = [_visit(reader, n, row, end - len(rows) + n) for n, row in enumerate(rows)]
    reader.raw = {**reader.raw, "history": visits}
    return asked_by(reader, None, reader.history(unit))


def _visit(reader: Reader, place: int, row: object, time: int) -> object:
    if isinstance(row, Unreadable):
        reader.fault(f"history[{place}]", row.detail)
        return {"item_id": 0, "timestamp": time}
    if not isinstance(row, Mapping):
        return row
    faults: list[str] = []
    named: dict[str, Any] = {
        name: value for name, value in by_own_names(row, faults).items() if name not in _ASIDE
    }
    for fault in faults:
        reader.fault(f"history[{place}]", fault)
    return named if named.get("timestamp") is not None else named | {"timestamp": time}
