"""The training loop: what it learns, how it chooses, how it stops, how it goes on."""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from recency.data.histories import Histories
from recency.errors import ConfigError, DataError, FormatError, TrainingDivergedError
from recency.nn.model import SequenceModel
from recency.training import loop
from recency.training.checkpoints import FILE, weights_of
from recency.training.config import TrainConfig, TrainingStep
from recency.training.loop import train
from recency.training.plan import plan_training
from recency.training.validation import VALID_TOKENS, validation_ndcg

SECOND = 1_000_000
START = 1_767_225_600 * SECOND


def same_bits(one: SequenceModel, other: SequenceModel) -> bool:
    pairs = zip(weights_of(one).items(), weights_of(other).items(), strict=True)
    return all(a == b and torch.equal(x, y) for (a, x), (b, y) in pairs)


def history_of(*seconds: int) -> Histories:
    """One user's events at the given seconds."""
    times = np.array(seconds, np.int64) * SECOND + START
    return Histories(np.array([0, len(seconds)]), np.zeros(len(seconds), np.int32), times)


# --- learning ------------------------------------------------------------------------------------


@pytest.mark.parametrize("request_time", ["unknown", "known"])
def test_it_learns_a_cycle(new_model, histories, config, request_time):
    model = new_model(request_time)
    result = train(model, histories, config)
    losses = [epoch.loss for epoch in result.history if epoch.stage == "search"]
    assert losses[0] > 2.2 and losses[-1] < 1.5  # log(12) is 2.48; one event in six is anything
    assert result.valid is not None and result.valid > 0.75
    assert not model.training


def test_the_same_seed_gives_the_same_bits_and_leaves_the_callers_randomness_alone(
    new_model, histories, unjudged
):
    models = [new_model() for _ in range(3)]
    before = torch.random.get_rng_state()
    for model, seed in zip(models, (5, 5, 6), strict=True):
        train(model, histories, unjudged, seed=seed)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert same_bits(models[0], models[1]) and not same_bits(models[0], models[2])


def test_targets_since_an_instant_are_all_that_is_learned(new_model, histories, unjudged):
    since = START + 60 * 15 * SECOND
    result = train(new_model(), histories, unjudged, since=since)
    assert result.n_targets == int((histories.times >= since).sum())
    assert result.n_targets < train(new_model(), histories, unjudged).n_targets


def test_bfloat16_learns_too_and_leaves_float32_weights(new_model, histories, unjudged):
    model = new_model("known")
    result = train(model, histories, replace(unjudged, precision="bf16"))
    assert result.history[-1].loss < 1.5
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}
    exact = new_model("known")
    precise = train(exact, histories, unjudged)
    assert not same_bits(model, exact)
    for rounded, one in zip(result.history, precise.history, strict=True):
        assert rounded.loss == pytest.approx(one.loss, rel=0.02)


def test_a_sample_of_the_items_is_enough_to_learn_from(new_model, histories, config):
    result = train(new_model(), histories, replace(config, negatives=6))
    assert result.valid is not None and result.valid > 0.75


@pytest.mark.gpu
def test_a_gpu_learns_too(new_model, histories, config):
    model = new_model()
    result = train(model, histories, replace(config, device="cuda"))
    assert model.bias.is_cuda and result.valid is not None and result.valid > 0.75


# --- choosing epochs -----------------------------------------------------------------------------


def test_the_search_never_reads_the_slice_it_is_judged_on(new_model, histories, config):
    once = replace(config, epochs=1, refit=False)
    newest = histories.times >= np.quantile(histories.times, 0.9)
    corrupt = replace(histories, items=np.where(newest, 0, histories.items).astype(np.int32))
    clean, dirty = new_model(), new_model()
    results = [train(clean, histories, once), train(dirty, corrupt, once)]
    assert same_bits(clean, dirty)
    assert results[0].valid != results[1].valid


