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
from recency.nn.paces import Paces

ZERO = 1.0  # seconds that count as no time at all
_LEAST = 0.05  # standard deviation of a part, in logarithms of seconds
_FEWEST = 50  # waits that a calibration needs
_ITERATIONS = 30
_FOREVER = 1e12  # seconds that no wait reaches
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
            as many come as came (`recency.nn.paces`); ``"none"`` does not.
        live: Whether the returns of every day that is over since training ended set right what is
            told from then on (`recency.live.tempo`).

    Raises:
        ConfigError: an argument is impossible.
    """

    by: ClassVar[Literal["target", "source"]] = "source"
    n_facts = 4
    reach = 3e9  # whoever is still awaited when the newest slice begins tells of long waits

    def __init__(
        self,
        parts: int = 16,
        weight: float = 0.1,
        calibration: Literal["line", "none"] = "line",
        live: bool = True,
    ) -> None:
        super().__init__()
        check_weight("TimeHead", weight)
        if isinstance(parts, bool) or parts < 1:
            raise ConfigError(f"TimeHead(parts={parts!r}): expected a whole number of at least 1.")
        if calibration not in ("line", "none"):
            raise ConfigError(f"TimeHead(calibration={calibration!r}): expected 'line' or 'none'.")
        self.parts, self.weight = parts, weight
        self.calibration: Literal["line", "none"] = calibration
        self.live = live

    @property
    def name(self) -> str:
        """Name the head."""
        return "time"

    def config(self) -> Settings:
        """Give the constructor's arguments."""
        return {
            "parts": self.parts,
            "weight": self.weight,
            "calibration": self.calibration,
            "live": self.live,
        }

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
        self.register_buffer("until", torch.tensor(0))  # what training knew ends here
        self.paces = Paces()
        self.mean: Tensor
        self.deviation: Tensor
        self.short: Tensor
        self.longest: Tensor
        self.line: Tensor
        self.until: Tensor

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
        self.until.fill_(ledger.until)

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

    def nats(
        self, outputs: Tensor, facts: Tensor, labels: Tensor, tempo: Tensor | None = None
    ) -> Tensor:
        """Give what each of ``labels`` [n, 2] (wait in seconds, whether it ended) costs: [n].

        A wait above a second costs -log density of its logarithm; a shorter one -log probability.
        ``tempo`` [n] multiplies the hazard; None: 1.
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
        if tempo is not None or not self.paces.even:
            plain, ends = -lasting, self._ends(shares, means, spreads)
            speeds = self.paces.speeds(ends.diff(dim=1))
            now = torch.log(speeds.gather(1, self.paces.spans(waits)[:, None]))[:, 0]
            hazard = self.paces.paced(plain[:, None], ends, waits[:, None])[:, 0]
            if tempo is not None:
                now, hazard = now + torch.log(tempo), hazard * tempo
            density, lasting = density + plain - hazard + now, -hazard
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

    @torch.no_grad()
    def _settle_pace(self, outputs: Tensor, facts: Tensor, labels: Tensor) -> None:
        """Compare how many came with how many were expected, by how long they had been away.

        What a curve expects is its hazard summed up over all who were awaited (Aalen, Nonparametric
        inference for a family of counting processes, Annals of Statistics 6(4), 1978).
        """
        waits, came, entered = labels.T.contiguous()
        self.paces = Paces().to(waits.device)
        _, shares, means, spreads = (part.double() for part in self(outputs, facts))
        ends = self.paces.ends().double()
        ends[-1] = _FOREVER
        marks = torch.minimum(torch.maximum(ends, entered[:, None]), waits[:, None])
        exposed = self._hazard(shares, means, spreads, marks.clamp(min=ZERO)).diff(dim=1)
        spans = nn.functional.one_hot(self.paces.spans(waits), exposed.shape[1])
        found = spans * ((came > 0) & (waits > ZERO))[:, None]
        sums = self._ends(shares, means, spreads).diff(dim=1)
        self.paces.settle(sums, exposed, found)

    def _hazard(self, shares: Tensor, means: Tensor, spreads: Tensor, waits: Tensor) -> Tensor:
        """Give the mixture's hazard summed up to ``waits`` [n, m], not paced."""
        stretch, shift = self.line.to(shares.dtype)
        y = (torch.log(waits.clamp(min=ZERO)) - self.mean) / self.deviation
        z = ((y[..., None] - shift) / stretch - means[:, None]) / spreads[:, None]
        return -torch.logsumexp(shares[:, None] + torch.special.log_ndtr(-z), dim=-1)

    def _ends(self, shares: Tensor, means: Tensor, spreads: Tensor) -> Tensor:
        """Give the hazard summed up to the ends of the spans of paces: [n, spans + 1]."""
        waits = self.paces.ends().to(shares).expand(len(shares), -1)
        ends = self._hazard(shares, means, spreads, waits)
        return torch.cat((torch.zeros_like(ends[:, :1]), ends[:, 1:]), dim=1)

    def survival(
        self, outputs: Tensor, facts: Tensor, waits: Tensor, tempo: Tensor | None = None
    ) -> Tensor:
        """Give the probability [n, m] that a wait lasts longer than ``waits`` [n, m] seconds.

        ``tempo`` is as in `nats`.
        """
        hurdle, shares, means, spreads = (part.double() for part in self(outputs, facts))
        over, waits = torch.sigmoid(-hurdle)[:, None], waits.double()
        hazard = self._hazard(shares, means, spreads, waits)
        if not self.paces.even:
            hazard = self.paces.paced(hazard, self._ends(shares, means, spreads), waits)
        if tempo is not None:
            hazard = hazard * tempo[:, None]
        return torch.where(waits < ZERO, torch.ones_like(hazard), over * torch.exp(-hazard))


def _gaps(ledger: Ledger) -> Doubles:
    """Give the seconds before each event, NaN at first ones and at those of the same instant."""
    gaps = ledger.histories.gaps.astype(np.float64)
    return np.where(gaps > 0, gaps, np.nan)
