"""Time ids: names for answers and jobs that sort by the time they were given (UUID version 7)."""

import os
import sys
import time

_BYTES = 10  # of chance an id
_AT_ONCE = 512  # ids for which the system is asked for chance together
_chances: list[bytes] = []


def time_id() -> str:
    """Give a new id: the milliseconds since 1970 in its first half, chance in the rest."""
    chance = int.from_bytes(_chance())
    stamp = time.time_ns() // 1_000_000
    number = stamp << 80 | 7 << 76 | (chance >> 62 & 0xFFF) << 64 | 2 << 62 | chance & (2**62 - 1)
    text = f"{number:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _chance() -> bytes:
    """Give bytes that nobody was given before, in whatever thread."""
    try:
        return _chances.pop()
    except IndexError:
        drawn = os.urandom(_AT_ONCE * _BYTES)
        parts = [drawn[start : start + _BYTES] for start in range(0, len(drawn), _BYTES)]
        one = parts.pop()
        _chances.extend(parts)
        return one


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_chances.clear)  # else parent and child would give the same
