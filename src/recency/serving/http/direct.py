"""Direct: finds a documented route by one look into a table, as ASGI middleware.

The usual way to a route tries the pattern of each one in turn, inside layers that hold resources
for handlers that want them; ours want none. What the table lacks goes that way still, so that
wrong methods and wrong addresses are told as ever.
"""

from collections.abc import Iterable

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from recency.serving.http.problems import answer_error

_VARIABLE = 3  # the part of a path that may be an id: /v1/users/{user_id}/...


class Direct:
    """Call handlers.

    Args:
        app: What comes after, for all that is not in the table.
        routes: Of which those with at most one variable part, in its usual place, are taken.
    """

    def __init__(self, app: ASGIApp, routes: Iterable[BaseRoute]) -> None:
        self._app = app
        self._fixed: dict[tuple[str, str], APIRoute] = {}
        self._variable: dict[tuple[str, str], tuple[APIRoute, str]] = {}
        for route in routes:
            if isinstance(route, APIRoute):
                for method in route.methods or ():
                    self._enter(method, route)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = self._found(scope) if scope["type"] == "http" else None
        if found is None:
            await self._app(scope, receive, send)
            return
        scope["route"], scope["path_params"] = found
        request = Request(scope, receive, send)
        try:
            response = await found[0].endpoint(request)
        except Exception as error:
            response = await answer_error(request, error)
        await response(scope, receive, send)

    def _found(self, scope: Scope) -> tuple[APIRoute, dict[str, str]] | None:
        method, path = scope["method"], scope["path"]
        if (route := self._fixed.get((method, path))) is not None:
            return route, {}
        parts = path.split("/")
        if len(parts) <= _VARIABLE or not parts[_VARIABLE]:
            return None
        value, parts[_VARIABLE] = parts[_VARIABLE], ""
        found = self._variable.get((method, "/".join(parts)))
        return None if found is None else (found[0], {found[1]: value})

    def _enter(self, method: str, route: APIRoute) -> None:
        parts = route.path.split("/")
        variable = [place for place, part in enumerate(parts) if part.startswith("{")]
        if not variable:
            self._fixed[method, route.path] = route
        elif variable == [_VARIABLE] and ":" not in parts[_VARIABLE]:
            name, parts[_VARIABLE] = parts[_VARIABLE][1:-1], ""
            self._variable[method, "/".join(parts)] = route, name
