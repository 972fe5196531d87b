"""Losses over the whole catalogue, exact or estimated, and forms of the score that they share.

Full softmax is the best or equal best loss for catalogues up to some ten thousand items. Its cost
is memory: one logit for each target and item. Both forms of it work through the targets in chunks
(`recency.nn.exact_softmax`). For larger catalogues the time counts too, and a sample of the
items stands for all.

All losses take queries and a table of item vectors and score by their dot products, plus a bias
where there is one. Another form of score is another pair of queries and table (`cosine`), so that
each loss works with each form: ``full_softmax(*cosine(queries, table), None, targets)``.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from recency.errors import ConfigError
from recency.nn.drawn_softmax import drawn_nats
from recency.nn.exact_softmax import mean_nats, nats

ROWS = 64  # targets are filled up to a multiple: products are prepared anew for each new shape
TEMPERATURE = 0.05  # of cosines: the choice of HSTU
CALIBRATION = 0.75  # of gBCE: the choice of gSASRec
_FAR = 1e3  # nats: no power of it is left in float32
_SHORT = 1e-4  # vectors below this length have no direction; keeps gradients of cosines bounded


@dataclass(frozen=True)
class Sample:
    """Hold items that stand for all others in one batch's loss.

    Attributes:
        items: [m] item rows of the catalogue, drawn independently with replacement.
        log_q: [n_table] logarithms of the chances with which a draw takes each item of the table in
            hand; None where all items of the catalogue are drawn alike.
        rows: [n_table] item rows, ascending, that the table in hand holds; None for all.
        n_items: Items of the catalogue; None for those of the table.
        calibration: t of `gbce`; None for the softmax.
    """

    items: Tensor
    log_q: Tensor | None = None
    rows: Tensor | None = None
    n_items: int | None = None
    calibration: float | None = None

    def places(self, items: Tensor) -> Tensor:
        """Give the places of item rows [n] in the table in hand."""
        return items if self.rows is None else torch.searchsorted(self.rows, items)


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
    return mean_nats(*_in_full(queries, table, bias), targets)


def softmax_nats(queries: Tensor, table: Tensor, bias: Tensor | None, targets: Tensor) -> Tensor:
    """Measure what `full_softmax` means over, one number a target, for losses that mix them.

    Returns:
        -log softmax(queries @ table.T + bias)[target] in nats, float32, [n].
    """
    return nats(*_in_full(queries, table, bias), targets)


def sampled_softmax(
    queries: Tensor,
    table: Tensor,
    bias: Tensor | None,
    targets: Tensor,
    negatives: Tensor,
    log_q: Tensor | None = None,
    n_items: int | None = None,
) -> Tensor:
    """Estimate `full_softmax` from a few drawn items: the mean of `sampled_nats`, a scalar."""
    return sampled_nats(queries, table, bias, targets, negatives, log_q, n_items).mean()


def sampled_nats(
    queries: Tensor,
    table: Tensor,
    bias: Tensor | None,
    targets: Tensor,
    negatives: Tensor,
    log_q: Tensor | None = None,
    n_items: int | None = None,
) -> Tensor:
    """Estimate `softmax_nats` from a few drawn items, the same for all targets.

    -log(exp s_y / (exp s_y + R)),  R = 1/m sum_i exp(s_i) / Q'(i),  Q'(i) = Q(i) / (1 - Q(y))

    R estimates the sum over all items but the target y by importance sampling (Jean et al., On
    Using Very Large Target Vocabulary for Neural Machine Translation, ACL 2015) from the m drawn
    items i that are not y. Only drawn items are corrected by their chance Q. The target is not
    drawn but always there, so it is not corrected, and Q' is what is left of Q without it: the
    correction of Khrylchenko et al., Correcting the LogQ Correction, RecSys 2025 (arXiv
    2507.09331). They write it as the negatives' softmax alone times the weight 1 - P(y), held
    constant, where P(y) = exp s_y / (exp s_y + R); that is the very gradient of the form above,
    whose value moreover estimates the exact loss.

    Args:
        queries: [n, dim].
        table: [n_items, dim].
        bias: [n_items], or None.
        targets: [n] item rows.
        negatives: [m] item rows, drawn independently with replacement.
        log_q: [n_items] logarithms of the chances with which each draw takes each item, as from
            `log_chances`; None where all chances are alike.
        n_items: Items of the catalogue, where the table holds some of them only.

    Returns:
        The estimates in nats, float32, [n].
    """
    with torch.autocast(queries.device.type, enabled=False):
        queries, table, bias = _in_full(queries, table, bias)
        own = (queries[: len(targets)] * table[targets]).sum(1)
        own = own if bias is None else own + bias[targets]
        hits = _hits(targets, negatives)
        n_hits = torch.bincount(hits[0], minlength=len(targets))
        count = (len(negatives) - n_hits).clamp(min=1)
        drawn_bias = None if bias is None else bias[negatives]
        if log_q is None:
            lift = torch.log(((n_items or len(table)) - 1) / count)
        else:
            drawn_bias = -log_q[negatives] if drawn_bias is None else drawn_bias - log_q[negatives]
            lift = torch.log1p(-log_q[targets].exp().clamp(max=1)) - count.log()
        lift = lift.clamp(min=-_FAR)  # -inf where nothing but the target is ever drawn
        return drawn_nats(queries, table[negatives], drawn_bias, own, lift, hits)


def gbce(
    queries: Tensor,
    table: Tensor,
    bias: Tensor | None,
    targets: Tensor,
    negatives: Tensor,
    calibration: float = CALIBRATION,
    n_items: int | None = None,
) -> Tensor:
    """Measure the generalised binary cross-entropy of targets against drawn items.

    -1/(k + 1) (beta log sigmoid(s_y) + sum_i log(1 - sigmoid(s_i))),
    beta = alpha (t (1 - 1/alpha) + 1/alpha),  alpha = k / (n_items - 1)

    Petrov and Macdonald, gSASRec: Reducing Overconfidence in Sequential Recommendation Trained with
    Negative Sampling, RecSys 2023. With few of the many negatives in sight, a plain binary loss
    learns too high chances. The power beta on the target's chance takes that back: in part for the
    ranking's sake (t = 0.75), or in full (t = 1), after which sigmoid(s) is the chance among all
    items. t = 0 is the plain binary loss, and so is any t where all items are drawn.

    Args:
        queries: [n, dim].
        table: [n_items, dim].
        bias: [n_items], or None.
        targets: [n] item rows.
        negatives: [m] item rows drawn uniformly, the same for all targets; where one is the target
            it is left out, and k counts the others.
        calibration: t, in [0, 1].
        n_items: Items of the catalogue, where the table holds some of them only.

    Returns:
        The mean over the targets in nats, float32, a scalar.

    Raises:
        ConfigError: ``calibration`` is outside [0, 1].
    """
    if not 0 <= calibration <= 1:
        raise ConfigError(f"gbce(calibration={calibration!r}): expected a number in [0, 1].")
    with torch.autocast(queries.device.type, enabled=False):
        own, drawn = _sampled_scores(queries, table, bias, targets, negatives)
        other = targets[:, None] != negatives
        k = other.sum(1, dtype=torch.int32)
        alpha = k / max(1, (n_items or len(table)) - 1)
        beta = calibration * (alpha - 1) + 1  # the formula above, multiplied out: alpha may be 0
        wrong = (functional.logsigmoid(-drawn) * other).sum(1)
        return -((beta * functional.logsigmoid(own) + wrong) / (k + 1)).mean()


def cosine(
    queries: Tensor, table: Tensor, temperature: float = TEMPERATURE
) -> tuple[Tensor, Tensor]:
    """Scale queries and item vectors so that their dot product is cosine / temperature.

    A vector's length then says nothing, which keeps popular items from growing long; the
    temperature decides how sharp the chances are instead. The published settings of HSTU score so
    (Zhai et al., Actions Speak Louder than Words, ICML 2024, arXiv 2402.17152).

    Args:
        queries: [n, dim].
        table: [n_items, dim].
        temperature: Above 0; scores lie between -1 / temperature and 1 / temperature.

    Returns:
        Queries of length 1 / temperature and a table of length 1, float32; the (nearly) zero vector
        stays as short as it is.

    Raises:
        ConfigError: ``temperature`` is not above 0.
    """
    if not temperature > 0:
        raise ConfigError(f"cosine(temperature={temperature!r}): expected a number above 0.")
    unit, items = (functional.normalize(v.float(), dim=-1, eps=_SHORT) for v in (queries, table))
    return unit / temperature, items


def log_chances(counts: Tensor, power: float = 1.0) -> Tensor:
    """Give the log-chances of items drawn by popularity, for `sampled_softmax`.

    Q(i) = counts_i^power / sum_j counts_j^power. Power 1 is also the proposal of negatives taken
    from the targets of the same batch; 0 draws all items alike that occur at all.

    Args:
        counts: [n_items] events of each item in training.
        power: At least 0; word2vec took 0.75.

    Returns:
        [n_items] float32 logarithms, -inf for items without events.

    Raises:
        ConfigError: ``power`` is below 0.
    """
    if not power >= 0:
        raise ConfigError(f"log_chances(power={power!r}): expected a number of at least 0.")
    seen = counts > 0
    weights = power * counts.double().log()
    return torch.log_softmax(torch.where(seen, weights, -math.inf), dim=0).float()


def _sampled_scores(
    queries: Tensor, table: Tensor, bias: Tensor | None, targets: Tensor, negatives: Tensor
) -> tuple[Tensor, Tensor]:
    """Score each query's target [n] and all drawn items [n, m], in float32."""
    queries, table = queries.float(), table.float()
    own = (queries * table[targets]).sum(1)
    drawn = functional.linear(_filled_up(queries), table[negatives])[: len(queries)]
    if bias is None:
        return own, drawn
    return own + bias[targets], drawn + bias[negatives]


def _hits(targets: Tensor, negatives: Tensor) -> tuple[Tensor, Tensor]:
    """Find the places of targets and drawn items that are one item, sorted by target."""
    ordered, places = negatives.sort()
    targets = targets.contiguous()
    first = torch.searchsorted(ordered, targets)
    n_hits = torch.searchsorted(ordered, targets, right=True) - first
    rows = torch.repeat_interleave(n_hits)
    before = n_hits.cumsum(0) - n_hits
    nth = torch.arange(len(rows), device=rows.device) - before[rows]
    return rows, places[first[rows] + nth]


def _in_full(
    queries: Tensor, table: Tensor, bias: Tensor | None
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Fill queries up, and take all in float32: a bfloat16 loss would keep two digits only."""
    return _filled_up(queries.float()), table.float(), None if bias is None else bias.float()


def _filled_up(queries: Tensor) -> Tensor:
    """Add queries without target, up to a multiple of `ROWS`."""
    missing = -len(queries) % ROWS
    return functional.pad(queries, (0, 0, 0, missing)) if missing else queries
