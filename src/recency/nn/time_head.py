"""The time to a user's next event."""

import math
from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from recency.data.histories import Ints
from recency.data.tallies import Doubles, Ledger, Tally
from recency.errors import ConfigError, DataError
from recency.nn.head import Floats, Head, Lessons, Settings, check_weight

ZERO = 1.0  # seconds that count as no time at all
_LEAST = 0.05  # standard deviation of a part, in logarithms of seconds
_FEWEST = 50  # waits that a calibration needs
_ITERATIONS = 30
_HOUR, _DAY = 3_600.0, 86_400.0
_EDGES = (_HOUR, *(n * _DAY for n in (1, 3, 7, 14, 30, 60, 120)))  # seconds between paces
_DRAWN = 100.0  # returns that a pace is drawn towards 1 by; chosen on slices of training
_PRIOR = 3.0  # gaps of the mean length that a user's own are drawn in by


class TimeHead(Head):
    """Tell when a user's next event comes: a hurdle, then a mixture of log-normals.

        P(wait <= 1 s) = sigma(z)     else  log wait ~ sum over m of pi_m N(mu_m, s_m)

    The wait is counted from the newest event, and what asks is the output after it, never the
    instant of the question, which would give the answer away. The last event of every user tells
    that nothing came until the end: the logarithm of survival (right-censoring), without which
    waits come out too short. Shchur, Bilos and Guennemann, Intensity-free learning of temporal
    point processes, ICLR 2020, equation 4; the hurdle and the censoring are added here.

    Args:
        parts: Of the mixture.
        weight: Of its loss.
        calibration: ``"line"`` stretches and shifts the logarithms of waits to fit the newest
            slice, and then quickens or slows returns by how long somebody has been away, so that
            as many come as came; ``"none"`` does not.

    Raises:
        ConfigError: an argument is impossible.
    """

    by: ClassVar[Literal["target", "source"]] = "source"
    n_facts = 4
    reach = 3e9  # whoever is still awaited when the newest slice begins tells of long waits

    def __init__(
        self, parts: int = 16, weight: float = 0.1, calibration: Literal["line", "none"] = "line"
    ) -> None:
        super().__init__()
        check_weight("TimeHead", weight)
        if isinstance(parts, bool) or parts < 1:
            raise ConfigError(f"TimeHead(parts={parts!r}): expected a whole number of at least 1.")
        if calibration not in ("line", "none"):
            raise ConfigError(f"TimeHead(calibration={calibration!r}): expected 'line' or 'none'.")
        self.parts, self.weight = parts, weight
        self.calibration: Literal["line", "none"] = calibration

    @property
    def name(self) -> str:
        """Name the head."""
        return "time"

    def config(self) -> Settings:
        """Give the constructor's arguments."""
        return {"parts": self.parts, "weight": self.weight, "calibration": self.calibration}

    def build(self, dim: int) -> None:
        """Make fresh weights; the head starts as one wide mixture around a user's own mean."""
        self.read_output = nn.LayerNorm(dim)
        self.hidden = nn.Linear(dim + self.n_facts, 64)
        self.last = nn.Linear(64, 1 + 3 * self.parts)
        nn.init.zeros_(self.last.weight)
        with torch.no_grad():
            self.last.bias.zero_()
            self.last.bias[1 + self.parts : 1 + 2 * self.parts] = torch.linspace(-2, 2, self.parts)
        for name, value in (("mean", 0.0), ("deviation", 1.0), ("short", 0.0), ("longest", 0.0)):
            self.register_buffer(name, torch.tensor(value))
        self.register_buffer("line", torch.tensor([1.0, 0.0]))  # stretch and shift of log waits
        self.register_buffer("pace", torch.ones(len(_EDGES) + 1))
        self.register_buffer("edges", torch.tensor(_EDGES))
        self.mean: Tensor
        self.deviation: Tensor
        self.short: Tensor
        self.longest: Tensor
        self.line: Tensor
        self.pace: Tensor
        self.edges: Tensor

    def study(self, ledger: Ledger, types: Sequence[str]) -> None:
        """Take mean and deviation of the logarithms of gaps; see `Head.study`."""
        gaps = _gaps(ledger)
        gaps = gaps[np.isfinite(gaps)]
        long = np.log(gaps[gaps > ZERO])
        if len(long) < 2 or not long.std():
            raise DataError(
                f"TimeHead: expected gaps between a user's events that differ, found {len(gaps):,} "
                f"gaps and nothing to tell from them; are there users with events at several times?"
            )
        self.mean.fill_(float(long.mean()))
        self.deviation.fill_(float(long.std()))
        self.short.fill_(float(np.clip((gaps <= ZERO).mean(), 1e-4, 1 - 1e-4)))
        self.longest.fill_((ledger.until - float(ledger.times.min())) / 1e6)

    def lessons(self, ledger: Ledger, targets: Ints, sources: Ints) -> Lessons:
        """Tell the wait after each event that something came after, or that nothing has."""
        keys = np.unique(sources)
        starts = ledger.histories.group_start
        next_ = np.searchsorted(starts, keys, side="right")  # the first event of a later instant
        waits = (ledger.times[np.minimum(next_, len(starts) - 1)] - ledger.times[keys]) / 1e6
        open_ = self._open(ledger)
        came = np.concatenate((np.ones(len(keys)), np.zeros(len(open_))))
        waits = np.concatenate((waits, (ledger.until - ledger.times[open_]) / 1e6))
        keys = np.concatenate((keys, open_))
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        facts = self.facts(
            ledger, ledger.users[keys], np.full(len(keys), -1), ledger.times[keys] + 1
        )
        labels = np.stack((waits, came), axis=1)[order]
        return Lessons(keys, facts, labels.astype(np.float32), ledger.times[keys])

    def _open(self, ledger: Ledger) -> Ints:
        """Find each user's newest event before the end of what is known."""
        histories, users = ledger.histories, np.arange(ledger.histories.n_users)
        stops = histories.stops_before(users, np.full(len(users), ledger.until))
        return stops[stops > histories.offsets[:-1]] - 1

    def facts(self, ledger: Ledger, users: Ints, items: Ints, at: Ints) -> Floats:
        """Give how many gaps a user had, their mean, their spread and the share of none at all."""
        gaps = _gaps(ledger)
        long = (np.log(np.maximum(gaps, ZERO)) - float(self.mean)) / float(self.deviation)
        short = (gaps <= ZERO).astype(np.float64)
        amounts = np.stack((long * (1 - short), (long * (1 - short)) ** 2, short), axis=1)
        amounts[~np.isfinite(gaps)] = np.nan
        counts, sums = Tally(ledger.users, ledger.times, amounts).before(users, at)
        n = counts - sums[:, 2] + _PRIOR
        mean = sums[:, 0] / n
        spread = np.sqrt(np.maximum((sums[:, 1] + _PRIOR) / n - mean**2, 0.01))
        share = (sums[:, 2] + _PRIOR * float(self.short)) / (counts + _PRIOR)
        table = np.stack((np.log1p(counts) / 3, mean, spread, np.sqrt(share)), axis=1)
        return table.astype(np.float32)

    def forward(self, outputs: Tensor, facts: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Give the hurdle's logits [n], and log shares, means and deviations [n, parts]."""
        read = torch.cat((self.read_output(outputs), facts), dim=1)
        said = self.last(nn.functional.gelu(self.hidden(read)))
        hurdle = said[:, 0] + torch.logit(facts[:, 3].square().clamp(1e-4, 1 - 1e-4))
        shares, means, spreads = said[:, 1:].split(self.parts, dim=1)
        deviations = nn.functional.softplus(spreads + 0.5) * facts[:, 2:3]
        least = _LEAST / float(self.deviation)
        means = facts[:, 1:2] + means
        return hurdle, torch.log_softmax(shares, dim=1), means, deviations + least

    def loss(self, outputs: Tensor, vectors: Tensor, facts: Tensor, labels: Tensor) -> Tensor:
        """Measure the mean of -log density of log waits, or of -log survival, in nats."""
        return self.nats(outputs, facts, labels).mean()

    def nats(self, outputs: Tensor, facts: Tensor, labels: Tensor) -> Tensor:
        """Give what each of ``labels`` [n, 2] (wait in seconds, whether it ended) costs: [n].

        A wait above a second costs -log density of its logarithm; a shorter one -log probability.
        """
        hurdle, shares, means, spreads = self(outputs, facts)
        waits, came = labels.T.contiguous()
        stretch, shift = self.line
        y = (torch.log(waits.clamp(min=ZERO)) - self.mean) / self.deviation
        z = ((y[:, None] - shift) / stretch - means) / spreads
        density = torch.logsumexp(shares - z.square() / 2 - torch.log(spreads), dim=1)
        density = density - math.log(2 * math.pi) / 2 - torch.log(self.deviation * stretch)
        over = nn.functional.logsigmoid(-hurdle)
        lasting = torch.logsumexp(shares + torch.special.log_ndtr(-z), dim=1)
        if (self.pace != 1).any():
            now = torch.log(self.pace[torch.bucketize(waits, self.edges)])
            slowed = self._slowed(shares, means, spreads, waits[:, None])[:, 0]
            density, lasting = density - lasting + slowed + now, slowed
        survival = over + lasting
        short = waits <= ZERO
        ended = torch.where(short, nn.functional.logsigmoid(hurdle), over + density)
        open_ = torch.where(short, torch.zeros_like(survival), survival)
        return -torch.where(came > 0, ended, open_)

    def settle(self, outputs: Tensor, vectors: Tensor, facts: Tensor, labels: Tensor) -> bool:
        """Set right the logarithms of waits, and then paces; see `Head.settle`.

        The newest slice tells of short waits from its own events, and of long ones from everybody
        who was still awaited when it began: from then on (left truncation), until they came or it
        ended (right censoring).
        """
        if self.calibration == "none":
            return True
        if len(labels) < _FEWEST:
            return False
        self._settle_line(outputs, facts, labels)
        self._settle_pace(outputs, facts, labels)
        return True

    @torch.enable_grad()
    def _settle_line(self, outputs: Tensor, facts: Tensor, labels: Tensor) -> None:
        line = torch.zeros(2, requires_grad=True)  # logarithm of the stretch, shift
        optimizer = torch.optim.LBFGS([line], max_iter=_ITERATIONS, line_search_fn="strong_wolfe")

        def cost() -> Tensor:
            optimizer.zero_grad()
            self.line = torch.stack((line[0].exp(), line[1])).to(facts.device)
            nats = self.nats(outputs, facts, labels[:, :2])
            nats = nats + self.survival(outputs, facts, labels[:, 2:])[:, 0].clamp(min=1e-9).log()
            mean = nats.mean() + line.square().sum() / len(labels)
            torch.autograd.backward(mean, inputs=[line])
            return mean

        optimizer.step(cost)  # type: ignore[no-untyped-call]  # torch leaves it untyped
        self.line = torch.stack((line[0].exp(), line[1])).detach().to(facts.device)

    def _settle_pace(self, outputs: Tensor, facts: Tensor, labels: Tensor) -> None:
        """Divide how many came by how many were expected, by how long they had been away.

        What a curve expects is its hazard summed up over all who were awaited (Aalen, Nonparametric
        inference for a family of counting processes, Annals of Statistics 6(4), 1978).
        """
        waits, came, entered = labels.T.contiguous()
        self.pace.fill_(1)
        ends = _closed(self.edges, ZERO)
        marks = torch.minimum(torch.maximum(ends, entered[:, None]), waits[:, None])
        lasting = self.survival(outputs, facts, marks.clamp(min=ZERO)).clamp(min=1e-30)
        expected = -torch.log(lasting).diff(dim=1).sum(0)
        places = torch.bucketize(waits, self.edges)[(came > 0) & (waits > ZERO)]
        found = torch.bincount(places, minlength=len(self.pace)).double()
        self.pace.copy_((found + _DRAWN) / (expected + _DRAWN))

    def _slowed(self, shares: Tensor, means: Tensor, spreads: Tensor, waits: Tensor) -> Tensor:
        """Give the log of survival [n, m] with paces, of waits [n, m] that are no hurdle's."""
        stretch, shift = self.line.to(shares.dtype)
        marks = torch.minimum(_closed(self.edges).to(shares.dtype), waits[..., None])
        y = (torch.log(marks.clamp(min=ZERO)) - self.mean) / self.deviation
        z = ((y[..., None] - shift) / stretch - means[:, None, None]) / spreads[:, None, None]
        hazard = -torch.logsumexp(shares[:, None, None] + torch.special.log_ndtr(-z), dim=-1)
        steps = torch.cat((hazard[..., :1], hazard.diff(dim=-1)), dim=-1)
        return -(steps * self.pace.to(steps.dtype)).sum(-1)

    def survival(self, outputs: Tensor, facts: Tensor, waits: Tensor) -> Tensor:
        """Give the probability [n, m] that a wait lasts longer than ``waits`` [n, m] seconds."""
        hurdle, shares, means, spreads = (part.double() for part in self(outputs, facts))
        over = torch.sigmoid(-hurdle)[:, None]
        lasting = over * torch.exp(self._slowed(shares, means, spreads, waits.double()))
        return torch.where(waits < ZERO, torch.ones_like(lasting), lasting)


def _gaps(ledger: Ledger) -> Doubles:
    """Give the seconds before each event, NaN at first ones and at those of the same instant."""
    gaps = ledger.histories.gaps.astype(np.float64)
    return np.where(gaps > 0, gaps, np.nan)


def _closed(edges: Tensor, *first: float) -> Tensor:
    """Give edges with a first one and one that no wait reaches."""
    return torch.cat((edges.new_tensor(first), edges, edges.new_tensor([1e12])))
