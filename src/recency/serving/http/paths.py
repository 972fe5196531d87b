"""Paths: the ids that stand in an address, percent-encoded, a slash as ``%2F``."""

from urllib.parse import unquote

from starlette.requests import Request

from recency.data.vocab import Id
from recency.errors import DataError
from recency.serving.http.problems import Fault, Problem
from recency.serving.http.question_checks import Reader


def path_id(request: Request, name: str, reader: Reader) -> Id:
    """Read an id from the path; note a fault where it can be none.

    Args:
        request: To read from.
        name: ``user_id`` or ``item_id``.
        reader: Of the rest of the address.
    """
    text = path_text(request, name)
    try:
        return reader.checks.user(text) if name == "user_id" else reader.checks.item(text)
    except DataError as error:
        reader.fault(name, str(error))
        return ""


def path_text(request: Request, name: str) -> str:
    """Decode one part of a path, once.

    Raises:
        Problem: 422, it is no UTF-8.
    """
    part: str = request.path_params[name]
    try:
        return unquote(part, errors="strict")
    except UnicodeDecodeError:
        detail = f"expected percent-encoded UTF-8, found {part[:80]!r}."
        raise Problem(422, "invalid-request", detail, [Fault("path", detail)]) from None