def test_without_a_refit_the_best_epoch_is_kept(new_model, histories, config):
    model = new_model()
    hasty = replace(config, lr=0.3, epochs=10, patience=10, refit=False)  # judgements jump
    result = train(model, histories, hasty)
    judged = [epoch.valid or 0.0 for epoch in result.history]
    assert result.epochs == 1 + judged.index(max(judged)) < len(judged) == 10
    plan = plan_training(histories, hasty, None)
    assert plan.newest is not None and plan.older is not None
    assert validation_ndcg(model, plan.newest, VALID_TOKENS) == result.valid == max(judged)
    assert result.n_targets == plan.older.n_targets < plan.everything.n_targets
    assert result.n_valid_targets == plan.newest.n_targets > 0


def test_the_search_stops_when_judgements_no_longer_rise(new_model, histories, config):
    hot = replace(config, epochs=40, patience=2, cooling=0, refit=False)
    result = train(new_model(), histories, hot)
    judged = [epoch.valid or 0.0 for epoch in result.history]
    assert len(judged) == result.epochs + 2 < 40
    assert result.valid == max(judged) >= max(judged[result.epochs :])


def test_the_rate_falls_from_the_best_weights_once_patience_is_out(new_model, histories, config):
    hasty = replace(config, lr=0.1, epochs=40, patience=2, cooling=3)
    seen: list[TrainingStep] = []
    model = new_model()
    result = train(model, histories, hasty, progress=seen.append)
    search, cooling = ([e for e in result.history if e.stage == s] for s in ("search", "cooling"))
    best = len(search) - 2
    assert [e.epoch for e in cooling] == [best + 1, best + 2, best + 3]
    assert cooling[0].loss < search[best].loss  # of the same batches, from the same weights
    rates = {(s.stage, s.epoch): s.lr for s in seen}  # at the end of each epoch
    fall = [rates["search", best], *(rates["cooling", e.epoch] for e in cooling)]
    assert np.diff(fall) == pytest.approx((5e-3 - fall[0]) / 3) and fall[-1] == pytest.approx(5e-3)
    refit = [e.epoch for e in result.history if e.stage == "refit"]
    assert refit == list(range(1, best + 4)) and result.epochs == best + 3
    for epoch in refit:
        assert rates["refit", epoch] == rates["search" if epoch <= best else "cooling", epoch]


@pytest.mark.parametrize(
    ("cooled", "refit", "epochs", "valid"),
    [
        ((0.9, 0.1, 0.35), True, 5, 0.35),  # no worse than epochs 1 to 3 on average: 1 / 3
        ((0.9, 0.1, 0.30), True, 2, 0.5),
        ((0.9, 0.1, 0.35), False, 3, 0.9),
    ],
)
def test_a_refit_cools_to_the_end_unless_that_is_worse_than_around_the_best(
    new_model, histories, config, monkeypatch, cooled, refit, epochs, valid
):
    judgements = iter((0.1, 0.5, 0.4, 0.3, *cooled))
    monkeypatch.setattr(loop, "validation_ndcg", lambda *_: next(judgements))
    result = train(new_model(), histories, replace(config, epochs=9, patience=2, refit=refit))
    assert (result.epochs, result.valid) == (epochs, valid)
    assert [e.epoch for e in result.history if e.chosen][-1] == epochs
    assert sum(e.stage == "refit" for e in result.history) == (epochs if refit else 0)


def test_a_search_that_runs_out_of_epochs_has_cooled_already(new_model, histories, config):
    result = train(new_model(), histories, replace(config, epochs=2, patience=2))
    assert {epoch.stage for epoch in result.history} == {"search", "refit"}


def test_the_refit_learns_everything_afresh_for_the_best_number_of_epochs(
    new_model, histories, config
):
    short = replace(config, epochs=2)
    refitted, straight = new_model(), new_model()
    result = train(refitted, histories, short)
    assert [epoch.stage for epoch in result.history] == ["search"] * 2 + ["refit"] * 2
    assert result.epochs == 2 and result.n_targets == 24 * 19
    # The best of two epochs is the second, so the refit is a plain training of two epochs.
    train(straight, histories, replace(short, valid_share=0.0))
    assert same_bits(refitted, straight)


