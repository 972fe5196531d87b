"""Losses over the whole catalogue, exact or estimated.

Full softmax is the best or equal best loss for catalogues up to some ten thousand items. Its cost
is memory: one logit for each target and item. Both forms of it work through the targets in chunks
and never hold all logits at once. For larger catalogues the time counts too, and a sample of the
items stands for all.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

CHUNK = 512  # targets; the default choice of torch 2.13 is 2.5 times slower at 50,000 items
_CELLS = 2**26  # logits held at once: 256 MB in float32


def full_softmax(queries: Tensor, table: Tensor, bias: Tensor | None, targets: Tensor) -> Tensor:
    """Measure the mean cross-entropy of the targets against all items.

    Args:
        queries: [n, dim].
        table: [n_items, dim].
        bias: [n_items], or None.
        targets: [n] item rows.

    Returns:
        The mean of -log softmax(queries @ table.T + bias)[target] in nats, float32, a scalar.
    """
    # A bfloat16 loss would keep two digits only (8.5 for 8.48).
    queries, table = queries.float(), table.float()
    bias = None if bias is None else bias.float()
    chunk = max(1, min(CHUNK, _CELLS // max(1, len(table))))
    with torch.autocast(queries.device.type, enabled=False):
        if len(queries) > chunk and hasattr(functional, "linear_cross_entropy"):
            options = torch.nn.LinearCrossEntropyOptions(batch_chunk_size=chunk)
            return functional.linear_cross_entropy(
                queries, table, targets, linear_bias=bias, options=options
            )
        return chunked_softmax(queries, table, bias, targets, chunk)


def chunked_softmax(
    queries: Tensor, table: Tensor, bias: Tensor | None, targets: Tensor, chunk: int
) -> Tensor:
    """Measure the same as `full_softmax` with ordinary operations, for a torch without its own.

    Each chunk's logits are computed once more in the backward pass instead of being kept.
    """
    if len(queries) <= chunk:
        return functional.cross_entropy(functional.linear(queries, table, bias), targets)

    def part(q: Tensor, t: Tensor, b: Tensor | None, y: Tensor) -> Tensor:
        return functional.cross_entropy(functional.linear(q, t, b), y, reduction="sum")

    total = torch.zeros((), device=queries.device)
    for q, y in zip(torch.split(queries, chunk), torch.split(targets, chunk), strict=True):
        total = total + checkpoint(part, q, table, bias, y, use_reentrant=False)
    return total / len(queries)


def sampled_softmax(
    queries: Tensor, table: Tensor, bias: Tensor, targets: Tensor, negatives: Tensor
) -> Tensor:
    """Estimate `full_softmax` from a few items drawn alike, the same for all targets.

    The sum over all other items is estimated by n_items - 1 times the mean over the drawn ones,
    that is, each drawn logit is raised by log((n_items - 1) / number drawn): importance sampling
    with a uniform proposal (Jean et al., On Using Very Large Target Vocabulary for Neural Machine
    Translation, ACL 2015). Where a target itself was drawn, it is left out.

    Args:
        queries: [n, dim].
        table: [n_items, dim].
        bias: [n_items].
        targets: [n] item rows.
        negatives: [m] item rows drawn uniformly, with replacement.

    Returns:
        The mean of the estimates in nats, float32, a scalar.
    """
    with torch.autocast(queries.device.type, enabled=False):
        queries, table = queries.float(), table.float()
        own = (queries * table[targets]).sum(1) + bias[targets]
        drawn = functional.linear(queries, table[negatives], bias[negatives])
        hit = targets[:, None] == negatives
        drawn = drawn.masked_fill(hit, -math.inf)
        share = (len(table) - 1) / (len(negatives) - hit.sum(1)).clamp(min=1)
        rest = torch.logsumexp(drawn, dim=1) + share.log()
        return (torch.logaddexp(own, rest) - own).mean()
