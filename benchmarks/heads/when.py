"""Times: after each event of the test, when does the user come next?

Events of one user in one second are one visit. A question is asked right after each visit at or
after the cut; its answer is the gap to the next one, or censored at the log's end. Models learn
from the gaps before the cut, those still open at the cut as censored.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

import recency as rc
from benchmarks.heads.exams import Exam, Settings, fit, ids_of
from benchmarks.heads.features import DAY, Events
from benchmarks.heads.judging import mean_gain
from benchmarks.heads.laws import Mixture
from benchmarks.heads.rmtpp import RmtppHead
from benchmarks.heads.tally import Tally
from benchmarks.record import Row
from recency.asking.foretelling import wait_nats
from recency.evaluation.times import AT_ONCE, Gaps, TimeForecast, time_metrics
from recency.units import SECOND

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

PROTOCOL = "when · time · split at the 0.9 quantile of time · after each later visit: the gap to the user's next, censored at the log's end"  # noqa: E501
HORIZONS = (1.0 * DAY, 7.0 * DAY, 30.0 * DAY)
PARTS = 16  # of the constant mixture
STRENGTHS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
_STEPS = 400


@dataclass(frozen=True)
class Visits:
    """Hold visits, each user's oldest first, and the gaps after them as seen from an end.

    Attributes:
        users: [n] rows.
        times: [n] seconds since 1970.
        gaps: What came after each, watched until ``end``.
        end: Seconds since 1970; nothing at or after it is known.
    """

    users: Ints
    times: Ints
    gaps: Gaps
    end: int

    @classmethod
    def of(cls, events: Events, end: int) -> "Visits":
        """Take the visits of events before an end."""
        known = events.before(end)
        users, times = np.unique(np.stack([known.users, known.times]), axis=1)
        ended = np.zeros(len(users), bool)
        ended[:-1] = users[1:] == users[:-1]
        after = np.append(times[1:], end)
        watched = (end - times).astype(np.float64)
        seconds = np.where(ended, after - times, watched).astype(np.float64)
        return cls(users, times, Gaps(seconds, ended, watched), end)

    def since(self, at: int) -> Bools:
        """Tell which visits are at or after an instant."""
        chosen: Bools = self.times >= at
        return chosen


def only(gaps: Gaps, which: Bools) -> Gaps:
    """Keep some gaps."""
    return Gaps(gaps.seconds[which], gaps.ended[which], gaps.watched[which])


def rows(exam: Exam, settings: Settings, seeds: Sequence[int]) -> list[Row]:
    """Foretell all gaps of the test by everything, and measure it."""
    end = int(exam.events.times[-1]) + 1
    everything, learned = Visits.of(exam.events, end), Visits.of(exam.events, exam.cut)
    asked = everything.since(exam.cut)
    gaps, users = only(everything.gaps, asked), everything.users[asked]
    strength = chosen_strength(exam.events, exam.cut, exam.inner().cut)
    laws = {
        "constant": constant(learned, len(gaps)),
        "per-user log-normal": per_user(everything, learned, asked, strength),
    }
    said = {name: law.forecast(gaps, HORIZONS) for name, law in laws.items()}
    found = [exam.row(PROTOCOL, name, None, time_metrics(one, gaps)) for name, one in said.items()]
    for seed in seeds:
        rmtpp, seconds = ours(exam, everything, asked, {**settings, "rmtpp": True}, seed)
        name = settings["encoder"]["name"]
        metrics, took = time_metrics(rmtpp, gaps), {"train_seconds": seconds}
        found.append(exam.row(PROTOCOL, f"{name}, RMTPP form", seed, metrics, took))
        mine, seconds = ours(exam, everything, asked, settings, seed)
        metrics = time_metrics(mine, gaps)
        for label, other in (said | {"RMTPP form": rmtpp}).items():
            metrics |= mean_gain(
                -mine.log_likelihood, -other.log_likelihood, users, f"nll_gain_over {label}"
            )
        took = {"train_seconds": seconds}
        found.append(exam.row(PROTOCOL, f"{name}, time head", seed, metrics, took))
    return [one | {"n_targets": len(gaps)} for one in found]


def ours(
    exam: Exam, everything: Visits, asked: Bools, settings: Settings, seed: int
) -> tuple[TimeForecast, float]:
    """Fit ours, or RMTPP's form, and foretell the gaps; give seconds of learning too."""
    fitted = fit(exam, [head(settings)], settings, seed)
    return told(fitted.model, exam, everything, asked), fitted.seconds


def head(settings: Settings) -> rc.TimeHead:
    """Make the head that is asked."""
    kind = RmtppHead if settings.get("rmtpp") else rc.TimeHead
    return kind(**settings["head"])


def told(
    model: rc.SequenceRecommender, exam: Exam, everything: Visits, asked: Bools
) -> TimeForecast:
    """Ask a model that has observed the test, a microsecond after each visit."""
    gaps = only(everything.gaps, asked)
    users = ids_of(exam, "user_id", everything.users[asked])
    at = everything.times[asked] * SECOND + 1
    nats = wait_nats(model, users, gaps.seconds.tolist(), at, gaps.ended.tolist())
    found = model.next_time(users, at, horizons=HORIZONS, quantiles=(0.5,))
    returns = {one: found[f"within_{one:g}s"].to_numpy().astype(np.float64) for one in HORIZONS}
    return TimeForecast(-nats, found["wait_50"].to_numpy().astype(np.float64), returns)


