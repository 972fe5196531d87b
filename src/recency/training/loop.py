"""The training loop: plain PyTorch, visible from end to end.

Training has up to three stages. In the *search* stage the newest slice of the training time is held
back and every epoch is judged on it, until judgements no longer rise. What is learned at low rates
comes last, so from the best weights on the learning rate falls in a few epochs of *cooling*, judged
likewise. In the *refit* stage the model starts afresh from the weights it came with and learns
everything, for the chosen number of epochs and under the same schedule, since the newest events
matter most.

All randomness follows from the seed and the epoch. A run that was stopped and goes on from its
checkpoint therefore ends, on a CPU, with the very bits of a run that was not.
"""

import logging
import time
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from recency.data.batches import TrainingWindows
from recency.data.histories import Histories
from recency.errors import TrainingDivergedError
from recency.nn.evidence import EvidenceTable
from recency.nn.learned_features import renew
from recency.nn.model import SequenceModel
from recency.training.calibration import settle_heads, take_curves
from recency.training.carrying import carries
from recency.training.checkpoints import RunState, load_run, run_key, save_run, weights_of
from recency.training.choices import settle
from recency.training.config import (
    EpochRecord,
    Progress,
    TrainConfig,
    TrainingResult,
    TrainingStep,
)
from recency.training.laps import lap
from recency.training.memory import free_bytes, refuse_too_large, step_need
from recency.training.plan import Plan, plan_training
from recency.training.schedule import learning_rate, make_optimizer
from recency.training.teacher import Teacher
from recency.training.tracking.facts import end_facts, run_facts
from recency.training.tracking.trackers import Trackers, Tracking, tracked, trackers_of
from recency.training.trial import Trial
from recency.training.validation import VALID_TOKENS, validation_ndcg
from recency.training.workshop import workshop

log = logging.getLogger(__name__)


def train(
    model: SequenceModel,
    histories: Histories,
    config: TrainConfig | None = None,
    *,
    seed: int = 0,
    since: int | None = None,
    replayed: int = 0,
    progress: Progress | None = None,
    tracker: Trackers | None = None,
) -> TrainingResult:
    """Train a model in place.

    Args:
        model: Learns on from the weights it has; it ends on the training device, in evaluation
            mode.
        histories: Training events only; item rows as the model's.
        config: Settings.
        seed: Repeats the run, on a CPU bit by bit.
        since: Learn from targets at or after this instant only (microseconds); what came before is
            still read as history.
        replayed: Learn with them from at most so many older targets, so that less is forgotten.
        progress: Called after every batch.
        tracker: Told of the run and of every epoch: ``"tensorboard"``, ``"wandb"``, ``"mlflow"``,
            an object with the methods of `recency.training.tracking.trackers.Tracker`, or a list
            of them.

    Returns:
        What happened.

    Raises:
        DataError: there is nothing to learn from.
        ConfigError: a setting cannot be met here, a checkpoint found is of another run, or a
            tracker cannot begin.
        FormatError: a checkpoint found is damaged.
        TrainingDivergedError: the loss is no longer finite.
    """
    config = TrainConfig() if config is None else config
    trackers = trackers_of(tracker)
    model.to(config.torch_device()).calibrate(histories)
    config, choices, notes = settle(config, model)
    plan = plan_training(histories, config, since, replayed, seed)
    refuse_too_large(step_need(model, plan, config), free_bytes(model.bias.device), model, config)
    key = {} if config.checkpoint_dir is None else run_key(config, seed, since, histories, model)
    with (
        workshop(model, plan, config),
        tracked(trackers, lambda: run_facts(model, plan, config, seed, since)) as tracking,
    ):
        run = _Run(model, plan, config, seed, progress, tracking, key)
        run.train()
        model.eval()
        notes = (*plan.notes, *notes, *run.notes)
        result = replace(run.result(), notes=notes, choices=choices)
        if trackers:
            tracking.end(end_facts(model, result))
    return replace(result, notes=(*result.notes, *tracking.notes))


