"""What every head owes: it comes back from what is written down, never looks ahead, and is asked.

A head that joins `recency.nn.heads.HEADS` is tested here as soon as it stands among the examples,
and a test fails until it does.
"""

import inspect
import json
import tomllib
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

import recency as rc
from recency.data.histories import Histories
from recency.data.tallies import Ledger
from recency.nn.head import Head
from recency.nn.heads import (
    HEADS,
    heads_of_settings,
    heads_of_tables,
    settings_of_heads,
    tables_of_heads,
)
from recency.recommender import SequenceRecommender
from recency.training.calibration import CURVES
from recency.training.checkpoints import weights_of
from recency.training.tracking.run_toml import run_toml

HOUR, DIM, N_ITEMS = 3_600_000_000, 8, 9
START = 1_767_225_600_000_000
Ask = Callable[[SequenceRecommender], pl.DataFrame]

# Each head with no setting at its default, and a question that it answers.
EXAMPLES: dict[str, tuple[Head, Ask]] = {
    "RatingHead": (
        rc.RatingHead(scale=[0, 6], event_type="view", rank=3, weight=0.5),
        lambda model: model.rate(["u1"], ["i1"]),
    ),
    "TypeHead": (
        rc.TypeHead("buy", given="view", within="5h", weight=0.5, calibration="isotonic"),
        lambda model: model.propensity(["u1"], ["i1"], event_type="buy"),
    ),
    "HorizonHead": (
        rc.HorizonHead("buy", "9h", weight=0.5, calibration="none"),
        lambda model: model.propensity(["u1"], event_type="buy", horizon="9h"),
    ),
    "TimeHead": (
        rc.TimeHead(parts=3, weight=0.5, calibration="none", live=False),
        lambda model: model.next_time(["u1"], horizons=["1h"]),
    ),
    "BasketHead": (
        rc.BasketHead("2h", weight=0.5, calibration="isotonic"),
        lambda model: model.basket(["u1"], k=2),
    ),
}


def histories(n_users: int = 14, n_events: int = 40) -> Histories:
    """Draw views and purchases, half of them of the hour of the one before."""
    rng = np.random.default_rng(3)
    steps = rng.integers(0, 6, (n_users, n_events)) // 3 * rng.integers(1, 9, (n_users, n_events))
    shape = n_users * n_events
    return Histories(
        offsets=np.arange(n_users + 1) * n_events,
        items=rng.integers(0, N_ITEMS, shape).astype(np.int32),
        times=START + np.cumsum(steps, axis=1).ravel() * HOUR,
        types=rng.integers(0, 2, shape).astype(np.int16),
        values=rng.integers(1, 6, shape).astype(np.float32),
    )


def studied(name: str, known: Histories) -> Head:
    head = EXAMPLES[name][0].clone()
    head.build(DIM)
    head.study(Ledger.of(known, N_ITEMS), ["view", "buy"])
    return head


def sources_of(known: Histories, until: int) -> tuple[Any, Any]:
    """Give the targets before an instant, and the event before each."""
    targets = np.flatnonzero((known.group_start > known.offsets[known.user_of])
                             & (known.times < until))  # fmt: skip
    return targets, known.group_start[targets] - 1


def test_every_head_has_an_example():
    assert EXAMPLES.keys() == HEADS.keys()


@pytest.mark.parametrize("name", HEADS)
def test_every_argument_is_varied_and_kept(name):
    head = EXAMPLES[name][0]
    defaults = inspect.signature(type(head)).parameters
    for argument, value in head.config().items():
        assert value != defaults[argument].default, argument
    for again in (
        heads_of_settings(json.loads(json.dumps(settings_of_heads([head]))))[0],
        heads_of_tables(
            tomllib.loads(run_toml({"model": {"heads": tables_of_heads([head])}}))["model"]["heads"]
        )[0],
        head.clone(),
    ):
        assert type(again) is type(head) and again.config() == head.config()
        assert again.name == head.name


