"""Access: the first look at a request, before any route: is it let in, and which id does it name.

Three rules, each for a reason that has bitten others:

* A key, where one is set; ``/health`` and ``/ready`` stay open for those who watch the server.
* Without a key, only names of this machine in ``Host``. Else any web page that the user visits
  could talk to a server on loopback, under a name of its own that it lets point to 127.0.0.1.
* Routes see the path as it was sent, still percent-encoded. An id with a slash in it would look
  like two parts of a path otherwise.
"""

from collections.abc import Iterable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from recency.serving.http.problems import Problem, problem_response
from recency.serving.keys import KeyRing

OPEN_PATHS = frozenset({"/", "/health", "/ready"})
# The studio's page is code that anyone may have; it asks for the key before it asks for data.
OPEN_FOLDER, CLOSED_IN_IT = "/studio/", "/studio/report.json"
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class Access:
    """Let requests in, as ASGI middleware.

    Args:
        app: What comes after.
        keys: The valid keys; None asks for none.
        hosts: Names that ``Host`` may say; None accepts any.
    """

    def __init__(
        self, app: ASGIApp, keys: KeyRing | None = None, hosts: Iterable[str] | None = None
    ) -> None:
        self._app, self._keys = app, keys
        self._hosts = None if hosts is None else frozenset(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope["path"] = scope.get("raw_path", scope["path"].encode()).decode("ascii", "replace")
        problem = self._problem(scope)
        if problem is None:
            await self._app(scope, receive, send)
        else:
            await problem_response(problem, scope["path"])(scope, receive, send)

    def _problem(self, scope: Scope) -> Problem | None:
        headers = Headers(scope=scope)
        if self._hosts is not None and (name := _host(headers)) not in self._hosts:
            return Problem(
                421,
                "wrong-host",
                f"this server answers to {', '.join(sorted(self._hosts))}, the request was for "
                f"{name[:100]!r}. Set an API key to serve it under other names.",
            )
        if self._keys is None or _is_open(scope["path"]):
            return None
        given = _key(headers)
        if given is not None and self._keys.allows(given):
            return None
        found = "found none" if given is None else "found another"
        return Problem(
            401,
            "no-valid-key",
            f"expected a valid API key, {found}. Send it as 'X-API-Key: KEY' or "
            f"'Authorization: Bearer KEY'.",
            headers={"WWW-Authenticate": "Bearer"},
        )


def _is_open(path: str) -> bool:
    return path in OPEN_PATHS or (path.startswith(OPEN_FOLDER) and path != CLOSED_IN_IT)


def _host(headers: Headers) -> str:
    """Give the name in ``Host``, without the port."""
    host = headers.get("host", "").strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def _key(headers: Headers) -> str | None:
    if (key := headers.get("x-api-key")) is not None:
        return key
    scheme, _, key = headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" and key else None
