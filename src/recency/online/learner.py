"""The learner: reads what happened, predicts it first, then learns it, in rounds.

A round takes the next events of the feed. Each of some of them is predicted before it is observed;
then all have moved the memories, as in service. Once their delay is over, they are learned: in
every round by what leaves states valid (`recency.online.quick`), and from time to time by the whole
model, with a sample of older events against forgetting. A lesson of the whole model ends before the
newest targets, and is forgotten if with it they are foreseen worse than without.

Which events a round takes, and what it learns of them, depends on the feed and on what was learned
before, never on a clock. A learner that is stopped at any place and goes on from its checkpoint
ends, on a CPU, with the very bits of one that was not (`recency.online.progress`).
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch

from recency.data.histories import Histories
from recency.nn.scored_items import untie
from recency.online.asking import ask_and_observe
from recency.online.config import FEWEST, LearnConfig
from recency.online.drift import Drift, Watch
from recency.online.feed import Feed, Happening
from recency.online.prequential import Prequential
from recency.online.quick import learn_gate, learn_scored_items, state_version
from recency.online.slate import Slate, joined, slate_of
from recency.online.whole import learn_on_trial, n_known
from recency.recommender import SequenceRecommender
from recency.training.fallback import best_half_life


@dataclass(frozen=True)
class Round:
    """Tell what one round did.

    Attributes:
        number: 1, 2, …
        seq: Place of the last event taken.
        n_events: Events taken.
        n_targets: New targets learned from.
        whole: Whether the whole model moved.
        refused: Whether it did and was put back, for it foresaw the newest targets worse.
        ndcg: NDCG of the predictions in the window, NaN before the first.
        recall: Their recall.
        unseen: Share of them whose item the weights had no vector of.
        nats: Of the mixture after the gate had learned; NaN where it did not.
        drifts: Drifts noticed in this round.
        model_version: Names the weights now.
        state_version: Names what makes states now.
    """

    number: int
    seq: int
    n_events: int
    n_targets: int
    whole: bool
    refused: bool
    ndcg: float
    recall: float
    unseen: float
    nats: float
    drifts: tuple[Drift, ...]
    model_version: str
    state_version: str

    def to_dict(self) -> dict[str, Any]:
        """Give all facts as JSON."""
        return asdict(self)


@dataclass
class Standing:
    """Hold where a learner is, beside weights and events.

    Attributes:
        seq: Last event observed.
        number: Rounds done.
        quick_until: Instant up to which events were learned by quick rounds, in microseconds.
        whole_until: The same by the whole model.
        hurried_until: Instant up to which the whole model's rhythm is faster.
        slate: The newest targets as they were predicted.
        drift_rows: What the watch has seen, so that it can be shown to it again.
    """

    seq: int = 0
    number: int = 0
    quick_until: int = 0
    whole_until: int = 0
    hurried_until: int = 0
    slate: Slate | None = None
    drift_rows: list[tuple[float, float]] = field(default_factory=list)


class Learner:
    """Let a recommender learn on from a feed.

    Args:
        recommender: Fitted; changed in place.
        feed: What happened since it was fitted.
        config: How to learn.
        watch: Notices drifts; None looks for none.

    Attributes:
        standing: Where it is; `recency.online.progress` keeps it.
        scores: How good its predictions were.
    """

    def __init__(
        self,
        recommender: SequenceRecommender,
        feed: Feed,
        config: LearnConfig | None = None,
        watch: Watch | None = None,
    ) -> None:
        self.recommender, self.feed = recommender, feed
        self.config = LearnConfig() if config is None else config
        self.watch = watch
        begin = recommender.live.now
        self.standing = Standing(quick_until=begin, whole_until=begin)
        self.scores = Prequential(self.config.k, self.config.window, self.config.delay_us)

    def plan(self, limit: int | None = None) -> list[Happening]:
        """Read the events of the next round, without taking them.

        Args:
            limit: Last place to read to; None reads what is there.
        """
        found = list(self.feed.read(self.standing.seq, self.config.round_events))
        return [one for one in found if limit is None or one.seq <= limit]

    def round(self, entries: Sequence[Happening]) -> Round:
        """Predict, observe and learn events.

        Raises:
            TrainingDivergedError: the loss is no longer finite.
        """
        config, standing = self.config, self.standing
        self.forget_erased()
        ask_and_observe(self.recommender, entries, self.scores, config.asked)
        now = self.recommender.live.now
        drifts = self._watched(now)
        standing.seq, standing.number = entries[-1].seq, standing.number + 1
        whole: bool | None = None  # not due
        n_targets, nats = 0, math.nan
        histories = self._histories(now)
        if config.quick and histories is not None:
            n_targets, nats = self._quick(histories, now - config.delay_us)
        if histories is not None and self._due(now):
            whole = self._whole(histories, now - config.delay_us)
        if n_targets or whole:
            self.recommender.relearned(states_stand=not whole)
        return self._told(len(entries), n_targets, whole, nats, drifts)

    def forget_erased(self) -> None:
        """Forget users who were erased, and what the gate would learn of their events."""
        for user in self.feed.erased(self.recommender.users.ids.to_list()):
            self.recommender.erase_user(user)
            self.standing.slate = None

    # --- inside --------------------------------------------------------------------------------

    def _histories(self, now: int) -> Histories | None:
        """Give the events that may be learned from, None where there are none."""
        histories = self.recommender.live.timelines.histories()
        until = now - self.config.delay_us
        return histories.before(until) if until > 0 and histories.n_events else None

    def _quick(self, histories: Histories, until: int) -> tuple[int, float]:
        """Move gate, trust, item vectors as scored and biases; see `recency.online.quick`."""
        config, standing = self.config, self.standing
        one = self.recommender
        model = one.live.model
        fresh = slate_of(model, histories, standing.quick_until, one.training.max_len, config)
        if len(fresh) < FEWEST:
            return 0, math.nan
        older, nats = standing.slate, math.nan
        slates = [fresh] if older is None else [older, fresh]
        standing.slate = joined(slates, config.gate_targets)
        if model.experts is not None:
            nats = learn_gate(model.experts, standing.slate, config.gate_steps)
        if config.head_epochs:
            untie(model, n_known(model, histories))
            n_old = min(0 if older is None else len(older), round(config.replayed * len(fresh)))
            lesson = fresh if older is None or not n_old else _mixed(older, fresh, n_old)
            seed = config.seed + standing.number
            learn_scored_items(model, lesson, config.head_epochs, config.head_lr, seed)
        standing.quick_until = until
        return len(fresh), nats

    def _due(self, now: int) -> bool:
        rhythm = self.config.whole_us
        if rhythm is None:
            return False
        if now < self.standing.hurried_until:
            rhythm //= self.config.hurry
        waited = now - self.config.delay_us - self.standing.whole_until
        return waited * (1 - self.config.held) >= rhythm  # what was held back has waited longer

    def _whole(self, histories: Histories, until: int) -> bool:
        """Let the whole model learn what came since the last time; tell whether that was kept."""
        config, standing, one = self.config, self.standing, self.recommender
        seed, since = config.seed + standing.number, standing.whole_until
        held, kept = learn_on_trial(one, histories, since, config, seed)
        standing.whole_until = until if held is None else held
        one.fallback_half_life = best_half_life(histories, config.recent)
        return kept

    def _watched(self, now: int) -> tuple[Drift, ...]:
        """Show the predictions that can be scored now to the watch; hurry after a drift."""
        rows = [(float(gain), float(unseen)) for gain, unseen in self.scores.reveal(now)]
        if self.watch is None:
            return ()
        standing = self.standing
        standing.drift_rows = (standing.drift_rows + rows)[-self.config.window :]
        drifts = tuple(self.watch.take(rows))
        if drifts and self.config.whole_us is not None:
            standing.hurried_until = now + self.config.whole_us
        return drifts

    def _told(
        self,
        n_events: int,
        n_targets: int,
        whole: bool | None,
        nats: float,
        drifts: tuple[Drift, ...],
    ) -> Round:
        score, one = self.scores.score(), self.recommender
        return Round(
            number=self.standing.number,
            seq=self.standing.seq,
            n_events=n_events,
            n_targets=n_targets,
            whole=whole is True,
            refused=whole is False,
            ndcg=score.ndcg,
            recall=score.recall,
            unseen=score.unseen,
            nats=nats,
            drifts=drifts,
            model_version=one.model_version,
            state_version=state_version(one.live.model),
        )


def _mixed(older: Slate, fresh: Slate, n_old: int) -> Slate:
    """Put an even sample of older targets before new ones."""
    rows = np.linspace(0, len(older) - 1, n_old).astype(np.int64)
    return joined([older.take(torch.from_numpy(rows)), fresh], n_old + len(fresh))
