"""Rate limits that need the body: how many events about one user a browser may send.

A key that browsers hold is known to whoever reads the page. What it must not allow is to fill one
user's history, or the log, from one script.
"""

from collections import Counter
from collections.abc import Sequence

from starlette.requests import Request

from recency.serving.access.keys import Key
from recency.serving.access.rates import Buckets
from recency.serving.http import notes
from recency.serving.http.access import too_often
from recency.serving.http.problems import Problem
from recency.serving.intake.event_aliases import ALIASES

_USER_FIELDS = tuple(
    name
    for name in ("user_id", "anonymous_id", *ALIASES)
    if ALIASES.get(name, name) in ("user_id", "anonymous_id")
)


def check_user_rate(request: Request, rows: Sequence[object]) -> None:
    """Refuse events of a browser's key that come too often about one user.

    Raises:
        Problem: 429, or 413 where so many never pass together; nothing was taken.
    """
    key: Key | None = request.scope.get(notes.KEY)
    buckets: Buckets | None = request.app.state.user_rates
    if key is None or buckets is None or not key.for_browsers:
        return
    counts: Counter[object] = Counter(_user(row) for row in rows)
    most = int(buckets.size)
    if max(counts.values(), default=0) > most:
        raise Problem(
            413,
            "too-many",
            f"expected at most {most:,} events about one user in a request under a key for "
            f"browsers, found {max(counts.values()):,}; send them in several. None was taken.",
        )
    if wait := buckets.take({user: float(n) for user, n in counts.items()}):
        raise too_often(wait, f"{buckets.rate:g} events a second about one user")


def _user(row: object) -> object:
    """Name the bucket of an event: its user, or one for all that name none."""
    if isinstance(row, dict):
        for name in _USER_FIELDS:
            if isinstance(found := row.get(name), str | int):
                return found
    return None
