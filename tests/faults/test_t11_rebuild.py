"""T11: a new model takes over, and nobody's state is there yet.

A state belongs to the weights that made it, so the new model starts with none but those of the
users who came last. Every other user's is made when the user asks: for fifty events that must not
take long, and what is answered meanwhile must be what the new weights say, or the old, never both.
"""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.serving.shop import untrained_shop
from recency.recommender import SequenceRecommender
from recency.serving.engine import Engine
from recency.serving.questions import Question, Ranked
from recency.training.tracking.facts import model_version

ASKED_AT = 1_767_225_600_000_000 + 40 * 86_400_000_000
EVENTS_EACH = 50


def other_weights(folder: Path, target: Path) -> Path:
    one = SequenceRecommender.load(folder)
    with torch.no_grad():
        one.live.model.bias.add_(torch.linspace(0, 1, len(one.live.model.bias)))
    one.model_version = model_version(one.live.model)
    one.save(target)
    return target


def test_t11_states_are_made_anew_when_they_are_asked_for(
    tmp_path: Path, soak: bool, fault_row: Callable[..., None]
) -> None:
    n_users, n_asked = (100_000, 5_000) if soak else (400, 150)
    folder = untrained_shop(tmp_path / "shop", 1_000, n_users, EVENTS_EACH * n_users)
    engine = Engine.open(folder, clock=lambda: ASKED_AT)
    first = engine.model_version
    assert engine.registry is not None
    second = engine.registry.publish(other_weights(folder, tmp_path / "other"))
    asked = [f"u{n}" for n in range(n_asked)]
    stop = threading.Event()
    during: list[Ranked] = []

    def keep_asking() -> None:
        n = 0
        while not stop.is_set():
            question = Question(f"u{n_users - 1 - n % 100}", k=10)
            during.append(engine.recommend(question).result(60))
            n += 1
            time.sleep(0.005)

    reader = threading.Thread(target=keep_asking)
    reader.start()
    engine.promote(second).result(600)
    seconds, answers = [], []
    for user in asked:  # each for the first time
        started = time.perf_counter()
        answers.append(engine.recommend(Question(user, k=10)).result(60))
        seconds.append(time.perf_counter() - started)
    stop.set()
    reader.join()
    engine.close()
    models = {
        first: SequenceRecommender.load(folder),
        second: SequenceRecommender.load(tmp_path / "other"),
    }
    assert {one.model_version for one in during} == {first, second}
    assert {one.model_version for one in answers} == {second}
    crossed = sum(not same(one, models) for one in [*during[::5], *answers[::10]])
    assert crossed == 0
    p99 = float(np.quantile(seconds, 0.99))
    assert p99 < (0.020 if soak else 0.5)
    fault_row("T11", runs=n_asked, lost=0, doubled=crossed, p99_ms=round(1e3 * p99, 2))


def same(answer: Ranked, models: dict[str, SequenceRecommender]) -> bool:
    """Tell whether an answer is what the weights that it names say."""
    assert answer.user is not None
    found = models[answer.model_version].recommend([answer.user], 10, at=ASKED_AT)
    return bool(np.allclose(answer.scores, found.scores[0], atol=1e-4)) and (
        set(answer.items) == set(found.items[0])
        or answer.scores[-1] == pytest.approx(answer.scores[-2], abs=1e-4)
    )
