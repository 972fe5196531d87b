"""T9: models are swapped while questions come without a pause, among them models that cannot serve.

Nobody may notice: no question fails, no answer mixes two models, what was acknowledged is seen by
every model, what cannot serve is refused with its reason, and going back takes less than a second.
"""

import asyncio
import json
import shutil
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import polars as pl
import pytest
import torch

from recency import loading
from recency.data.log import Log
from recency.nn.recurrent import GRU
from recency.recommender import SequenceRecommender
from recency.serving.app import create_app
from recency.serving.engine import Engine
from recency.serving.models.gate import GateConfig
from recency.serving.models.registry import Registry
from recency.training.config import TrainConfig
from recency.training.tracking.facts import model_version

DAY = 86_400_000_000
START = 1_767_225_600_000_000
ASKED_AT = "2026-02-01T00:00:00Z"  # after the log, before the events sent meanwhile
NOW = START + 60 * DAY
N_USERS, N_ITEMS = 40, 60


def shop(n_events: int = 1500, n_items: int = N_ITEMS, dim: int = 8) -> SequenceRecommender:
    random = np.random.default_rng(0)
    frame = pl.DataFrame(
        {
            "user_id": [f"u{n % N_USERS}" for n in range(n_events)],
            "item_id": [f"i{n}" for n in random.integers(0, n_items, n_events)],
            "timestamp": pl.Series(START + np.arange(n_events) * 1_000_000_000).cast(
                pl.Datetime("us", "UTC")
            ),
        }
    )
    training = TrainConfig(epochs=1, device="cpu")
    return SequenceRecommender(GRU(dim), training=training, experts=None).fit(Log.from_frame(frame))


def other_weights(folder: Path, target: Path, seed: int) -> Path:
    """Save the model with somewhat other weights: another version."""
    one = SequenceRecommender.load(folder)
    with torch.no_grad():
        noise = torch.randn(
            one.live.model.bias.shape, generator=torch.Generator().manual_seed(seed)
        )
        one.live.model.bias.add_(noise)
    one.model_version = model_version(one.live.model)
    one.save(target)
    return target


def bad_versions(folder: Path, place: Path, registry: Registry) -> dict[str, str]:
    """Publish models that cannot serve: the name of each, and what its refusal must say."""
    nan = SequenceRecommender.load(other_weights(folder, place / "nan", 1001))
    with torch.no_grad():
        nan.live.model.bias[7] = float("nan")
    nan.save(place / "nan")
    found = {registry.publish(place / "nan"): "expected finite weights"}

    cut = registry.publish(other_weights(folder, place / "cut", 1002))
    (weights,) = (registry.models / cut).glob("weights-*")
    weights.write_bytes(weights.read_bytes()[:-100])
    found[cut] = "was changed or cut short"

    wide = registry.publish(other_weights(folder, place / "wide", 1003))
    manifest = registry.models / wide / "manifest.json"
    content = json.loads(manifest.read_text())
    content["content"]["encoder"]["dim"] = 16
    manifest.write_text(json.dumps(content))
    found[wide] = "do not fit their settings"

    shop(n_items=20).save(place / "few")
    found[registry.publish(place / "few")] = "of the champion's 60 items, found 40 unknown"
    return found


@dataclass
class Load:
    """Ask, and send, at a steady pace until stopped."""

    client: httpx.AsyncClient
    per_second: float
    answers: list[dict[str, Any]] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    unseen: int = 0
    n_sent: int = 0
    stopped: bool = False

    async def run(self) -> None:
        """Start a request at each tick, whether the one before is done or not."""
        began, n, underway = time.perf_counter(), 0, set[asyncio.Task[None]]()
        while not self.stopped:
            n += 1
            task = asyncio.create_task(self.send(n) if n % 10 == 0 else self.ask(n))
            underway.add(task)
            task.add_done_callback(underway.discard)
            await asyncio.sleep(max(0.0, began + n / self.per_second - time.perf_counter()))
        await asyncio.gather(*underway)

    async def ask(self, n: int) -> None:
        """Ask about a user, as of an instant before anything that is sent."""
        started = time.perf_counter()
        user = f"u{n % N_USERS}"
        found = await self.client.get(f"/v1/users/{user}/recommendations?k=5&at={ASKED_AT}")
        self.seconds.append(time.perf_counter() - started)
        if found.status_code == 200:
            self.answers.append(found.json())
        else:
            self.failed.append(found.text)

    async def send(self, n: int) -> None:
        """Send an event, and see that the next answer has it."""
        event = {"user_id": f"v{n}", "item_id": "i1", "event_id": f"e{n}"}
        found = await self.client.post("/v1/events", json=event)
        if found.status_code != 200 or found.json()["accepted"] != 1:
            self.failed.append(found.text)
            return
        self.n_sent += 1
        after = await self.client.get(f"/v1/users/v{n}/recommendations?k=1")
        seen = after.json()
        if seen["fallback"] or seen["as_of"]["seq"] < found.json()["results"][0]["seq"]:
            self.unseen += 1


