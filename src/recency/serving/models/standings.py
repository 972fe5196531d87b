"""Standings: what each version of the model is, and how it does beside the champion."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from recency.serving.models.bench import Bench
from recency.serving.models.live_scores import Comparison, Score
from recency.serving.models.seats import Seat, Seats
from recency.serving.models.versions import Version
from recency.serving.questions import AsOf


@dataclass(frozen=True)
class Standing:
    """Tell about one version.

    Attributes:
        version: Names its weights.
        role: ``champion``, ``challenger``, ``trial`` (answers nobody, asks to take over),
            ``previous``; None for one that is not loaded.
        share: Of the users that it answers, in [0, 1].
        published: Microseconds since 1970 UTC; None for a plain folder's own model.
        candidate: Whether it asks to take over.
        refused: Why the gate refused it; None where it did not.
        facts: What its publisher told.
        cut: End of the events that its weights learned from, microseconds; None if not loaded.
        n_users: Users it knows; None if not loaded.
        n_items: Items it knows; None if not loaded.
        as_of: The last event it has seen; None if not loaded.
        score: What it was worth on the newest events judged; None if not loaded.
        comparison: With the champion, on the same events; None for the champion and the unloaded.
    """

    version: str
    role: str | None = None
    share: float = 0.0
    published: int | None = None
    candidate: bool = False
    refused: str | None = None
    facts: Mapping[str, Any] | None = None
    cut: int | None = None
    n_users: int | None = None
    n_items: int | None = None
    as_of: AsOf | None = None
    score: Score | None = None
    comparison: Comparison | None = None


def standings(versions: Sequence[Version], seats: Seats, bench: Bench) -> list[Standing]:
    """Tell of every version of a registry what it is and how it does."""
    beside = None if bench.asks else bench.trial
    held = {
        "champion": seats.champion,
        "challenger": seats.challenger or beside,
        "trial": bench.trial if bench.asks else None,
        "previous": bench.previous,
    }
    roles = {seat.model_version: (role, seat) for role, seat in held.items() if seat is not None}
    listed = {one.version for one in versions}
    # Of a plain folder that was fitted anew meanwhile the registry knows the new model only.
    gone = [
        seated(role, seat, seats, _share(role, seats))
        for name, (role, seat) in roles.items()
        if name not in listed
    ]
    known = [_standing(one, roles.get(one.version), seats) for one in versions]
    return gone + known


def _standing(one: Version, held: tuple[str, Seat] | None, seats: Seats) -> Standing:
    listed: dict[str, Any] = {
        "published": one.published or None,
        "candidate": one.candidate,
        "refused": one.refused,
        "facts": one.facts,
    }
    if held is None:
        return Standing(one.version, **listed)
    role, seat = held
    return seated(role, seat, seats, _share(role, seats), **listed)


def _share(role: str, seats: Seats) -> float:
    return {"champion": 1.0 - seats.share, "challenger": seats.share}.get(role, 0.0)


def seated(role: str | None, seat: Seat, seats: Seats, share: float, **listed: Any) -> Standing:
    """Tell about a seat."""
    beside = None if seat is seats.champion else seat.scores.compare(seats.champion.scores)
    return Standing(
        seat.model_version,
        role,
        share,
        cut=seat.recommender.cut,
        n_users=len(seat.recommender.users),
        n_items=len(seat.recommender.items),
        as_of=seat.as_of,
        score=seat.scores.score,
        comparison=beside,
        **listed,
    )
