"""Sentences: an explanation in words, made of its facts and of nothing else.

Items are called by the catalogue's titles, else by their ids. A sentence is left out where its fact
is missing; none guesses at a reason that was not measured.
"""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from recency.data.vocab import Id
from recency.units import SECOND, format_duration, format_instant, parse_instant

if TYPE_CHECKING:
    from recency.explaining.explanation import Explanation, Otherwise

_VOICES = {
    "encoder": "the encoder, which reads the whole history",
    "own": "the user's own earlier events on it",
    "pair": "what others take beside the user's newest items",
    "crowd": "what everybody takes at this time",
}
_SLIGHT = 0.01  # nats, below which an event is not worth a sentence
_FAINT = 0.05  # share of a voice that is not worth a mention


def sentences(told: "Explanation", most: int) -> list[str]:
    """Say what an explanation holds; see `Explanation.sentences`."""
    name = _named(told.item, told.title)
    whose = "somebody without a name" if told.user is None else f"user {told.user}"
    said = [
        f"{name} stands at place {told.rank:,} for {whose} at {format_instant(told.at)}, with a "
        f"chance of {_percent(told.chance)}."
    ]
    if not told.events.height:
        return [*said, "There are no events before; the answer is what is popular."]
    said += _events(told, most)
    if told.voices is not None:
        said += _voices(told.voices)
    said += [_otherwise(one, told) for one in told.time]
    if not told.uses_instant:
        said.append("How long ago the newest event was does not count: the model does not look.")
    if told.without is not None:
        said.append(_otherwise(told.without, told))
    if told.content is not None:
        parts = ", ".join(f"{name} {value:+.2f}" for name, value in told.content.items())
        said.append(f"The encoder's score of the item is made of: {parts} nats.")
    return said


def _events(told: "Explanation", most: int) -> list[str]:
    """Name the events that count most, for and against."""
    rows = told.events.drop_nulls("contribution").filter(
        told.events["contribution"].drop_nulls().abs() >= _SLIGHT
    )
    if not rows.height:
        return ["No single event moves its chance."]
    order = rows["contribution"].abs().arg_sort(descending=True)[:most]
    said = [_event(row, told) for row in rows[order].iter_rows(named=True)]
    if told.older is not None and abs(told.older) >= _SLIGHT:
        said.append(f"All older events together {_made(told.older)}.")
    return said


def _event(row: dict[str, Any], told: "Explanation") -> str:
    said = brought(row, row["contribution"], told.at)
    if row["rank_without"] is None or told.method == "in_turn":
        return said
    return f"{said[:-1]}: without it the item would stand at place {row['rank_without']:,}."


def brought(event: Mapping[str, Any], contribution: float, at: int) -> str:
    """Say what one event brought to an item's chance.

    Args:
        event: With ``item_id``, ``title`` or None, ``timestamp``, and ``event_type`` if any.
        contribution: Nats.
        at: Instant of the question, microseconds.
    """
    kind = event.get("event_type")
    before = format_duration(max(0.0, (at - parse_instant(event["timestamp"])) / SECOND))
    which = f"The event on {_named(event['item_id'], event['title'])}"
    return f"{which} ({f'{kind}, ' if kind else ''}{before} before) {_made(contribution)}."


def _made(contribution: float) -> str:
    """Say what a contribution in nats did to a chance."""
    times = math.exp(abs(contribution))
    if times < 1.995:
        share = abs(math.expm1(contribution))
        return f"made the chance {share:.0%} {'larger' if contribution > 0 else 'smaller'}"
    shown = f"{times:,.1f}" if times < 100 else f"{times:,.0f}"
    return f"made the chance {shown} times {'larger' if contribution > 0 else 'smaller'}"


def _voices(voices: dict[str, float]) -> list[str]:
    """Say where the chance comes from; half-lives of one kind count together."""
    kinds: dict[str, float] = {}
    for name, share in voices.items():
        kind = name.split(" ")[0]
        kinds[kind] = kinds.get(kind, 0.0) + share
    loud = sorted(((s, k) for k, s in kinds.items() if s >= _FAINT), reverse=True)
    if not loud:
        return []
    return ["Of the chance, " + "; ".join(f"{s:.0%} is {_VOICES[k]}" for s, k in loud) + "."]


def _otherwise(other: "Otherwise", told: "Explanation") -> str:
    moved = "the same place" if other.rank == told.rank else f"place {other.rank:,}"
    return f"{other.what}, it would stand at {moved}, with a chance of {_percent(other.chance)}."


def _named(item: Id, title: str | None) -> str:
    return f"item {item}" if title is None else f"“{title}”"


def _percent(chance: float) -> str:
    return f"{chance:.1%}" if chance >= 0.001 else f"{chance:.2g}"
