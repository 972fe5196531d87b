"""Let a library in an environment of its own answer our evaluation's questions, through files.

A `Peer` answers the protocol of `recency.evaluation`, so a peer's rows come from the same
evaluator, the same questions and the same tests as ours. Training events and histories go out as
Parquet, scores come back as one array; the peer never sees a target. Where a user has no history
that a peer could read, the question is answered by plain popularity.
"""

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl

from recency.data.log import Log
from recency.evaluation.protocol import Answer, Questions, block_length

HERE = Path(__file__).parent
ENVIRONMENTS = HERE.parent.parent / ".venvs"

SASREC = {
    "n_blocks": 2,
    "n_heads": 2,
    "n_factors": 64,
    "session_max_len": 100,
    "batch_size": 32,
    "loss": "softmax",
    "dropout_rate": 0.2,
}
# Chosen for each log on the last tenth of its training time; other logs get those of ml-100k.
SASREC_OF = {"ml-100k": {"lr": 0.003, "epochs": 10}, "deskdrop": {"lr": 0.002, "epochs": 12}}


class Peer:
    """Run a peer's script in its environment: fit once, answer as often as asked.

    Args:
        name: What to call it in tables.
        environment: Folder under ``.venvs`` with the peer installed.
        script: File in this folder that speaks the protocol of ``sasrec_rectools.py``.
        settings: The peer's own settings, as JSON; ``session_max_len`` is read here too.
        seed: Given to the peer.
        threads: Of the peer's process.
    """

    def __init__(
        self,
        name: str,
        environment: str,
        script: str,
        settings: dict[str, Any],
        *,
        seed: int = 0,
        threads: int = 1,
    ) -> None:
        self.name = name
        self.request_time = "unknown"
        self.settings = settings | {"seed": seed}
        self.about: dict[str, Any] = {}
        self._python = ENVIRONMENTS / environment / "bin" / "python"
        self._script = HERE / script
        self._folder = tempfile.TemporaryDirectory(prefix="recency-peer-")
        self._process: subprocess.Popen[str] | None = None
        self._n_asked = 0
        self._surroundings = os.environ | {"OMP_NUM_THREADS": str(threads)}

    @property
    def is_installed(self) -> bool:
        """Tell whether the peer's environment is there."""
        return self._python.exists()

    def fit(self, log: Log) -> Self:
        """Send the training events and wait until the peer has learned."""
        folder = Path(self._folder.name)
        log.events.select("user_id", "item_id").write_parquet(folder / "train.parquet")
        self._popular = log.events["item_id"].value_counts()
        self._process = subprocess.Popen(
            [str(self._python), str(self._script), str(folder), json.dumps(self.settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=self._surroundings,
        )
        self._hear()
        return self

    def answer(self, questions: Questions) -> Iterator[Answer]:
        """Ask every different history once, then give each question the scores of its history."""
        empty = questions.stop <= questions.start
        states, which = np.unique(questions.stop, return_inverse=True)
        scores = self._ask(self._histories(questions, states), questions.items.ids)
        popular = self._popularity(questions)
        size = block_length(len(questions.items))
        for start in range(0, len(questions), size):
            index = np.arange(start, min(start + size, len(questions)))
            block = scores[which[index]]
            block[empty[index]] = popular
            yield index, block

    def close(self) -> None:
        """End the peer's process and remove the files."""
        if self._process is not None:
            self._process.communicate()
        self._folder.cleanup()

    def _histories(self, questions: Questions, stops: np.ndarray) -> pl.Series:
        """Give, for each stop, the item ids of the newest events before it, oldest first."""
        histories, length = questions.histories, self.settings["session_max_len"]
        owner = np.searchsorted(histories.offsets, stops, side="left") - 1
        starts = np.maximum(histories.offsets[np.maximum(owner, 0)], stops - length)
        ids = questions.items.ids
        lists = [
            ids.gather(histories.items[a:b].astype(np.int64))
            for a, b in zip(starts, stops, strict=True)
        ]
        return pl.Series("history", lists, dtype=pl.List(ids.dtype))

    def _ask(self, histories: pl.Series, items: pl.Series) -> np.ndarray:
        folder, number = Path(self._folder.name), self._n_asked
        self._n_asked += 1
        histories.to_frame().write_parquet(folder / f"questions-{number}.parquet")
        items.to_frame("id").write_parquet(folder / f"items-{number}.parquet")
        if self._process is None or self._process.stdin is None:
            raise RuntimeError(f"{self.name} was asked before it was fitted; call fit first.")
        print(number, file=self._process.stdin, flush=True)
        self._hear()
        answer: np.ndarray = np.load(folder / f"scores-{number}.npy", mmap_mode="r")
        return answer

    def _popularity(self, questions: Questions) -> np.ndarray:
        rows = questions.items.rows(self._popular["item_id"])
        scores = np.full(len(questions.items), -np.inf, dtype=np.float32)
        scores[rows[rows >= 0]] = self._popular["count"].to_numpy()[rows >= 0]
        return scores

    def _hear(self) -> None:
        if self._process is None or self._process.stdout is None:
            raise RuntimeError(f"{self.name} is not running; call fit first.")
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} ended early; its messages stand above.")
        self.about |= json.loads(line)


def sasrec(data: str, seed: int = 0, threads: int = 1) -> Peer:
    """Give RecTools' SASRec with the settings that were chosen for a log."""
    return Peer(
        "sasrec (RecTools 0.19)",
        "rectools",
        "sasrec_rectools.py",
        SASREC | SASREC_OF.get(data, SASREC_OF["ml-100k"]),
        seed=seed,
        threads=threads,
    )
