"""Snapshots: what a live model knows beyond its model folder, at one place of the event log.

    FOLDER/serve/snapshots/
      3f2a9c01b4d7-000000104500/     model version, and the place in the log (seq)
        manifest.json                as of a model folder: names the files, with their checksums
        users-….parquet  items-….parquet  types-….parquet  catalogue-….parquet
        histories-….safetensors      all events, as flat arrays
        states-0-….safetensors       one a model: users, events seen, states
        counts-0-….safetensors       one a model: what is popular
        memories-0-….safetensors     the experts' counts

A start restores the newest snapshot and applies the log from its place on; the log stays the truth.
So a snapshot that is torn, damaged, of other weights or of another model folder is passed over,
with a warning, for the one before it, and at last for the model folder and the whole log.
"""

import logging
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from recency.errors import FormatError
from recency.serving.questions import LiveRecommender
from recency.serving.snapshots.knowledge import (
    Sorted,
    fold,
    freeze,
    put_back,
    read_known,
    write_known,
)
from recency.serving.snapshots.state_file import Run, StateFile
from recency.storage import Manifest, read_manifest, sync, written_folder

logger = logging.getLogger(__name__)
FORMAT = 1
_NAME = re.compile(r"(?P<version>.+)-(?P<seq>[0-9]{12})")


@dataclass(frozen=True)
class Origin:
    """Tell what a snapshot is an addition to: an event log, weights, and what their folder knows.

    Attributes:
        log_id: Names the log.
        model_version: Names the weights.
        cut: End of the events that weights learned from, microseconds.
        newest: The latest instant of any event that the folder holds.
        experts: Settings of the memories, one a model.
    """

    log_id: str
    model_version: str
    cut: int | None
    newest: int | None
    experts: tuple[dict[str, Any] | None, ...]

    @classmethod
    def of(cls, recommender: LiveRecommender, log_id: str) -> "Origin":
        """Describe a recommender as its folder was read, before anything else is shown to it."""
        lead, *_ = models = recommender.live.models
        configs = [
            None if one.model.experts is None else one.model.experts.config for one in models
        ]
        experts = tuple(
            None
            if one is None
            else {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(one).items()}
            for one in configs
        )
        newest = lead.timelines.newest
        return cls(log_id, recommender.model_version, recommender.cut, newest, experts)

    def to_dict(self) -> dict[str, Any]:
        """Give all as JSON."""
        return asdict(self) | {"experts": list(self.experts)}


@dataclass(frozen=True)
class Snapshot:
    """Name a snapshot whose files are whole.

    Attributes:
        manifest: Its files.
        seq: The last entry of the log that it holds.
    """

    manifest: Manifest
    seq: int


def read_newest(
    folder: str | Path, origin: Origin, *, last_seq: int | None = None
) -> Iterator[Snapshot]:
    """Find the valid snapshots of a model folder, the newest first.

    Args:
        folder: ``FOLDER/serve/snapshots``; may not exist.
        origin: Of the recommender they are for.
        last_seq: Newest entry of the event log; a snapshot beyond it is of another log.
    """
    for path, seq in _found(Path(folder), origin.model_version):
        try:
            manifest = read_manifest(path)
            _check_content(manifest, origin, seq, last_seq)
        except (FormatError, OSError) as fault:
            _pass_over(path, fault)
        else:
            yield Snapshot(manifest, seq)


def restore(
    folder: str | Path, recommender: LiveRecommender, origin: Origin, *, last_seq: int | None = None
) -> int:
    """Have a recommender know what its newest valid snapshot holds.

    Args:
        folder: ``FOLDER/serve/snapshots``; may not exist.
        recommender: As its model folder was read. Its vocabularies are replaced, so nobody may hold
            on to them yet.
        origin: Of the recommender.
        last_seq: As in `read_newest`.

    Returns:
        The last entry of the log that is in effect now: replay those after it. 0 where there is no
        valid snapshot; then the recommender is as it was.
    """
    for one in read_newest(folder, origin, last_seq=last_seq):
        try:
            kept = read_known(one.manifest, recommender)
        except (FormatError, OSError) as fault:
            _pass_over(one.manifest.folder, fault)
        else:
            put_back(recommender, kept)
            return one.seq
    return 0


