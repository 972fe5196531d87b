"""How a live model lies in a folder: weights, vocabularies, histories, catalogue, settings."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from safetensors import SafetensorError
from safetensors.numpy import load_file as load_arrays
from safetensors.numpy import save_file as save_arrays

from recency.content.adaptor import Adaptor
from recency.data.catalogue import Catalogue
from recency.data.histories import Histories
from recency.data.intake import Vocabs
from recency.data.profiles import Profiles
from recency.data.vocab import Vocab
from recency.errors import FormatError
from recency.live.live_model import LiveModel
from recency.nn.weights import WEIGHTS_FILE, write_weights
from recency.storage import Manifest, written_folder

VOCABS = ("users", "items", "types")
PROFILES_FILE = "profiles.parquet"
_COLUMNS = ("offsets", "items", "times", "types", "values")


def write_model(
    folder: str | Path,
    settings: dict[str, Any],
    live: LiveModel,
    catalogue: Catalogue | None,
    adaptor: Adaptor | None = None,
    profiles: Profiles | None = None,
) -> None:
    """Write a live model and its settings (JSON) into a folder, in one piece."""
    with written_folder(folder, settings) as draft:
        write_weights(draft / WEIGHTS_FILE, live.model)
        write_known(draft, live, catalogue)
        if adaptor is not None:
            write_adaptor(draft, adaptor)
        if profiles is not None:
            write_profile_codes(draft, profiles.frame())


def write_adaptor(draft: Path, adaptor: Adaptor) -> None:
    """Write what makes vectors of items' content, and the content known."""
    adaptor.items.ids.rename("id").to_frame().write_parquet(draft / "content.parquet")
    save_arrays(adaptor.arrays(), draft / "content.safetensors")
    (draft / "content.json").write_text(json.dumps(adaptor.features.facts()), encoding="utf-8")


def write_profile_codes(draft: Path, frame: pl.DataFrame) -> None:
    """Write what is known of users, as `Profiles.frame` gives it."""
    frame.write_parquet(draft / PROFILES_FILE, compression="zstd")


def write_known(draft: Path, live: LiveModel, catalogue: Catalogue | None) -> None:
    """Write what is known whatever the weights: vocabularies, histories, catalogue."""
    ids = [getattr(live.vocabs, name).ids for name in VOCABS]
    write_parts(draft, ids, live.timelines.histories(), catalogue)


def write_parts(
    draft: Path, ids: Sequence[pl.Series], histories: Histories, catalogue: Catalogue | None
) -> None:
    """Write vocabularies, given as ids by row in the order of `VOCABS`, histories, catalogue."""
    for name, series in zip(VOCABS, ids, strict=True):
        series.rename("id").to_frame().write_parquet(draft / f"{name}.parquet", compression="lz4")
    save_arrays(_arrays(histories), draft / "histories.safetensors")
    if catalogue is not None:
        catalogue.write(draft / "catalogue.parquet")


def read_vocabs(manifest: Manifest) -> Vocabs:
    """Read the vocabularies of a folder.

    Raises:
        FormatError: one of them is no Parquet file, whatever its checksum says.
    """
    try:
        frames = [pl.read_parquet(manifest.path(f"{name}.parquet")) for name in VOCABS]
    except pl.exceptions.PolarsError as error:
        raise FormatError(
            f"the model in {manifest.folder} has a vocabulary that is no Parquet file ({error}); "
            f"save it again."
        ) from None
    return Vocabs(*(Vocab.from_frame(frame) for frame in frames))


def read_histories(manifest: Manifest) -> Histories:
    """Read the events of a folder."""
    arrays = load_arrays(manifest.path("histories.safetensors"))
    return Histories(**{name: arrays.get(name) for name in _COLUMNS})  # type: ignore[arg-type]  # the first three are always there


def read_catalogue(manifest: Manifest) -> Catalogue | None:
    """Read the catalogue of a folder, if it has one."""
    if "catalogue.parquet" not in manifest:
        return None
    return Catalogue.read(manifest.path("catalogue.parquet"))


def read_profiles(manifest: Manifest, facts: Sequence[dict[str, Any]]) -> Profiles | None:
    """Read the profiles of users; None where the folder keeps none."""
    codes = read_profile_codes(manifest)
    return None if codes is None else Profiles.restored(facts, codes)


def read_profile_codes(manifest: Manifest) -> pl.DataFrame | None:
    """Read what `write_profile_codes` wrote; None where it wrote nothing."""
    there = PROFILES_FILE in manifest
    return pl.read_parquet(manifest.path(PROFILES_FILE)) if there else None


def read_adaptor(manifest: Manifest) -> Adaptor | None:
    """Read what makes vectors of items' content; None where the model knows none.

    Raises:
        FormatError: it is not what this version writes.
    """
    if "content.json" not in manifest:
        return None
    try:
        facts = json.loads(manifest.path("content.json").read_text(encoding="utf-8"))
        ids = pl.read_parquet(manifest.path("content.parquet"))["id"]
        return Adaptor.restored(facts, load_arrays(manifest.path("content.safetensors")), ids)
    except (KeyError, ValueError, RuntimeError, SafetensorError, pl.exceptions.PolarsError) as why:
        raise FormatError(
            f"the model in {manifest.folder} has content that this version cannot read "
            f"({str(why).splitlines()[-1].strip()}); fit it again."
        ) from None


def _arrays(histories: Histories) -> dict[str, npt.NDArray[np.generic]]:
    arrays = {name: getattr(histories, name) for name in _COLUMNS}
    return {name: np.ascontiguousarray(a) for name, a in arrays.items() if a is not None}
