"""Knowledge: what a live model holds beside its weights, taken apart, written, read, put back.

Taking it apart is the part that answers wait for, so it copies little: vocabularies, events and
pairs are views of what only grows or is replaced whole; only counts of items are copied. States,
which are large and move, are copied some thousands of rows at a time. A state may so be older than
the moment of the snapshot, which is as good: it tells how many events it has seen, and the rest is
read when its user is asked about. What became void meanwhile by a late event is struck out.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from recency.data.catalogue import Catalogue
from recency.data.histories import Histories, Ints
from recency.data.intake import Vocabs
from recency.data.profiles import FrozenProfiles
from recency.data.timelines import Frozen
from recency.errors import FormatError
from recency.live.live_model import LiveModel
from recency.live.people import profiles_of
from recency.live.recall import FrozenRecall, Recall
from recency.model_folder import (
    VOCABS,
    read_catalogue,
    read_histories,
    read_profile_codes,
    read_vocabs,
    write_parts,
    write_profile_codes,
)
from recency.nn.frozen import FrozenMemories
from recency.serving.questions import LiveRecommender
from recency.serving.snapshots.state_file import read_states
from recency.storage import Manifest

Arrays = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Knowledge:
    """Hold what a recommender knows at one place of the log; stays as it is while events arrive.

    Attributes:
        seq: The place: the last entry applied.
        vocabs: Ids of users, items and event types, by row.
        timelines: All events.
        counts: Decayed counts, one a model.
        void: By user, of how many events a copied state may have seen at most; one a model.
        recalls: The experts' memories, None where nobody has asked for them.
        catalogue: What is known about items.
        profiles: What is known of users, None where the model reads nothing of it.
    """

    seq: int
    vocabs: list[pl.Series]
    timelines: Frozen
    counts: list[Arrays]
    void: list[dict[int, int]]
    recalls: list[FrozenRecall | None]
    catalogue: Catalogue | None
    profiles: FrozenProfiles | None


def freeze(recommender: LiveRecommender, seq: int) -> Knowledge:
    """Take a copy, in the thread that owns the recommender; ends the copies of states."""
    lead, *_ = models = recommender.live.models
    recalls, profiles = _recalls(models), profiles_of(recommender.live.models[0])
    return Knowledge(
        seq=seq,
        vocabs=[getattr(lead.vocabs, name).ids for name in VOCABS],
        timelines=lead.timelines.freeze(),
        counts=[one.popularity.table.arrays() for one in models],
        void=[one.states.forgotten() for one in models],
        recalls=[recall.freeze() for recall in recalls],
        catalogue=recommender.catalogue,
        profiles=None if profiles is None else profiles.freeze(),
    )


@dataclass(frozen=True)
class Sorted:
    """Hold what was sorted in order to be written."""

    histories: Histories
    memories: list[FrozenMemories | None]

    @classmethod
    def of(cls, known: Knowledge) -> "Sorted":
        """Join and sort what was copied; in any thread."""
        memories = [None if one is None else one.memories.merged() for one in known.recalls]
        return cls(known.timelines.histories(), memories)


def fold(recommender: LiveRecommender, known: Knowledge, found: Sorted) -> None:
    """Give sorted arrays back to the live model, in the thread that owns it, so that it need not.

    Args:
        recommender: Of which `known` was taken.
        known: The copy.
        found: Made of it.
    """
    models = recommender.live.models
    models[0].timelines.fold(known.timelines, found.histories)
    for recall, old, new in zip(_recalls(models), known.recalls, found.memories, strict=True):
        if old is not None and new is not None:
            recall.fold(old, new)


def write_known(draft: Path, known: Knowledge, found: Sorted) -> None:
    """Write all but states as parts of a draft."""
    write_parts(draft, known.vocabs, found.histories, known.catalogue)
    if known.profiles is not None:
        write_profile_codes(draft, known.profiles.frame())
    for place, counts in enumerate(known.counts):
        save_file(counts, draft / f"counts-{place}.safetensors")
    for place, (recall, merged) in enumerate(zip(known.recalls, found.memories, strict=True)):
        if recall is not None and merged is not None:
            save_file(recall.arrays(merged), draft / f"memories-{place}.safetensors")


@dataclass(frozen=True)
class Kept:
    """Hold what was read of a snapshot, checked against the recommender it is for."""

    vocabs: Vocabs
    histories: Histories
    counts: list[Arrays]
    states: list[tuple[Ints, Ints, npt.NDArray[np.float32]]]
    memories: list[Arrays | None]
    catalogue: Catalogue | None
    profiles: pl.DataFrame | None


def read_known(manifest: Manifest, recommender: LiveRecommender) -> Kept:
    """Read a snapshot, changing nothing yet.

    Raises:
        FormatError: it does not fit the recommender, or its parts do not fit each other.
    """
    models = recommender.live.models
    parts = [manifest.path(f"states-{place}.safetensors") for place in range(len(models))]
    with ThreadPoolExecutor(1) as pool:  # the largest part, beside all others
        reading = pool.map(read_states, parts)
        vocabs, histories = read_vocabs(manifest), read_histories(manifest)
        _check_rows(vocabs, histories, models[0].vocabs, manifest)
        memories = [
            _loaded(manifest, f"memories-{place}.safetensors")
            for place in range(len(_recalls(models)))
        ]
        counts = [_loaded(manifest, f"counts-{place}.safetensors") for place in range(len(models))]
        states = list(reading)
    for model, (users, seen, found) in zip(models, states, strict=True):
        inside = len(users) == 0 or int(users.max()) < histories.n_users
        if found.shape[1] != model.states.size or not inside:
            raise FormatError(f"the states in {manifest.folder} do not fit the model.")
        void = seen > histories.lengths[users]
        seen[void], found[void] = 0, 0
    counted = [one for one in counts if one is not None]
    if len(counted) < len(models):
        raise FormatError(f"the snapshot {manifest.folder} lacks counts of what is popular.")
    catalogue, profiles = read_catalogue(manifest), read_profile_codes(manifest)
    return Kept(vocabs, histories, counted, states, memories, catalogue, profiles)


def _loaded(manifest: Manifest, name: str) -> Arrays | None:
    """Read one part as arrays, None where there is no such part."""
    try:
        return load_file(manifest.path(name)) if name in manifest else None
    except SafetensorError as fault:
        raise FormatError(f"the snapshot {manifest.folder} cannot be read: {fault}") from None


def put_back(recommender: LiveRecommender, kept: Kept) -> None:
    """Have a recommender know what a snapshot held, in place of what it knew."""
    models, profiles = recommender.live.models, profiles_of(recommender.live.models[0])
    if profiles is not None and kept.profiles is not None:
        profiles.restore(kept.profiles)
    models[0].know(kept.vocabs, kept.histories)
    for model, counts, states in zip(models, kept.counts, kept.states, strict=True):
        model.popularity.table.restore(counts)
        model.states.restore(*states)
    for recall, memories in zip(_recalls(models), kept.memories, strict=True):
        if memories is not None:
            recall.restore(memories)
    recommender.catalogue = kept.catalogue


def _check_rows(vocabs: Vocabs, histories: Histories, known: Vocabs, manifest: Manifest) -> None:
    """See that weights keep their rows, and that every event has a user and an item."""
    for name in ("items", "types"):
        old, new = getattr(known, name).ids, getattr(vocabs, name).ids
        if old.dtype != new.dtype or not new.head(len(old)).equals(old):
            raise FormatError(f"the {name} of the snapshot {manifest.folder} are not the model's.")
    newest_item = int(histories.items.max(initial=-1))
    if histories.n_users > len(vocabs.users) or newest_item >= len(vocabs.items):
        raise FormatError(f"the events of the snapshot {manifest.folder} name unknown rows.")


def _recalls(models: tuple[LiveModel, ...]) -> list[Recall]:
    """List the different memories of models, in their order."""
    found = dict.fromkeys(one.recall for one in models)
    return [one for one in found if one is not None]
