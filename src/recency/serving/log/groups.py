"""Groups: what is written together, and what became of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from recency.errors import RecencyError
from recency.serving.events import Event, ItemChange, Outcome
from recency.serving.replies import Reply, settle


@dataclass(slots=True)
class Append:
    """One call that waits to be written, and the reply with its outcomes."""

    events: Sequence[Event] = ()
    items: Sequence[ItemChange] = ()
    notes: Sequence[tuple[str, str]] = ()
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
    seconds: float = 0.0
    last_seq: int = 0
    settled: Callable[[int], None] = lambda size: None

    def resolve(self) -> None:
        """Acknowledge every append of the group."""
        self.settled(sum(map(len, self.appends)))
        settle((append.reply, append.outcomes) for append in self.appends)

    def fail(self, error: RecencyError) -> None:
        """Tell every append of the group what went wrong."""
        self.settled(sum(map(len, self.appends)))
        settle((append.reply, error) for append in self.appends)


Deliver = Callable[[Group], None]


def report(group: Group, offered: dict[str, Event], known: dict[str, tuple[int, Event]]) -> None:
    """Write down the outcome of every event: the first of each id is new, the others repeat it.

    Args:
        group: Its ``events`` are those that are new in the log.
        offered: The first event of each id in the group.
        known: Of ids that were in the log before: where, and with which event.
    """
    fresh = {event.event_id: seq for seq, event in group.events}
    landed = dict(fresh)
    for append in group.appends:
        for event in append.events:
            one = event.event_id
            if (seq := fresh.pop(one, None)) is not None:
                append.outcomes.append(Outcome(one, "accepted", seq))
                continue
            seq, first = known[one] if one in known else (landed[one], offered[one])
            append.outcomes.append(_repeat(event, first, seq))


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