def constant(learned: Visits, n: int) -> Mixture:
    """Fit one mixture of log-normals to all gaps, censored ones too, by gradient descent."""
    logs = np.log(np.maximum(learned.gaps.seconds, AT_ONCE))
    ended = learned.gaps.ended
    later = ~ended | (learned.gaps.seconds > AT_ONCE)
    at_once = 1 - later.mean()
    spread = np.quantile(logs[ended & later], (np.arange(PARTS) + 0.5) / PARTS)
    start = np.stack([np.zeros(PARTS), spread, np.zeros(PARTS)])
    weights = torch.tensor(start, dtype=torch.float64, requires_grad=True)
    # Gaps within a fiftieth of a log-second are learned from as one: a fit, no judgement.
    told = np.stack([np.round(logs[later] * 50) / 50, ended[later]])
    values, counts = np.unique(told, axis=1, return_counts=True)
    x, came, times = (torch.from_numpy(one.astype(np.float64)) for one in (*values, counts))
    adam = torch.optim.Adam([weights], lr=0.03)
    for _ in range(_STEPS):
        adam.zero_grad()
        loss = _nats(weights, x, came, times)
        torch.autograd.backward(loss)
        adam.step()
    found = weights.detach()
    parts = [torch.softmax(found[0], 0), found[1], 0.05 + torch.exp(found[2])]
    repeated = [np.repeat(one.numpy()[None], n, axis=0) for one in parts]
    return Mixture(np.full(n, at_once), repeated[0], repeated[1], repeated[2])


def _nats(weights: Tensor, x: Tensor, came: Tensor, times: Tensor) -> Tensor:
    log_w, mean, dev = torch.log_softmax(weights[0], 0), weights[1], 0.05 + torch.exp(weights[2])
    z = (x[:, None] - mean) / dev
    density = torch.logsumexp(log_w - z**2 / 2 - torch.log(dev), 1)
    survival = torch.logsumexp(log_w + torch.special.log_ndtr(-z), 1)
    likelihood = torch.where(came > 0, density, survival)
    return -(likelihood * times).sum() / times.sum()


def per_user(everything: Visits, learned: Visits, asked: Bools, strength: float) -> Mixture:
    """Give each user the log-normal of their own gaps so far, drawn towards everybody's.

    Args:
        everything: All visits; each question sees the gaps that ended by its own instant.
        learned: Those before the cut, of which everybody's law is made.
        asked: [n] visits of ``everything`` that are asked about.
        strength: How many gaps everybody's law counts as.
    """
    seconds, ended = learned.gaps.seconds, learned.gaps.ended
    now = ended & (seconds <= AT_ONCE)
    mean, deviation = _censored_normal(learned.gaps)
    at_once = now.sum() / len(now)
    closed = everything.gaps.ended
    came = (everything.times + everything.gaps.seconds.astype(np.int64))[closed]
    users, gaps = everything.users[closed], everything.gaps.seconds[closed]
    logs = np.where(gaps > AT_ONCE, np.log(np.maximum(gaps, AT_ONCE)), 0.0)
    # A gap is known from the visit that ends it on: that visit itself may be the one asked about.
    keys, at = everything.users[asked], everything.times[asked] + 1
    every = Tally.of(users, came)
    n_now = Tally.of(users, came, (gaps <= AT_ONCE).astype(np.float64)).total(keys, at)
    n = every.count(keys, at) - n_now
    own = Tally.of(users, came, logs).total(keys, at)
    squares = Tally.of(users, came, logs**2).total(keys, at)
    centre = (own + strength * mean) / (n + strength)
    second = (squares + strength * (mean**2 + deviation**2)) / (n + strength)
    spread = np.sqrt(np.maximum(second - centre**2, 0.05))
    chance = (n_now + strength * at_once) / (n + n_now + strength)
    return Mixture(chance, np.ones((len(n), 1)), centre[:, None], spread[:, None])


def chosen_strength(events: Events, cut: int, inner: int) -> float:
    """Choose how strongly users are drawn together, by the NLL of what lies before the cut."""
    everything, learned = Visits.of(events, cut), Visits.of(events, inner)
    asked = everything.since(inner)
    gaps = only(everything.gaps, asked)
    losses = [
        -per_user(everything, learned, asked, one).log_likelihood(gaps).mean() for one in STRENGTHS
    ]
    return STRENGTHS[int(np.argmin(losses))]


def _censored_normal(gaps: Gaps) -> tuple[float, float]:
    """Fit one normal law of log-seconds to the gaps above a second, censored ones too."""
    later = ~gaps.ended | (gaps.seconds > AT_ONCE)
    logs = torch.from_numpy(np.log(np.maximum(gaps.seconds[later], AT_ONCE)))
    came = torch.from_numpy(gaps.ended[later])
    law = torch.tensor([float(logs.mean()), float(logs.std().log())], requires_grad=True)
    newton = torch.optim.LBFGS([law], max_iter=50, line_search_fn="strong_wolfe")

    def nats() -> Tensor:
        newton.zero_grad()
        z = (logs - law[0]) / law[1].exp()
        survived = torch.special.log_ndtr(-z)
        loss = -torch.where(came, -(z**2) / 2 - law[1], survived).mean()
        torch.autograd.backward(loss)
        return loss

    newton.step(nats)
    mean, deviation = law.detach().tolist()
    return mean, float(np.exp(deviation))
