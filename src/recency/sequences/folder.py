"""How the models of this room lie in a folder: see `recency.storage`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import nn

from recency.errors import FormatError
from recency.nn.encoder import Encoder, settings_of_encoder
from recency.nn.encoders import encoder_of_settings
from recency.nn.weights import WEIGHTS_FILE, read_weights, write_weights
from recency.storage import Manifest, read_manifest, written_folder
from recency.training.config import TrainConfig


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
    content = {"kind": kind, "reads": settings_of_encoder(encoder), "settings": settings}
    with written_folder(folder, content) as draft:
        write_weights(draft / WEIGHTS_FILE, model)
        yield draft


def read_arguments(
    folder: str | Path, kind: str, encoder: Encoder | None
) -> tuple[Manifest, dict[str, Any]]:
    """Read a folder's manifest, and the arguments of the class that wrote it.

    Args:
        folder: Written by `written_model`.
        kind: Name of the class.
        encoder: The one passed; None makes the one that the folder names.

    Raises:
        FormatError: the folder holds something else, is damaged, or is newer than this version.
        ConfigError: the encoder is none of Recency's and was not passed.
    """
    manifest = read_manifest(folder)
    found = manifest.content.get("kind", "recommender")
    if found != kind:
        raise FormatError(
            f"expected a {kind} in {folder}, found a {found}; read it with "
            f"recency.{'load' if found == 'recommender' else f'{found}.load'}."
        )
    settings = dict(manifest.content["settings"])
    made_of = manifest.content["reads"]
    return manifest, settings | {
        "encoder": encoder_of_settings(made_of) if encoder is None else encoder,
        "training": TrainConfig(**settings["training"]),
    }


def give_weights(model: nn.Module, manifest: Manifest) -> None:
    """Give a model the weights of a folder, and put it to work.

    Raises:
        FormatError: names or shapes do not fit the model.
    """
    read_weights(manifest.path(WEIGHTS_FILE), model)
    model.eval()