def test_a_log_too_small_to_judge_is_trained_to_the_end_and_says_so(new_model, unjudged, caplog):
    with caplog.at_level(logging.WARNING):
        result = train(new_model(), history_of(0, 60, 120), TrainConfig(epochs=3, device="cpu"))
    assert [epoch.stage for epoch in result.history] == ["train"] * 3
    assert result.epochs == 3 and result.valid is None and result.n_valid_targets == 0
    (note,) = result.notes
    assert note in caplog.text
    assert (
        "the newest 10% of the training events (from 2026-01-01T00:02:00Z) hold 1 targets" in note
    )
    assert "leave 1 to learn from" in note and "trained all 3 epochs on everything" in note
    asked_for = train(new_model(), history_of(0, 60, 120), unjudged)
    assert asked_for.notes == ()


# --- nothing to learn, and divergence ------------------------------------------------------------


@pytest.mark.parametrize("seconds", [(), (0,), (7, 7, 7)])
def test_a_log_without_targets_is_refused(new_model, config, seconds):
    with pytest.raises(DataError) as caught:
        train(new_model(), history_of(*seconds), config)
    told = str(caught.value)
    assert "there is nothing to learn from: no event has an earlier event of its own user" in told
    assert f"found {len(seconds)} events of {int(bool(seconds))} users" in told


def test_a_log_without_targets_since_an_instant_names_it(new_model, config):
    with pytest.raises(DataError, match="no event at or after 2026-01-01T00:01:01Z has"):
        train(new_model(), history_of(0, 60), config, since=START + 61 * SECOND)


def test_a_loss_that_is_not_finite_stops_and_names_the_step(new_model, histories, unjudged):
    model = new_model()
    seen: list[TrainingStep] = []

    def poison(step: TrainingStep) -> None:
        seen.append(step)
        if (step.epoch, step.step) == (2, 3):
            with torch.no_grad():
                model.bias[0] = float("nan")

    with pytest.raises(TrainingDivergedError) as caught:
        train(model, histories, unjudged, progress=poison)
    told = str(caught.value)
    assert "expected a finite loss, found loss nan with gradient norm nan" in told
    assert f"in stage 'train', epoch 2, step 4 of {seen[-1].steps}, at learning rate 0.0" in told
    assert "lower TrainConfig(lr=...)" in told


def test_a_gradient_that_is_not_finite_moves_nothing(new_model, histories, unjudged):
    model = new_model()
    model.items.register_hook(lambda gradient: gradient * float("inf"))
    before = weights_of(model)
    with pytest.raises(TrainingDivergedError, match="epoch 1, step 1 of"):
        train(model, histories, unjudged)
    assert all(torch.equal(before[n], w) for n, w in model.named_parameters())


def test_a_missing_gpu_is_named(new_model, histories, config, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match=r"TrainConfig\(device='cuda'\): torch finds no CUDA"):
        train(new_model(), histories, replace(config, device="cuda"))


# --- progress ------------------------------------------------------------------------------------


def test_progress_tells_every_batch_of_every_stage(new_model, histories, config):
    seen: list[TrainingStep] = []
    result = train(new_model(), histories, replace(config, epochs=3), progress=seen.append)
    for record in result.history:
        steps = [s for s in seen if (s.stage, s.epoch) == (record.stage, record.epoch)]
        assert [s.step for s in steps] == list(range(1, steps[0].steps + 1))
        assert all(s.epochs == 3 and s.eta >= 0 and s.lr > 0 for s in steps)
    assert seen[0].valid is None and seen[0].loss > 2.0
    first = result.history[0].valid
    assert {s.valid for s in seen if (s.stage, s.epoch) == ("search", 2)} == {first}
    last = [s for s in seen if s.stage == "refit"][-1]
    assert last.eta == 0.0


def test_the_learning_rate_rises_then_falls(new_model, histories, unjudged):
    seen: list[TrainingStep] = []
    train(new_model(), histories, unjudged, progress=seen.append)
    rates = np.array([step.lr for step in seen])
    top = int(rates.argmax())
    assert (np.diff(rates[: top + 1]) > 0).all() and (np.diff(rates[top:]) < 0).all()
    assert top == seen[0].steps - 1  # the end of the first epoch
    assert rates[top] == pytest.approx(1e-2) and rates[-1] == pytest.approx(5e-4)


