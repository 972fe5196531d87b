"""Encodings: compressed bodies, unpacked no further than the limit.

A few kilobytes can unpack to gigabytes. Nothing is unpacked beyond the bytes that a plain body may
have, so that a packed one costs no more memory than a plain one.
"""

import asyncio
import zlib
from contextlib import suppress
from functools import cache
from importlib import import_module
from typing import Any

from recency.serving.http.problems import Problem

_GZIP = 31  # a window of 2^15 bytes, with the header of gzip
_IN_TURN = 65_536  # packed bytes; more are unpacked in a thread, others are answered meanwhile


def encodings() -> tuple[str, ...]:
    """List the encodings that can be unpacked here, the plain one first."""
    return ("identity", "gzip") if _zstd() is None else ("identity", "gzip", "zstd")


async def unpacked(packed: bytes, encoding: str, limit: int) -> bytes:
    """Unpack a body.

    Args:
        packed: As it was sent.
        encoding: One of `encodings`.
        limit: Most bytes of the unpacked body.

    Raises:
        Problem: 413 when it is more, 422 when it is damaged.
    """
    if encoding == "identity":
        return packed
    if len(packed) <= _IN_TURN:
        return _unpacked(packed, encoding, limit)
    return await asyncio.to_thread(_unpacked, packed, encoding, limit)


def _unpacked(packed: bytes, encoding: str, limit: int) -> bytes:
    unpacker, broken = _unpacker(encoding)
    try:
        body: bytes = unpacker.decompress(packed, limit + 1)
    except broken as error:
        raise _damaged(encoding, str(error)) from None
    if len(body) > limit:
        raise Problem(
            413,
            "too-large",
            f"expected a body of at most {limit:,} bytes once unpacked, found more; "
            f"send it in parts. Nothing was taken.",
        )
    # Both kinds tell by `eof` whether the end was reached.
    if not unpacker.eof or unpacker.unused_data:
        raise _damaged(encoding, "it ends too early" if not unpacker.eof else "more follows it")
    return body


def _unpacker(encoding: str) -> tuple[Any, type[Exception]]:
    if encoding == "gzip":
        return zlib.decompressobj(_GZIP), zlib.error
    zstd = _zstd()
    return zstd.ZstdDecompressor(), zstd.ZstdError


def _damaged(encoding: str, why: str) -> Problem:
    return Problem(
        422, "not-unpackable", f"expected a body packed as {encoding}, found a damaged one: {why}."
    )


@cache
def _zstd() -> Any:
    """Give Python's own zstd (3.14) or its backport; None without both."""
    for name in ("compression.zstd", "backports.zstd"):
        with suppress(ImportError):
            return import_module(name)
    return None
