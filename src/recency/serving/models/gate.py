"""Gate: what a model must be able to do before it may serve.

In this order, because each step costs more than the one before:

1. The folder is whole, and no weight is NaN or infinite (`folder_faults`).
2. The model loads, its ids are of the log's kind, and it knows the users and items that the
   champion knows, up to a share that may be lost (`known_faults`).
3. It answers recorded questions with finite scores and full lists (`warm_up`).
4. It foresees events no worse than the champion, up to ε, as far as chance allows to tell
   (`score_fault`): both are judged on the same events, none of which they have seen.
"""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from recency.data.vocab import Vocab
from recency.errors import ConfigError, raise_all
from recency.serving.models.live_scores import Comparison
from recency.storage import read_manifest

_WEIGHTS = ("weights", "member")  # the names of parts with weights begin so
_SHOWN = 3


@dataclass(frozen=True)
class GateConfig:
    """Choose what the gate asks for.

    Attributes:
        epsilon: How much worse than the champion's NDCG@10 a candidate may be, as a share of it.
        events: Newest events of the log on which both are compared.
        least: Events that a comparison needs; with fewer, a candidate on trial waits, and one that
            a person promotes passes unjudged.
        lost_share: Share of the champion's users, and of its items, that may be unknown.
        trial_seconds: How long a candidate may wait for events before a newer one takes its turn.
        judging: Share of the model thread's time, in [0, 1], that goes into judging who serves on
            events, each before it is applied; 1 judges by every event.
    """

    epsilon: float = 0.05
    events: int = 300
    least: int = 50
    lost_share: float = 0.01
    trial_seconds: float = 600.0
    judging: float = 0.05

    def __post_init__(self) -> None:
        faults = [
            f"{name}: expected a number of at least {low}, found {getattr(self, name)!r}."
            for name, low in (
                ("epsilon", 0), ("events", 0), ("least", 2), ("lost_share", 0),
                ("trial_seconds", 0),
                ("judging", 0),
            )
            if not getattr(self, name) >= low
        ]  # fmt: skip
        raise_all(faults, ConfigError)


def folder_faults(folder: Path) -> list[str]:
    """Tell which weights of a folder are not finite.

    Raises:
        FormatError: the folder is no model, or damaged.
    """
    from safetensors import safe_open

    manifest = read_manifest(folder)
    wrong = []
    for part in manifest.files:
        if not part.startswith(_WEIGHTS) or not part.endswith(".safetensors"):
            continue
        with safe_open(manifest.path(part), framework="pt") as file:
            for name in file.keys():  # noqa: SIM118  # safe_open is no mapping
                tensor = file.get_tensor(name)
                if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
                    wrong.append(name)
    if not wrong:
        return []
    named = ", ".join(wrong[:_SHOWN])
    return [f"expected finite weights, found NaN or infinity in {named}; its training diverged."]


def known_faults(noun: str, candidate: Vocab, ids: pl.Series, config: GateConfig) -> list[str]:
    """Tell whether a candidate knows what the champion knows.

    Args:
        noun: ``"users"`` or ``"items"``.
        candidate: Its vocabulary.
        ids: What the champion knows.
        config: How many may be lost.
    """
    unknown = ids.filter(~ids.is_in(candidate.ids.implode()))
    if len(unknown) <= config.lost_share * len(ids):
        return []
    return [
        f"expected to know all but {config.lost_share:.0%} of the champion's {len(ids):,} {noun}, "
        f"found {len(unknown):,} unknown, such as {unknown.head(_SHOWN).to_list()}; fit the model "
        f"on a log that holds them."
    ]


def score_fault(found: Comparison, config: GateConfig) -> str | None:
    """Tell whether a candidate is worse than the champion, beyond ε and beyond chance."""
    allowed = config.epsilon * found.other
    difference = found.ndcg - found.other
    if found.n < config.least or difference >= -allowed or found.high >= 0:
        return None
    return (
        f"expected an NDCG@10 of at least {found.other - allowed:.4f} (the champion's "
        f"{found.other:.4f} less {config.epsilon:.0%}), found {found.ndcg:.4f} on {found.n:,} "
        f"events that neither had seen; difference {difference:+.4f}, 95 % within "
        f"[{found.low:+.4f}, {found.high:+.4f}]."
    )
