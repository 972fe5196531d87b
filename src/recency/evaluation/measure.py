"""From ranks and lists to columns of numbers, one value a unit, and the numbers of whole tables."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from recency.data.catalogue import Catalogue
from recency.evaluation.exam import Exam
from recency.evaluation.judge import Judged
from recency.ranking.lists import coverage, diversity, novelty, popularity_percentile
from recency.ranking.metrics import accuracy_metrics
from recency.ranking.ranks import Floats

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


@dataclass(frozen=True)
class Measured:
    """Hold one recommender's metrics.

    Attributes:
        units: Metric name, such as ``"ndcg@10"``, to [n_units] values.
        whole: Metric name to one value: those that no unit has alone, such as coverage.
    """

    units: dict[str, Floats]
    whole: dict[str, float]


def measure(judged: Judged, exam: Exam, vectors: "csr_matrix") -> Measured:
    """Compute all metrics at all cut-offs.

    Args:
        judged: A recommender's ranks and lists.
        exam: What was asked.
        vectors: [n_items, n_features] of `item_vectors`, for the diversity of lists.
    """
    units: dict[str, Floats] = {}
    whole: dict[str, float] = {}
    question = exam.targets.question[exam.targets.first_of_unit]
    for k in exam.settings.ks:
        lists = judged.lists[:, :k]
        units |= accuracy_metrics(judged.ranks, k)
        units[f"novelty@{k}"] = novelty(lists, exam.train_counts)[question]
        units[f"diversity@{k}"] = diversity(lists, vectors)[question]
        units[f"popularity@{k}"] = popularity_percentile(lists, exam.train_counts)[question]
        whole[f"coverage@{k}"] = coverage(lists, exam.counts.n_items)
    return Measured(units, whole)


def item_vectors(exam: Exam, catalogue: Catalogue | None) -> "csr_matrix":
    """Describe items for the diversity of lists: by categories if there are any, else by users.

    Returns:
        [n_items, n_features], 1 where an item is in a category, or a training user has the item.
    """
    from scipy import sparse

    items = exam.questions.items
    if catalogue is not None and catalogue.categories:
        columns = [catalogue.in_categories(items, [one]) for one in catalogue.categories]
        return sparse.csr_matrix(np.stack(columns, axis=1).astype(np.float32))
    rows = items.rows(exam.train.events["item_id"])
    users = exam.questions.users.rows(exam.train.events["user_id"])
    ones = np.ones(len(rows), np.float32)
    shape = (len(items), len(exam.questions.users))
    vectors = sparse.csr_matrix((ones, (rows, users)), shape)
    vectors.data[:] = 1.0  # a second event of the same user adds nothing
    return vectors
