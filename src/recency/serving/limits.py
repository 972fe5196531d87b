"""Limits: how much one request may ask for, and how long a connection may take."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Say how much one request may ask for."""

    body_bytes: int = 8 * 2**20
    batch: int = 10_000  # events or items of one request
    id_length: int = 512  # characters of an id
    context_bytes: int = 4096  # JSON text of one event's context
    history: int = 1000  # events of an anonymous history
    impression: int = 1000  # items shown, of which an event tells
    ids: int = 10_000  # candidates, excluded items
    k: int = 1000
    body_seconds: float = 30.0  # to receive a body; of an upload, between two parts of it
    upload_bytes: int = 2**30  # of a file that is imported


@dataclass(frozen=True, kw_only=True)
class ConnectionLimits:
    """Say how much one connection may hold up.

    Attributes:
        connections: Most that are open at once; who comes later is told to come again.
        header_bytes: Of one request's first line and headers.
        header_seconds: From the first byte of a request to the end of its headers, and from the
            opening of a connection to its first byte.
        idle_seconds: Between an answer and the next request.
        write_seconds: For a client to take what is sent to it.
    """

    connections: int = 2048
    header_bytes: int = 32 * 2**10
    header_seconds: float = 10.0
    idle_seconds: float = 30.0
    write_seconds: float = 30.0


@dataclass(frozen=True, kw_only=True)
class RoomLimits:
    """Say how much may be underway at once.

    Attributes:
        requests: Those that were let in and not yet answered.
        body_bytes: Of all their bodies; one alone may be as large as it may be at all.
    """

    requests: int = 1000
    body_bytes: int = 256 * 2**20
