"""Merging: what somebody did before a name was known becomes the named user's.

The rule:

* An event carries ``user_id``, or ``anonymous_id`` where nobody is known yet; an anonymous person
  is a user like any other. Where both are given, ``user_id`` counts, and nothing is merged by
  that: only a call of `merge_users` merges.
* A merge is an entry of the event log. All events of the anonymous id, and all that still come
  under it, are the user's: the model answers as if they had been from the start. Events of one
  instant stand in the order of the log, those of the anonymous id behind the user's.
* An anonymous id belongs to one user for good. Whoever signs out goes on under a new one.
"""

from typing import TYPE_CHECKING

import msgspec

from recency.data.vocab import Id

if TYPE_CHECKING:
    from recency.serving.engine import Engine


class Merged(msgspec.Struct, frozen=True):
    """Say what a merge did.

    ``user_id`` is the id that the events are under now: another than was given, where that was
    merged itself. ``seq`` is the merge's place in the log; ``n_events`` counts the events that were
    known of the anonymous id when the call came; ``already`` tells that the two were merged before,
    and nothing was done.
    """

    user_id: Id
    anonymous_id: Id
    seq: int
    n_events: int
    already: bool


def merge_users(engine: "Engine", anonymous: object, user: object) -> Merged:
    """Give all events of an anonymous id to a user, durably and visible to the next answer.

    Waits until that is done; in a coroutine: ``await asyncio.to_thread(merge_users, …)``.

    Args:
        engine: Keeps and shows the merge.
        anonymous: Id that the events have now. It need not have any.
        user: Id that they shall have; need not be known.

    Raises:
        DataError: one of the two can be no id, both are the same, the anonymous id belongs to
            another user already, or one of the two was erased.
        StoreError: the merge could not be written; nothing was done.
    """
    one, into = engine.checks.user(anonymous), engine.checks.user(user)
    n_events = engine.call(lambda model: model.history(one).height).result()
    done = engine.store.merge(one, into).result()
    assert done.seq is not None
    into = engine.store.identities.of(into)
    return Merged(into, one, done.seq, n_events, done.status == "duplicate")
