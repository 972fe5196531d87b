"""What the event log holds: events, items, user changes, and what became of each one handed in."""

from typing import Literal

import msgspec

from recency.data.vocab import Id

Status = Literal["accepted", "duplicate", "rejected"]


class Event(msgspec.Struct, frozen=True, gc=False):
    """One checked event, as it is stored.

    ``time`` is microseconds since 1970 UTC; ``context`` is JSON text of a flat object, or None.
    ``recommendation_id`` names the answer that led to the event, and ``impression`` is JSON text:
    the items that were shown.
    """

    event_id: str
    user_id: Id
    item_id: Id
    time: int
    event_type: str | None = None
    value: float | None = None
    session_id: Id | None = None
    context: str | None = None
    recommendation_id: str | None = None
    impression: str | None = None

    def says_the_same(self, other: "Event") -> bool:
        """Tell whether two events under one id are one event.

        The time is left out: where a client sends none, the server stamps each try anew.
        """
        return (self.user_id, self.item_id, self.event_type, self.value) == (
            other.user_id,
            other.item_id,
            other.event_type,
            other.value,
        )


class ItemChange(msgspec.Struct, frozen=True, gc=False):
    """The newest description of one item: a JSON object as text."""

    item_id: Id
    document: str


class UserChange(msgspec.Struct, frozen=True, gc=False):
    """One entry of the log that is about a user, not about what the user did.

    A ``merge`` makes all events of ``anonymous_id`` those of ``user_id``. A ``profile`` says what
    is known of ``user_id``, in place of what was before: ``document``, a JSON object as text. An
    ``erase`` says that nothing is kept of the id with this ``digest``
    (`recency.serving.log.identities`); ``user_id`` names it while the change is on its way, and is
    None when it is read from the log.
    """

    kind: Literal["merge", "erase", "profile"]
    user_id: Id | None = None
    anonymous_id: Id | None = None
    digest: str | None = None
    document: str | None = None


class Outcome(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What became of one event.

    ``seq`` is its place in the log; a duplicate names the place of the first one, a rejected event
    has none but an ``error``.
    """

    event_id: str | None
    status: Status
    seq: int | None = None
    error: str | None = None
