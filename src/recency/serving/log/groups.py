"""Groups: what is written together, and what became of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from recency.data.vocab import Id
from recency.errors import RecencyError
from recency.serving.log.events import Event, ItemChange, Outcome, UserChange
from recency.serving.log.identities import Identities
from recency.serving.replies import Reply, settle


@dataclass(slots=True)
class Append:
    """One call that waits to be written, and the reply with its outcomes.

    ``change`` merges or erases a user. For an erasure, ``gone`` are the places of the user's events
    as far as the log was ``searched``, and ``n_gone`` counts those deleted in the end. A ``fault``
    is the reason why this call alone came to nothing.
    """

    events: Sequence[Event] = ()
    items: Sequence[ItemChange] = ()
    notes: Sequence[tuple[str, str]] = ()
    change: UserChange | None = None
    gone: Sequence[int] = ()
    searched: int = 0
    n_gone: int = 0
    fault: RecencyError | None = None
    reply: Reply[list[Outcome]] = field(default_factory=Reply)
    outcomes: list[Outcome] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.events) + len(self.items)


@dataclass(slots=True)
class Group:
    """What one transaction made durable, in the order of the log."""

    appends: list[Append]
    events: list[tuple[int, Event]] = field(default_factory=list)
    items: list[ItemChange] = field(default_factory=list)
    changes: list[tuple[int, UserChange]] = field(default_factory=list)
    seconds: float = 0.0
    last_seq: int = 0
    settled: Callable[[int], None] = lambda size: None

    def resolve(self) -> None:
        """Acknowledge every append of the group."""
        self.settled(sum(map(len, self.appends)))
        settle((append.reply, append.fault or append.outcomes) for append in self.appends)

    def fail(self, error: RecencyError) -> None:
        """Tell every append of the group what went wrong."""
        self.settled(sum(map(len, self.appends)))
        settle((append.reply, error) for append in self.appends)


Deliver = Callable[[Group], None]


def report(
    group: Group,
    offered: dict[str, Event],
    known: dict[str, tuple[int, Event]],
    who: Identities,
    erased: frozenset[Id],
) -> None:
    """Write down the outcome of every event: the first of each id is new, the others repeat it.

    Args:
        group: Its ``events`` are those that are new in the log.
        offered: The first event of each id in the group.
        known: Of ids that were in the log before: where, and with which event.
        who: Under which id an event counts that came before its user was merged.
        erased: Users of whom nothing is kept.
    """
    fresh = {event.event_id: seq for seq, event in group.events}
    landed = dict(fresh)
    for append in group.appends:
        for event in append.events:
            one = event.event_id
            if erased and event.user_id in erased:
                append.outcomes.append(_of_erased(event))
                continue
            if (seq := fresh.pop(one, None)) is not None:
                append.outcomes.append(Outcome(one, "accepted", seq))
                continue
            seq, first = known[one] if one in known else (landed[one], offered[one])
            append.outcomes.append(_repeat(event, who.resolved(first), seq))


def _of_erased(event: Event) -> Outcome:
    return Outcome(
        event.event_id,
        "rejected",
        error=f"user {event.user_id!r} was erased: nothing more is kept under this id.",
    )


def _repeat(event: Event, first: Event, seq: int) -> Outcome:
    if event.says_the_same(first):
        return Outcome(event.event_id, "duplicate", seq)
    return Outcome(
        event.event_id,
        "rejected",
        error=f"event_id {event.event_id!r} belongs to another event: user {first.user_id!r}, item "
        f"{first.item_id!r}, type {first.event_type!r}, value {first.value!r} (seq {seq}). "
        f"Give each event an id of its own.",
    )
