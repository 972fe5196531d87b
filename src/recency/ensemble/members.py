"""Members: what may take part in an ensemble, what each is called, and how each learns.

An ensemble is saved in one folder and served, so every member must answer live, from events that
came after the fit, and must be written without pickle. A `SequenceRecommender` is; of the
baselines those are that answer from what they learned and the history asked about alone.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter

from recency.baselines import (
    DecayedPopularity,
    ItemNeighbours,
    LivePopularity,
    Markov,
    Popularity,
    RecentItems,
)
from recency.data.catalogue import Catalogue
from recency.data.log import Log
from recency.ensemble.fusion import Kind, Voice
from recency.recommender import SequenceRecommender
from recency.training.config import Progress, TrainingStep

Baseline = Popularity | DecayedPopularity | RecentItems | Markov | ItemNeighbours
Member = SequenceRecommender | Baseline

BASELINES: dict[str, type[Baseline]] = {
    one.name: one for one in (Popularity, DecayedPopularity, RecentItems, Markov, ItemNeighbours)
}


def reseeded(recommender: SequenceRecommender, seed: int) -> SequenceRecommender:
    """Make a recommender of the same settings and another seed, not fitted."""
    return SequenceRecommender.of(replace(recommender.recipe, seed=seed))


def faults_of(members: Sequence[object]) -> list[str]:
    """Say what is wrong with members, in words."""
    faults = [
        f"Ensemble: member {place}, a {type(one).__name__}, cannot be kept live and saved; "
        f"expected SequenceRecommender or a baseline of {', '.join(BASELINES)}.{_instead(one)}"
        for place, one in enumerate(members)
        if not isinstance(one, SequenceRecommender | Baseline)
    ]
    if len(members) < 2:
        faults.append(f"Ensemble: expected at least two members, found {len(members)}.")
    if len({id(one) for one in members}) < len(members):
        faults.append("Ensemble: the same object is a member twice; make one for each place.")
    sequences = [one for one in members if isinstance(one, SequenceRecommender)]
    if members and not sequences:
        faults.append(
            "Ensemble: expected one SequenceRecommender at least, whose memory takes in what "
            "happens after the fit; found baselines only."
        )
    if len({one.request_time for one in sequences}) > 1:
        faults.append(
            "Ensemble: members have request_time 'known' and 'unknown'; numbers with and without "
            "the instant of the question must not be mixed, so choose one for all."
        )
    return faults


def labels_of(members: Sequence[Member]) -> list[str]:
    """Name members apart: by encoder or baseline, then by seed, then by number."""
    names = [one.name for one in members]
    often = Counter(names)
    labels = [
        f"{name}, seed {one.seed}"
        if often[name] > 1 and isinstance(one, SequenceRecommender)
        else name
        for name, one in zip(names, members, strict=True)
    ]
    often, used = Counter(labels), Counter[str]()
    for place, label in enumerate(labels):
        if often[label] > 1:
            used[label] += 1
            labels[place] = f"{label} ({used[label]})"
    return labels


def voice_of(member: Member, fusion: Kind) -> Voice:
    """Choose how a member's scores become chances; see `Voice`."""
    if fusion == "ranks" or not isinstance(member, SequenceRecommender):
        return Voice("ranks")
    return Voice("logits" if member.experts is None else "chances")


def parameters_of(member: Member) -> int | None:
    """Count the parameters of a fitted member; None where it has counts instead."""
    if not isinstance(member, SequenceRecommender):
        return None
    return sum(one.numel() for one in member.live.model.parameters())


def teach(
    member: Member,
    log: Log,
    items: Catalogue | None,
    label: str,
    progress: Progress | None,
    folder: str = "",
) -> float:
    """Fit a member; give the seconds it took.

    Args:
        member: Fitted afresh.
        log: Learned from.
        items: Attributes of items.
        label: Put before the stage in progress.
        progress: Told of each training batch.
        folder: Name of the member's own folder within its ``checkpoint_dir``, if it has one.
    """
    began = perf_counter()
    if not isinstance(member, SequenceRecommender):
        member.fit(log)
        return perf_counter() - began
    asked = member.training
    if asked.checkpoint_dir is not None:
        place = Path(asked.checkpoint_dir) / folder
        member.training = replace(asked, checkpoint_dir=place)
    try:
        member.fit(log, items, None if progress is None else _labelled(progress, label))
    finally:
        member.training = asked
    return perf_counter() - began


def _instead(member: object) -> str:
    if isinstance(member, LivePopularity):
        return " What is popular now is an expert of every model: ExpertConfig(crowd=(...))."
    return ""


def _labelled(progress: Progress, label: str) -> Progress:
    def tell(step: TrainingStep) -> None:
        progress(replace(step, stage=f"{label}: {step.stage}"))

    return tell
