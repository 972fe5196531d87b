"""The facts of a run: what is learned, from what, and with which seed, as JSON."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from recency.nn.encoder import settings_of_encoder
from recency.nn.model import SequenceModel
from recency.training.checkpoints import digest_histories, digest_tensors
from recency.training.config import TrainConfig, TrainingResult
from recency.training.plan import Plan
from recency.units import format_instant

Facts = Mapping[str, Any]  # JSON


def run_facts(
    model: SequenceModel, plan: Plan, config: TrainConfig, seed: int, since: int | None
) -> dict[str, Any]:
    """Tell all that decides what a run ends with, and the size of it.

    Returns:
        ``encoder`` (``name`` and constructor arguments), ``inputs``, ``experts`` (None without),
        ``request_time``, ``training``, ``seed``, ``since``; ``first_weights``, the digest of the
        weights it starts from; ``data`` with counts, ``start`` and ``cut`` (instants: all events
        lie in between, the cut left out), and ``digest``, the SHA-256 of every event;
        ``n_weights``; ``device``.
    """
    histories = plan.everything.histories
    times = histories.times
    return {
        "encoder": settings_of_encoder(model.encoder),
        "inputs": asdict(model.events.config),
        "experts": None if model.experts is None else asdict(model.experts.config),
        "request_time": model.request_time,
        "training": config.what_is_learned(),
        "seed": seed,
        "since": None if since is None else format_instant(since),
        "first_weights": model_version(model),
        "data": {
            "n_events": histories.n_events,
            "n_users": int((histories.lengths > 0).sum()),
            "n_items": model.n_items,
            "n_targets": plan.everything.n_targets,
            "n_valid_targets": 0 if plan.newest is None else plan.newest.n_targets,
            "start": format_instant(int(times.min())),
            "cut": format_instant(int(times.max()) + 1),
            "digest": digest_histories(histories),
        },
        "n_weights": sum(weights.numel() for weights in model.parameters()),
        "device": str(model.bias.device),
    }


def end_facts(model: SequenceModel, result: TrainingResult) -> dict[str, Any]:
    """Tell what a finished run ended with; ``model_version`` is what the saved model carries."""
    return {
        "status": "finished",
        "model_version": model_version(model),
        "epochs": result.epochs,
        "ndcg@10": result.valid,
        "notes": list(result.notes),
    }


def model_version(model: SequenceModel) -> str:
    """Name the weights of a model by their digest."""
    return digest_tensors(model.state_dict())[:12]


def flat(facts: Facts, before: str = "") -> dict[str, Any]:
    """Name nested facts by paths such as ``training.lr``; lists become text, None is left out."""
    found: dict[str, Any] = {}
    for name, value in facts.items():
        if isinstance(value, Mapping):
            found.update(flat(value, f"{before}{name}."))
        elif value is not None:
            found[before + name] = json.dumps(value) if isinstance(value, list | tuple) else value
    return found
