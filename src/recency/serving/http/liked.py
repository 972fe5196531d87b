"""Liked items: the first words of somebody new, as a history to be asked about.

A page of first steps shows some items and takes those that are liked. They have no times and no
order: they count as events of one instant, just before the question. Nothing of them is kept; who
stays posts them as events.
"""

from collections.abc import Mapping
from typing import Any

from recency.serving.http.question_checks import Reader
from recency.serving.intake.event_checks import EventChecks
from recency.units import format_instant


def liked_as_history(raw: Mapping[str, Any], checks: EventChecks, now: int) -> Mapping[str, Any]:
    """Put a ``history`` in the place of ``liked`` in a JSON body that has it.

    Args:
        raw: The body.
        checks: Knows ids, clock and limits.
        now: Microseconds.

    Raises:
        Problem: 422, with all faults.
    """
    if raw.get("liked") is None:
        return raw
    reader = Reader(raw, checks)
    for name in ("user_id", "history"):
        if raw.get(name) is not None:
            reader.fault("liked", f"expected without {name}: it stands for somebody new.")
    items = reader.items("liked") or ()
    if not items and not reader.faults:
        reader.fault("liked", "expected at least one item; ask for trending items without any.")
    at = reader.instant("at", reader.unit())
    reader.finish()
    when = format_instant((now if at is None else at) - 1)
    kept = {name: value for name, value in raw.items() if name != "liked"}
    return kept | {"history": [{"item_id": one, "timestamp": when} for one in items]}
