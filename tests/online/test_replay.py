"""The replay: arms part at the start, learn only what is revealed, and are judged alike."""

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest

import recency as rc
from recency.data.log import Log
from recency.errors import ConfigError
from recency.online.arms import Arm, make_arm
from recency.online.config import LearnConfig
from recency.online.picture import replay_picture
from recency.online.replay import replay
from tests.online.conftest import EXPERTS, Shop

DAY = 86_400_000_000
CONFIG = LearnConfig(whole="2d", gate_steps=2, recent=2_000, delay="5min")
ARMS = ("frozen", "state", "gate", "fine-tune", "replay", "learn", "refit", "live-popularity")


def make() -> rc.SequenceRecommender:
    training = rc.TrainConfig(epochs=1, device="cpu")
    return rc.SequenceRecommender(rc.GRU(dim=8), training=training, experts=EXPERTS)


def lived(small_shop: Shop, log: Log, arms=("learn",), **more):
    given: dict[str, Any] = {"update": "2d", "config": CONFIG, "fitted": small_shop.model()}
    given |= more
    return replay(log, make, arms=arms, **given)


@pytest.fixture(scope="module")
def all_arms(small_shop):
    told = []
    found = lived(small_shop, small_shop.test, ARMS, told=lambda *one: told.append(one))
    return found, told


def test_every_arm_has_its_row_and_its_cost(all_arms):
    found, told = all_arms
    frame = found.to_frame()
    assert frame["arm"].to_list() == list(ARMS)
    rows = {row["arm"]: row for row in frame.to_dicts()}
    assert rows["state"]["gain_over_state"] == 0.0
    assert rows["frozen"]["ndcg@10"] < rows["state"]["ndcg@10"]  # knows nothing of what came
    for name in ("frozen", "state", "live-popularity"):
        assert rows[name]["seconds"] == rows[name]["rounds"] == 0
    for name in ("gate", "fine-tune", "replay", "learn", "refit"):
        assert rows[name]["seconds"] > 0 and rows[name]["rounds"] == 3, name
    assert rows["refit"]["cost_of_refit"] == 1.0
    assert {name for name, *_ in told} == set(ARMS) - {"frozen", "live-popularity"}
    assert told[-1][1] == told[-1][2] == 4


def test_the_curve_holds_every_question_once(all_arms):
    found, _ = all_arms
    curve = found.curve()
    assert curve["n"].sum() == len(found.at) == 703
    for name in ARMS:
        mean = (curve["n"] * curve[name]).sum() / curve["n"].sum()
        assert mean == pytest.approx(found.to_frame().filter(arm=name)["ndcg@10"].item())
    assert found.curve(99).height == 1
    assert replay_picture(found, "A shop").startswith(b"\x89PNG")


def test_states_alone_are_what_evaluate_says(all_arms, small_shop):
    report = rc.evaluate(
        small_shop.model(), small_shop.test, reading="growing", baselines=False, resamples=2
    )
    ndcg = all_arms[0].to_frame().filter(arm="state")["ndcg@10"].item()
    assert ndcg == pytest.approx(report.model.metrics["ndcg@10"])


@pytest.mark.parametrize("arm", ["learn", pytest.param("refit", marks=pytest.mark.slow)])
def test_later_events_change_nothing_before(small_shop, arm):
    """What comes after a question, and what is not revealed yet, is never looked at."""
    log = small_shop.test
    cut = log.start + 5 * DAY
    before = log.times < cut
    items = log.events["item_id"].to_numpy().copy()
    items[~before] = np.random.default_rng(0).permutation(items[~before])
    other = Log(log.events.with_columns(item_id=pl.Series(items)), log.past)
    gains = []
    for one in (log, other):
        found = lived(small_shop, one, (arm,))
        gains.append((found.at, found.outcomes[0].gains))
    early = [part[at < cut] for at, part in gains]
    assert len(early[0]) > 200 and np.array_equal(*early)
    assert not np.array_equal(gains[0][1], gains[1][1])


def test_an_arm_without_learning_is_the_model(small_shop):
    one = make_arm("state", small_shop.model, make, small_shop.test, 2 * DAY, CONFIG)
    assert isinstance(one, Arm) and one.request_time == "unknown"
    with pytest.raises(ConfigError, match="fit that first"):
        one.fit(small_shop.train)
    with pytest.raises(ConfigError, match="expected arms of frozen, .*, found 'x'"):
        make_arm("x", small_shop.model, make, small_shop.test, DAY, CONFIG)


def test_what_cannot_be_replayed_is_told(small_shop):
    with pytest.raises(ConfigError, match="found magic"):
        lived(small_shop, small_shop.test, ("state", "magic"))
    with pytest.raises(ConfigError, match="knows its past"):
        lived(small_shop, Log(small_shop.test.events))
    with pytest.raises(ConfigError, match="update above 0"):
        lived(small_shop, small_shop.test, update=0)


def test_a_delay_beyond_the_log_is_as_good_as_no_learning(small_shop):
    config = replace(CONFIG, delay="400d")
    found = lived(small_shop, small_shop.test, ("state", "learn"), config=config)
    assert np.array_equal(found.outcomes[0].gains, found.outcomes[1].gains)
