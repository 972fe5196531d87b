"""Versions: what the registry knows of each model in it, and what may be a name of one."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
Facts = Mapping[str, Any]  # JSON


@dataclass(frozen=True)
class Version:
    """Describe a version that is there.

    Attributes:
        version: Names its weights.
        folder: Where it lies.
        published: Microseconds since 1970 UTC; 0 for a plain folder's own model.
        facts: What its publisher told, such as the place in the event log it has seen (``seq``).
        candidate: Whether it asks to take over as soon as the gate lets it.
        refused: Why the gate refused it last; None where it did not.
    """

    version: str
    folder: Path
    published: int = 0
    facts: Facts = field(default_factory=dict)
    candidate: bool = False
    refused: str | None = None


@dataclass(frozen=True)
class Pointer:
    """Name the version that serves and the one that served before it."""

    version: str | None = None
    previous: str | None = None
    home: str | None = None  # what the plain folder held when it was last looked at
