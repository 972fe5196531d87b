"""How a live model answers the questions of an evaluation: from the same weights, states and rules
as in service, but with every question's own past.

Each history is read once, whatever the number of questions; scores are given block by block.
"""

from collections.abc import Iterator

import numpy as np
import torch

from recency.data.counts import DecayedCounts
from recency.data.histories import Histories, Ints
from recency.evaluation.protocol import Answer, Questions, block_length
from recency.live import LiveModel, remapped
from recency.states import outputs_at


def answers(live: LiveModel, questions: Questions) -> Iterator[Answer]:
    """Answer every question once.

    Args:
        live: Fitted; its own events are not used, only its weights and vocabularies.
        questions: Carry histories and world of their own.

    Yields:
        Questions answered and their scores over ``questions.items``; -inf for items without
        weights. Questions with an empty history get what is popular in their world by then.
    """
    block = block_length(len(questions.items))
    empty = questions.stop <= questions.histories.offsets[questions.user]
    yield from _of_histories(live, questions, np.flatnonzero(~empty), block)
    yield from _of_strangers(live, questions, np.flatnonzero(empty), block)


def _of_histories(
    live: LiveModel, questions: Questions, asked: Ints, block: int
) -> Iterator[Answer]:
    if not len(asked):
        return
    model, histories = live.model, _own_rows(live, questions)
    stops = questions.stop[asked]
    outputs = outputs_at(model, histories, questions.user[asked], stops)
    rows = live.vocabs.items.rows(questions.items.ids)
    trained = (rows >= 0) & (rows < model.n_items)
    same = np.array_equal(rows[trained], np.arange(model.n_items))  # columns need no shuffling
    for start in range(0, len(asked), block):
        part = slice(start, start + block)
        last = torch.from_numpy(histories.times[stops[part] - 1]).to(outputs.device)
        at = torch.from_numpy(questions.at[asked[part]]).to(outputs.device)
        with torch.no_grad():
            found = model.scores(model.ask(outputs[part], last, at)).cpu().numpy()
        if same and trained.all():
            yield asked[part], found
            continue
        scores = np.full((len(found), len(rows)), -np.inf, dtype=np.float32)
        scores[:, trained] = found if same else found[:, rows[trained]]
        yield asked[part], scores


def _of_strangers(
    live: LiveModel, questions: Questions, asked: Ints, block: int
) -> Iterator[Answer]:
    """Answer with decayed counts of the world, read forward once."""
    counts = DecayedCounts(live.popularity.half_life, len(questions.items))
    asked = asked[np.argsort(questions.world_stop[asked], kind="stable")]
    done = 0
    for start in range(0, len(asked), block):
        part = asked[start : start + block]
        scores = np.empty((len(part), len(questions.items)), dtype=np.float32)
        for row, question in enumerate(part.tolist()):
            stop = int(questions.world_stop[question])
            if stop > done:
                world = slice(done, stop)
                counts.add(questions.world.items[world], questions.world.times[world])
                done = stop
            scores[row] = counts.log_counts(int(questions.at[question]), len(questions.items))
        yield part, scores


def _own_rows(live: LiveModel, questions: Questions) -> Histories:
    """Translate the questions' histories into the rows of the model's vocabularies."""
    types = None
    if questions.types is not None:
        types = live.vocabs.types.rows(questions.types.ids)
    return remapped(questions.histories, live.vocabs.items.rows(questions.items.ids), types)
