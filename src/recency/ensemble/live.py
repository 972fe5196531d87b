"""LiveEnsemble: members that answer while events arrive, and share what they know.

Models stand beside each other (`recency.live.live_model`): an event is taken in once and moves the
states of all. A baseline has no state but the history it is asked about; it is asked by the
protocol of evaluation, so that what is served is what was judged.
"""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from recency.asking.live_answers import Flags, Scored, Shortlisted
from recency.data.appearances import Appearances
from recency.data.histories import Histories, Ints
from recency.data.intake import EventRow, Vocabs
from recency.data.log import Log
from recency.data.timelines import Timelines
from recency.data.vocab import Id
from recency.ensemble.fusion import Fusion, Scores
from recency.ensemble.members import Baseline
from recency.evaluation.protocol import Questions, World
from recency.live.live_model import LiveModel
from recency.live.observed import Observed

Part = LiveModel | Baseline


class LiveEnsemble:
    """Answer questions about users from several live members, as `LiveModel` does from one.

    Args:
        parts: Live models that share what they know, and fitted baselines; a model is among them.
        fusion: Mixes their answers.
        n_fitted: Items that the baselines learned: the first rows of the vocabulary.
    """

    def __init__(self, parts: Sequence[Part], fusion: Fusion, n_fitted: int) -> None:
        self._parts, self._fusion, self._n_fitted = list(parts), fusion, n_fitted
        self._models = [one for one in parts if isinstance(one, LiveModel)]
        self._lead = self._models[0]

    @property
    def vocabs(self) -> Vocabs:
        """Give the vocabularies that all share."""
        return self._lead.vocabs

    @property
    def timelines(self) -> Timelines:
        """Give the timelines that all share."""
        return self._lead.timelines

    @property
    def now(self) -> int:
        """Give the instant just after the newest event known, in microseconds."""
        return self._lead.now

    @property
    def models(self) -> tuple[LiveModel, ...]:
        """Give the members with weights and states, which share what they know."""
        return self._lead.models

    @property
    def n_learned(self) -> int:
        """Count the items with weights: the first rows of the vocabulary."""
        return self._lead.n_learned

    def observe(self, source: Log | Sequence[EventRow]) -> Observed:
        """Take events in, once for all members; see `LiveModel.observe`."""
        return self._lead.observe(source)

    def merge_users(self, anonymous: Id, user: Id) -> None:
        """Give all events of one id to another; see `LiveModel.merge_users`."""
        self._lead.merge_users(anonymous, user)

    def erase_user(self, user: Id) -> None:
        """Know nothing of a user any more; see `LiveModel.erase_user`."""
        self._lead.erase_user(user)

    def scores(self, users: Ints, at: int, repeats: bool = True) -> Scored:
        """Score every item for users as of an instant; see `LiveModel.scores`.

        Users without an event before it are answered with what is popular, by the first model's
        half-life.
        """
        histories = self.seen(users, at)
        there = users[histories.lengths > 0]
        return self._scores(histories, at, lambda model: model.scores(there, at, repeats)[0])

    def shortlist(
        self,
        users: Ints,
        at: int,
        m: int,
        allowed: Flags | None = None,
        seen: Histories | None = None,
    ) -> Shortlisted | None:
        """Give None: an item may come first that no member ranks first, so all are scored."""
        return None

    def scores_after(self, histories: Histories, at: int, repeats: bool = True) -> Scored:
        """Score every item after histories of people without a name; see `scores`."""
        seen = histories.before(at)
        there = seen.select(np.flatnonzero(seen.lengths))
        return self._scores(seen, at, lambda model: model.scores_after(there, at, repeats)[0])

    def cosines(self, item: int) -> Scores:
        """Compare an item's vectors with all others': the mean over models, as weighed."""
        weights = self._of_models()
        found = np.stack([one.cosines(item)[0] for one in self._models])
        scores = np.full((1, found.shape[1]), -np.inf, np.float32)
        there = np.isfinite(found[0])
        scores[0, there] = weights @ found[:, there]
        return scores

    @property
    def appearances(self) -> Appearances:
        """Count how often each item was seen; see `LiveModel.appearances`."""
        return self._lead.appearances

    def vectors(self, items: Ints) -> Scores:
        """Give vectors [n, all dims] whose products are the models' cosines, mixed as weighed."""
        parts = zip(np.sqrt(self._of_models()), self._models, strict=True)
        return np.concatenate([w * one.vectors(items) for w, one in parts], 1, dtype=np.float32)

    def seen(self, users: Ints, at: int) -> Histories:
        """Give what users did before an instant; see `LiveModel.seen`."""
        return self._lead.seen(users, at)

    def events_of(self, user: int, at: int) -> pl.DataFrame:
        """List one user's events before an instant; see `LiveModel.events_of`."""
        return self._lead.events_of(user, at)

    def histories_of(self, history: Sequence[EventRow]) -> Histories:
        """Turn the events of somebody without a name into one history."""
        return self._lead.histories_of(history)

    def _of_models(self) -> npt.NDArray[np.float64]:
        """Give the weights of the models alone, with a sum of 1."""
        weights = np.array(
            [
                weight
                for one, weight in zip(self._parts, self._fusion.weights, strict=True)
                if isinstance(one, LiveModel)
            ]
        )
        n = len(weights)
        return weights / weights.sum() if weights.any() else np.full(n, 1 / n)

    def _scores(self, histories: Histories, at: int, ask: Callable[[LiveModel], Scores]) -> Scored:
        """Score all items after n histories, which end before the instant.

        Args:
            histories: An empty one gets what is popular.
            at: Microseconds.
            ask: Asks a model about those that are not empty.
        """
        fallback = histories.lengths == 0
        scores = np.full((len(fallback), len(self.vocabs.items)), -np.inf, np.float32)
        if fallback.any():
            scores[fallback] = self._lead.popular(at)
        if not fallback.all():
            asked = self._questions(histories.select(np.flatnonzero(~fallback)), at)
            scores[~fallback] = self._mixed(asked, ask)
        return scores, fallback

    def _mixed(self, asked: Questions, ask: Callable[[LiveModel], Scores]) -> Scores:
        places, known = np.arange(len(self.vocabs.items)), []
        blocks: list[Scores | None] = []
        for part, weight in zip(self._parts, self._fusion.weights, strict=True):
            of_model = isinstance(part, LiveModel)
            known.append(places < (self.n_learned if of_model else self._n_fitted))
            if not weight:
                blocks.append(None)
            else:
                blocks.append(ask(part) if isinstance(part, LiveModel) else _answered(part, asked))
        return self._fusion.mixed(blocks, known)

    def _questions(self, histories: Histories, at: int) -> Questions:
        """Ask as evaluation does, from histories alone: no baseline here looks at the world."""
        users, nothing = np.arange(histories.n_users), np.empty(0, np.int64)
        return Questions(
            users=self.vocabs.users,
            items=self.vocabs.items,
            n_warm=len(self.vocabs.items),
            histories=histories,
            world=World(nothing, nothing, nothing),
            user=users,
            at=np.full(len(users), at),
            stop=histories.offsets[1:],
            world_stop=np.zeros(len(users), np.int64),
            types=self.vocabs.types,
        )


def _answered(baseline: Baseline, asked: Questions) -> Scores:
    scores = np.empty((len(asked), len(asked.items)), np.float32)
    for index, block in baseline.answer(asked):
        scores[index] = block
    return scores
