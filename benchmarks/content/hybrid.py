"""The hybrid beside its parts: MiniLM's item vectors -> Tide or LSTM -> attention -> scores.

    python -m benchmarks.content.hybrid DATA/amazon-instruments DATA/online-retail DATA/ml-latest-2k

All models read the same item vectors (ids and content) and learn with the same settings and seeds;
experts are off, so that encoders are compared and nothing else. ``gain_over_best_part`` sets a
hybrid against the better of its memory alone and its attention alone, targets averaged over seeds,
users resampled in pairs.
"""

from collections.abc import Callable
from pathlib import Path

import recency as rc
from benchmarks.content.logs import Described
from benchmarks.content.trials import Contest, compete, recommender
from recency.training.config import TrainingStep

DIM, WINDOW = 64, 50
ENCODERS: dict[str, Callable[[], rc.Tide | rc.LSTM | rc.Transformer | rc.Hybrid]] = {
    "tide": lambda: rc.Tide(DIM),
    "lstm": lambda: rc.LSTM(DIM),
    "transformer, 1 block": lambda: rc.Transformer(DIM, blocks=1, window=WINDOW),
    "hybrid of tide": lambda: rc.Hybrid(DIM, memory="tide", window=WINDOW),
    "hybrid of lstm": lambda: rc.Hybrid(DIM, memory="lstm", window=WINDOW),
}
AGAINST = {f"hybrid of {memory}": (memory, "transformer, 1 block") for memory in ("tide", "lstm")}


def fit(
    log: Described, name: str, seed: int, store: Path, tell: Callable[[TrainingStep], None]
) -> rc.SequenceRecommender:
    """Fit one encoder, with content."""
    vectors = rc.ItemVectors.of_texts(log.items, rc.TextEncoder(), cache=store / "vectors")
    model = recommender(log, ENCODERS[name](), seed)
    return model.fit(log.train, log.items, tell, content=rc.Content([vectors]))


if __name__ == "__main__":
    compete(
        Contest(
            module="benchmarks.content.hybrid",
            protocol="hybrid",
            names=tuple(ENCODERS),
            fit=fit,
            against=AGAINST,
            gain="gain_over_best_part",
        ),
        __doc__,
    )
