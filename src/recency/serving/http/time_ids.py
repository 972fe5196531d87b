"""Time ids: names for answers and jobs that sort by the time they were given (UUID version 7)."""

import os
import time


def time_id() -> str:
    """Give a new id: the milliseconds since 1970 in its first half, chance in the rest."""
    chance = int.from_bytes(os.urandom(10))
    stamp = time.time_ns() // 1_000_000
    number = stamp << 80 | 7 << 76 | (chance >> 62 & 0xFFF) << 64 | 2 << 62 | chance & (2**62 - 1)
    text = f"{number:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
