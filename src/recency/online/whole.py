"""Whole rounds: everything learns what is new, with older events against forgetting, on trial.

A lesson ends before the newest targets. With it they have to be foreseen no worse than without, in
nats, else the weights are put back: what was fitted on weeks is easily spoilt by an hour.
"""

from dataclasses import replace

from recency.data.histories import Histories
from recency.data.newest import newest_begins, newest_of
from recency.errors import DataError
from recency.nn.model import SequenceModel
from recency.nn.scored_items import take
from recency.online.config import FEWEST, LearnConfig
from recency.online.quick import nats_of
from recency.online.slate import slate_of
from recency.recommender import SequenceRecommender
from recency.training.checkpoints import weights_of
from recency.training.continuing import learn_on


def n_known(model: SequenceModel, histories: Histories) -> int:
    """Count the items that weights have or may have: not those whose events are still delayed."""
    return max(model.n_items, int(histories.items.max(initial=-1)) + 1)


def learn_on_trial(
    one: SequenceRecommender, histories: Histories, since: int, config: LearnConfig, seed: int
) -> tuple[int | None, bool]:
    """Let all weights learn what came since an instant, and put them back where that harms.

    Args:
        one: Changed in place, or as it was.
        histories: What may be learned from.
        since: What came before was learned already, microseconds.
        config: How to learn, and what share of it is held back.
        seed: Of draws.

    Returns:
        Where what was held back begins, None if nothing was; and whether the lesson was kept.
    """
    if not config.held or not (histories.times >= since).any():
        learn_whole(one, histories, since, config, seed)
        return None, True
    model, length = one.live.model, one.training.max_len
    cut = newest_begins(histories.times, config.held, since)
    before, held = weights_of(model), slate_of(model, histories, cut, length, config)
    nats = nats_of(model, held)
    learn_whole(one, histories.before(cut), since, config, seed)
    if len(held) < FEWEST:  # too few to tell
        return cut, True
    if nats_of(model, slate_of(model, histories, cut, length, config, like=held)) <= nats:
        return cut, True
    take(model, before)
    return cut, False


def learn_whole(
    one: SequenceRecommender, histories: Histories, since: int, config: LearnConfig, seed: int
) -> None:
    """Let all weights learn what came since an instant and as many older events, drawn."""
    model, newest = one.live.model, newest_of(histories, config.recent)
    n_new = int((newest.times >= since).sum())
    try:
        with one.learning_on(n_known(model, newest)):
            one.training_result = learn_on(
                model,
                newest,
                since,
                replace(one.training, warmup=0.0),
                epochs=config.whole_epochs,
                seed=seed,
                replayed=round(config.replayed * n_new),
                calm=config.calm,
            )
    except DataError:  # nothing of it had an earlier event of its own user
        return  # the model has grown all the same
