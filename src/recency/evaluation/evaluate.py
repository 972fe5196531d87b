"""Evaluate: one model and the baselines beside it, asked the same questions.

Decisions: the model comes fitted. A baseline that is not (it raises `NotFittedError`) is fitted on
``test.past``, which is all that a baseline may learn from. Every model is resampled with the same
users, so that each difference is a paired one.
"""

import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from recency.data.catalogue import Catalogue
from recency.data.log import Log
from recency.data.vocab import Id
from recency.errors import LeakWarning, NotFittedError
from recency.evaluation.candidates import Candidates
from recency.evaluation.domain_slices import domain_slices
from recency.evaluation.exam import Exam, build_exam
from recency.evaluation.intervals import resample
from recency.evaluation.judge import Progress, judge
from recency.evaluation.measure import Measured, item_vectors, measure
from recency.evaluation.protocol import Recommender
from recency.evaluation.report import Comparison, Report, Result
from recency.evaluation.settings import History, Reading, Settings, Targets
from recency.evaluation.slices import slices_of
from recency.ranking.ranks import Ranks, Ties
from recency.units import format_instant

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


def evaluate(
    model: Recommender,
    test: Log,
    *,
    k: int | Sequence[int] = 10,
    history: History = "rolling",
    repeats: bool = True,
    reading: Reading = "warm",
    ties: Ties = "mean",
    targets: Targets = "event",
    baselines: bool | Sequence[Recommender] = True,
    candidates: Sequence[Id] | None = None,
    catalogue: Catalogue | None = None,
    max_targets: int | None = None,
    resamples: int = 1000,
    seed: int = 0,
    progress: Progress | None = None,
) -> Report:
    """Judge a fitted model on every event after the cut, with baselines beside it.

    Each event is ranked against the whole catalogue, from its user's events of strictly smaller
    time. Memory is that of one block of scores and a few numbers a target.

    Args:
        model: Fitted; anything that answers `recency.evaluation.protocol.Recommender`.
        test: With ``test.past``, as `Log.split_at` gives it.
        k: Length of the lists, one or several; the first is the headline. It may exceed the
            catalogue; then every list holds it all.
        history: ``"rolling"`` lets test events before the question be read, ``"frozen"`` none.
        repeats: Whether items of the history are candidates and count as targets.
        reading: What becomes of items unseen in training: ``"warm"`` leaves their events out,
            ``"misses"`` counts them as missed, ``"growing"`` makes an item a candidate from its
            first event on (that event itself is missed), ``"listed"`` makes every item of
            ``catalogue`` one.
        ties: ``"mean"`` over all orders of equal scores, ``"worst"``, or ``"best"``.
        targets: ``"event"``, or ``"basket"``: all items of a user at an instant are one question.
        baselines: True for the usual ones, False for none, or a list; those not fitted yet are
            fitted on ``test.past``.
        candidates: The only items that may be recommended; None allows all.
        catalogue: Items are candidates only while it says they are available, and its categories
            measure the diversity of lists.
        max_targets: Most targets; users are drawn whole, by ``seed``. None takes all.
        resamples: Bootstrap samples of users.
        seed: Repeats the draw of users and the bootstrap.
        progress: Called after each block of answers: name, questions answered, questions in all.

    Returns:
        A report; ``print`` shows it.

    Raises:
        ConfigError: a setting is impossible, or the test log does not know its past.
        DataError: no target is left, or a model answers NaN or not every question once.

    Warns:
        LeakWarning: a model has learned from events at or after the first one it is asked about.
    """
    settings = Settings(
        ks=tuple(k) if isinstance(k, Sequence) else (k,),
        history=history,
        repeats=repeats,
        reading=reading,
        ties=ties,
        targets=targets,
        max_targets=max_targets,
        resamples=resamples,
        seed=seed,
    )
    exam = _exam(test, settings, candidates, catalogue)
    vectors = item_vectors(exam, catalogue)
    others = _usual(repeats) if baselines is True else list(baselines or ())
    entries = [_enter(model, exam, vectors, progress, may_fit=False)]
    entries += [_enter(one, exam, vectors, progress, may_fit=True) for one in others]
    return _report(exam, _renamed(entries))


def _exam(
    test: Log, settings: Settings, candidates: Sequence[Id] | None, catalogue: Catalogue | None
) -> Exam:
    """Set the questions, among the items that may be recommended."""
    listed: Sequence[Id] = ()
    if settings.reading == "listed" and catalogue is not None:
        listed = catalogue.frame["item_id"].to_list()
    choose = partial(Candidates.of, ids=candidates, catalogue=catalogue)
    return build_exam(test, settings, choose, listed)


@dataclass(frozen=True)
class _Entry:
    """Hold what one recommender achieved, and how long it took."""

    name: str
    request_time: str | None
    ranks: Ranks
    measured: Measured
    fit_seconds: float | None
    answer_seconds: float


