"""Torn tail: how much of a write-ahead log SQLite left out when it opened the file.

After a crash SQLite takes the transactions that are whole, in their order, and passes over the rest
without a word. That is right: the rest was never acknowledged, unless the disk lied. Here it is
measured, so that it can be told.

The log begins with a header of 32 bytes; each frame has one of 24 bytes and a page. Both carry two
salts, which are drawn anew whenever the log starts over, so that a frame of an earlier round, which
may lie behind the newest, is known by them. See https://www.sqlite.org/fileformat2.html#walformat.
"""

import struct
from pathlib import Path

_HEADER, _FRAME = 32, 24
_SALTS = slice(16, 24)  # of the header; those of a frame are at 8


def torn_bytes(wal: bytes, n_frames: int) -> int:
    """Count the bytes of a write-ahead log that belong to its newest round and were left out.

    Args:
        wal: The file as it was before SQLite opened it.
        n_frames: Frames that SQLite took from it.
    """
    if not wal:
        return 0
    if not _is_header(wal):
        return len(wal)
    (page,) = struct.unpack(">I", wal[8:12])
    place = _HEADER + n_frames * (_FRAME + page)
    torn = 0
    while place < len(wal):
        frame = wal[place : place + _FRAME + page]
        if _is_of_earlier_round(frame, wal[_SALTS]):
            break
        torn += len(frame)
        place += _FRAME + page
    return torn


def read_wal(path: Path) -> bytes:
    """Read the write-ahead log of a database; empty where there is none."""
    try:
        return path.with_name(path.name + "-wal").read_bytes()
    except FileNotFoundError:
        return b""


def _is_of_earlier_round(frame: bytes, salts: bytes) -> bool:
    """Tell a frame of an earlier round, of which both salts differ, from a damaged one."""
    found = frame[8:16]
    return len(found) == 8 and found[:4] != salts[:4] and found[4:] != salts[4:]


def _is_header(wal: bytes) -> bool:
    """Check the header's own checksum."""
    if len(wal) < _HEADER:
        return False
    (magic,) = struct.unpack(">I", wal[:4])
    if magic not in (0x377F0682, 0x377F0683):
        return False
    order = ">" if magic & 1 else "<"
    words = struct.unpack(f"{order}6I", wal[:24])
    one = two = 0
    for first, second in zip(words[::2], words[1::2], strict=True):
        one = (one + first + two) & 0xFFFFFFFF
        two = (two + second + one) & 0xFFFFFFFF
    return (one, two) == struct.unpack(">2I", wal[24:_HEADER])
