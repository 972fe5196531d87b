"""How a live model answers the questions of an evaluation: from the same weights, states and rules
as in service, but with every question's own past.

Each history is read once, whatever the number of questions; scores are given block by block. Where
the model has experts, questions are answered in the order of time, and between them the events of
everybody are counted.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from recency.data.counts import DecayedCounts
from recency.data.histories import Histories, Ints
from recency.data.remapping import remapped
from recency.evaluation.protocol import Answer, Questions, block_length
from recency.live.live_model import LiveModel
from recency.live.people import segments_of, with_profiles
from recency.live.states import outputs_at
from recency.nn.experts import Experts
from recency.nn.life import Life
from recency.nn.voices import context_of, voices_of


def answers(live: LiveModel, questions: Questions, life: Life | None = None) -> Iterator[Answer]:
    """Answer every question once.

    Args:
        live: Fitted; its own events are not used, only its weights and vocabularies.
        questions: Carry histories and world of their own.
        life: Memories that earlier questions of the same world, none later than these, have moved;
            None counts the world from its start.

    Yields:
        Questions answered and their scores over ``questions.items``; -inf for items without
        weights. Questions with an empty history get what is popular in their world by then.
    """
    block = block_length(len(questions.items))
    empty = questions.stop <= questions.histories.offsets[questions.user]
    yield from _of_histories(live, questions, np.flatnonzero(~empty), block, life)
    yield from strangers_answered(live, questions, np.flatnonzero(empty))


def _of_histories(
    live: LiveModel, questions: Questions, asked: Ints, block: int, life: Life | None
) -> Iterator[Answer]:
    if not len(asked):
        return
    model, histories = live.model, _own_rows(live, questions)
    if model.experts is not None:
        asked = asked[questions.take(asked).in_time]
    stops = questions.stop[asked]
    outputs = outputs_at(model, histories, questions.user[asked], stops)
    rows = live.vocabs.items.rows(questions.items.ids)
    trained = (rows >= 0) & (rows < model.n_items)
    same = np.array_equal(rows[trained], np.arange(model.n_items))  # columns need no shuffling
    world = None if model.experts is None else _World(live, model.experts, questions, life)
    for start in range(0, len(asked), block):
        part = slice(start, start + block)
        last = torch.from_numpy(histories.times[stops[part] - 1]).to(outputs.device)
        at = torch.from_numpy(questions.at[asked[part]]).to(outputs.device)
        with torch.no_grad():
            queries = model.ask(outputs[part], last, at)
            found = model.scores(queries)
            if world is not None:
                found = torch.softmax(found.double(), dim=1)
        scores, columns = found.cpu().numpy(), np.flatnonzero(trained)
        if not (same and trained.all()):
            empty = -np.inf if world is None else 0.0
            wide = np.full((len(scores), len(rows)), empty, dtype=scores.dtype)
            wide[:, columns] = scores if same else scores[:, rows[columns]]
            scores = wide
        if world is not None:
            scores = world.mixed(queries, scores, asked[part])
        yield asked[part], scores


class _World:
    """Live through the world of the questions, and mix the experts into each answer.

    Items are the rows of the questions, so that those the model never saw have a voice too.
    """

    def __init__(
        self, live: LiveModel, experts: Experts, questions: Questions, life: Life | None
    ) -> None:
        self._experts, self._questions = experts, questions
        self._known = live.model.request_time == "known"
        self._stops = _known_stops(live, questions)
        self._life = life_of(questions, experts) if life is None else life

    def mixed(
        self, queries: Tensor, chances: npt.NDArray[np.float64], asked: Ints
    ) -> npt.NDArray[np.float32]:
        """Mix the encoder's chances [n, n_items] with what the experts know by each question."""
        questions = self._questions
        context = context_of(
            questions.histories,
            questions.start[asked],
            questions.stop[asked],
            questions.at[asked] if self._known else None,
        )
        voices = voices_of(self._experts, queries, context, questions.repeats)
        scores = np.empty(chances.shape, np.float32)
        for row, question in enumerate(asked.tolist()):
            memories = self._life.until(int(self._stops[question]))
            scores[row] = memories.mix(voices, row, chances[row])
        return scores


def life_of(questions: Questions, experts: Experts) -> Life:
    """Begin to live through the world of questions."""
    world = questions.world
    return Life(experts.config, world.users, world.items, world.times)


def strangers_answered(live: LiveModel, questions: Questions, asked: Ints) -> Iterator[Answer]:
    """Answer questions without a history by decayed counts of the world, read forward once.

    Args:
        live: Whose half-life counts.
        questions: All of them.
        asked: [m] positions of those to answer.
    """
    block = block_length(len(questions.items))
    counts = DecayedCounts(live.popularity.half_life, len(questions.items))
    segments = segments_of(live, questions)
    asked = asked[questions.take(asked).in_time]
    stops = _known_stops(live, questions)
    done = 0
    for start in range(0, len(asked), block):
        part = asked[start : start + block]
        scores = np.empty((len(part), len(questions.items)), dtype=np.float32)
        for row, question in enumerate(part.tolist()):
            stop = int(stops[question])
            if stop > done:
                world = slice(done, stop)
                counts.add(questions.world.items[world], questions.world.times[world])
                if segments is not None:
                    all_of = questions.world
                    segments.add(all_of.users[world], all_of.items[world], all_of.times[world])
                done = stop
            at, n_items = int(questions.at[question]), len(questions.items)
            if segments is None:
                scores[row] = counts.log_counts(at, n_items)
            else:
                scores[row] = segments.scores(questions.user[[question]], at, n_items)[0]
        yield part, scores


def _known_stops(live: LiveModel, questions: Questions) -> Ints:
    """Give how much of the world is known to each question; see `ExpertConfig.resolution`."""
    if live.model.experts is None:
        return questions.world_stop
    until = live.model.experts.config.known_until(questions.at)
    stops: Ints = np.minimum(questions.world_stop, np.searchsorted(questions.world.times, until))
    return stops


def _own_rows(live: LiveModel, questions: Questions) -> Histories:
    """Translate the questions' histories into the rows of the model's vocabularies."""
    types = None
    if questions.types is not None:
        types = live.vocabs.types.rows(questions.types.ids)
    found = remapped(questions.histories, live.vocabs.items.rows(questions.items.ids), types)
    return with_profiles(live, questions, found)
