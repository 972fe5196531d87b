"""Simple recommenders that a model has to beat; each answers the protocol of `recency.evaluation`.

All learn from the log that they are given and nothing else, and answer a question from the events
before it.
"""

from recency.baselines.categories import CategoryPopularity
from recency.baselines.factors import MatrixFactorisation
from recency.baselines.markov import Markov
from recency.baselines.neighbours import ItemNeighbours
from recency.baselines.popularity import DecayedPopularity, LivePopularity, Popularity
from recency.baselines.recent import RecentItems
from recency.evaluation.protocol import Recommender

__all__ = [
    "CategoryPopularity",
    "DecayedPopularity",
    "ItemNeighbours",
    "LivePopularity",
    "Markov",
    "MatrixFactorisation",
    "Popularity",
    "RecentItems",
    "default_baselines",
]


def default_baselines(repeats: bool = True) -> list[Recommender]:
    """Make the baselines that are shown beside every model.

    Args:
        repeats: Whether items of the history will be candidates; settings are chosen for it.
    """
    return [
        Popularity(),
        DecayedPopularity(repeats=repeats),
        LivePopularity(repeats=repeats),
        RecentItems(),
        Markov(),
        ItemNeighbours(repeats=repeats),
    ]
