"""Keys: who may use the service. Only hashes are stored, and comparing takes the same time always.

A key is 256 random bits, so a plain SHA-256 of it cannot be guessed back; slow hashes are for
passwords. Several keys may be valid at once, so that one can be replaced without an outage.
"""

import contextlib
import hashlib
import hmac
import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from recency.errors import ConfigError, FormatError

_PREFIX = "rcy_"
_SHORTEST = 16  # characters of a key that somebody chose


@dataclass(frozen=True)
class KeyRing:
    """Hold the hashes of the valid keys."""

    hashes: tuple[str, ...]

    @classmethod
    def of(cls, key: str) -> "KeyRing":
        """Make a ring of one key that somebody chose.

        Raises:
            ConfigError: the key is short enough to guess.
        """
        if len(key) < _SHORTEST:
            raise ConfigError(
                f"expected an API key of at least {_SHORTEST} characters, found {len(key)}; "
                f"leave it out to have one made."
            )
        return cls((_digest(key),))

    @classmethod
    def kept_in(cls, path: Path) -> "tuple[KeyRing, str | None]":
        """Read the ring of a folder, or make a key where there is none.

        Returns:
            The ring, and the new key; None for the key where the ring was there already.

        Raises:
            FormatError: the file is damaged.
        """
        with contextlib.suppress(FileNotFoundError):
            return cls(_read(path)), None
        key = _PREFIX + secrets.token_urlsafe(32)
        ring = cls((_digest(key),))
        ring.write(path)
        return ring, key

    def write(self, path: Path) -> None:
        """Keep the hashes in a file that only its owner may read, in one piece."""
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f"{path.name}.{os.getpid()}.draft")
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump({"format": 1, "sha256": list(self.hashes)}, file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)

    def allows(self, key: str) -> bool:
        """Tell whether a key is valid."""
        digest = _digest(key)
        found = False
        for known in self.hashes:  # no early end: the time must not tell which key was close
            found |= hmac.compare_digest(digest, known)
        return found


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def _read(path: Path) -> tuple[str, ...]:
    try:
        content = json.loads(path.read_text(encoding="ascii"))
        hashes = tuple(content["sha256"])
        if content["format"] == 1 and hashes and all(len(bytes.fromhex(h)) == 32 for h in hashes):
            return hashes
    except (ValueError, KeyError, TypeError):
        pass
    raise FormatError(
        f"expected hashes of API keys, found something else: {path}. "
        f"Remove the file to have a new key made."
    )