@pytest.mark.parametrize("name", HEADS)
def test_later_events_change_neither_lessons_nor_facts(name):
    known = histories()
    until = int(np.quantile(known.times, 0.7))
    head = studied(name, known)
    stops = known.stops_before(np.arange(known.n_users), np.full(known.n_users, until))
    cut = known.cut(stops)
    found = []
    for one in (known, cut):
        ledger = Ledger.of(one, N_ITEMS, until)
        lessons = head.lessons(ledger, *sources_of(one, until))
        assert len(lessons) and np.all(np.diff(lessons.keys) >= 0)
        assert lessons.facts.shape == (len(lessons), head.n_facts)
        # Places differ where the rest of a history follows; who and when do not.
        order = (ledger.users[lessons.keys], ledger.times[lessons.keys])
        found.append((*order, lessons.facts, lessons.labels, lessons.at))
    for whole, part in zip(*found, strict=True):
        assert np.array_equal(whole, part)


@pytest.mark.parametrize("name", HEADS)
def test_losses_are_finite_and_every_weight_learns(name):
    known = histories()
    head = studied(name, known)
    ledger = Ledger.of(known, N_ITEMS)
    pairs = sources_of(known, ledger.until)
    head.ground(ledger, *pairs)
    lessons = head.lessons(ledger, *pairs)
    read = (torch.from_numpy(one) for one in (lessons.facts, lessons.labels))
    generator = torch.Generator().manual_seed(0)
    outputs, vectors = (torch.randn(len(lessons), DIM, generator=generator) for _ in range(2))
    with torch.no_grad():
        for one in head.parameters():  # those that start at nothing hide the ones before them
            one.add_(0.1 * torch.randn(one.shape, generator=generator))
    loss = head.loss(outputs, vectors, *read)
    assert torch.isfinite(loss) and loss.ndim == 0
    loss.backward()
    for which, one in head.named_parameters():
        assert one.grad is not None and torch.isfinite(one.grad).all(), which
        assert one.grad.abs().sum() > 0, which


@pytest.fixture(scope="module")
def model() -> SequenceRecommender:
    known = histories()
    frame = pl.DataFrame(
        {
            "user_id": [f"u{n}" for n in known.user_of],
            "item_id": [f"i{n}" for n in known.items],
            "timestamp": pl.Series(known.times).cast(pl.Datetime("us", "UTC")),
            "event_type": np.array(["view", "buy"])[known.types],
            "value": known.values,
        }
    )
    training = rc.TrainConfig(epochs=2, lr=1e-2, tokens=128, heads="joint", guard=1, device="cpu")
    heads = [one.clone() for one, _ in EXAMPLES.values()]
    return SequenceRecommender(rc.GRU(dim=DIM), training=training, experts=None, heads=heads).fit(
        rc.read_log(frame)
    )


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.filterwarnings("ignore:a horizon of")
def test_all_are_trained_together_asked_kept_and_moved(name, model, tmp_path):
    ask = EXAMPLES[name][1]
    model.save(tmp_path)
    again = SequenceRecommender.load(tmp_path)
    told, kept = ask(model), ask(again)
    assert told.columns[0] == "user_id" and told.columns[-1] == "fallback"
    numbers = [one for one in told.columns if told[one].dtype.is_float()]
    for one in numbers:
        assert kept[one].to_numpy() == pytest.approx(told[one].to_numpy(), rel=1e-4)
        assert np.isfinite(told[one].to_numpy()).all()
    at = again.live.now + HOUR
    event = {"user_id": "u1", "item_id": "i2", "timestamp": at, "event_type": "buy", "value": 5.0}
    again.observe([event])
    moved = ask(again)
    assert any(moved[one].to_list() != kept[one].to_list() for one in numbers)


def test_what_calibration_sets_goes_over_to_the_refit(model):
    names = [name for name in weights_of(model.live.model) if name.startswith("heads.")]
    for ending in CURVES:
        assert any(name.endswith(ending) for name in names), ending
