"""T10, the trainer's half: killed anywhere, it ends with the bits of one that was never killed.

A kill is an error raised in the midst of things that nothing catches; the learner and all it held
are gone then, and another one goes on from the folder. One kill is a real SIGKILL of a process.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import recency as rc
from recency.data.log import Log
from recency.data.synthetic import shop
from recency.errors import ConfigError, FormatError
from recency.online import learner as rounds
from recency.online import progress as keeping
from recency.online import whole as lessons
from recency.online.config import LearnConfig
from recency.online.drift import DriftWatch
from recency.online.feed import Entry, LogFeed
from recency.online.learner import Learner
from recency.online.progress import Progress

CONFIG = LearnConfig(
    round_events=120, asked=10, whole="2d", gate_steps=2, gate_targets=200, recent=1_000
)
ROUNDS = 3
POINTS = {
    "the plan": (keeping.Progress, "_write"),
    "reading": (rounds, "ask_and_observe"),
    "the slate": (rounds, "slate_of"),
    "the gate": (rounds, "learn_gate"),
    "the items": (rounds, "learn_scored_items"),
    "the whole model": (lessons, "learn_on"),
    "the trial": (lessons, "nats_of"),
    "the checkpoint": (keeping, "save_checkpoint"),
    "publishing": (keeping.Progress, "_publish"),
}

QUICK = ("the gate", "the checkpoint", "publishing")  # the others take their time in `make test`


class Killed(BaseException):
    """Stands for a SIGKILL: no handler of errors sees it."""


class Shelf:
    """Keeps the names and places of what was published, as a registry would: each name once."""

    def __init__(self) -> None:
        self.published: dict[str, int] = {}

    def publish(self, recommender, facts):
        self.published.setdefault(recommender.model_version, facts["seq"])
        return recommender.model_version


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> tuple[Path, Log]:
    log = shop(n_users=40, n_items=30, days=30, seed=5).log
    train, test = log.split_at(log.quantile(0.7))
    folder = tmp_path_factory.mktemp("t10")
    experts = rc.ExpertConfig(pair=("1d",), crowd=("1d",))
    made = rc.SequenceRecommender(
        rc.GRU(dim=8), training=rc.TrainConfig(epochs=1, device="cpu"), experts=experts
    )
    made.fit(train).save(folder / "model")
    test.write(folder / "test.parquet")
    return folder, test


def progress(place: tuple[Path, Log], kept: Path, shelf: Shelf) -> Progress:
    recommender = rc.SequenceRecommender.load(place[0] / "model")
    learner = Learner(recommender, LogFeed(place[1]), CONFIG, DriftWatch())
    return Progress(learner, kept, shelf)


def to_the_end(one: Progress) -> list[str]:
    one.resume()
    while one.learner.standing.number < ROUNDS and one.step():
        pass
    weights = one.learner.recommender.live.model.state_dict()
    return [
        one.learner.recommender.model_version,
        *(str(w.numpy().tobytes()) for w in weights.values()),
    ]


@pytest.fixture(scope="module")
def uninterrupted(place, tmp_path_factory) -> tuple[list[str], dict[str, int]]:
    shelf = Shelf()
    found = to_the_end(progress(place, tmp_path_factory.mktemp("whole"), shelf))
    assert len(shelf.published) == ROUNDS
    return found, shelf.published


def killing(real: Callable, nth: int, after: bool) -> Callable:
    """Wrap a function: its n-th call dies before or after its work."""
    calls = [0]

    def call(*given, **named):
        calls[0] += 1
        if calls[0] == nth and not after:
            raise Killed
        found = real(*given, **named)
        if calls[0] == nth:
            raise Killed
        return found

    return call


@pytest.mark.parametrize(
    "point", [one if one in QUICK else pytest.param(one, marks=pytest.mark.slow) for one in POINTS]
)
def test_a_killed_learner_ends_with_the_same_bits(
    point, place, uninterrupted, tmp_path, monkeypatch, soak, fault_row
):
    runs = 0
    for nth in range(1, ROUNDS + 1 if soak else 2):
        for after in (False, True):
            shelf, kept = Shelf(), tmp_path / f"{nth}{after}"
            with monkeypatch.context() as patch:
                where, name = POINTS[point]
                patch.setattr(where, name, killing(getattr(where, name), nth, after))
                try:
                    to_the_end(progress(place, kept, shelf))
                except Killed:
                    runs += 1
            assert to_the_end(progress(place, kept, shelf)) == uninterrupted[0]
            assert shelf.published == uninterrupted[1]
    assert runs, "nothing was killed"
    fault_row("T10", runs=runs, lost=0, doubled=0)


_CHILD = """
import os, signal, sys
from pathlib import Path
from tests.faults import test_t10_trainer as t10
import recency as rc
import torch
torch.set_num_threads(1)
folder = Path(sys.argv[1])
place = (folder, rc.Log.from_frame(rc.read_log(folder / "test.parquet").events))
t10.rounds.learn_scored_items = lambda *a: os.kill(os.getpid(), signal.SIGKILL)
t10.to_the_end(t10.progress(place, Path(sys.argv[2]), t10.Shelf()))
"""


@pytest.mark.slow
def test_a_real_kill(place, uninterrupted, tmp_path):
    kept = tmp_path / "kept"
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, str(place[0]), str(kept)],
        cwd=Path(__file__).parents[2],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        timeout=120,
    )
    assert done.returncode == -signal.SIGKILL
    assert (kept / "plan.json").exists()
    assert to_the_end(progress(place, kept, Shelf())) == uninterrupted[0]


def test_a_half_written_checkpoint_is_none(place, uninterrupted, tmp_path, monkeypatch):
    """The disk is full in the midst of the second checkpoint; the first one counts."""
    shelf, kept = Shelf(), tmp_path / "kept"
    first = progress(place, kept, shelf)
    first.resume()
    first.step()
    (kept / "training.partial").write_bytes(b"half")
    assert to_the_end(progress(place, kept, shelf)) == uninterrupted[0]


def test_a_damaged_checkpoint_is_told(place, tmp_path):
    kept = tmp_path / "kept"
    first = progress(place, kept, Shelf())
    first.step()
    path = kept / "training.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(FormatError, match="was changed after it was written"):
        progress(place, kept, Shelf()).resume()
    (kept / "plan.json").write_text("{")
    with pytest.raises(FormatError, match=r"plan.json is damaged .*; remove it"):
        progress(place, kept, Shelf()).step()


def test_another_learner_is_refused(place, tmp_path, monkeypatch):
    kept = tmp_path / "kept"
    first = progress(place, kept, Shelf())
    first.step()
    monkeypatch.setattr(sys.modules[__name__], "CONFIG", LearnConfig(round_events=7))
    with pytest.raises(ConfigError, match=r"is another one: config differ"):
        progress(place, kept, Shelf()).resume()


def test_what_was_erased_since_is_passed_over(place, tmp_path):
    class Erased(LogFeed):
        """A feed whose newest event is gone."""

        def read(self, after_seq: int, limit: int) -> list[Entry]:
            return [one for one in super().read(after_seq, limit) if one.seq != 120]

    kept = tmp_path / "kept"
    first = progress(place, kept, Shelf())
    first.step()
    assert first.learner.standing.seq == 120
    again = progress(place, kept, Shelf())
    again.learner.feed = Erased(place[1])
    assert again.resume() and again.learner.standing.seq == 120
    rest = again.step()
    assert rest is not None and rest.seq > 120


def test_another_log_is_told(place, tmp_path):
    kept = tmp_path / "kept"
    first = progress(place, kept, Shelf())
    first.step()
    short = (place[0], Log(place[1].events.head(50)))
    with pytest.raises(FormatError, match="expected the feed to reach place 120"):
        progress(short, kept, Shelf()).resume()
