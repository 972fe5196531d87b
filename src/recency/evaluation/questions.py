"""From a test log to questions: one an event, each with the past that it may be answered from."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from recency.data.histories import Histories
from recency.data.log import Log
from recency.data.vocab import Id, Vocab
from recency.errors import ConfigError, DataError
from recency.evaluation.protocol import Ints, Questions, World
from recency.evaluation.settings import History


def questions_of(test: Log, history: History, listed: Sequence[Id] = ()) -> Questions:
    """Ask one question for each event of a test log, in the log's order.

    Rolling, an event is asked about at its own instant, from everything strictly before it. Frozen,
    all are asked about at the cut, from what came before the cut; where the split has no single
    cut, at the event's instant, from the events of training.

    Args:
        test: With ``test.past``, as `Log.split_at` gives it.
        history: Whether test events may be read.
        listed: Items that may be asked about beside those of the events.

    Raises:
        ConfigError: the test log does not know its past, or holds no event.
        DataError: ids of test and past differ in type.
    """
    train = past_of(test)
    users = Vocab.from_ids(train.events["user_id"])
    users.extend(test.events["user_id"])
    items = Vocab.from_ids(train.events["item_id"])
    items.extend(test.events["item_id"])
    items.extend([items.coerce(one) for one in listed])
    whole = Log.from_frame(pl.concat([train.events, test.events], how="diagonal"))
    types = None
    if whole.has("event_type"):
        types = Vocab.from_ids(whole.events["event_type"].drop_nulls())
    histories = Histories.build(whole, users, items, types)
    world = World(
        whole.times, items.rows(whole.events["item_id"]), users.rows(whole.events["user_id"])
    )
    user = users.rows(test.events["user_id"])
    at = test.times
    stop = histories.stops_before(user, at)
    world_stop = np.searchsorted(world.times, at)
    if history == "frozen":
        learned = np.bincount(users.rows(train.events["user_id"]), minlength=len(users))
        stop = np.minimum(stop, histories.offsets[user] + learned[user])
        if train.end <= test.start:
            at = np.full(len(user), test.start)
        world_stop = np.minimum(world_stop, np.searchsorted(world.times, at))
    return Questions(
        users, items, train.n_items, histories, world, user, at, stop, world_stop, types
    )


def past_of(test: Log) -> Log:
    """Give what came before a test log, checked.

    Raises:
        ConfigError: the test log does not know its past, or one of both holds no event.
        DataError: ids of test and past differ in type.
    """
    train = test.past
    if train is None:
        raise ConfigError(
            "the test log does not know what came before it (its past is None); "
            "take it from log.split_at(cut) or log.since(cut)."
        )
    for name, log in (("test log", test), ("past of the test log", train)):
        if not len(log):
            raise ConfigError(f"expected events in the {name}, found none; cut elsewhere.")
    for name in ("user_id", "item_id"):
        if train.events[name].dtype != test.events[name].dtype:
            raise DataError(
                f"expected {name} of one type before and after the cut, found "
                f"{train.events[name].dtype} and {test.events[name].dtype}; read both alike."
            )
    return train


def is_repeat(questions: Questions, items: Ints) -> npt.NDArray[np.bool_]:
    """Tell whether an item occurs in a question's history.

    Args:
        questions: n questions.
        items: [n] one item row for each.

    Returns:
        [n] flags.
    """
    histories, n_items = questions.histories, len(questions.items)
    pairs, first = np.unique(
        histories.user_of * n_items + histories.items.astype(np.int64), return_index=True
    )
    asked = questions.user * n_items + items
    place = np.minimum(np.searchsorted(pairs, asked), max(len(pairs) - 1, 0))
    found: npt.NDArray[np.bool_] = (pairs[place] == asked) & (first[place] < questions.stop)
    return found
