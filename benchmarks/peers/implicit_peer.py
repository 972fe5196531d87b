"""Implicit's ALS and BM25 item neighbours behind `exchange`. Runs in RecTools' environment.

Settings: ``kind`` (``als`` or ``bm25``), ``seed``, ``max_len`` (newest events of a history that are
looked at, None for all), and the arguments of the model itself; ``alpha`` is the weight of an event
in ALS. Both answer by their own ``recommend`` for the whole catalogue, from the history as a sparse
row of counts: users unknown to training are answered as well.
"""

import importlib.metadata
import warnings
from typing import Any

import numpy as np
from implicit.als import AlternatingLeastSquares
from implicit.nearest_neighbours import BM25Recommender
from scipy.sparse import csr_matrix

from benchmarks.peers.exchange import Asked, Ints, Lesson, Scores, serve

NOT_THEIRS = ("kind", "seed", "max_len", "epochs", "alpha")
BLOCK = 1024  # questions scored at once


class Implicit:
    """Teach one of implicit's models, and score with it."""

    def __init__(self, lesson: Lesson, settings: dict[str, Any]) -> None:
        warnings.filterwarnings("ignore")
        theirs = {name: value for name, value in settings.items() if name not in NOT_THEIRS}
        self._n_items = int(lesson.n_items)
        self._is_als, self._alpha = settings["kind"] == "als", settings.get("alpha", 1.0)
        self._counts = self._matrix(lesson.users, lesson.items, int(lesson.users.max()) + 1)
        self._model = (
            AlternatingLeastSquares(
                **theirs,
                iterations=settings["epochs"],
                random_state=settings["seed"],
                num_threads=1,
                use_gpu=False,
            )
            if self._is_als
            else BM25Recommender(**theirs, num_threads=1)
        )

    def train(self, epochs: int, seconds: float | None) -> int:
        """Learn all at once: neither can go on where it stopped."""
        self._model.fit(self._counts, show_progress=False)
        return epochs

    def scores(self, asked: Asked) -> Scores:
        """Score by ``recommend`` for as many items as there are.

        BM25 gives none to an item that is no neighbour of the history; it stays at -inf.
        """
        answer = np.full((len(asked), self._n_items), -np.inf, dtype=np.float32)
        for start in range(0, len(asked), BLOCK):
            part = asked.part(start, min(start + BLOCK, len(asked)))
            owner = np.repeat(np.arange(len(part)), np.diff(part.offsets))
            rows = self._matrix(owner, part.items, len(part))
            ids, scores = self._model.recommend(
                np.arange(len(part)),
                rows,
                N=self._n_items,
                filter_already_liked_items=False,
                recalculate_user=True,
            )
            question, place = np.nonzero(ids >= 0)
            answer[start + question, ids[question, place]] = scores[question, place]
        return answer

    def _matrix(self, rows: Ints, items: Ints, n_rows: int) -> csr_matrix:
        weight = np.full(len(rows), self._alpha, dtype=np.float32)
        return csr_matrix((weight, (rows, items)), shape=(n_rows, self._n_items))

    def about(self) -> dict[str, Any]:
        """Say which version ran."""
        return {"version": importlib.metadata.version("pm-implicit")}


if __name__ == "__main__":
    serve(Implicit)
