"""How the models of this room lie in a folder: see `recency.storage`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from recency.errors import FormatError
from recency.nn.encoder import Encoder
from recency.nn.encoders import make_encoder
from recency.storage import Manifest, read_manifest, written_folder

WEIGHTS = "weights.safetensors"


@contextmanager
def written_model(
    folder: str | Path, kind: str, encoder: Encoder, settings: dict[str, Any], model: nn.Module
) -> Iterator[Path]:
    """Write a model in one piece; the block adds what else belongs to it to the draft.

    Args:
        folder: Where the model shall be.
        kind: Name of its class.
        encoder: Its configuration is kept, under its class's name in lower case.
        settings: Further arguments of the class, as JSON.
        model: Its weights are kept.
    """
    name = type(encoder).__name__.lower()
    content = {"kind": kind, "reads": {"name": name, **encoder.config()}, "settings": settings}
    with written_folder(folder, content) as draft:
        save_file(
            {key: t.cpu().contiguous() for key, t in model.state_dict().items()}, draft / WEIGHTS
        )
        yield draft


def read_settings(folder: str | Path, kind: str) -> tuple[Manifest, dict[str, Any]]:
    """Read a folder's manifest, and the settings of the class that wrote it.

    Raises:
        FormatError: the folder holds something else, is damaged, or is newer than this version.
    """
    manifest = read_manifest(folder)
    found = manifest.content.get("kind", "recommender")
    if found != kind:
        raise FormatError(
            f"expected a {kind} in {folder}, found a {found}; read it with "
            f"recency.{'load' if found == 'recommender' else f'{found}.load'}."
        )
    return manifest, dict(manifest.content["settings"])


def made_encoder(manifest: Manifest, encoder: Encoder | None) -> Encoder:
    """Give the encoder passed, or make the one that a manifest names.

    Raises:
        ConfigError: it is none of Recency's and was not passed.
    """
    if encoder is not None:
        return encoder
    made_of = dict(manifest.content["reads"])
    return make_encoder(made_of.pop("name"), made_of)


def read_weights(model: nn.Module, manifest: Manifest) -> None:
    """Give a model the weights of a folder.

    Raises:
        FormatError: names or shapes do not fit the model.
    """
    try:
        model.load_state_dict(load_file(manifest.path(WEIGHTS)))
    except (SafetensorError, RuntimeError) as fault:
        raise FormatError(
            f"the weights in {manifest.folder} do not fit their settings: {fault}"
        ) from None
    model.eval()
