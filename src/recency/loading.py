"""Loading: one function that reads whatever a folder holds, a single model or an ensemble."""

from pathlib import Path

from recency.ensemble import Ensemble
from recency.errors import FormatError
from recency.nn.encoder import Encoder
from recency.recommender import SequenceRecommender
from recency.storage import read_manifest


def load(folder: str | Path, encoder: Encoder | None = None) -> SequenceRecommender | Ensemble:
    """Read a saved model, alone or an ensemble.

    Args:
        folder: Written by ``save`` or by ``recency fit``.
        encoder: Of the same configuration, for an encoder that Recency does not bring.

    Raises:
        FormatError: the folder is no model, damaged, or newer than this version.
        ConfigError: an encoder is none of Recency's and was not passed.
    """
    manifest = read_manifest(folder)
    if "members" in manifest.content:
        return Ensemble.restored(manifest, encoder)
    if kind := manifest.content.get("kind"):
        raise FormatError(
            f"expected a recommender in {folder}, found a {kind}; read it with recency.{kind}.load."
        )
    return SequenceRecommender.restored(manifest, manifest.content, encoder=encoder)
