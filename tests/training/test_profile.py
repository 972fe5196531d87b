"""The profile measures the loop that trains, and counts what its products come to."""

import numpy as np
import pytest
import torch

from recency.errors import DataError
from recency.nn.losses import full_softmax
from recency.nn.model import SequenceModel
from recency.nn.recurrent import GRU, LSTM
from recency.training.ceiling import Ceiling, flop_counter, measure_ceiling
from recency.training.config import TrainConfig
from recency.training.laps import lap, listening
from recency.training.profile import (
    PARTS,
    StepProfile,
    Stopwatch,
    drawn_histories,
    profile_training,
    some_users,
)

CONFIG = TrainConfig(max_len=16, tokens=256, device="cpu")


@pytest.fixture
def clock(monkeypatch):
    """Give a clock that only we move."""
    now = [0.0]
    monkeypatch.setattr("recency.training.profile.time.perf_counter", lambda: now[0])
    return now


def test_laps_are_heard_inside_the_block_only():
    heard = []
    lap("before")
    with listening(lambda part, n: heard.append((part, n))):
        lap("reading", 3)
    lap("after")
    assert heard == [("reading", 3)]


def test_a_stopwatch_leaves_out_the_first_steps_and_stops_in_time(clock):
    watch = Stopwatch("cpu", limit=4.0, warm_up=1)

    def step(reading: float, rest: float) -> None:
        clock[0] += reading
        watch.hear("reading", 7)
        clock[0] += rest
        watch.hear(PARTS[-1], 0)

    step(5.0, 5.0)
    step(1.0, 2.0)
    clock[0] += 9.0
    watch.hear("judging", 0)  # no part of a step
    assert not watch.is_done
    step(0.5, 0.5)
    assert watch.is_done
    assert watch.seconds == {"reading": 1.5, PARTS[-1]: 2.5}
    assert (watch.n_steps, watch.n_targets, watch.total) == (2, 14, 4.0)


def test_rates_follow_from_a_profile():
    found = StepProfile({"encoder": 0.1, "loss": 0.1}, 5, 100.0, 2e6, None, 1.0)
    assert found.targets_per_second == pytest.approx(500)
    assert found.gflops == pytest.approx(1.0)
    assert found.share_of(Ceiling(4.0, 8.0, 1.0, 1, "cpu")) == pytest.approx(0.25)


@pytest.mark.parametrize("encoder", [GRU(8), LSTM(8)], ids=["gru", "lstm"])
def test_training_itself_is_measured(encoder):
    histories = drawn_histories(3_000, 50, max_len=16)
    model = SequenceModel(encoder, n_items=50)
    found = profile_training(model, histories, CONFIG, seconds=0.3)
    assert tuple(found.seconds) == PARTS
    busy = [part for part, taken in found.seconds.items() if taken > 0]
    assert set(PARTS) - set(busy) <= {"evidence"}
    assert found.n_steps >= 1 and 1 < found.n_targets <= 256
    assert found.judging_seconds is not None and found.judging_seconds > 0
    # Each target is read once or twice: gates forward and twice back; each loss three times.
    gates = 3 * 2 * (3 if isinstance(encoder, GRU) else 4) * 8 * 16
    assert gates + 3 * 2 * 50 * 8 < found.flops < 6 * gates + 6 * 2 * 50 * 8


def test_nothing_is_judged_where_training_judges_nothing():
    histories = drawn_histories(1_000, 50, max_len=16)
    config = TrainConfig(max_len=16, tokens=256, device="cpu", valid_share=0)
    found = profile_training(SequenceModel(GRU(4), 50), histories, config, seconds=0.05)
    assert found.judging_seconds is None


def test_a_log_without_targets_is_refused():
    alone = drawn_histories(1_000, 50, max_len=16)
    alone = some_users(alone, 1)
    first = type(alone)(np.array([0, 1]), alone.items[:1], alone.times[:1])
    with pytest.raises(DataError, match="nothing to learn from"):
        profile_training(SequenceModel(GRU(4), 50), first, CONFIG)


def test_the_dense_lstm_and_the_fused_loss_are_counted():
    cells, x = torch.nn.LSTM(8, 8, batch_first=True), torch.randn(4, 6, 8, requires_grad=True)
    with flop_counter() as counter:
        torch.autograd.backward(cells(x)[0].sum())
    assert counter.get_total_flops() == 3 * 2 * 4 * 6 * (32 * 8 + 32 * 8)
    queries, table = torch.randn(640, 8, requires_grad=True), torch.randn(50, 8, requires_grad=True)
    with flop_counter() as counter:
        torch.autograd.backward(full_softmax(queries, table, None, torch.randint(50, (640,))))
    assert counter.get_total_flops() == 2 * 640 * 50 * (8 + 8 + 8 + 1)  # powers have a start


def test_the_ceiling_is_measured():
    found = measure_ceiling(seconds=0.01, sizes=(64,), cells=10_000)
    assert found.gflops > 0 and found.bf16_gflops > 0 and found.memory_gb > 0
    assert found.threads == torch.get_num_threads() and found.device == "cpu"


def test_some_users_are_taken_whole():
    histories = drawn_histories(2_000, 50, max_len=16)
    few = some_users(histories, 500)
    assert 250 < few.n_events < 1_000
    assert some_users(histories, 10**6) is histories
    assert set(few.lengths) <= set(histories.lengths)
    assert (few.gaps[few.offsets[:-1]] == -1).all() and (np.diff(few.offsets) > 0).all()
    assert few.items[: few.lengths[0]].tolist() == histories.items[: histories.lengths[0]].tolist()


def test_drawn_histories_are_histories():
    drawn = drawn_histories(20_000, 300, max_len=40, seed=3)
    again = drawn_histories(20_000, 300, max_len=40, seed=3)
    assert drawn.items.tolist() == again.items.tolist()
    assert drawn.n_events == pytest.approx(20_000, rel=0.02)
    assert drawn.items.min() >= 0 and drawn.items.max() < 300
    inside = np.setdiff1d(np.arange(drawn.n_events), drawn.offsets[:-1])
    assert (drawn.gaps[inside] > 0).all()
    assert 0 < (drawn.lengths > 40).mean() < 0.2