def test_t09_swaps_under_load(
    tmp_path: Path,
    soak: bool,
    fault_row: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    n_swaps, per_second = (100, 300.0) if soak else (6, 60.0)
    folder = tmp_path / "shop"
    shop().save(folder)
    engine = Engine.open(folder, clock=lambda: NOW, gate=GateConfig(least=10_000))
    registry = engine.registry
    assert registry is not None
    (tmp_path / "made").mkdir()
    good = [
        registry.publish(other_weights(folder, tmp_path / "made" / str(n), n)) for n in range(3)
    ]
    refusals = bad_versions(folder, tmp_path / "made", Registry(registry.path, keep=100))
    load_model = loading.load

    def slow(path: Path) -> Any:
        time.sleep(0.3)  # in the thread that loads, where nobody waits
        return load_model(path)

    monkeypatch.setattr(loading, "load", slow)

    async def trial() -> tuple[Load, list[float], dict[str, str]]:
        transport = httpx.ASGITransport(create_app(engine))
        async with httpx.AsyncClient(
            transport=transport, base_url="http://localhost", timeout=60
        ) as client:
            load = Load(client, per_second)
            asking = asyncio.create_task(load.run())
            back, told, worst = [], {}, list(refusals)
            for n in range(n_swaps):
                swapped = await client.post(f"/v1/models/{good[n % len(good)]}/promote")
                assert swapped.status_code == 200, swapped.text
                assert swapped.json()["model_version"] == good[n % len(good)]
                name = worst[n % len(worst)]
                refused = await client.post(f"/v1/models/{name}/promote")
                assert (refused.status_code, refused.json()["code"]) == (409, "model-refused")
                told[name] = refused.json()["detail"]
                if n % 2:
                    started = time.perf_counter()
                    assert (await client.post("/v1/models/rollback")).status_code == 200
                    back.append(time.perf_counter() - started)
            load.stopped = True
            await asking
            return load, back, told

    load, back, told = asyncio.run(trial())
    versions = {engine.model_version} | set(good)
    engine.close()
    mixed = count_mixed(load.answers, folder, registry)
    assert load.failed == [] and load.unseen == 0
    assert len(load.answers) > 30 and load.n_sent > 3
    assert len({one["model_version"] for one in load.answers} & versions) >= 2
    assert mixed == 0
    for name, reason in told.items():
        assert refusals[name] in reason, reason
    assert max(back) < (1.0 if soak else 5.0)
    fault_row(
        "T9",
        runs=n_swaps,
        lost=len(load.failed) + load.unseen,
        doubled=mixed,
        answers=len(load.answers),
        refused=len(told),
        p50_ms=round(1e3 * statistics.median(load.seconds), 2),
        p99_ms=round(1e3 * float(np.quantile(load.seconds, 0.99)), 2),
        rollback_ms_max=round(1e3 * max(back), 1),
    )


def count_mixed(answers: list[dict[str, Any]], folder: Path, registry: Registry) -> int:
    """Count the answers that are not what the version that they name says."""
    users = [f"u{n}" for n in range(N_USERS)]
    expected = {}
    for version in {one["model_version"] for one in answers}:
        place = registry.models / version
        model = SequenceRecommender.load(place if place.is_dir() else folder)
        found = model.recommend(users, 5, at=ASKED_AT)
        for user, items, scores in zip(users, found.items, found.scores, strict=True):
            expected[version, user] = list(zip(items, scores, strict=True))
    return sum(
        not _same(
            [(item["item_id"], item["score"]) for item in one["items"]],
            expected[one["model_version"], one["user_id"]],
        )
        for one in answers
    )


def _same(found: list[tuple[Any, float]], expected: list[tuple[Any, float]]) -> bool:
    return [item for item, _ in found] == [item for item, _ in expected] and np.allclose(
        [score for _, score in found], [score for _, score in expected], atol=1e-4
    )


def test_the_trial_can_tell_a_mixed_answer(tmp_path: Path) -> None:
    shop(400).save(tmp_path / "shop")
    other_weights(tmp_path / "shop", tmp_path / "other", 5)
    shutil.copytree(tmp_path / "other", tmp_path / "models" / "other")
    one, two = (SequenceRecommender.load(tmp_path / name) for name in ("shop", "other"))
    said = two.recommend(["u1"], 5, at=ASKED_AT)
    items = [
        {"item_id": item, "score": score}
        for item, score in zip(said.items[0], said.scores[0], strict=True)
    ]
    registry = Registry(tmp_path)
    right = {"user_id": "u1", "model_version": "other", "items": items}
    wrong = right | {"model_version": one.model_version}
    assert count_mixed([right], tmp_path / "shop", registry) == 0
    assert count_mixed([right, wrong], tmp_path / "shop", registry) == 1
