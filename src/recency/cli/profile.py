"""``recency doctor --profile``: what the machine can do, and where a training step's time goes."""

import io
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from recency.cli import output
from recency.cli.reading import training_log
from recency.cli.run_config import RunConfig

if TYPE_CHECKING:
    from recency.data.histories import Histories
    from recency.training.config import TrainConfig
    from recency.training.profile import StepProfile

DRAWN_EVENTS = 100_000
_WORDS = {
    "reading": "reading the batch",
    "embedding": "input embedding",
    "encoder": "encoder forward",
    "output": "output layer, question",
    "evidence": "experts: what was known",
    "loss": "loss forward",
    "backward": "backward",
    "clipping": "clipping",
    "optimiser": "optimiser",
}
_NOTES = (
    "Counted are products of matrices; activations, softmax, norms, scans, gathers and the "
    "optimiser are not.",
    "A fused softmax loss computes its gradients on the way: they are in 'loss forward'.",
)


def profile(settings: RunConfig, file: str | None, n_items: int, seconds: float) -> dict[str, Any]:
    """Measure the ceiling and a training step of the model that the settings describe.

    Args:
        settings: Model and training.
        file: Events to learn from; None draws some.
        n_items: Items of the drawn events.
        seconds: Of training steps measured.
    """
    from recency.training.ceiling import measure_ceiling
    from recency.training.config import TrainConfig
    from recency.training.profile import drawn_histories, profile_training

    recommender = settings.recommender()
    training = settings.training or TrainConfig()
    if file is None:
        data = f"drawn: {DRAWN_EVENTS:,} events, {n_items:,} items"
        histories = drawn_histories(DRAWN_EVENTS, n_items, training.max_len)
        n_types = 0
    else:
        data, histories, n_items, n_types = _read(file, settings)
    plain = replace(recommender.recipe, heads=())  # profiled is what learns the next item
    model = plain.model(n_items, n_types)
    output.tell("Measuring the machine, then the training steps …")
    ceiling = measure_ceiling(training.torch_device().type, seconds=seconds / 8)
    found = profile_training(model, histories, training, seconds=seconds)
    return {
        "data": data,
        "encoder": {"name": settings.model.encoder, **recommender.encoder.config()},
        "experts": settings.model.experts,
        "max_len": training.max_len,
        "ceiling": asdict(ceiling),
        **_facts(found, training),
        "share_of_ceiling": found.share_of(ceiling),
    }


def text(facts: dict[str, Any]) -> str:
    """Write a profile: the ceiling, the table of parts, the share reached."""
    ceiling = facts["ceiling"]
    epoch = f"An epoch takes about {_duration(facts['epoch_seconds'])}"
    if facts["judging_seconds"] is not None:
        epoch += f", and judging it {_duration(facts['judging_seconds'])}"
    lines = [
        f"Ceiling of this machine ({ceiling['device']}, {ceiling['threads']} threads): float32 "
        f"products {ceiling['gflops']:,.0f} GFLOP/s, bfloat16 {ceiling['bf16_gflops']:,.0f} "
        f"GFLOP/s, memory {ceiling['memory_gb']:,.1f} GB/s",
        f"{_model_line(facts)}; {facts['data']}",
        _table(facts["step_ms"]),
        f"{facts['targets_per_second']:,.0f} targets a second, "
        f"{facts['targets_per_step']:,.0f} a step (mean of {facts['steps']} steps). {epoch}.",
        f"Products: {facts['flops_per_target'] / 1e6:,.2f} MFLOP a target, {facts['gflops']:,.1f} "
        f"GFLOP/s: {facts['share_of_ceiling']:.0%} of the measured rate.",
        *_NOTES,
    ]
    return "\n".join(lines)


def _read(file: str, settings: RunConfig) -> tuple[str, "Histories", int, int]:
    from recency.data.prepared import rows_of

    log = training_log(file, settings)
    vocabs, histories = rows_of(log)
    said = f"{log.n_events:,} events, {log.n_items:,} items"
    return said, histories, len(vocabs.items), len(vocabs.types)


def _facts(found: "StepProfile", training: "TrainConfig") -> dict[str, Any]:
    used = {part: taken for part, taken in found.seconds.items() if taken >= 1e-5}
    return {
        "precision": training.precision,
        "step_ms": {part: 1e3 * taken for part, taken in used.items()},
        "steps": found.n_steps,
        "targets_per_step": found.n_targets,
        "targets_per_second": found.targets_per_second,
        "epoch_seconds": found.epoch_seconds,
        "judging_seconds": found.judging_seconds,
        "flops_per_target": found.flops,
        "gflops": found.gflops,
    }


def _model_line(facts: dict[str, Any]) -> str:
    sizes = [
        f"{name} {value}"
        for name, value in facts["encoder"].items()
        if name in ("dim", "layers", "blocks", "heads", "window")
    ]
    experts = "with experts" if facts["experts"] else "without experts"
    told = (facts["encoder"]["name"], *sizes, experts, f"max_len {facts['max_len']}")
    return ", ".join((*told, facts["precision"]))


def _table(step: dict[str, float]) -> str:
    table = Table("part of a step", box=SIMPLE_HEAD, show_footer=True)
    whole = sum(step.values())
    table.columns[0].footer = "whole step"
    table.add_column("ms", f"{whole:.2f}", justify="right")
    table.add_column("share", "100%", justify="right")
    for part, taken in step.items():
        table.add_row(_WORDS[part], f"{taken:.2f}", f"{taken / whole:.0%}")
    console = Console(file=io.StringIO(), width=80)
    with console.capture() as captured:
        console.print(table)
    return captured.get().rstrip()


def _duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
