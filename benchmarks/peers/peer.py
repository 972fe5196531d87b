"""Let a library in an environment of its own answer our evaluation's questions, through files.

A `Peer` answers the protocol of `recency.evaluation`, so a peer's rows come from the same
evaluator, the same questions and the same tests as ours. Training events and histories go out as
arrays, scores come back block by block (`exchange`); the peer never sees a target. Where a history
holds nothing that the peer has learned, the question is answered by plain popularity.
"""

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np

from benchmarks.peers.exchange import Asked, Ints, Lesson, Scores
from recency.data.histories import ragged_positions
from recency.data.log import Log
from recency.data.vocab import Vocab
from recency.evaluation.protocol import Answer, Questions, block_length

ROOT = Path(__file__).parent.parent.parent
ENVIRONMENTS = ROOT / ".venvs"

SASREC = {"n_blocks": 2, "n_heads": 2, "n_factors": 64, "batch_size": 32, "loss": "softmax"}


@dataclass(frozen=True)
class Script:
    """Say where a peer is and how it is started.

    Attributes:
        environment: Folder under ``.venvs``.
        module: In this folder; speaks `exchange`.
        settings: What makes it the model that it is; a fit's own settings come on top.
        request_time: ``"known"`` where its scores depend on the instant of the question.
    """

    environment: str
    module: str
    settings: Mapping[str, Any]
    request_time: Literal["known", "unknown"] = "unknown"

    @property
    def python(self) -> Path:
        """Give the interpreter of the environment."""
        return ENVIRONMENTS / self.environment / "bin" / "python"


def _rectools(kind: str, **more: Any) -> Script:
    known: Literal["known", "unknown"] = "known" if kind == "hstu" else "unknown"
    return Script("rectools", "rectools_peer", SASREC | {"kind": kind} | more, known)


def _recbole(kind: str, **more: Any) -> Script:
    return Script("recbole", "recbole_peer", {"kind": kind, "train_batch_size": 512} | more)


PEERS = {
    "rectools/sasrec": _rectools("sasrec"),
    "rectools/bert4rec": _rectools("bert4rec"),
    # Its scores are cosines, which a softmax cannot part at a temperature of 1.
    "rectools/hstu": _rectools("hstu", logits_t=0.05),
    "recbole/gru4rec": _recbole("GRU4Rec"),
    "recbole/sasrec": _recbole("SASRec"),
    "recbole/narm": _recbole("NARM"),
    "implicit/als": Script("rectools", "implicit_peer", {"kind": "als"}),
    "implicit/bm25": Script("rectools", "implicit_peer", {"kind": "bm25"}),
}


