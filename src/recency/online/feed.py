"""What a learner reads and where its candidates go: two small interfaces, and a log as a feed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from recency.data.log import Log
from recency.data.vocab import Id

if TYPE_CHECKING:
    from recency.recommender import SequenceRecommender


@dataclass(frozen=True)
class Entry:
    """Hold one event of a feed.

    Attributes:
        seq: Its place: 1, 2, … in the order in which events became known; places may be missing.
        user_id: Who.
        item_id: What.
        time: When, in microseconds since 1970 UTC.
        event_type: Which kind, if any.
        value: How much, if any.
    """

    seq: int
    user_id: Id
    item_id: Id
    time: int
    event_type: str | None = None
    value: float | None = None

    @property
    def row(self) -> dict[str, Any]:
        """Give the event as `SequenceRecommender.observe` takes it."""
        return {
            "user_id": self.user_id,
            "item_id": self.item_id,
            "timestamp": self.time,
            "event_type": self.event_type,
            "value": self.value,
        }


@dataclass(frozen=True)
class Merge:
    """Say that what one id did, another did.

    Attributes:
        seq: Its place among the events.
        anonymous_id: Whose events go.
        user_id: Where they go to.
    """

    seq: int
    anonymous_id: Id
    user_id: Id


@dataclass(frozen=True)
class Description:
    """Say what is known of a user, in place of what was known before.

    Attributes:
        seq: Its place among the events.
        user_id: Who.
        said: Attributes by name: texts, numbers, flags.
    """

    seq: int
    user_id: Id
    said: Mapping[str, object]


Happening = Entry | Merge | Description


class Feed(Protocol):
    """Give events in the order in which they became known."""

    @property
    def end(self) -> int:
        """Give the last place; what stood there may have been erased or replaced."""
        ...

    def read(self, after_seq: int, limit: int) -> Sequence[Happening]:
        """Give at most ``limit`` entries behind a place, in the order of places.

        Events of erased users are left out, and descriptions that another one replaced.
        """
        ...

    def erased(self, users: Sequence[Id]) -> Sequence[Id]:
        """Give those of some users that were erased: nothing may be known of them any more."""
        ...


class Publisher(Protocol):
    """Take candidates."""

    def publish(self, recommender: "SequenceRecommender", facts: Mapping[str, Any]) -> str:
        """Offer a model with what is known of it (JSON); give the name it got.

        The same model may come twice, where a learner died before it could take down that it was
        published; it must then get the same name.
        """
        ...


class NewOnly:
    """Leave out what a model learned from already.

    A model may have been fitted on an export of the same log, so that its own histories hold some
    of the events. An event before the model's cut is left out if its user's history has it.

    Args:
        feed: All events.
        recommender: As it was loaded.
    """

    def __init__(self, feed: Feed, recommender: "SequenceRecommender") -> None:
        self._feed, self._cut = feed, recommender.cut or 0
        self._users, self._items = recommender.users, recommender.items
        self._histories = recommender.live.timelines.histories()  # as of now, whatever comes

    @property
    def end(self) -> int:
        """Give the last place."""
        return self._feed.end

    def read(self, after_seq: int, limit: int) -> list[Happening]:
        """Give at most ``limit`` entries behind a place; see `Feed.read`."""
        while found := self._feed.read(after_seq, limit):
            new = [one for one in found if not (isinstance(one, Entry) and self._holds(one))]
            if new:
                return new
            after_seq = found[-1].seq
        return []

    def erased(self, users: Sequence[Id]) -> Sequence[Id]:
        """Give those of some users that were erased."""
        return self._feed.erased(users)

    def _holds(self, one: Entry) -> bool:
        user, known = self._users.row(one.user_id), self._histories
        if one.time >= self._cut or not 0 <= user < known.n_users:
            return False
        part = slice(int(known.offsets[user]), int(known.offsets[user + 1]))
        same = known.items[part][known.times[part] == one.time]
        return bool((same == self._items.row(one.item_id)).any())


class LogFeed:
    """Feed the events of a log.

    Args:
        log: Its first event has place 1.
    """

    def __init__(self, log: Log) -> None:
        self._log = log

    @property
    def end(self) -> int:
        """Count the events."""
        return len(self._log)

    def read(self, after_seq: int, limit: int) -> list[Entry]:
        """Give at most ``limit`` events behind a place."""
        part = self._log.events.slice(after_seq, limit)
        nothing: list[None] = [None] * part.height
        columns = [
            part["user_id"].to_list(),
            part["item_id"].to_list(),
            part["timestamp"].to_physical().to_list(),
            part["event_type"].to_list() if self._log.has("event_type") else nothing,
            part["value"].to_list() if self._log.has("value") else nothing,
        ]
        rows = zip(*columns, strict=True)
        return [Entry(after_seq + n, *row) for n, row in enumerate(rows, start=1)]

    def erased(self, users: Sequence[Id]) -> list[Id]:
        """Give nobody: a log knows of no erasure."""
        return []