class _Run:
    """One call of `train`."""

    def __init__(
        self,
        model: SequenceModel,
        plan: Plan,
        config: TrainConfig,
        seed: int,
        progress: Progress | None,
        tracking: Tracking,
        key: dict[str, Any],
    ) -> None:
        self.model, self.plan, self.config, self.seed = model, plan, config, seed
        self.progress, self.tracking, self.key = progress, tracking, key
        self.evidence = evidence_for(model, plan.everything.histories)
        self.trial: Trial | None = None
        self.first = weights_of(model)  # each stage starts from them
        self.optimizer = make_optimizer(model, config)
        self.best: dict[str, Tensor] = {}
        self.state = RunState()
        self.notes: tuple[str, ...] = ()

    def train(self) -> None:
        """Go through the stages, from the checkpoint on where there is one."""
        plan, config = self.plan, self.config
        if config.checkpoint_dir is not None:
            found = load_run(config.checkpoint_dir, self.key, self.model, self.optimizer)
            if found is not None:
                self.state, self.best = found
                for record in self.state.history:
                    self.tracking.epoch(record, self._rate(record.stage, record.epoch))
        if plan.older is None:
            self._run_stage("train", plan.everything, config.epochs)
            return
        if self.state.stage in ("", "search"):
            self._run_stage("search", plan.older, config.epochs)
            if config.cooling and self.state.epoch - self.state.best_epoch >= config.patience:
                self.state.cooled_from = self.state.best_epoch
        if self.state.stage != "refit" and self.state.cooled_from is not None:
            self._run_stage("cooling", plan.older, self.state.cooled_from + config.cooling)
        if self.state.stage != "refit":
            self.best, self.notes = settle_heads(self.model, self.plan, self.best)
        if config.refit:
            self._run_stage("refit", plan.everything, self.state.best_epoch)
            if self.model.experts is not None:
                self.model.experts.trust.copy_(self.best["experts.trust"])
                self.model.experts.lift.copy_(self.best["experts.lift"])
            take_curves(self.model, self.best)
        else:
            self.model.load_state_dict(self.best)

    def result(self) -> TrainingResult:
        """Tell what happened."""
        plan, config, state = self.plan, self.config, self.state
        learned = plan.everything if plan.older is None or config.refit else plan.older
        return TrainingResult(
            epochs=config.epochs if plan.older is None else state.best_epoch,
            valid=state.best,
            n_targets=learned.n_targets,
            n_valid_targets=0 if plan.newest is None else plan.newest.n_targets,
            history=tuple(state.history),
        )

    def _run_stage(self, stage: str, windows: TrainingWindows, epochs: int) -> None:
        state, judged = self.state, stage in ("search", "cooling")
        if state.stage != stage:
            self._enter(stage)
        until = self.plan.cut if judged else None
        teacher = Teacher(self.model, self.config, windows, self.optimizer, self.evidence, until)
        while state.epoch < epochs:
            if stage == "search" and state.epoch - state.best_epoch >= self.config.patience:
                break
            began = time.perf_counter()
            loss = self._run_epoch(teacher, windows, epochs)
            seconds = time.perf_counter() - began
            lap("epoch")
            valid = self._judge() if judged else None
            lap("judging")
            state.epoch += 1
            chosen = valid is not None and self._is_best(valid, last=state.epoch == epochs)
            if chosen:
                state.best, state.best_epoch = valid, state.epoch
                self.best = weights_of(self.model)
            if self.model.experts is not None:
                self.model.experts.trust.zero_()  # the gate learns without it
            n_targets = windows.n_targets
            self._remember(EpochRecord(stage, state.epoch, loss, valid, seconds, n_targets, chosen))

    def _enter(self, stage: str) -> None:
        """Put weights, optimizer and count where a stage begins."""
        self.state.stage = stage
        if stage == "cooling":  # the optimizer remembers the gradients it has seen
            self.state.epoch = self.state.best_epoch
            self.model.load_state_dict(self.best)
            if self.model.experts is not None:
                self.model.experts.trust.zero_()
            return
        self.state.epoch = 0
        self.model.load_state_dict(self.first)
        self.optimizer = make_optimizer(self.model, self.config)

    def _is_best(self, valid: float, last: bool) -> bool:
        """Tell whether a judgement is the best so far, or the one to go by.

        The best of many epochs was lucky, and a refit does not repeat its luck. So it cools to the
        end, unless that was judged worse than the epochs around the best were on average.
        """
        state = self.state
        if state.stage == "search" or not self.config.refit:
            return state.best is None or valid > state.best
        assert state.cooled_from is not None
        search = [e for e in state.history if e.stage == "search"]
        near = [e.valid or 0.0 for e in search if abs(e.epoch - state.cooled_from) <= 1]
        return last and valid >= sum(near) / len(near)

    def _rate(self, stage: str, epoch: float) -> float:
        """Give the learning rate of a stage after so many epochs."""
        cooled = None if stage == "search" else self.state.cooled_from
        return learning_rate(self.config, epoch, cooled)

    def _run_epoch(self, teacher: Teacher, windows: TrainingWindows, epochs: int) -> float:
        """Learn from every target once; give the mean loss."""
        epoch = self.state.epoch
        words = np.random.SeedSequence((self.seed, epoch)).generate_state(3, np.uint64)
        torch.manual_seed(int(words[0] >> np.uint64(1)))
        batches = windows.epoch(
            self.plan.tokens,
            np.random.default_rng(words[1]),
            carried=carries(self.model, self.config),
        )
        varied = np.random.default_rng(words[2])
        teacher.begin(epoch, batches)
        n_targets = windows.n_targets * teacher.growth
        total, began = 0.0, time.perf_counter()
        for index, part in enumerate(batches):
            lr = self._rate(self.state.stage, epoch + (index + 1) / len(batches))
            # Every target counts the same, whatever the size of its batch.
            taught = teacher.teach(part, lr, len(batches) / n_targets, varied)
            step = TrainingStep(
                stage=self.state.stage,
                epoch=epoch + 1,
                epochs=epochs,
                step=index + 1,
                steps=len(batches),
                loss=taught.loss,
                lr=lr,
                eta=(time.perf_counter() - began)
                * ((epochs - epoch) * len(batches) / (index + 1) - 1),
                valid=self.state.history[-1].valid if self.state.history else None,
            )
            if not taught.finite:
                raise TrainingDivergedError(_diverged(step, taught.norm))
            total += taught.loss * taught.n_targets
            if self.progress is not None:
                self.progress(step)
        return total / n_targets

    def _judge(self) -> float:
        assert self.plan.newest is not None and self.plan.arrivals is not None
        renew(self.model)
        if self.evidence is None:
            return validation_ndcg(self.model, self.plan.newest, VALID_TOKENS)
        if self.trial is None:
            self.trial = Trial(self.model, self.plan.newest, self.plan.arrivals, self.evidence)
        return self.trial.judge()

    def _remember(self, record: EpochRecord) -> None:
        """Keep what an epoch told, and where the run is, for people and for a restart."""
        self.state.history.append(record)
        self.tracking.epoch(record, self._rate(record.stage, record.epoch))
        log.info(
            "%s epoch %d: loss %.4f, ndcg@10 %s",
            record.stage,
            record.epoch,
            record.loss,
            record.valid,
        )
        if self.config.checkpoint_dir is not None:
            folder = self.config.checkpoint_dir
            save_run(folder, self.key, self.state, self.model, self.best, self.optimizer)


def evidence_for(model: SequenceModel, histories: Histories) -> EvidenceTable | None:
    """Look up what the model's experts knew of every event before it; None without experts."""
    if model.experts is None:
        return None
    known = model.request_time == "known"
    return EvidenceTable(histories, model.experts.config, ages_to_target=known)


def _diverged(step: TrainingStep, norm: float) -> str:
    return (
        f"expected a finite loss, found loss {step.loss:.6g} with gradient norm {norm:.6g} in "
        f"stage {step.stage!r}, epoch {step.epoch}, step {step.step} of {step.steps}, at learning "
        f"rate {step.lr:.3g}; lower TrainConfig(lr=...), or look for infinite values in the log."
    )
