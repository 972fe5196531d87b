"""Matrix factorisation: implicit ALS; a user is what the history of the question says."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any, Self

import numpy as np
from scipy.sparse import csr_matrix

from recency.data.histories import Ints, ragged_positions
from recency.data.log import Log
from recency.data.vocab import Vocab
from recency.errors import ConfigError, NotFittedError
from recency.evaluation.protocol import Answer, Questions, block_length


class MatrixFactorisation:
    """Rank items by the product of a user's and an item's factors.

    Factors are learned by alternating least squares on how often users took items (Hu, Koren and
    Volinsky, Collaborative filtering for implicit feedback datasets, ICDM 2008, Eqs. 3 and 4), by
    the library ``implicit``. A question is answered from its own history, by Eq. 4: users unknown
    to training are answered as well, and nothing after the question is used.

    Args:
        dim: Factors.
        alpha: Weight of each event.
        regularisation: Of all factors.
        epochs: Alternations.
        seed: Repeats a fit.

    Raises:
        ConfigError: ``implicit`` is not installed.
    """

    name = "matrix-factorisation"
    request_time = "unknown"

    def __init__(
        self,
        dim: int = 64,
        alpha: float = 1.0,
        regularisation: float = 0.1,
        epochs: int = 15,
        seed: int = 0,
    ) -> None:
        self.dim, self.alpha, self.regularisation = dim, alpha, regularisation
        self.epochs, self.seed = epochs, seed
        self.cut: int | None = None
        self._items = Vocab()
        self._model: Any = _als(self)

    def fit(self, log: Log) -> Self:
        """Learn factors of users and items."""
        self._items = Vocab.from_ids(log.events["item_id"])
        users = Vocab.from_ids(log.events["user_id"]).rows(log.events["user_id"])
        items = self._items.rows(log.events["item_id"])
        self._model = _als(self)
        with _one_blas_thread():
            self._model.fit(self._counts(users, items, int(users.max()) + 1), show_progress=False)
        self.cut = log.end
        return self

    def answer(self, questions: Questions) -> Iterator[Answer]:
        """Fold each question's history in and score all items of training."""
        if self.cut is None:
            raise NotFittedError(f"{self.name} has learned nothing yet; call fit(log) first.")
        columns = questions.items.rows(self._items.ids)
        asked = columns >= 0  # training may know items that nobody asks about
        rows_of = np.append(self._items.rows(questions.items.ids), -1)
        n_items = len(questions.items)
        step = block_length(n_items)
        for start in range(0, len(questions), step):
            index = np.arange(start, min(start + step, len(questions)))
            lengths = questions.stop[index] - questions.start[index]
            users = np.repeat(np.arange(len(index)), lengths)
            places = ragged_positions(questions.start[index], lengths)
            items = rows_of[questions.histories.items[places]]
            counts = self._counts(users[items >= 0], items[items >= 0], len(index))
            with _one_blas_thread():
                factors = self._model.recalculate_user(np.arange(len(index)), counts)
            scores = np.full((len(index), n_items), -np.inf, np.float32)
            scores[:, columns[asked]] = factors @ self._model.item_factors[asked].T
            yield index, scores

    def _counts(self, users: Ints, items: Ints, n_users: int) -> csr_matrix:
        ones = np.ones(len(users), np.float32)
        counts = csr_matrix((ones, (users, items)), shape=(n_users, len(self._items)))
        counts.sum_duplicates()
        return counts


def _als(settings: MatrixFactorisation) -> Any:
    try:
        from implicit.cpu.als import AlternatingLeastSquares
    except ImportError:
        raise ConfigError(
            "matrix factorisation needs the library implicit; "
            "install it with: pip install 'recency[factors]'"
        ) from None
    with _one_blas_thread():
        return AlternatingLeastSquares(
            factors=settings.dim,
            alpha=settings.alpha,
            regularization=settings.regularisation,
            iterations=settings.epochs,
            random_state=settings.seed,
            num_threads=1,
        )


def _one_blas_thread() -> AbstractContextManager[Any]:
    """Keep BLAS to one thread: ``implicit`` warns of more, as its many small products stall."""
    from threadpoolctl import (  # type: ignore[import-untyped]  # comes with implicit, no types
        threadpool_limits,
    )

    limits: AbstractContextManager[Any] = threadpool_limits(1, "blas")
    return limits
