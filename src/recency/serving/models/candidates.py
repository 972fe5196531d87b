"""Candidates: what a learner in another process publishes into the registry of a server."""

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from recency.errors import StoreError
from recency.loading import load
from recency.recommender import SequenceRecommender
from recency.serving.durable_files import write_durably
from recency.serving.log.file_lock import FileLock
from recency.serving.models.registry import Registry
from recency.storage import MANIFEST


@dataclass(frozen=True)
class Base:
    """Hold what a learner begins with, at its first start and at each later one.

    Attributes:
        version: Names the model.
        folder: The learner's own, with a copy of the model: a registry keeps no version for ever.
        seq: Place in the event log up to which the model's own histories go.
    """

    version: str
    folder: Path
    seq: int

    @classmethod
    def of(cls, registry: Registry, folder: Path, log_id: str) -> Self:
        """Find what serves; if a learner made that, what this learner began with.

        Args:
            registry: Of the server.
            folder: Where learners keep what is theirs, one folder a base.
            log_id: Names the event log; places in another one mean nothing.

        Raises:
            UnknownIdError: no version serves yet.
            FormatError: the model is damaged.
        """
        current = registry.current()
        version = str(current.facts.get("base", current.version))
        own = folder / version
        if not (own / "model" / MANIFEST).is_file():
            version, own = current.version, folder / current.version
            load(current.folder).save(own / "model")
            here = current.facts.get("log") == log_id
            write_durably(
                own / "seq.json", json.dumps(int(current.facts.get("seq", 0)) if here else 0)
            )
        return cls(version, own, int(json.loads((own / "seq.json").read_text())))


def alone(folder: Path) -> FileLock:
    """Keep a second learner away from a learner's folder, until the lock is released.

    Raises:
        StoreError: there is one already, or the folder cannot be written.
    """
    try:
        return FileLock(folder / "learner")
    except StoreError as error:
        if error.__cause__ is not None:  # not in use: it cannot be written
            raise
        raise StoreError(
            f"expected no other learner at {folder}, found one at work; two would undo each "
            f"other's lessons: end it first."
        ) from error


class Candidates:
    """Publish a learner's models as candidates.

    Args:
        registry: Of the server.
        log_id: Names the event log that the learner reads.
        base: Version that the learner began with.
    """

    def __init__(self, registry: Registry, log_id: str, base: str) -> None:
        self._registry, self._log_id, self._base = registry, log_id, base

    def publish(self, recommender: SequenceRecommender, facts: Mapping[str, Any]) -> str:
        """Save a model beside the registry and hand it in; it asks to take over."""
        said = {
            "seq": facts["seq"],
            "log": self._log_id,
            "base": self._base,
            "reason": f"round {facts['number']} of the learner",
            "round": dict(facts),
        }
        self._registry.path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".learned-", dir=self._registry.path) as draft:
            recommender.save(Path(draft) / "model")
            return self._registry.publish(Path(draft) / "model", said, candidate=True)
