"""Access: the first look at a request, before any route: is it let in, and which id does it name.

Five rules, each for a reason that has bitten others:

* A key, where keys are set, and one whose scopes hold what is asked for (`scopes`); ``/health`` and
  ``/ready`` stay open for those who watch the server.
* Without a key, only names of this machine in ``Host``. Else any web page that the user visits
  could talk to a server on loopback, under a name of its own that it lets point to 127.0.0.1.
* Routes see the path as it was sent, still percent-encoded. An id with a slash in it would look
  like two parts of a path otherwise.
* Whoever comes too often, or while too much is underway, is told when to come again, before
  anything of the request is read.
* What only ``admin`` may change is written down (`recency.serving.access.audit`) before it is
  answered.
"""

import asyncio
import math
from collections.abc import Iterable
from typing import Protocol

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from recency.serving.access.audit import Audit
from recency.serving.access.keys import ADMIN, Key
from recency.serving.access.rates import Buckets, RateLimits
from recency.serving.http import notes
from recency.serving.http.problems import Problem, problem_response
from recency.serving.http.room import Room
from recency.serving.http.scopes import WATCHED, scope_of
from recency.serving.limits import RoomLimits

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_READS = frozenset({"GET", "HEAD", "OPTIONS"})
_IMPORT = "/v1/import"
_UNSAID = 2**20  # bytes, of a body that comes in chunks


class Keys(Protocol):
    """Know the valid keys."""

    def find(self, key: str) -> Key | None:
        """Give what a key may do; None for a key that is not valid."""
        ...


class Access:
    """Let requests in, as ASGI middleware.

    Args:
        app: What comes after.
        keys: The valid keys; None asks for none.
        hosts: Names that ``Host`` may say; None accepts any.
        rates: How often one key may come.
        audit: Where changes by administrators are written down; None for nowhere.
        admin_port: A port of this machine on which those who watch need no key; None for none.
        room: How much may be underway; who watches is let in however much is.
    """

    def __init__(
        self,
        app: ASGIApp,
        keys: Keys | None = None,
        hosts: Iterable[str] | None = None,
        rates: RateLimits | None = None,
        audit: Audit | None = None,
        admin_port: int | None = None,
        room: RoomLimits | None = None,
    ) -> None:
        self._app, self._keys, self._audit, self._admin_port = app, keys, audit, admin_port
        self._hosts = None if hosts is None else frozenset(hosts)
        self._rates = RateLimits() if rates is None else rates
        self._buckets: dict[float, Buckets] = {}
        self._room = Room(RoomLimits() if room is None else room)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope["path"] = scope.get("raw_path", scope["path"].encode()).decode("ascii", "replace")
        needed = scope_of(scope["method"], scope["path"])
        problem = self._problem(scope, needed)
        if problem is not None:
            await _refuse(problem, scope, receive, send)
            return
        if needed == ADMIN and self._audit is not None and scope["method"] not in _READS:
            send = self._noting(self._audit, scope, send)
        if scope["path"] in WATCHED:
            await self._app(scope, receive, send)
            return
        size = _body_bytes(scope)
        if (much := self._room.enter(size)) is not None:
            await _refuse(_no_room(much), scope, receive, send)
            return
        try:
            await self._app(scope, receive, send)
        finally:
            self._room.leave(size)

    def _problem(self, scope: Scope, needed: str | None) -> Problem | None:
        host, given = _host_and_key(scope)
        if self._admin_port is not None and scope["server"][1] == self._admin_port:
            return None if scope["path"] in WATCHED else _NOT_ON_THIS_PORT
        if self._hosts is not None and host not in self._hosts:
            return _wrong_host(self._hosts, host)
        if needed is None:
            return None
        key = None
        if self._keys is not None:
            key = None if given is None else self._keys.find(given)
            if key is None:
                return _no_key(given)
            if not key.may(needed) and needed:
                return _wrong_scope(needed, key)
            scope[notes.KEY] = key
        return self._too_often(key)

    def _too_often(self, key: Key | None) -> Problem | None:
        rate = self._rates.key if key is None or key.rate is None else key.rate
        if rate is None:
            return None
        if (buckets := self._buckets.get(rate)) is None:
            buckets = self._buckets[rate] = Buckets(rate)
        wait = buckets.take({None if key is None else key.id: 1.0})
        return too_often(wait, f"{rate:g} requests a second") if wait else None

    @staticmethod
    def _noting(audit: Audit, scope: Scope, send: Send) -> Send:
        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                key: Key | None = scope.get(notes.KEY)
                await asyncio.to_thread(
                    audit.note_request,
                    scope["method"],
                    scope["path"],
                    status=message["status"],
                    key=None if key is None else f"{key.name} {key.id}",
                    request_id=scope["state"]["request_id"],
                )
            await send(message)

        return noting


async def _refuse(problem: Problem, scope: Scope, receive: Receive, send: Send) -> None:
    scope[notes.CODE] = problem.code
    await problem_response(problem, scope["path"])(scope, receive, send)


def too_often(wait: float, allowed: str) -> Problem:
    """Refuse somebody until some seconds have passed."""
    seconds = math.ceil(wait)
    return Problem(
        429,
        "rate-limited",
        f"expected at most {allowed}, found more; send it again in {seconds} s.",
        headers={"Retry-After": str(seconds)},
    )


_NOT_ON_THIS_PORT = Problem(
    404, "no-such-route", f"this port serves {', '.join(sorted(WATCHED))} and nothing else."
)


def _wrong_host(hosts: Iterable[str], host: str) -> Problem:
    return Problem(
        421,
        "wrong-host",
        f"this server answers to {', '.join(sorted(hosts))}, the request was for "
        f"{host[:100]!r}. Set an API key to serve it under other names.",
    )


def _no_key(given: str | None) -> Problem:
    found = "found none" if given is None else "found another"
    return Problem(
        401,
        "no-valid-key",
        f"expected a valid API key, {found}. Send it as 'X-API-Key: KEY' or "
        f"'Authorization: Bearer KEY'.",
        headers={"WWW-Authenticate": "Bearer"},
    )


def _wrong_scope(needed: str, key: Key) -> Problem:
    return Problem(
        403,
        "wrong-scope",
        f"expected a key with the scope {needed!r}, found one with "
        f"{', '.join(sorted(key.scopes))}. Make another with recency keys.",
    )


def _no_room(much: str) -> Problem:
    return Problem(
        503,
        "overloaded",
        f"{much} already; nothing was taken, send it again in a second.",
        headers={"Retry-After": "1"},
    )


def _body_bytes(scope: Scope) -> int:
    """Give how long a body says it is; one that does not say is small, or cut off when it is not.

    Files to be imported go to the disk piece by piece and take no room.
    """
    if scope["method"] in _READS or scope["path"] == _IMPORT:
        return 0
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() and len(value) < 16 else 0
    return _UNSAID


def _host_and_key(scope: Scope) -> tuple[str, str | None]:
    """Give the name in ``Host`` without its port, and the key; `None` where there is none."""
    host = authorization = b""
    key = None
    for name, value in scope["headers"]:
        if name == b"host" and not host:
            host = value
        elif name == b"x-api-key" and key is None:
            key = value
        elif name == b"authorization" and not authorization:
            authorization = value
    text = host.decode("latin-1").strip().lower()
    bare = text[1:].partition("]")[0] if text.startswith("[") else text.partition(":")[0]
    if key is not None:
        return bare, key.decode("latin-1")
    scheme, _, rest = authorization.partition(b" ")
    if rest and scheme.lower() == b"bearer":
        return bare, rest.strip().decode("latin-1")
    return bare, None