def _usual(repeats: bool) -> list[Recommender]:
    """Make the usual baselines.

    They answer evaluation's protocol and so stand below it on the spine: they are looked up when
    asked for, not imported.
    """
    found: list[Recommender] = import_module("recency.baselines").default_baselines(repeats)
    return found


def _enter(
    model: Recommender,
    exam: Exam,
    vectors: "csr_matrix",
    progress: Progress | None,
    *,
    may_fit: bool,
) -> _Entry:
    fit_seconds = None
    begin = time.perf_counter()
    try:
        judged = judge(model, exam, progress)
    except NotFittedError:
        if not may_fit:
            raise
        begin = time.perf_counter()
        model.fit(exam.train)
        fit_seconds = time.perf_counter() - begin
        begin = time.perf_counter()
        judged = judge(model, exam, progress)
    else:
        _warn_of_leak(model, exam)
    return _Entry(
        name=model.name,
        request_time=getattr(model, "request_time", None),
        ranks=judged.ranks,
        answer_seconds=time.perf_counter() - begin,
        measured=measure(judged, exam, vectors),
        fit_seconds=fit_seconds,
    )


def _warn_of_leak(model: Recommender, exam: Exam) -> None:
    cut = getattr(model, "cut", None)
    if isinstance(cut, int) and cut > exam.test.start:
        warnings.warn(
            f"{model.name} has learned from events up to {format_instant(cut)}, but the first "
            f"event it is asked about is at {format_instant(exam.test.start)}: it may know the "
            f"answers. Fit it on test.past.",
            LeakWarning,
            stacklevel=4,
        )


def _renamed(entries: list[_Entry]) -> dict[str, _Entry]:
    """Give each entry a name of its own."""
    named: dict[str, _Entry] = {}
    for entry in entries:
        name, number = entry.name, 2
        while name in named:
            name, number = f"{entry.name} ({number})", number + 1
        named[name] = entry
    return named


def _report(exam: Exam, entries: dict[str, _Entry]) -> Report:
    results, comparisons = _compared(exam, entries)
    targets = exam.targets
    events = exam.test.events[targets.event].select("user_id", "item_id", "timestamp")
    return Report(
        settings=exam.settings,
        counts=exam.counts,
        start=exam.test.start,
        end=exam.test.end,
        results=tuple(results),
        comparisons=tuple(comparisons),
        slices=_sliced(exam, entries),
        targets=events.with_columns(unit=pl.Series(targets.unit)),
        ranks={model: entry.ranks.mean for model, entry in entries.items()},
    )


def _compared(exam: Exam, entries: dict[str, _Entry]) -> tuple[list[Result], list[Comparison]]:
    """Average every metric, and compare the first model with the others, on the same users."""
    models = list(entries)
    metrics = list(next(iter(entries.values())).measured.units)
    columns = [entries[model].measured.units[name] for model in models for name in metrics]
    targets, settings = exam.targets, exam.settings
    user = exam.questions.user[targets.question]
    resampled = resample(columns, user[targets.first_of_unit], settings.resamples, settings.seed)
    place = {pair: i for i, pair in enumerate((m, name) for m in models for name in metrics)}
    results = [
        Result(
            model=model,
            metrics={name: float(resampled.means[place[model, name]]) for name in metrics}
            | entry.measured.whole,
            intervals={name: resampled.interval(place[model, name]) for name in metrics},
            tied=entry.ranks.tied_share,
            request_time=entry.request_time,
            fit_seconds=entry.fit_seconds,
            answer_seconds=entry.answer_seconds,
        )
        for model, entry in entries.items()
    ]
    comparisons = [
        Comparison(
            models[0], other, name,
            *resampled.difference(place[models[0], name], place[other, name]),
        )
        for other in models[1:]
        for name in metrics
    ]  # fmt: skip
    return results, comparisons


def _sliced(exam: Exam, entries: dict[str, _Entry]) -> pl.DataFrame:
    """Average the main metrics within each bin that holds a unit."""
    names = [f"{name}@{exam.settings.k}" for name in ("recall", "ndcg", "mrr")]
    rows = []
    for one in [*slices_of(exam), *domain_slices(exam)]:
        counts = np.bincount(one.place, minlength=len(one.bins))
        for model, entry in entries.items():
            sums = [
                np.bincount(one.place, entry.measured.units[name], len(one.bins)) for name in names
            ]
            for place in np.flatnonzero(counts):
                means = [float(column[place] / counts[place]) for column in sums]
                row = {"slice": one.name, "bin": one.bins[place], "n_units": int(counts[place])}
                rows.append(row | {"model": model} | dict(zip(names, means, strict=True)))
    return pl.DataFrame(rows)
