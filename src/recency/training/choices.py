"""Choices: what ``"auto"`` comes to for a catalogue and a machine, and which settings do not go.

- **Loss.** The softmax over all items is exact and up to some ten thousand items cheap enough.
  Beyond, or where it does not fit into memory, a sample stands for all.
- **Item updates.** Where a sample is drawn from many items, a batch touches few of them, so that
  moving these rows alone saves most of the optimiser's time and the dense gradient.
- **Precision.** bfloat16 is taken where the processor has instructions for it, and else left out.
  ``"auto"`` takes it for the softmax over all items, where it saves most and changes least.

Experts mix probabilities. The softmax losses estimate them; gBCE teaches an order (its sigmoid is a
chance only at t = 1, and then not one of a distribution), so that it goes without experts only.
"""

import logging
from dataclasses import replace

import torch

from recency.errors import ConfigError, raise_all
from recency.nn.learned_features import learned_features
from recency.nn.model import SequenceModel
from recency.training.config import DRAWN, Loss, Precision, TrainConfig
from recency.training.memory import free_bytes, gb, softmax_bytes

LARGE = 20_000  # items beyond which the exact loss would take most of the time
MANY_ROWS = 30_000  # items beyond which moving touched rows alone is faster
_UNITS = ("avx512_bf16", "amx_tile")
_BATCH = 512  # targets, of which an exact loss holds the logits at once

log = logging.getLogger(__name__)


def settle(
    config: TrainConfig, model: SequenceModel
) -> tuple[TrainConfig, tuple[str, ...], tuple[str, ...]]:
    """Decide what a configuration leaves open.

    Args:
        config: As asked for.
        model: What will be trained, on the device where it will be.

    Returns:
        The configuration with no ``"auto"`` left in ``loss``, ``negatives``, ``item_updates`` and
        ``precision``; what was chosen and why; and what could not be done as asked for.

    Raises:
        ConfigError: settings that do not go together, or not with this model, all of them.
    """
    device = model.bias.device
    loss, why = _loss_for(config, model.n_items, device)
    drawn = 0 if loss == "softmax" else config.negatives
    drawn = DRAWN if drawn == "auto" else drawn
    choices = [f"loss {loss!r}{f' with {drawn:,} negatives' * bool(drawn)}: {why}."] if why else []
    settled = replace(config, loss=loss, negatives=drawn)
    if config.item_updates == "auto":
        few = loss != "softmax" and model.n_items > MANY_ROWS
        rows = few and not config.contrast.weight and model.described is None
        rows = rows and model.domains is None and model.scored_items is None
        settled = replace(settled, item_updates="rows" if rows else "dense")
        choices.append(_why_updates(settled, model))
    raise_all(_faults(settled, model), ConfigError)
    notes: tuple[str, ...] = ()
    if config.precision == "auto":
        settled = replace(settled, precision=_precision_for(settled.loss, device))
        if settled.precision != "fp32":
            choices.append(
                "precision 'bf16-loss': this processor multiplies bfloat16 faster than float32."
            )
    elif config.precision != "fp32" and not has_bfloat16(device):
        settled = replace(settled, precision="fp32")
        notes = (
            f"precision {config.precision!r}: this processor has no instructions for bfloat16, "
            "without which it would be slower than float32; trained in float32.",
        )
    if (learned := learned_features(model)) is not None:
        choices.append(learned.cost)
    for choice in choices:
        log.info(choice)
    return settled, tuple(choices), notes


def has_bfloat16(device: torch.device) -> bool:
    """Tell whether a device has instructions that multiply bfloat16."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    known = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
    return known is not None and bool(known()) and _has_units()


def _has_units() -> bool:
    """Tell whether a CPU has units for bfloat16; oneDNN also computes it, slowly, without any."""
    asked = (getattr(torch.cpu, f"_is_{unit}_supported", None) for unit in _UNITS)
    found = [bool(one()) for one in asked if one is not None]
    return any(found) or not found  # a torch that cannot say is taken at oneDNN's word


def _precision_for(loss: Loss, device: torch.device) -> Precision:
    """Give the precision that pays: on CPUs; GPUs were not measured."""
    pays = loss != "gbce" and device.type == "cpu" and has_bfloat16(device)
    return "bf16-loss" if pays else "fp32"


def _loss_for(config: TrainConfig, n_items: int, device: torch.device) -> tuple[Loss, str]:
    """Give the loss, and why it is taken where the configuration leaves it open."""
    if config.loss != "auto":
        return config.loss, ""
    if config.negatives != "auto":
        return "sampled" if config.negatives else "softmax", f"negatives={config.negatives}"
    if n_items > LARGE:
        return "sampled", (
            f"{n_items:,} items are more than {LARGE:,}, beyond which the softmax over all of them "
            f"would take most of the time"
        )
    needed, free = softmax_bytes(_BATCH, n_items), free_bytes(device)
    if free is not None and needed > free:
        return (
            "sampled",
            f"the softmax over {n_items:,} items needs {gb(needed)}, {gb(free)} are free",
        )
    return "softmax", f"{n_items:,} items are few enough for the exact loss (up to {LARGE:,})"


def _why_updates(settled: TrainConfig, model: SequenceModel) -> str:
    n_items = model.n_items
    if settled.item_updates == "rows":
        return f"item updates 'rows': a batch touches few of {n_items:,} items."
    if model.described is not None:
        return "item updates 'dense': content moves the vectors of all items in every batch."
    if model.domains is not None or model.scored_items is not None:
        return "item updates 'dense': domains move the vectors of all their items in every batch."
    if settled.contrast.weight:
        return "item updates 'dense': the contrastive loss reads varied histories."
    if settled.loss == "softmax":
        return "item updates 'dense': the softmax moves every item in every batch."
    return f"item updates 'dense': {n_items:,} items are moved at once as fast as one by one."


def _faults(settled: TrainConfig, model: SequenceModel) -> list[str]:
    faults = []
    if settled.loss == "gbce" and model.experts is not None:
        faults.append(
            "TrainConfig(loss='gbce') with experts: experts mix probabilities, and gBCE teaches an "
            "order but no probabilities; use experts=None, or another loss."
        )
    if settled.item_updates == "rows" and settled.contrast.weight:
        faults.append(
            "TrainConfig(item_updates='rows', contrast=...): the contrastive loss reads varied "
            "histories, with items that are not lent; use item_updates='dense'."
        )
    if settled.item_updates == "rows" and model.described is not None:
        faults.append(
            "TrainConfig(item_updates='rows') with content: content moves the vectors of all items "
            "in every batch; use item_updates='dense'."
        )
    apart = model.domains is not None or model.scored_items is not None
    if settled.item_updates == "rows" and apart:
        faults.append(
            "TrainConfig(item_updates='rows') with domains: they move the vectors of all their "
            "items in every batch; use item_updates='dense'."
        )
    if model.domains is not None and model.experts is not None and model.domains.config.within == 1:
        faults.append(
            "DomainConfig(within=1) with experts: what mixes them is learned over all items; use "
            "within below 1, or experts=None."
        )
    if settled.loss == "gbce" and model.domains is not None and model.domains.config.within:
        faults.append(
            "TrainConfig(loss='gbce') with domains: what is told within a domain is a softmax; use "
            "DomainConfig(within=0), or another loss."
        )
    if settled.temperature != model.temperature:
        faults.append(
            f"TrainConfig(temperature={settled.temperature!r}): the model scores with "
            f"temperature={model.temperature!r}; give SequenceModel and TrainConfig the same."
        )
    return faults
