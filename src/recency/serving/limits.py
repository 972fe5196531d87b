"""Limits: how much one request may ask for."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Say how much one request may ask for."""

    body_bytes: int = 8 * 2**20
    batch: int = 10_000  # events or items of one request
    id_length: int = 512  # characters of an id
    context_bytes: int = 4096  # JSON text of one event's context
    history: int = 1000  # events of an anonymous history
    ids: int = 10_000  # candidates, excluded items
    k: int = 1000
    body_seconds: float = 30.0  # to receive a body
