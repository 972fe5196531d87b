"""The gate: each thing that a model must be able to do, by itself."""

import math
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from recency.asking.selection import Selection
from recency.data.vocab import Vocab
from recency.errors import ConfigError, DataError, FormatError
from recency.recommender import SequenceRecommender
from recency.serving.log.events import Event
from recency.serving.models.gate import GateConfig, folder_faults, known_faults, score_fault
from recency.serving.models.live_scores import Comparison, LiveScores
from recency.serving.models.warm_up import touch, warm_up
from recency.serving.questions import Question

DAY = 86_400_000_000
NOW = 1_767_225_600_000_000 + 40 * DAY


@pytest.fixture
def model(shop: Path) -> SequenceRecommender:
    return SequenceRecommender.load(shop)


# --- settings ------------------------------------------------------------------------------------


def test_impossible_settings_are_told_together():
    with pytest.raises(ConfigError) as caught:
        GateConfig(epsilon=-1, least=1, judging=math.nan)
    for name in ("epsilon", "least", "judging"):
        assert f"{name}: expected a number of at least" in str(caught.value)


# --- folders and ids -----------------------------------------------------------------------------


def test_a_sound_folder_has_no_faults_and_a_damaged_one_is_no_model(shop):
    assert folder_faults(shop) == []
    (weights,) = shop.glob("weights-*")
    weights.write_bytes(b"")
    with pytest.raises(FormatError, match="was changed or cut short"):
        folder_faults(shop)


@pytest.mark.parametrize(
    "encoder", ["gru", "tide", "transformer", "memorynetwork", "timelstm", "hybrid"]
)
def test_no_encoder_is_refused_for_how_it_is_built(encoder, tmp_path, shop_log_frame):
    from recency.data.log import Log
    from recency.nn.encoders import make_encoder
    from recency.training.config import TrainConfig

    training = TrainConfig(epochs=1, device="cpu")
    one = SequenceRecommender(make_encoder(encoder, {"dim": 8}), training=training)
    one.fit(Log.from_frame(shop_log_frame.head(60))).save(tmp_path / encoder)
    assert folder_faults(tmp_path / encoder) == []


def test_some_ids_may_be_lost_and_no_more():
    known = Vocab.from_ids(pl.Series([f"i{n}" for n in range(98)]))
    ids = pl.Series([f"i{n}" for n in range(100)])
    assert known_faults("items", known, ids, GateConfig(lost_share=0.02)) == []
    (fault,) = known_faults("items", known, ids, GateConfig())
    assert fault == (
        "expected to know all but 1% of the champion's 100 items, found 2 unknown, such as "
        "['i98', 'i99']; fit the model on a log that holds them."
    )


# --- scores --------------------------------------------------------------------------------------


def test_worse_beyond_epsilon_and_chance_is_refused():
    config = GateConfig(epsilon=0.1, least=50)
    assert score_fault(Comparison(60, 0.2, 0.4, -0.3, -0.1), config) == (
        "expected an NDCG@10 of at least 0.3600 (the champion's 0.4000 less 10%), found 0.2000 on "
        "60 events that neither had seen; difference -0.2000, 95 % within [-0.3000, -0.1000]."
    )
    for passes in (
        Comparison(49, 0.2, 0.4, -0.3, -0.1),  # too few events
        Comparison(60, 0.37, 0.4, -0.05, -0.01),  # within epsilon
        Comparison(60, 0.2, 0.4, -0.5, 0.1),  # may be chance
        Comparison(60, 0.5, 0.4, 0.05, 0.15),  # better
    ):
        assert score_fault(passes, config) is None


class Says:
    """A recommender that always gives the same list."""

    def __init__(self, *items: str) -> None:
        self.items = list(items)

    def recommend(self, users: list[str], k: int, at: int) -> Any:
        listed = [self.items[:k] for _ in users]
        return type("Found", (), {"items": listed})