def write(
    folder: str | Path,
    recommender: LiveRecommender,
    seq: Callable[[], int],
    origin: Origin,
    run: Run | None = None,
) -> Path:
    """Write a snapshot; its folder appears whole or not at all.

    Args:
        folder: ``FOLDER/serve/snapshots``; made where it does not exist.
        recommender: Go on using it.
        seq: Gives the last entry that the recommender has applied.
        origin: The recommender as its model folder was read.
        run: Runs a function in the thread that owns the recommender, and gives its result; None
            runs it here. Each takes a few milliseconds; all else is done in this thread.

    Returns:
        The snapshot's folder.
    """
    run = run or (lambda function: function())
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    draft = place / f".taking-{uuid4().hex[:8]}"
    content: dict[str, Any] = {"snapshot": FORMAT, "origin": origin.to_dict()}
    try:
        with written_folder(draft, content) as parts, ExitStack() as opened:
            files = []
            for n, one in enumerate(recommender.live.models):
                files.append(opened.enter_context(StateFile(parts / f"states-{n}.safetensors")))
                files[-1].copy(one.states, run)
            known = run(lambda: freeze(recommender, seq()))
            content["seq"] = known.seq
            found = Sorted.of(known)
            for file, void in zip(files, known.void, strict=True):
                file.finish(void, found.histories.lengths)
            run(lambda: fold(recommender, known, found))
            write_known(parts, known, found)
        target = place / f"{origin.model_version}-{known.seq:012d}"
        shutil.rmtree(target, ignore_errors=True)  # of the same place: no better
        draft.rename(target)
        sync(place)
        return target
    except BaseException:
        with suppress(Exception):  # nobody waits for what becomes void any more
            run(lambda: [one.states.forgotten() for one in recommender.live.models])
        raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def keep_newest(folder: str | Path, model_version: str, n: int) -> None:
    """Remove all but the newest snapshots of a model, and what a killed process left half done.

    Of all other versions one snapshot stays, the last one taken: of the version that may serve
    again.
    """
    place = Path(folder)
    own = [path for path, _ in _found(place, model_version)]
    named = [path for path in place.iterdir() if _NAME.fullmatch(path.name) and path not in own]
    others = sorted(named, key=lambda path: path.stat().st_mtime, reverse=True)
    for path in (*own[n:], *others[1:], *place.glob(".taking-*")):
        shutil.rmtree(path, ignore_errors=True)


def remove_before(folder: str | Path, seq: int) -> None:
    """Remove the snapshots of all models that end before a place of the log.

    An erased user is in them: the place is that of the erasure.
    """
    for path in list(Path(folder).glob("*")):
        named = _NAME.fullmatch(path.name)
        if named is not None and int(named["seq"]) < seq:
            shutil.rmtree(path, ignore_errors=True)


def _found(folder: Path, model_version: str) -> Iterator[tuple[Path, int]]:
    """List what looks like snapshots of a model, the newest first."""
    if not folder.is_dir():
        return
    named = [(path, _NAME.fullmatch(path.name)) for path in folder.iterdir()]
    of_model = [
        (path, int(name["seq"]))
        for path, name in named
        if name and name["version"] == model_version
    ]
    yield from sorted(of_model, key=lambda one: -one[1])


def _check_content(manifest: Manifest, origin: Origin, seq: int, last_seq: int | None) -> None:
    content = manifest.content
    if content.get("snapshot") != FORMAT:
        raise FormatError(
            f"expected a snapshot of format {FORMAT}, found {content.get('snapshot')!r}; "
            f"it was written by another version of Recency."
        )
    if content.get("origin") != origin.to_dict() or content.get("seq") != seq:
        raise FormatError("it was taken of another event log or model folder.")
    if last_seq is not None and seq > last_seq:
        raise FormatError(f"it holds the log up to {seq:,}, which ends at {last_seq:,} here.")


def _pass_over(path: Path, fault: Exception) -> None:
    logger.warning(
        "the snapshot %s is passed over: %s Older ones and the event log are used instead.",
        path.name, fault,
    )  # fmt: skip
