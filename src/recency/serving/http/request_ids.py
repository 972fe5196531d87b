"""Request ids: a name for each request, given by the client or made here, said in every answer.

`recency.serving.http.timed` gives them, being the outermost layer: also who is refused at the door
is told the id of the refusal. Routes and logs find it in ``scope["state"]["request_id"]``.
"""

import re

from starlette.types import Scope

from recency.serving.http.time_ids import time_id

HEADER = b"x-request-id"
_FIT = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")


def named(scope: Scope) -> bytes:
    """Give a request its id.

    A client's own ``X-Request-ID`` is taken where it is fit to stand in a log: up to 128 letters,
    digits and ``._:/+=@-``. Else a new one is made.
    """
    name = b""
    for header, value in scope["headers"]:
        if header == HEADER:
            name = value if _FIT.fullmatch(value) else b""
            break
    name = name or time_id().encode("ascii")
    scope.setdefault("state", {})["request_id"] = name.decode("ascii")
    return name