class Peer:
    """Run a peer's script in its environment: fit once, answer as often as asked.

    Args:
        name: What to call it in tables.
        script: Which peer.
        settings: Of this fit: ``max_len`` (newest events of a history that it gets, None for all),
            ``epochs``, and the peer's own.
        seed: Given to the peer.
        threads: Of the peer's process.
        seconds: Most seconds of the processor for learning; None has no limit.
    """

    def __init__(
        self,
        name: str,
        script: Script,
        settings: Mapping[str, Any],
        *,
        seed: int = 0,
        threads: int = 1,
        seconds: float | None = None,
    ) -> None:
        self.name = name
        reads_time = settings.get("relative_time_attention", True)
        self.request_time = script.request_time if reads_time else "unknown"
        self.settings = {**script.settings, **settings, "seed": seed}
        self.about: dict[str, Any] = {}
        self._script, self._seconds = script, seconds
        self._folder = tempfile.TemporaryDirectory(prefix="recency-peer-")
        self._process: subprocess.Popen[str] | None = None
        self._items, self._popular = Vocab(), np.empty(0, np.float32)
        self._n_asked = 0
        self._surroundings = os.environ | surroundings(threads) | {"PYTHONPATH": str(ROOT)}

    @property
    def is_installed(self) -> bool:
        """Tell whether the peer's environment is there."""
        return self._script.python.exists()

    def fit(self, log: Log) -> Self:
        """Send the training events and wait until the peer has learned all its epochs."""
        self.start(log)
        self.train(self.settings.get("epochs", 1))
        return self

    def start(self, log: Log) -> None:
        """Send the training events and start the peer's process; it learns nothing yet."""
        self._items = Vocab.from_ids(log.events["item_id"])
        users = Vocab.from_ids(log.events["user_id"]).rows(log.events["user_id"])
        items = self._items.rows(log.events["item_id"])
        lesson = Lesson(users, items, log.times, np.array(len(self._items)))
        lesson.write(Path(self._folder.name) / "train.npz")
        self._popular = np.bincount(items, minlength=len(self._items)).astype(np.float32)
        module = f"benchmarks.peers.{self._script.module}"
        self._process = subprocess.Popen(
            [self._script.python, "-m", module, self._folder.name, json.dumps(self.settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=self._surroundings,
            cwd=self._folder.name,  # some write logs where they stand
        )

    def train(self, epochs: int) -> None:
        """Have the peer learn on until so many epochs are done in all, or its time is over."""
        left = None
        if self._seconds is not None:
            left = self._seconds - self.about.get("cpu_seconds", 0.0)
        if left is None or left > 0:
            self._say({"train": epochs, "seconds": left})

    def answer(self, questions: Questions) -> Iterator[Answer]:
        """Answer block by block; a peer's answers are read and removed one after the other."""
        asked = self._asked(questions)
        rows = questions.items.rows(self._items.ids)
        size = block_length(len(questions.items))
        for start in range(0, len(questions), size):
            index = np.arange(start, min(start + size, len(questions)))
            part = asked.part(start, start + len(index))
            block = np.full((len(index), len(questions.items)), -np.inf, dtype=np.float32)
            empty = np.diff(part.offsets) == 0
            scores = np.empty((len(index), len(self._items)), np.float32)
            if not empty.all():
                scores[~empty] = self._ask(_without_empty(part))
            scores[empty] = self._popular
            block[:, rows[rows >= 0]] = scores[:, rows >= 0]
            yield index, block

    def close(self) -> None:
        """End the peer's process and remove the files."""
        if self._process is not None:
            self._process.communicate()
        self._folder.cleanup()

    def _asked(self, questions: Questions) -> Asked:
        """Give, for each question, the newest events before it on items that the peer knows."""
        histories = questions.histories
        items = self._items.rows(questions.items.ids)[histories.items]
        known = np.flatnonzero(items >= 0)
        before = np.concatenate([[0], np.cumsum(items >= 0)])  # known events before each position
        starts, stops = before[questions.start], before[questions.stop]
        stops = np.maximum(starts, stops)
        if self.settings.get("max_len") is not None:
            starts = np.maximum(starts, stops - self.settings["max_len"])
        offsets = np.concatenate([[0], np.cumsum(stops - starts)])
        places = known[ragged_positions(starts, stops - starts)]
        return Asked(offsets, items[places], histories.times[places], questions.at)

    def _ask(self, asked: Asked) -> Scores:
        folder, number = Path(self._folder.name), self._n_asked
        self._n_asked += 1
        asked.write(folder / f"questions-{number}.npz")
        self._say({"ask": number})
        found: Scores = np.load(folder / f"scores-{number}.npy")
        (folder / f"questions-{number}.npz").unlink()
        (folder / f"scores-{number}.npy").unlink()
        return found

    def _say(self, wish: Mapping[str, Any]) -> None:
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            raise RuntimeError(f"{self.name} is not running; call fit first.")
        print(json.dumps(wish), file=process.stdin, flush=True)
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} ended early; its messages stand above.")
        self.about |= json.loads(line)


def surroundings(threads: int) -> dict[str, str]:
    """Give the environment variables that every process gets that learns here, peers' and ours.

    Without the last two, memory of the size of a batch's scores is given back to the system after
    every batch and fetched anew: that took two fifths of SASRec's time.
    """
    return {
        "OMP_NUM_THREADS": str(threads),
        "OMP_WAIT_POLICY": "PASSIVE",
        "OPENBLAS_NUM_THREADS": str(threads),
        "MALLOC_MMAP_THRESHOLD_": str(2**30),
        "MALLOC_TRIM_THRESHOLD_": str(2**31),
    }


def _without_empty(asked: Asked) -> Asked:
    lengths: Ints = np.diff(asked.offsets)
    offsets = np.concatenate([[0], np.cumsum(lengths[lengths > 0])])
    return Asked(offsets, asked.items, asked.times, asked.at[lengths > 0])
