"""Keys: who may use the service, and for what. Only hashes are stored.

A key is 256 random bits, so a plain SHA-256 of it cannot be guessed back; slow hashes are for
passwords. Comparing takes the same time whichever key comes close. Two keys may live under one
name, so that one can be replaced without an outage.
"""

import contextlib
import hashlib
import hmac
import json
import math
import os
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from recency.errors import ConfigError, FormatError, UnknownIdError

FILE = "api_keys.json"  # in the folder where a service keeps what it keeps
PREFIX = "rcy_"
EVENTS, RECOMMEND, CATALOG, ADMIN = SCOPES = (
    "events:write",
    "recommend:read",
    "catalog:write",
    "admin",
)
_SHORTEST = 16  # characters of a key that somebody chose
_MOST_KEYS = 64  # each is compared at each request
_ALIVE = 2  # keys of one name: the old one and its successor


@dataclass(frozen=True)
class Key:
    """Say what the holder of one key may do.

    Attributes:
        sha256: Of the key, in hex.
        scopes: Of `SCOPES`; ``admin`` holds the others.
        name: Whom the key is for.
        rate: Most requests a second; None for what the server says.
        made: When, ISO 8601; None where nobody noted it.
    """

    sha256: str
    scopes: frozenset[str] = frozenset({ADMIN})
    name: str = "default"
    rate: float | None = None
    made: str | None = None

    @property
    def id(self) -> str:
        """Name the key where others may read along: in logs and lists."""
        return self.sha256[:12]

    @property
    def for_browsers(self) -> bool:
        """Tell whether all that the key can do is to send events: others may know such a key."""
        return self.scopes == {EVENTS}

    def may(self, scope: str) -> bool:
        """Tell whether the key opens what asks for a scope."""
        return scope in self.scopes or ADMIN in self.scopes


