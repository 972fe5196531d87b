"""How good a model is on the newest slice of its training time: NDCG@10 of the whole catalogue."""

import math

import torch
from torch import Tensor

from recency.data.batches import TrainingWindows
from recency.nn.inputs import Tensors
from recency.nn.model import SequenceModel

K = 10
VALID_TOKENS = 8_192  # cells a batch of judgement
_CELLS = 2**24  # scores held at once: 64 MB


@torch.no_grad()
def validation_ndcg(model: SequenceModel, windows: TrainingWindows, tokens: int) -> float:
    """Measure the mean NDCG@10 of all targets.

    Each target is the one relevant item of its question, so its gain is 1 / log2(1 + rank). Every
    item that occurs in the windows' histories is a candidate; an item that occurs nowhere in them
    is none, since nothing can be known of it. Of a model that tells domains, the items of the
    target's domain are.

    Args:
        model: What is judged.
        windows: The targets.
        tokens: Most cells a batch.

    Returns:
        A number in [0, 1], higher is better; the model is left in evaluation mode.
    """
    model.eval()
    device = model.bias.device
    chunk = max(1, _CELLS // model.n_items)
    absent = torch.full((model.n_items,), -math.inf, device=device)
    items = torch.from_numpy(windows.histories.items).long()
    absent[items[items >= 0].to(device)] = 0.0
    total = 0.0
    for part in windows.epoch(tokens):
        batch = Tensors.from_batch(part.batch, device)
        rows, sources = torch.from_numpy(part.rows), torch.from_numpy(part.sources)
        outputs = model(batch)[0][rows.to(device), sources.to(device)]
        last = torch.from_numpy(part.last_times).to(device)
        queries = model.ask(outputs, last, torch.from_numpy(part.at).to(device))
        targets = torch.from_numpy(part.targets).to(device)
        for q, y in zip(torch.split(queries, chunk), torch.split(targets, chunk), strict=True):
            scores = model.scores(q).add_(absent)  # filling by a mask is slower
            if model.domains is not None:
                scores = model.domains.within(scores, y)
            total += float(gains(scores, y).sum())
    return total / windows.n_targets


def gains(scores: Tensor, targets: Tensor) -> Tensor:
    """Give each target's gain 1 / log2(1 + rank), 0 beyond rank 10.

    Items of equal score share the mean of their ranks, so a constant score earns no more than
    chance.

    Args:
        scores: [n, n_items].
        targets: [n] item rows.
    """
    own = scores.gather(1, targets[:, None])
    # Counted in int32: torch's sum in int64 takes as long as the scores themselves.
    better, equal = (found.sum(1, dtype=torch.int32) for found in (scores > own, scores == own))
    rank = better + (equal + 1) / 2
    return torch.where(rank <= K, 1 / torch.log2(1 + rank), 0.0)
