"""Scopes: what a request must be allowed. What is not named here asks for ``admin``.

Decided by the path as it was sent, which is also what routes see: a path cannot be one thing to the
door and another to the room behind it.
"""

from recency.serving.access.keys import ADMIN, CATALOG, EVENTS, RECOMMEND

OPEN_PATHS = frozenset({"/", "/health", "/ready"})
# The studio's page is code that anyone may have; it asks for the key before it asks for data.
OPEN_FOLDER, CLOSED_IN_IT = "/studio/", "/studio/report.json"
WATCHED = frozenset({"/health", "/ready", "/metrics", "/v1/status"})  # an admin port has only these
_FOR_ANY_KEY = frozenset({"/docs", "/openapi.json"})
_COMPAT_EVENTS = frozenset({"/api/feedback", "/events"})  # of `compat_routes`
ANY_KEY = ""


def scope_of(method: str, path: str) -> str | None:
    """Name the scope that a request asks for: `ANY_KEY` for any key's, None for no key at all."""
    if path in OPEN_PATHS or (path.startswith(OPEN_FOLDER) and path != CLOSED_IN_IT):
        return None
    if path == "/v1/events":
        return EVENTS if method == "POST" else ADMIN
    if path in _COMPAT_EVENTS:
        return EVENTS
    if path == "/v1/foretell":
        return RECOMMEND
    if path.startswith(("/v1/recommendations", "/api/recommend/")) or path == "/recommendations":
        return RECOMMEND
    if method == "PUT" and path.startswith("/v1/users/"):
        return CATALOG  # keys that stand in pages send events, and describe nobody
    reads = method in ("GET", "HEAD")
    if path == "/v1/items" or path.startswith("/v1/items/"):
        return RECOMMEND if reads else CATALOG
    if reads:
        parts = path.split("/")
        if len(parts) == 5 and path.startswith("/v1/users/") and parts[4] == "recommendations":
            return RECOMMEND
        if path in ("/v1/trending", "/v1/latest"):
            return RECOMMEND
        if path in _FOR_ANY_KEY:
            return ANY_KEY
    return ADMIN
