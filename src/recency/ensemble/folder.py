"""How an ensemble lies in a folder: vocabularies and histories once, one part of weights a member.

    manifest.json               settings of every member, fusion, report
    member-0-….safetensors      weights of a model, or counts of a baseline
    users-, items-, types-….parquet, histories-….safetensors, catalogue-….parquet
                                as of one model; all members share them

A baseline is plain: settings, arrays, sparse arrays, and the items it learned, which are the first
rows of the vocabulary that all share. Settings go into the manifest, arrays into its part.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from scipy.sparse import csr_array

from recency.data.catalogue import Catalogue
from recency.data.vocab import Vocab
from recency.ensemble.members import BASELINES, Baseline, Member
from recency.errors import FormatError
from recency.live.live_model import LiveModel
from recency.model_folder import write_known
from recency.nn.encoder import Encoder
from recency.nn.weights import write_weights
from recency.recommender import SequenceRecommender
from recency.storage import Manifest, written_folder

Arrays = dict[str, npt.NDArray[np.generic]]
_CSR = ("data", "indices", "indptr")


def write_ensemble(
    folder: str | Path,
    members: Sequence[Member],
    content: dict[str, Any],
    lead: LiveModel,
    catalogue: Catalogue | None,
) -> None:
    """Write fitted members and what they share into a folder, in one piece.

    Args:
        folder: Where the ensemble shall be.
        members: Fitted.
        content: What else the manifest shall hold, as JSON.
        lead: Knows what all share.
        catalogue: Attributes of items.
    """
    taken = [one if isinstance(one, SequenceRecommender) else _taken(one) for one in members]
    settings = [one.settings() if isinstance(one, SequenceRecommender) else one[0] for one in taken]
    with written_folder(folder, content | {"members": settings}) as draft:
        for place, one in enumerate(taken):
            if isinstance(one, SequenceRecommender):
                write_weights(draft / _part(place), one.live.model)
            else:
                save_file(one[1], draft / _part(place))
        write_known(draft, lead, catalogue)


def read_members(manifest: Manifest, encoder: Encoder | None) -> list[Member]:
    """Rebuild the members of a folder; models share what they know.

    Args:
        manifest: Of the folder.
        encoder: For members whose encoder has its class's name; None for Recency's own.

    Raises:
        FormatError: a part does not fit its settings.
        ConfigError: an encoder is none of Recency's and was not passed.
    """
    settings, models = manifest.content["members"], {}
    lead: LiveModel | None = None
    for place, one in enumerate(settings):
        if "encoder" in one:
            named = encoder is not None and one["encoder"]["name"] == _name(encoder)
            models[place] = SequenceRecommender.restored(
                manifest, one, _part(place), encoder if named else None, lead
            )
            lead = lead or models[place].live
    assert lead is not None
    ids = lead.vocabs.items.ids
    return [
        models[place] if place in models else _given_back(manifest, place, one, ids)
        for place, one in enumerate(settings)
    ]


def _part(place: int) -> str:
    return f"member-{place}.safetensors"


def _name(encoder: Encoder) -> str:
    return type(encoder).__name__.lower()


def _taken(baseline: Baseline) -> tuple[dict[str, Any], Arrays]:
    """Take a baseline apart: settings, as JSON, and arrays."""
    settings: dict[str, Any] = {}
    arrays: Arrays = {}
    shapes: dict[str, tuple[int, int]] = {}
    for name, value in vars(baseline).items():
        if isinstance(value, Vocab):
            settings[name] = len(value)
        elif isinstance(value, csr_array):
            shapes[name] = value.shape
            arrays |= {
                f"{name}.{part}": np.ascontiguousarray(getattr(value, part)) for part in _CSR
            }
        elif isinstance(value, np.ndarray):
            arrays[name] = np.ascontiguousarray(value)
        else:
            settings[name] = value
    return {"baseline": baseline.name, "settings": settings, "sparse": shapes}, arrays


def _given_back(manifest: Manifest, place: int, content: dict[str, Any], ids: Any) -> Baseline:
    """Put a baseline together again; ``ids`` are those of all items."""
    try:
        baseline = BASELINES[content["baseline"]]()
        arrays: Arrays = load_file(manifest.path(_part(place)))
        found: dict[str, Any] = dict(content["settings"])
        for name, value in vars(baseline).items():
            if isinstance(value, Vocab):
                found[name] = Vocab.from_ids(ids.head(found[name]))
            elif isinstance(value, csr_array):
                cells = tuple(arrays[f"{name}.{part}"] for part in _CSR)
                found[name] = csr_array(cells, shape=tuple(content["sparse"][name]))
            elif isinstance(value, np.ndarray):
                found[name] = arrays[name]
            elif isinstance(value, tuple):
                found[name] = tuple(found[name])
        vars(baseline).update(found)
    except (SafetensorError, KeyError, TypeError, ValueError) as fault:
        raise FormatError(
            f"member {place} of the ensemble in {manifest.folder} does not fit its settings "
            f"({fault!r}); save the ensemble again."
        ) from None
    return baseline
