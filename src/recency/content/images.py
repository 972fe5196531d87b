"""Pictures of items to vectors, by a Hugging Face vision encoder (ViT, DINO, Swin, CLIP, …).

An encoder is a folder or a hub id, as for texts, and its weights come from safetensors only.
Pictures are files. One that is missing or cannot be read is counted in a warning and has no vector:
a shop always has a few of them. What was encoded is kept by the picture's own bytes, so a second
run, or a picture under a new name, costs only the reading of the file.

A picture's vector is the mean over its patches, which every kind of encoder has; the token of their
own that some have for the whole picture, others lack, and many come with untrained.
"""

import hashlib
import warnings
from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from recency.content.encoding import Progress, encode_new
from recency.content.item_vectors import ItemVectors
from recency.content.sentence_model import SentenceModel, folder_of
from recency.content.text import Told
from recency.data.catalogue import Catalogue
from recency.errors import ConfigError, DataWarning, raise_all

Floats = npt.NDArray[np.float32]
BATCH = 16  # pictures
_KEPT_AT_ONCE = 256  # pictures; what a kill may cost


class ImageEncoder:
    """Encode pictures with a Hugging Face vision encoder.

    Args:
        model: Folder or hub id, such as ``"facebook/dinov2-small"``.
        device: ``"cpu"``, ``"cuda"``, …; None takes a GPU where there is one.

    Raises:
        ConfigError: the packages or the model are missing, or it is no vision encoder.
    """

    def __init__(self, model: str | Path, *, device: str | None = None) -> None:
        missing = [one for one in ("transformers", "PIL") if find_spec(one) is None]
        if missing:
            raise ConfigError("pictures need further packages: pip install 'recency[text]'.")
        self.folder = folder_of(str(model))
        wanted = ["config.json", "preprocessor_config.json"]
        faults = [one for one in wanted if not (self.folder / one).exists()]
        faults += [] if list(self.folder.glob("*.safetensors")) else ["*.safetensors"]
        raise_all(
            [
                f"expected a Hugging Face vision encoder in {self.folder}, found no {one}; save "
                f"network and image processor with save_pretrained(folder)."
                for one in faults
            ],
            ConfigError,
        )
        self._device = device
        self._loaded: tuple[Any, Any, Any] | None = None  # processor, network, device

    @cached_property
    def identity(self) -> str:
        """Name the encoder by what it computes."""
        return f"image-{SentenceModel(str(self.folder), self.folder).identity}"

    @cached_property
    def dim(self) -> int:
        """Count the numbers of a vector."""
        from PIL import Image

        return int(self._read([Image.new("RGB", (8, 8))]).shape[1])

    def encode(self, images: Sequence[str | Path], done: Told | None = None) -> Floats:
        """Give one vector a picture.

        Args:
            images: n files.
            done: Called with the number of pictures of each batch read.

        Returns:
            [n, dim] float32, each row of length 1; NaN for a file that is no picture.
        """
        found = np.full((len(images), self.dim), np.nan, np.float32)
        for start in range(0, len(images), BATCH):
            part = range(start, min(start + BATCH, len(images)))
            opened = [(place, _opened(Path(images[place]))) for place in part]
            there = [(place, image) for place, image in opened if image is not None]
            if there:
                found[[place for place, _ in there]] = self._read([image for _, image in there])
            if done is not None:
                done(len(part))
        return found

    def _read(self, images: list[Any]) -> Floats:
        """Encode one batch of opened pictures."""
        import torch

        from recency.nn.products import quick_products

        processor, network, device = self._load()
        pixels = processor(images=images, return_tensors="pt")["pixel_values"].to(device)
        with torch.inference_mode(), quick_products():
            hidden = network(pixel_values=pixels).last_hidden_state.float()
        # [n, patches, dim], or of a convolution [n, dim, height, width]
        pooled = hidden.mean(1) if hidden.ndim == 3 else hidden.mean((2, 3))
        vectors: Floats = torch.nn.functional.normalize(pooled, dim=1).cpu().numpy()
        return vectors

    def _load(self) -> tuple[Any, Any, Any]:
        if self._loaded is None:
            import torch
            from transformers import AutoImageProcessor, AutoModel
            from transformers.utils import logging

            logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # theirs is untyped
            folder = str(self.folder)
            try:
                processor: Any = AutoImageProcessor
                processor = processor.from_pretrained(folder, local_files_only=True)
                network = AutoModel.from_pretrained(
                    folder, local_files_only=True, use_safetensors=True
                )
            except (OSError, ValueError, ImportError) as error:
                raise ConfigError(
                    f"expected a Hugging Face vision encoder in {folder}: "
                    f"{str(error).strip().splitlines()[0]}"
                ) from None
            network = getattr(network, "vision_model", network)  # of words and pictures: this half
            device = torch.device(self._device or ("cuda" if torch.cuda.is_available() else "cpu"))
            self._loaded = (processor, network.eval().to(device), device)
        return self._loaded


def image_vectors(
    images: Catalogue | Mapping[Any, str | Path | None],
    encoder: ImageEncoder,
    *,
    column: str = "image",
    folder: str | Path | None = None,
    cache: str | Path | None = None,
    progress: Progress | None = None,
) -> ItemVectors:
    """Encode a picture an item; an item without one has no vector.

    Args:
        images: File of each item by its id, or a catalogue with a column of them.
        encoder: Reads the pictures.
        column: Of the catalogue.
        folder: That names of files are relative to.
        cache: Folder to keep vectors in, so that a second run encodes nothing.
        progress: Told of pictures done and in all, of those that had to be encoded.

    Raises:
        ConfigError: the catalogue has no such column.
    """
    if isinstance(images, Catalogue):
        if column not in images.frame.columns:
            raise ConfigError(
                f"expected the column {column} with files in the catalogue, found "
                f"{', '.join(images.frame.columns)}; name it with column=."
            )
        images = dict(images.frame.select("item_id", column).iter_rows())
    named = {one: Path(folder or ".") / file for one, file in images.items() if file}
    sums = {one: _sum(file) for one, file in named.items()}
    files = {key: named[one] for one, key in sums.items() if key}  # each picture once
    vectors = dict(zip(files, _encoded(files, encoder, cache, progress), strict=True))
    nothing = np.full(encoder.dim, np.nan, np.float32)
    rows = [vectors.get(sums.get(one, ""), nothing) for one in images]
    found = np.stack(rows) if rows else np.zeros((0, encoder.dim), np.float32)
    lost = [one for one in named if np.isnan(vectors.get(sums[one], nothing)[0])]
    if lost:
        warnings.warn(
            f"{len(lost):,} of {len(named):,} pictures are missing or cannot be read, such as "
            f"{named[lost[0]]}; their items have no picture's vector.",
            DataWarning,
            stacklevel=2,
        )
    return ItemVectors.of_rows(list(images), found, "image")


def _encoded(
    files: Mapping[str, Path],
    encoder: ImageEncoder,
    cache: str | Path | None,
    progress: Progress | None,
) -> Floats:
    """Encode pictures named by their sums; those seen before are taken from the cache."""
    keys = list(files)

    def encoded(rows: Sequence[int], told: Told) -> Floats:
        return encoder.encode([files[keys[row]] for row in rows], told)

    return encode_new(keys, encoder, encoded, cache, progress, _KEPT_AT_ONCE)


def _sum(file: Path) -> str:
    """Sum up a file's bytes; "" where it cannot be read."""
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError:
        return ""


def _opened(file: Path) -> Any:
    """Open a picture in three colours; None where it is none."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of transparency, odd headers and the like
            with Image.open(file) as image:
                return image.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
