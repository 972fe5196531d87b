"""The best k: the cases that a property does not reach."""

import numpy as np
import pytest

from recency.errors import ConfigError, DataError
from recency.ranking.topk import top_k


def test_ties_go_to_the_smaller_row_and_short_lists_end_in_minus_one() -> None:
    scores = np.array([[1, 3, 3, 2], [-np.inf, 0, -np.inf, -np.inf]], np.float32)
    items, values = top_k(scores, 3)
    assert items.tolist() == [[1, 2, 3], [1, -1, -1]]
    assert values.tolist() == [[3, 3, 2], [0, -np.inf, -np.inf]]
    assert top_k(scores, 9)[0].shape == (2, 9)


def test_infinite_scores_no_rows_and_no_items() -> None:
    items, _ = top_k(np.array([[np.inf, 1, np.inf]], np.float32), 2)
    assert items.tolist() == [[0, 2]]
    assert top_k(np.empty((0, 5), np.float32), 2)[0].shape == (0, 2)
    assert top_k(np.empty((2, 0), np.float32), 2)[0].tolist() == [[-1, -1]] * 2


@pytest.mark.parametrize("place", [0, 77, 999])
def test_nan_is_refused_wherever_it_stands(place: int) -> None:
    scores = np.zeros((2, 1_000), np.float32)
    scores[1, place] = np.nan
    with pytest.raises(DataError, match=r"^1 rows of scores hold NaN\.$"):
        top_k(scores, 3)


def test_a_list_has_at_least_one_place() -> None:
    with pytest.raises(ConfigError, match=r"expected k of at least 1, found 0"):
        top_k(np.zeros((1, 1), np.float32), 0)
