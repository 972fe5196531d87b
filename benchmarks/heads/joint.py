"""Joint: do heads that learn together cost each other, or the next item, anything?

Of each log and seed, models of one size and one training are fitted: the next item alone, each head
alone (weighed so heavily that the next item hardly counts), and all together. All are asked the
same as in the tasks, and compared loss by loss.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

import recency as rc
from benchmarks.heads import buys, like, rating, when
from benchmarks.heads.exams import Exam, Settings, learn
from benchmarks.heads.judging import mean_gain
from benchmarks.record import Row
from recency.evaluation.chances import log_losses
from recency.evaluation.values import squared_errors
from recency.nn.head import Head

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

PROTOCOL = "joint · time · split at the 0.9 quantile of time · all of one size: the next item alone, each head alone, all together"  # noqa: E501
ALONE = 100.0  # weight of a head beside which the next item hardly counts
K = 10
Losses = tuple[Floats, Ints]  # a loss a question, and whose it is


@dataclass(frozen=True)
class Part:
    """Name a head's loss, make the head, and ask a model that has observed the test."""

    loss: str
    head: Callable[[Settings], Head]
    ask: Callable[[rc.SequenceRecommender, Exam], Losses]


def _rating(model: rc.SequenceRecommender, exam: Exam) -> Losses:
    start = exam.n_train
    given = exam.events.amounts[start:]
    return squared_errors(rating.told(model, exam), given), exam.events.users[start:]


def _like(model: rc.SequenceRecommender, exam: Exam) -> Losses:
    asked = like.questions(exam.events, exam.cut)
    chances = like.told(model, exam, asked)
    return log_losses(chances, asked.happened[asked.tested]), asked.users[asked.tested]


def _buys(model: rc.SequenceRecommender, exam: Exam) -> Losses:
    _, tested = buys.questions(exam.events, exam.cut)
    return log_losses(buys.told(model, exam, tested), tested.happened), tested.users


def _when(model: rc.SequenceRecommender, exam: Exam) -> Losses:
    everything = when.Visits.of(exam.events, int(exam.events.times[-1]) + 1)
    asked = everything.since(exam.cut)
    told = when.told(model, exam, everything, asked)
    return -told.log_likelihood, everything.users[asked]


PARTS = {
    "rating": Part("rating squared error", rating.head, _rating),
    "like": Part("like log_loss", like.head, _like),
    "buys": Part("buys log_loss", buys.head, _buys),
    "when": Part("when nll", when.head, _when),
}


def rows(exam: Exam, settings: Settings, seeds: Sequence[int]) -> list[Row]:
    """Fit all of them with each seed, and compare the joint one with those alone."""
    return [row for seed in seeds for row in _of_seed(exam, settings, seed)]


def _of_seed(exam: Exam, settings: Settings, seed: int) -> list[Row]:
    parts = {name: PARTS[name] for name in settings["tasks"]}
    found, alone = [], {}
    for name, part in ({"next item": None} | parts).items():
        heads = [] if part is None else [part.head(_weighed(settings, ALONE))]
        losses, seconds = _asked(exam, {} if part is None else {name: part}, heads, settings, seed)
        label = "next item" if part is None else part.loss
        alone[label] = losses[label]
        metrics = {said: float(loss.mean()) for said, (loss, _) in losses.items()}
        took = {"train_seconds": seconds}
        found.append(exam.row(PROTOCOL, f"{name} alone", seed, _named(metrics), took))
    heads = [part.head(settings) for part in parts.values()]
    losses, seconds = _asked(exam, parts, heads, settings, seed)
    metrics = _named({said: float(loss.mean()) for said, (loss, _) in losses.items()})
    for label, (loss, users) in losses.items():
        gain = mean_gain(loss, alone[label][0], users, f"{label} gain_over_alone")
        metrics |= _of_ndcg(gain, 1 - alone[label][0].mean()) if label == "next item" else gain
    found.append(exam.row(PROTOCOL, "joint", seed, metrics, {"train_seconds": seconds}))
    return [one | {"n_targets": len(exam.test)} for one in found]


def _asked(
    exam: Exam, parts: dict[str, Part], heads: list[Head], settings: Settings, seed: int
) -> tuple[dict[str, Losses], float]:
    """Fit, and give every loss: 1 - NDCG@10 of the next item, and those of the heads."""
    fitted = learn(exam, heads, settings, seed)
    report = rc.evaluate(fitted.model, exam.test, k=K, baselines=False, reading="warm")
    ranks = report.ranks[fitted.model.name]
    users = report.targets["user_id"].rank("dense").to_numpy().astype(np.int64)
    ndcg = np.where(ranks <= K, 1 / np.log2(1 + ranks), 0.0)
    found: dict[str, Losses] = {"next item": (1 - ndcg, users)}
    fitted.model.observe(exam.test)
    return found | {p.loss: p.ask(fitted.model, exam) for p in parts.values()}, fitted.seconds


def _weighed(settings: Settings, weight: float) -> Settings:
    return {**settings, "head": {**settings["head"], "weight": weight}}


def _named(metrics: dict[str, float]) -> dict[str, float]:
    """Tell the next item by its NDCG, for what is learned from is 1 less it."""
    return {
        f"ndcg@{K}" if name == "next item" else name: 1 - value if name == "next item" else value
        for name, value in metrics.items()
    }


def _of_ndcg(gain: dict[str, float], alone: float) -> dict[str, float]:
    """Tell a gain in NDCG, and as a share of that of the next item alone."""
    named = {name.replace("next item", f"ndcg@{K}"): value for name, value in gain.items()}
    name = f"ndcg@{K} gain_over_alone"
    return named | {f"{name} share": float(named[name] / alone)}
