"""Audit: who changed what, one JSON object a line, on the disk before the change is answered.

Kept: users erased or merged, models promoted or rolled back, keys made or revoked. An erased user
must not live on in the list of erasures, so ids are written as a keyed hash: with the file at hand
one can tell whether a certain user is meant, without it nothing.
"""

import hashlib
import hmac
import json
import os
import secrets
import threading
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote

from recency.errors import FormatError
from recency.serving.intake.event_checks import wall_clock
from recency.units import format_instant

FILE = "audit.jsonl"
_USERS = "/v1/users/"
# The last part of a path names the action; without one of these the method does.
_ACTIONS = frozenset({"merge", "promote", "rollback", "import", "backup", "train", "challenge"})


class Audit:
    """Write down changes in a file that only its owner may read.

    Args:
        path: Made with its folder where it is missing; else written on.
        clock: Microseconds since 1970 UTC.

    Raises:
        FormatError: the file is something else.
    """

    def __init__(self, path: Path, *, clock: Callable[[], int] = wall_clock) -> None:
        self.path, self._clock = path, clock
        self._lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or not path.stat().st_size:
            self._write({"format": 1, "salt": secrets.token_hex(16)})
        self._salt = _salt_of(path)

    def note(self, action: str, **facts: object) -> None:
        """Write one line, and wait until it is on the disk."""
        self._write({"time": format_instant(self._clock()), "action": action, **facts})

    def note_request(self, method: str, path: str, **facts: object) -> None:
        """Write down a request that asks for a change; the id of a user only as its hash."""
        last = path.rpartition("/")[2]
        action = last if last in _ACTIONS else method.lower()
        if path.startswith(_USERS):
            user, _, rest = path.removeprefix(_USERS).partition("/")
            facts["user"] = self.pseudonym(unquote(user))
            path = _USERS + "{user}" + (f"/{rest}" if rest in _ACTIONS else "")
            action = "erase" if method == "DELETE" else action
        self.note(action, method=method, path=path[:200], **facts)

    def pseudonym(self, user: object) -> str:
        """Give what stands for a user in this file."""
        return hmac.new(self._salt, str(user).encode(), hashlib.sha256).hexdigest()[:32]

    def _write(self, line: dict[str, object]) -> None:
        with self._lock:
            handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                os.write(handle, json.dumps(line).encode() + b"\n")
                os.fsync(handle)
            finally:
                os.close(handle)


def _salt_of(path: Path) -> bytes:
    try:
        with path.open(encoding="utf-8") as file:
            first = json.loads(file.readline())
        if first["format"] == 1:
            return bytes.fromhex(first["salt"])
    except (ValueError, KeyError, TypeError):
        pass
    raise FormatError(
        f"expected an audit log of Recency, found something else: {path}. "
        f"It was left as it is; move it away to have a new one begun."
    )
