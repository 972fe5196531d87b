"""Client: a service from a program that waits for its answers."""

import time
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from recency.client import answers, calls
from recency.client.admin import Admin
from recency.client.answers import Id, Json, Recommended
from recency.client.attempts import Attempts, request_of, settings_of, with_httpx
from recency.client.calls import Call, Row, Unit, What
from recency.client.chunks import chunks
from recency.client.faults import ServiceError, UnavailableError
from recency.client.retries import Retries
from recency.client.tally import Tally
from recency.units import Instant

if TYPE_CHECKING:
    import httpx

Reply = TypeVar("Reply")


class Client:
    """Call a service of `recency serve`.

    Events get an ``event_id`` before they are first sent, so that sending them again cannot count
    twice. Whatever reads, and whatever leaves the same behind when it is done twice, is sent again
    when the connection breaks or the service has no room; `promote` and `rollback` are not. May be
    shared by threads.

    Args:
        url: Where it is, such as ``http://127.0.0.1:8080``.
        key: API key.
        timeout: Seconds for one attempt.
        retries: When a call is sent again.
        http: An ``httpx.Client`` of your own, with ``base_url``; the key and the timeout are its.

    Attributes:
        last_seq: Newest place in the event log that this client has written; ``consistent=True``
            waits for it.
        admin: What runs a service: models published, files imported, backups, jobs, metrics.

    Raises:
        ConfigError: the address is none, or httpx is not installed.
    """

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        timeout: float = 10.0,
        retries: Retries | None = None,
        http: "httpx.Client | None" = None,
    ) -> None:
        httpx = with_httpx()
        self._retries = Retries() if retries is None else retries
        self._failure = httpx.TransportError
        made = settings_of(calls.address(url), key, timeout)
        self._http = httpx.Client(**made) if http is None else http
        self._own, self.last_seq = http is None, 0
        self.admin = Admin(self._do)

    # --- events --------------------------------------------------------------------------------

    def event(self, event: Row | None = None, /, *, unit: Unit = "us", **fields: Any) -> int:
        """Send one event, and give its place in the log once it is kept and seen.

        Args:
            event: ``user_id``, ``item_id`` and what else an event has.
            unit: Of a timestamp that is a number.
            **fields: The same as keywords.

        Raises:
            RejectedError: the event is at fault.
            ServiceError: it could not be sent.
        """
        answer = self._do(calls.post_events([calls.named({**(event or {}), **fields})], unit))
        return self._wrote(calls.taken(answer))

    def events(
        self, events: Iterable[Row], *, batch: int = 1000, unit: Unit = "us"
    ) -> answers.Sent:
        """Send any number of events, some at a time, and tell what became of them.

        Args:
            events: Read once, a request's worth at a time.
            batch: Events of one request.
            unit: Of timestamps that are numbers.

        Raises:
            ServiceError: a request failed for good; a note says how far it came.
        """
        tally = Tally()
        for part in chunks(events, batch):
            try:
                tally.add(self._do(calls.post_events(part, unit)))
            except ServiceError as error:
                error.add_note(tally.told())
                raise
            self._wrote(tally.last_seq)
        return tally.summed()

    # --- questions -----------------------------------------------------------------------------

    def recommend(
        self,
        user: Id,
        k: int = 10,
        *,
        at: Instant | None = None,
        consistent: bool = False,
        **more: Any,
    ) -> Recommended:
        """Ask for items for a user.

        Args:
            user: Known or not.
            k: Most items.
            at: Instant of the question; now unless said.
            consistent: Whether the answer must have seen all that this client has written.
            **more: ``repeats``, ``categories``, ``candidates``, ``exclude``, ``details``,
                ``explain`` and what else the service takes.

        Raises:
            ServiceError: there is no answer.
        """
        return self._do(calls.recommend(user, None, k, at, self._seen(consistent), more))

    def recommend_after(
        self,
        history: Sequence[Row],
        k: int = 10,
        *,
        at: Instant | None = None,
        consistent: bool = False,
        **more: Any,
    ) -> Recommended:
        """Ask for items after a history without a name; nothing of it is kept."""
        return self._do(calls.recommend(None, history, k, at, self._seen(consistent), more))

    def recommend_liked(
        self, liked: Sequence[Id], k: int = 10, *, consistent: bool = False, **more: Any
    ) -> Recommended:
        """Ask for items for somebody new who likes some items; nothing of it is kept."""
        asked = {"liked": list(liked), **more}
        return self._do(calls.recommend(None, None, k, None, self._seen(consistent), asked))

    def next(self, recommended: Recommended | str, k: int | None = None) -> Recommended:
        """Ask for what comes after a list, without repeating any of it.

        Args:
            recommended: The list, or its ``recommendation_id``.
            k: Most items; as many as before unless said.
        """
        return self._do(calls.following(calls.name_of(recommended), k))

    def similar(
        self,
        item: Id,
        k: int = 10,
        *,
        by: str = "behaviour",
        details: bool = False,
        consistent: bool = False,
    ) -> Recommended:
        """Ask for items like one, by ``"behaviour"``, ``"content"`` or ``"both"``."""
        return self._do(calls.similar(item, k, by, details, self._seen(consistent)))

    def search(
        self, words: str, k: int = 10, *, details: bool = False, consistent: bool = False
    ) -> Recommended:
        """Ask for the items whose texts are nearest to some words."""
        return self._do(calls.search(words, k, details, self._seen(consistent)))

    def recommend_visit(
        self, events: Sequence[Row], k: int = 10, *, consistent: bool = False, **more: Any
    ) -> Recommended:
        """Ask for items after the events of a visit, as a shop has them; nothing of it is kept."""
        return self._do(calls.session(events, k, self._seen(consistent), more))

    def trending(self, k: int = 10, *, consistent: bool = False, **more: Any) -> Recommended:
        """Ask for what everybody turned to of late."""
        return self._do(calls.of_all("trending", k, self._seen(consistent), more))

    def latest(self, k: int = 10, *, consistent: bool = False, **more: Any) -> Recommended:
        """Ask for the items that came last."""
        return self._do(calls.of_all("latest", k, self._seen(consistent), more))

    def foretell(
        self,
        what: What,
        users: Sequence[Id],
        items: Sequence[Id] | None = None,
        *,
        at: Instant | None = None,
        consistent: bool = False,
        **more: Any,
    ) -> answers.Foretold:
        """Ask the heads of the model that serves.

        Args:
            what: ``"rating"``, ``"propensity"``, ``"next_time"`` or ``"basket"``.
            users: Known or not.
            items: One for each user, where pairs are asked about.
            at: As in `recommend`.
            consistent: As in `recommend`.
            **more: ``event_type``, ``horizon``, ``horizons``, and ``k`` of a basket.

        Raises:
            ServiceError: there is no answer; the model may have no such head.
        """
        return self._do(calls.foretell(what, users, items, at, self._seen(consistent), more))

    # --- items ---------------------------------------------------------------------------------

    def put_items(self, items: Iterable[Row]) -> answers.ItemsAnswer:
        """Describe items, each in place of what was known; at most 10,000 in one call."""
        answer = self._do(calls.put_items(items))
        self._wrote(answer.as_of.seq)
        return answer

    def put_item(self, item: Id, **fields: Any) -> None:
        """Describe one item, in place of what was known.

        Raises:
            RejectedError: the description is at fault.
        """
        calls.accepted(self.put_items([{"item_id": item, **fields}]))

    def patch_item(self, item: Id, **changes: Any) -> answers.ItemTaken:
        """Change some of what is known of an item; None takes a field away."""
        return self._changed(self._do(calls.patch_item(item, changes)))

    def hide_item(self, item: Id) -> answers.ItemTaken:
        """Have an item never recommended again, from now on, until ``patch_item`` shows it."""
        return self.patch_item(item, is_hidden=True)

    def delete_item(self, item: Id) -> answers.ItemTaken:
        """Take an item out of the catalogue."""
        return self._changed(self._do(calls.delete_item(item)))

    def items(self, limit: int = 50, cursor: str | None = None) -> answers.Items:
        """List items, some at a time; ``cursor`` is the ``next_cursor`` of the page before."""
        return self._do(calls.items(limit, cursor))

    def item(self, item: Id) -> answers.Item:
        """Ask what is known of an item."""
        return self._do(calls.item(item))

    # --- users ---------------------------------------------------------------------------------

    def users(self, limit: int = 50, cursor: str | None = None) -> answers.Users:
        """List users, some at a time; ``cursor`` is the ``next_cursor`` of the page before."""
        return self._do(calls.users(limit, cursor))

    def user(self, user: Id, *, limit: int = 100) -> answers.User:
        """Ask for a user's history."""
        return self._do(calls.user(user, limit))

    def describe_user(self, user: Id, **said: object) -> answers.Described:
        """Say what is known of a user, in place of what was said before; nothing forgets it."""
        answer = self._do(calls.describe_user(user, said))
        self._wrote(answer.seq)
        return answer

    def export_user(self, user: Id) -> list[Json]:
        """Ask for all that is kept of a user, line by line."""
        return calls.lines(self._do(calls.export_user(user)))

    def merge_users(self, anonymous: Id, user: Id) -> answers.Merged:
        """Make all events of one id, and those still to come, another's."""
        answer = self._do(calls.merge_users(anonymous, user))
        self._wrote(answer.seq)
        return answer

    def erase_user(self, user: Id) -> answers.Erased:
        """Erase a user for good."""
        answer = self._do(calls.erase_user(user))
        self._wrote(answer.seq)
        return answer

    # --- the service ---------------------------------------------------------------------------

    def models(self) -> list[answers.Model]:
        """List the models."""
        return self._do(calls.models()).models

    def promote(self, version: str) -> Json:
        """Put a model to work. Sent once."""
        return self._do(calls.promote(version))

    def rollback(self) -> Json:
        """Put the model before to work again. Sent once."""
        return self._do(calls.rollback())

    def status(self) -> Json:
        """Ask how the service stands."""
        return self._do(calls.status())

    def ready(self) -> bool:
        """Tell whether the service takes events now."""
        try:
            return self._do(calls.ready()).status == "ready"
        except UnavailableError:
            return False

    def close(self) -> None:
        """Let the connections go; those of a client of your own are yours."""
        if self._own:
            self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _do(self, call: Call[Reply]) -> Reply:
        attempts = Attempts(call, self._retries)
        while True:
            try:
                response = self._http.request(**request_of(call))
            except self._failure as error:
                wait = attempts.wait_after_failure(error)
            else:
                if response.is_success:
                    return attempts.read(response.content)
                wait = attempts.wait_after_answer(
                    response.status_code, response.headers, response.content
                )
            time.sleep(wait)

    def _changed(self, taken: answers.ItemTaken) -> answers.ItemTaken:
        self._wrote(taken.as_of.seq)
        return taken

    def _seen(self, consistent: bool) -> int:
        return self.last_seq if consistent else 0

    def _wrote(self, seq: int) -> int:
        self.last_seq = max(self.last_seq, seq)
        return seq
