"""Progress bars on stderr."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    from recency.content.encoding import Progress as EncodingProgress
    from recency.content.pretraining_config import PretrainingStep
    from recency.content.pretraining_config import Progress as PretrainingProgress
    from recency.data.preparation import Progress as PreparationProgress
    from recency.online.arms import Told
    from recency.training.config import Progress as TrainingProgress
    from recency.training.config import TrainingStep
    from recency.tuning.search import Progress as TuningProgress
    from recency.tuning.search import TuningStep

_STAGES = {
    "search": "Training, judged on the newest slice",
    "cooling": "Cooling from the best",
    "refit": "Training afresh on everything",
    "train": "Training",
    "pretrain": "Pre-training",
}


@contextmanager
def training_bar() -> Iterator["TrainingProgress"]:
    """Show epochs, loss, the newest judgement and the time left; give the callback for it."""
    with fit_bars() as (show, _):
        yield show


@contextmanager
def fit_bars() -> Iterator[tuple["TrainingProgress", "EncodingProgress"]]:
    """Show the same, and texts that are encoded anew meanwhile; give the callbacks for both."""
    with _bar(TextColumn("{task.fields[facts]}")) as bar:
        stages: dict[str, int] = {}

        def show(step: "TrainingStep") -> None:
            if step.stage not in stages:
                member, colon, stage = step.stage.rpartition(": ")  # an ensemble names the member
                name = f"{member}{colon}{_STAGES[stage]}"
                stages[step.stage] = bar.add_task(name, total=step.epochs, facts="")
            valid = "" if step.valid is None else f", NDCG@10 {step.valid:.4f}"
            left = f"{step.eta / 60:.0f} min" if step.eta >= 120 else f"{step.eta:.0f} s"
            bar.update(
                stages[step.stage],  # type: ignore[arg-type]  # rich's TaskID is an int
                completed=step.epoch - 1 + step.step / step.steps,
                facts=f"epoch {step.epoch}/{step.epochs}, loss {step.loss:.3f}{valid}, "
                f"at most {left} left",
            )

        def show_texts(done: int, texts: int) -> None:
            name = "Encoding texts anew"
            if name not in stages:
                stages[name] = bar.add_task(name, total=texts, facts="")
            facts = f"{done:,} of {texts:,}"
            bar.update(stages[name], completed=done, total=texts, facts=facts)  # type: ignore[arg-type]  # rich's TaskID is an int

        yield show, show_texts


@contextmanager
def pretraining_bar() -> Iterator["PretrainingProgress"]:
    """Show epochs, loss and the time left of a text encoder; give the callback for it."""
    with _bar(TextColumn("{task.fields[facts]}")) as bar:
        task = bar.add_task("Pre-training", total=None, facts="starting")

        def show(step: "PretrainingStep") -> None:
            left = f"{step.eta / 60:.0f} min" if step.eta >= 120 else f"{step.eta:.0f} s"
            done = step.epoch - 1 + step.step / step.steps
            facts = f"epoch {step.epoch}/{step.epochs}, loss {step.loss:.3f}, {left} left"
            bar.update(task, total=step.epochs, completed=done, facts=facts)

        yield show


@contextmanager
def preparation_bar() -> Iterator["PreparationProgress"]:
    """Show the stages of a preparation; give the callback for it."""
    with _bar() as bar:
        stages: dict[str, int] = {}

        def show(stage: str, share: float) -> None:
            if stage not in stages:
                stages[stage] = bar.add_task(stage, total=1.0)
            bar.update(stages[stage], completed=share)  # type: ignore[arg-type]  # rich's TaskID is an int

        yield show


@contextmanager
def tuning_bar() -> Iterator["TuningProgress"]:
    """Show the trials done, those under way and the best so far; give the callback for it."""
    with _bar(TextColumn("{task.fields[facts]}")) as bar:
        task = bar.add_task("Trials", total=None, facts="starting")

        def show(step: "TuningStep") -> None:
            best = "" if step.best is None else f", best NDCG@10 {step.best:.4f}"
            facts = f"{step.done}/{step.trials}, {step.pruned} ended early{best}"
            bar.update(task, total=step.trials, completed=step.done, facts=facts)

        yield show


@contextmanager
def encoding_bar() -> Iterator["EncodingProgress"]:
    """Show the texts encoded; give the callback for it."""
    with _bar() as bar:
        task = bar.add_task("Encoding texts", total=None)

        def show(done: int, texts: int) -> None:
            bar.update(task, total=texts, completed=done)

        yield show


@contextmanager
def replay_bar() -> Iterator["Told"]:
    """Show how far each arm has lived through the log; give the callback for it."""
    with _bar() as bar:
        arms: dict[str, int] = {}

        def show(arm: str, done: int, periods: int) -> None:
            if arm not in arms:
                arms[arm] = bar.add_task(f"Replaying {arm}", total=periods)
            bar.update(arms[arm], completed=done)  # type: ignore[arg-type]  # rich's TaskID is an int

        yield show


def _bar(*facts: ProgressColumn) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), *facts, TimeElapsedColumn())
    return Progress(*columns, console=Console(stderr=True))
