"""Erased files: a model's folder rewritten without what was erased.

Only the vocabulary of users, their profiles and the histories name anybody, or tell what somebody
is or did; these are written anew, all other parts are linked. Weights and rows stay, so the version
keeps its name.
"""

import os
import shutil
from pathlib import Path

import numpy as np
import polars as pl

from recency.data.histories import Histories
from recency.model_folder import (
    VOCABS,
    read_histories,
    read_profile_codes,
    read_vocabs,
    write_parts,
    write_profile_codes,
)
from recency.serving.log.identities import Identities
from recency.storage import Manifest, read_manifest, written_folder


def erase_from_model(folder: Path, who: Identities) -> int:
    """Take all erased users out of a model's folder, in one piece.

    Args:
        folder: Of one model or of an ensemble.
        who: Knows who was erased.

    Returns:
        How many were in it.

    Raises:
        FormatError: it holds no model, or a damaged one.
        OSError: it cannot be written.
    """
    if not who.tombstones:
        return 0
    manifest = read_manifest(folder)
    vocabs = read_vocabs(manifest)
    users = vocabs.users
    gone = [users.row(one) for one in who.erased_among(users.ids.to_list())]
    codes = read_profile_codes(manifest)
    told = [] if codes is None else who.erased_among(codes["user_id"].to_list())
    if not (gone or told):
        return 0
    for row in gone:
        users.retire(row)
    with written_folder(folder, manifest.content) as draft:
        ids = [getattr(vocabs, name).ids for name in VOCABS]
        write_parts(draft, ids, _without(manifest, gone), None)
        if codes is not None:
            write_profile_codes(draft, codes.filter(~pl.col("user_id").is_in(list(told))))
        for name in manifest.files:
            if not (draft / name).exists():
                _link(manifest.path(name), draft / name)
    return max(len(gone), len(told))


def _without(manifest: Manifest, users: list[int]) -> Histories:
    histories = read_histories(manifest)
    stops = histories.offsets[1:].copy()
    known = np.array([row for row in users if row < histories.n_users], np.int64)
    stops[known] = histories.offsets[known]
    return histories.cut(stops)


def _link(source: Path, target: Path) -> None:
    """Have a file under a second name; copy it where the file system knows no links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