# --- going on ------------------------------------------------------------------------------------


class StoppedError(Exception):
    """Somebody pulled the plug."""


def stop_at(stage: str, epoch: int, step: int = 2):
    def stop(now: TrainingStep) -> None:
        if (now.stage, now.epoch, now.step) == (stage, epoch, step):
            raise StoppedError

    return stop


@pytest.mark.parametrize(
    ("stage", "past"),
    [("search", 1), ("search", 3), ("cooling", 1), ("cooling", 3), ("refit", 1), ("refit", 3)],
)
def test_a_stopped_run_goes_on_to_the_very_same_bits(
    new_model, histories, config, tmp_path, stage, past
):
    config = replace(config, lr=0.1, epochs=40, patience=2, cooling=3)
    straight, stopped = new_model(), new_model()
    whole = train(straight, histories, config)
    epoch = [e.epoch for e in whole.history if e.stage == stage][past - 1]
    kept = replace(config, checkpoint_dir=tmp_path)
    with pytest.raises(StoppedError):
        train(stopped, histories, kept, progress=stop_at(stage, epoch))
    fresh = new_model()  # as a new process would make it
    seen: list[TrainingStep] = []
    resumed = train(fresh, histories, kept, progress=seen.append)
    assert same_bits(straight, fresh)
    assert (seen[0].stage, seen[0].epoch) == (stage, epoch)
    assert [replace(e, seconds=0) for e in resumed.history] == [
        replace(e, seconds=0) for e in whole.history
    ]
    assert (resumed.epochs, resumed.valid) == (whole.epochs, whole.valid)


def test_six_epochs_are_three_and_three_more(new_model, histories, unjudged, tmp_path):
    straight, fresh = new_model(), new_model()
    train(straight, histories, unjudged)
    kept = replace(unjudged, checkpoint_dir=tmp_path)
    with pytest.raises(StoppedError):
        train(new_model(), histories, kept, progress=stop_at("train", 4, step=1))
    train(fresh, histories, kept)
    assert same_bits(straight, fresh)


@pytest.mark.parametrize("refit", [True, False])
def test_a_finished_run_is_not_run_again(new_model, histories, config, tmp_path, refit):
    kept = replace(config, checkpoint_dir=tmp_path, refit=refit)
    first, again = new_model(), new_model()
    result = train(first, histories, kept)
    seen: list[TrainingStep] = []
    assert train(again, histories, kept, progress=seen.append) == result
    assert seen == [] and same_bits(first, again)


def test_a_checkpoint_of_another_run_is_not_taken(new_model, histories, unjudged, tmp_path):
    kept = replace(unjudged, epochs=1, checkpoint_dir=tmp_path)
    train(new_model(), histories, kept)
    with pytest.raises(ConfigError) as caught:
        train(new_model(seed=1), histories, replace(kept, lr=1e-3), seed=1)
    told = str(caught.value)
    assert f"the checkpoint in {tmp_path} is of another run: seed, weights, lr differ" in told
    assert "delete it, or name another checkpoint_dir" in told
    other = replace(histories, items=histories.items[::-1].copy())
    with pytest.raises(ConfigError, match="another run: histories differ"):
        train(new_model(), other, kept)


def test_a_damaged_checkpoint_is_not_taken(new_model, histories, unjudged, tmp_path: Path):
    kept = replace(unjudged, epochs=1, checkpoint_dir=tmp_path)
    train(new_model(), histories, kept)
    path = tmp_path / FILE
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(FormatError, match="was changed after it was written; delete it"):
        train(new_model(), histories, kept)


def test_a_run_can_move_to_another_folder_and_board(new_model, histories, unjudged, tmp_path):
    """Where a run writes decides nothing of what it learns."""
    plain, kept = new_model(), new_model()
    train(plain, histories, unjudged)
    train(kept, histories, replace(unjudged, checkpoint_dir=tmp_path / "deep" / "folder"))
    assert same_bits(plain, kept)
