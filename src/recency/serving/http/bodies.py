"""Bodies: what a client sent, read within limits and decoded.

Only JSON and NDJSON are read, plain or packed, and they must say so: a web page can post text to
any address without asking, but not ``application/json``.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from starlette.requests import ClientDisconnect, Request

from recency.serving.http.encodings import encodings, unpacked
from recency.serving.http.problems import Problem
from recency.serving.intake.values import shown
from recency.serving.limits import Limits

_JSON = frozenset({"application/json"})
_NDJSON = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl"})
_decode = msgspec.json.Decoder().decode


@dataclass(frozen=True)
class Unreadable:
    """Stand for one line that is not JSON, and say why."""

    detail: str


def header(request: Request, name: bytes) -> str | None:
    """Give the first header of a name in small letters; `Request.headers` takes far longer."""
    for one, value in request.scope["headers"]:
        if one == name:
            found: str = value.decode("latin-1")
            return found
    return None


async def read_object(request: Request, limits: Limits) -> Mapping[str, Any]:
    """Read a body that is one JSON object.

    Raises:
        Problem: 413, 415, 408 or 422.
    """
    _check_kind(request, _JSON)
    raw = _decoded(await _read(request, limits))
    if not isinstance(raw, Mapping):
        raise Problem(422, "invalid-request", f"expected a JSON object, found {shown(raw)}.")
    return raw


async def read_rows(request: Request, limits: Limits, noun: str) -> Sequence[object]:
    """Read one JSON object, a list of them, or one a line.

    Args:
        request: To read from.
        limits: How much is taken.
        noun: What a row is called in messages, such as ``events``.

    Returns:
        The rows; `Unreadable` for each line that is not JSON.

    Raises:
        Problem: 413, 415, 408 or 422.
    """
    kind = _check_kind(request, _JSON | _NDJSON)
    body = await _read(request, limits)
    rows: Sequence[object]
    if kind in _NDJSON:
        lines = enumerate(body.split(b"\n"), start=1)
        rows = [_line(line, number) for number, line in lines if line.strip()]
    else:
        content = _decoded(body)
        rows = content if isinstance(content, list) else [content]
    if len(rows) > limits.batch:
        raise Problem(
            413,
            "too-many",
            f"expected at most {limits.batch:,} {noun} in one request, found {len(rows):,}; "
            f"send them in several. None was taken.",
        )
    return rows


def _check_kind(request: Request, allowed: frozenset[str]) -> str:
    kind = (header(request, b"content-type") or "").partition(";")[0].strip().lower()
    if kind not in allowed:
        found = repr(kind[:80]) if kind else "none"
        raise Problem(
            415,
            "wrong-content-type",
            f"expected Content-Type {' or '.join(sorted(allowed))}, found {found}.",
        )
    return kind


def _encoding(request: Request) -> str:
    found = header(request, b"content-encoding")
    encoding = "identity" if found is None else found.strip().lower()
    if encoding not in (known := encodings()):
        raise Problem(
            415,
            "wrong-content-encoding",
            f"expected a body that is plain or packed as {' or '.join(known[1:])}, found "
            f"Content-Encoding {encoding[:80]!r}.",
        )
    return encoding


async def _read(request: Request, limits: Limits) -> bytes:
    encoding = _encoding(request)
    said = header(request, b"content-length") or ""
    if said.isdecimal() and int(said[:20]) > limits.body_bytes:
        raise _too_large(limits, f"{int(said[:20]):,}")
    chunks, size = [], 0
    try:
        async with asyncio.timeout(limits.body_seconds):
            async for chunk in request.stream():
                size += len(chunk)
                if size > limits.body_bytes:
                    raise _too_large(limits, "more")
                chunks.append(chunk)
    except TimeoutError:
        raise Problem(
            408,
            "too-slow",
            f"the body did not arrive within {limits.body_seconds:g} s; send again.",
        ) from None
    except ClientDisconnect:
        raise Problem(400, "gone", "the connection closed before the body was complete.") from None
    body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
    return await unpacked(body, encoding, limits.body_bytes)


def _too_large(limits: Limits, found: str) -> Problem:
    return Problem(
        413,
        "too-large",
        f"expected a body of at most {limits.body_bytes:,} bytes, found {found}; "
        f"send it in parts. Nothing was taken.",
    )


def _decoded(body: bytes) -> object:
    try:
        return _decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise Problem(422, "not-json", f"expected JSON, found something else: {error}.") from None


def _line(line: bytes, number: int) -> object:
    try:
        return _decode(line)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        return Unreadable(f"line {number} is not JSON: {error}.")