def judged(recommender: Any, items: str, window: int = 1000) -> LiveScores:
    scores = LiveScores(window)
    for seq, item in enumerate(items, start=1):
        scores.judge(recommender, seq, Event(f"e{seq}", "u", item, seq))
    return scores


def test_an_event_is_worth_what_its_rank_says():
    scores = judged(Says("a", "b", "c"), "abz")
    found = scores.score
    assert found.n == 3 and found.hit_rate == pytest.approx(2 / 3)
    assert found.ndcg == pytest.approx((1 + 1 / math.log2(3)) / 3)
    assert LiveScores().score.ndcg is None
    assert scores.seconds > 0


def test_models_are_compared_on_the_events_of_both():
    one, other = judged(Says("a", "b"), "aabb"), judged(Says("b", "a"), "aabbaa")
    found = one.compare(other)
    assert found.n == 4 and found.ndcg == pytest.approx(found.other)
    assert found.low == pytest.approx(-found.high) and found.high > 0
    assert one.compare(LiveScores()).n == 0
    alone = judged(Says("a"), "a").compare(judged(Says("b", "a"), "a"))
    assert (alone.n, alone.low, alone.high) == (1, -math.inf, math.inf)


def test_what_a_copy_was_worth_fills_the_gaps_and_never_the_window():
    scores = judged(Says("a"), "aaaaa", window=4)
    assert scores.seqs == [2, 3, 4, 5]
    scores.add(judged(Says("a"), "a"))
    assert scores.seqs == [2, 3, 4, 5]
    short = LiveScores(4)
    for seq in (2, 9):
        short.judge(Says("b"), seq, Event("e", "u", "a", 9))  # type: ignore[arg-type]  # enough
    short.add(judged(Says("a"), "aaaaa"))
    assert short.seqs == [3, 4, 5, 9] and short.score.ndcg == 0.75
    one = LiveScores()
    one.judge(Says("b"), 2, Event("e", "u", "a", 9))  # type: ignore[arg-type]  # enough
    one.add(judged(Says("a"), "aaa"))
    assert one.seqs == [1, 2, 3] and one.score.hit_rate == pytest.approx(2 / 3)


# --- warming up ----------------------------------------------------------------------------------


def test_recorded_questions_are_answered_in_full(model):
    asked = [(Question("u1"), 10), (Question("nobody", k=4), 4), (Question(history=()), 10)]
    assert warm_up(model, asked, NOW) == []
    assert warm_up(model, [], NOW) == []


def test_what_the_champion_could_answer_must_be_answered(model):
    asked = [
        (Question("u1", k=10), 12),
        (Question("u2", selection=Selection(categories=("boats",))), 3),
        (Question(history=()), 10),
    ]
    failed, short = warm_up(model, asked, NOW)
    assert failed.startswith("1 of 3 recorded questions failed: ConfigError: no item has")
    assert short == "1 of 3 recorded questions were short: user 'u1' got 10 of 12 items."


def test_scores_that_are_not_finite_are_found(model, monkeypatch):
    from dataclasses import replace

    recommend = model.recommend
    monkeypatch.setattr(
        model,
        "recommend",
        lambda *some, **named: (
            lambda found: replace(found, scores=[[math.nan] * len(one) for one in found.scores])
        )(recommend(*some, **named)),
    )
    (fault,) = warm_up(model, [(Question("u1"), 10)], NOW)
    assert fault == "1 of 1 recorded questions had scores that are not finite: user 'u1'."


def test_warming_up_counts_nothing_as_shown(model):
    selection = Selection(rotation=0.5)
    warm_up(model, [(Question("u1", selection=selection), 10)], NOW)
    one = model.recommend(["u1"], 5, at=NOW, rotation=0.5, counts_as_shown=False)
    assert one.items == model.recommend(["u1"], 5, at=NOW).items


def test_touched_users_have_their_states(model):
    touch(model, [f"u{n}" for n in range(40)], NOW)
    assert len(model.live.states) >= 20
    with pytest.raises(DataError):
        touch(model, [1.5], NOW)  # type: ignore[list-item]  # no id
