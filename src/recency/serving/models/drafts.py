"""Drafts: folders of a registry that come whole and go at once.

A version is made in a draft and put in place by one rename; it goes by one rename too, into a draft
that is then removed. Nobody reads drafts, so a killed process leaves nothing that anybody sees.
"""

import json
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recency.serving.durable_files import copy_durably
from recency.storage import MANIFEST, Manifest, read_manifest, sync

_DRAFT = ".draft-"


def put_in_place(manifest: Manifest, entry: Mapping[str, Any], target: Path) -> None:
    """Copy a model to where nothing is yet: all of it or, with an error, nothing.

    Args:
        manifest: Of the model; only the files that it lists are copied.
        entry: What is written beside it as ``entry.json``.
        target: Its folder.
    """
    draft = _draft(target.parent)
    draft.mkdir()
    try:
        (draft / "entry.json").write_text(json.dumps(entry))
        sync(draft / "entry.json")
        files = [manifest.folder / file for file in manifest.files.values()]
        copy_durably([*files, manifest.folder / MANIFEST], draft)
        read_manifest(draft)  # what was copied is what was read
        draft.rename(target)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    sync(target.parent)


def remove(folder: Path) -> None:
    """Remove a version by one rename, so that nobody loads half of it."""
    grave = _draft(folder.parent)
    folder.rename(grave)
    shutil.rmtree(grave, ignore_errors=True)


def sweep(models: Path) -> None:
    """Remove what processes that died have left; only who has the turn may do so."""
    for draft in models.glob(f"{_DRAFT}*"):
        shutil.rmtree(draft, ignore_errors=True)


def _draft(models: Path) -> Path:
    return models / f"{_DRAFT}{uuid.uuid4().hex[:8]}"