@dataclass(frozen=True)
class KeyRing:
    """Hold the valid keys."""

    keys: tuple[Key, ...]

    @classmethod
    def of(cls, key: str) -> "KeyRing":
        """Make a ring of one key that somebody chose; it may do anything.

        Raises:
            ConfigError: the key is short enough to guess.
        """
        if len(key) < _SHORTEST:
            raise ConfigError(
                f"expected an API key of at least {_SHORTEST} characters, found {len(key)}; "
                f"leave it out to have one made."
            )
        return cls((Key(_digest(key)),))

    @classmethod
    def kept_in(cls, path: Path) -> "tuple[KeyRing, str | None]":
        """Read the ring of a folder, or make a key for everything where there is none.

        Returns:
            The ring, and the new key; None for the key where the ring was there already.

        Raises:
            FormatError: the file is damaged.
        """
        with contextlib.suppress(FileNotFoundError):
            return cls.read(path), None
        ring, key = cls(()).with_new("default", {ADMIN})
        ring.write(path)
        return ring, key

    @classmethod
    def read(cls, path: Path) -> "KeyRing":
        """Read a ring.

        Raises:
            FileNotFoundError: there is none.
            FormatError: the file is damaged.
        """
        with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):
            return cls(_keys(json.loads(path.read_text(encoding="utf-8"))))
        raise FormatError(
            f"expected hashes of API keys, found something else: {path}. "
            f"Remove the file to have a new key made."
        )

    def write(self, path: Path) -> None:
        """Keep the hashes in a file that only its owner may read, in one piece."""
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f"{path.name}.{os.getpid()}.draft")
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump({"format": 2, "keys": [_line(key) for key in self.keys]}, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)

    def find(self, key: str) -> Key | None:
        """Give what a key may do; None for a key that is not valid."""
        digest, found = _digest(key), None
        for known in self.keys:  # no early end: the time must not tell which key was close
            if hmac.compare_digest(digest, known.sha256):
                found = known
        return found

    def allows(self, key: str) -> bool:
        """Tell whether a key is valid."""
        return self.find(key) is not None

    def with_new(
        self,
        name: str,
        scopes: Iterable[str],
        *,
        rate: float | None = None,
        made: str | None = None,
    ) -> "tuple[KeyRing, str]":
        """Make a key.

        Args:
            name: Whom it is for; a second key of a name replaces the first, once that is revoked.
            scopes: What it opens.
            rate: Most requests a second.
            made: When.

        Returns:
            The ring with it, and the key, which nothing else holds.

        Raises:
            ConfigError: a scope is unknown, the rate is none, or the name has two keys.
        """
        wanted = frozenset(scopes)
        _check(name, wanted, rate)
        if sum(key.name == name for key in self.keys) >= _ALIVE:
            raise ConfigError(
                f"expected at most {_ALIVE} keys of the name {name!r}, the old one and its "
                f"successor, found {_ALIVE} already; revoke one of them first."
            )
        if len(self.keys) >= _MOST_KEYS:
            raise ConfigError(f"expected at most {_MOST_KEYS} keys; revoke those not in use.")
        key = PREFIX + secrets.token_urlsafe(32)
        return KeyRing((*self.keys, Key(_digest(key), wanted, name, rate, made))), key

    def rotated(self, name: str, *, made: str | None = None) -> "tuple[KeyRing, str]":
        """Make a second key of a name, for the same; the first stays valid until it is revoked.

        Raises:
            UnknownIdError: there is no key of that name.
            ConfigError: the name has two keys.
        """
        for key in self.keys:
            if key.name == name:
                return self.with_new(name, key.scopes, rate=key.rate, made=made)
        raise UnknownIdError(f"there is no key of the name {name!r}; known are {self._names()}.")

    def without(self, which: str) -> "tuple[KeyRing, Key]":
        """Take a key out.

        Args:
            which: Its id, or its name where that has only one key.

        Returns:
            The ring without it, and what was taken out.

        Raises:
            UnknownIdError: there is no such key, or several of that name.
        """
        meant = [key for key in self.keys if which in (key.id, key.name)]
        if len(meant) != 1:
            found = f"{len(meant)} of them" if meant else f"none; known are {self._names()}"
            raise UnknownIdError(f"expected one key of the id or name {which!r}, found {found}.")
        return replace(self, keys=tuple(key for key in self.keys if key != meant[0])), meant[0]

    def _names(self) -> str:
        return ", ".join(f"{key.name} ({key.id})" for key in self.keys) or "none"


def _check(name: str, scopes: frozenset[str], rate: float | None) -> None:
    faults = []
    if not name or len(name) > 64 or not name.isprintable():
        faults.append(f"a name of 1 to 64 printable characters, found {name[:70]!r}")
    if not scopes or scopes - set(SCOPES):
        found = ", ".join(sorted(scopes - set(SCOPES))) or "none"
        faults.append(f"scopes of {', '.join(SCOPES)}, found {found}")
    if rate is not None and not (math.isfinite(rate) and rate > 0):
        faults.append(f"a rate above 0 requests a second, found {rate}")
    if faults:
        raise ConfigError(f"expected {'; '.join(faults)}.")


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def _line(key: Key) -> dict[str, object]:
    known = {"name": key.name, "scopes": sorted(key.scopes), "rate": key.rate, "made": key.made}
    return {"sha256": key.sha256} | {name: one for name, one in known.items() if one is not None}


def _keys(content: Any) -> tuple[Key, ...]:
    """Read the content of a file; format 1 held hashes only, of keys for everything."""
    if content["format"] == 1:
        found = tuple(Key(one) for one in content["sha256"])
        if not found:
            raise ValueError("a format in which nobody could be taken out")
    elif content["format"] == 2:
        found = tuple(
            Key(
                one["sha256"],
                frozenset(one["scopes"]),
                one["name"],
                one.get("rate"),
                one.get("made"),
            )
            for one in content["keys"]
        )
        for key in found:
            _check(key.name, key.scopes, key.rate)
    else:
        raise ValueError("a format of the future")
    if any(len(bytes.fromhex(key.sha256)) != 32 for key in found):
        raise ValueError("no hashes of SHA-256")
    return found
