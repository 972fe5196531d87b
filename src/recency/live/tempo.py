"""Tempo: how much faster or slower users come back now than a model expected.

    tempo = (sum over days d of found_d 2^(-age_d / half-life) + prior)
          / (sum over days d of expected_d 2^(-age_d / half-life) + prior)                (1)

Seasons and the life of a shop move the rate of returns after training has ended. What was foretold
is found out day by day: ``found`` counts the returns of a day, ``expected`` sums up the hazard that
the time head gave everybody awaited on that day, those too who did not come (Aalen, Nonparametric
inference for a family of counting processes, Annals of Statistics 6(4), 1978). The hazard that is
told from then on is multiplied by their ratio (proportional hazards; Cox, Regression models and
life tables, JRSS B 34(2), 1972), drawn towards 1 by as many returns as ``prior``.

Only days that were over by the instant of a question count, so an answer about the past is the one
given then. A day is counted once, when it is first asked about, and not again for events that come
late. Days begin where `fit` ended: what a model expects of days that it learned is no forecast.
`partial_fit` does not move that instant; what it learns of a day brings that day's ratio to 1.
"""

import numpy as np
import numpy.typing as npt
import torch

from recency.data.histories import Histories, Ints
from recency.data.tallies import DAY, Doubles, Ledger
from recency.data.timelines import Timelines
from recency.live.states import outputs_at
from recency.nn.model import SequenceModel
from recency.nn.time_head import ZERO, TimeHead

HALF_LIFE = 10.0  # days; this and the prior were chosen on slices of training
PRIOR = 100.0  # returns
_REACH = 80  # days looked back on
_DAY = round(DAY * 1e6)
_MOST = 5_000  # users that are followed; of more, every second, third and so on
_ROWS = 512
_LONGEST = 1e12  # seconds


class Tempo:
    """Compare returns with what a time head expected of them, day by day.

    Args:
        model: Whose memory the head reads.
        head: Trained.
    """

    def __init__(self, model: SequenceModel, head: TimeHead) -> None:
        self._model, self._head, self._begin = model, head, int(head.until)
        self._counts: dict[int, Doubles] = {}  # by day: found, expected

    def days(self, at: Ints) -> Ints:
        """Count the days [n] that were over at instants [n] in microseconds; none before 0."""
        return np.maximum((at - self._begin) // _DAY, 0)

    def at(self, timelines: Timelines, at: Ints) -> npt.NDArray[np.float32]:
        """Give the tempo [n] known at instants: equation 1.

        Args:
            timelines: Of everybody. Days after the newest event before an instant are not counted:
                nothing was seen of them.
            at: [n] microseconds.
        """
        asked, place = np.unique(self.days(_seen_until(timelines, at)), return_inverse=True)
        missing = self.missing(asked)
        if len(missing):
            histories = timelines.histories()
            for first, last in _runs(missing):
                self._count(histories, first, last)
        found = np.array([self._ratio(int(day)) for day in asked], np.float32)
        return found[place]

    def missing(self, days: Ints) -> Ints:
        """List the days that were not counted yet, of those that tempos of ``days`` want."""
        wanted = {d for day in days.tolist() for d in range(max(0, day - _REACH), day)}
        return np.array(sorted(wanted - self._counts.keys()), np.int64)

    def _ratio(self, day: int) -> float:
        sums = np.full(2, PRIOR)
        for back in range(1, min(day, _REACH) + 1):
            sums += self._counts[day - back] * 0.5 ** ((back - 1) / HALF_LIFE)
        return float(sums[0] / sums[1])

    @torch.no_grad()
    def _count(self, histories: Histories, first: int, last: int) -> None:
        """Count the days from ``first`` on, ``last`` left out."""
        followed = np.arange(0, histories.n_users, max(1, -(-histories.n_users // _MOST)))
        histories = histories.select(followed)
        start, stop = self._begin + first * _DAY, self._begin + last * _DAY
        places, waits = _awaited(histories, start, stop)
        users, times = histories.user_of[places], histories.times[places]
        outputs = outputs_at(self._model, histories, users, places + 1)
        facts = self._head.facts(
            Ledger.of(histories, self._model.n_items), users, np.full(len(users), -1), times + 1
        )
        device = outputs.device
        marks = (self._begin + np.arange(first, last + 1) * _DAY - times[:, None]) / 1e6
        marks = np.clip(np.minimum(marks, waits[:, None]), ZERO, None)
        read = torch.from_numpy(facts).to(device)
        ends = torch.from_numpy(marks).to(device)
        expected = np.zeros(last - first)
        for row in range(0, len(places), _ROWS):
            part = slice(row, row + _ROWS)
            lasting = self._head.survival(outputs[part], read[part], ends[part])
            hazard = -torch.log(lasting.clamp(min=1e-30))
            expected += hazard.diff(dim=1).sum(0).cpu().numpy()
        came = times + np.round(waits * 1e6).astype(np.int64)
        came = came[(waits > ZERO) & (came >= start) & (came < stop)]
        found = np.bincount((came - start) // _DAY, minlength=last - first)
        for day in range(first, last):
            self._counts[day] = np.array([found[day - first], expected[day - first]])


def _seen_until(timelines: Timelines, at: Ints) -> Ints:
    """Give the instants [n] just after the newest event strictly before instants [n]."""
    newest = -1 if timelines.newest is None else timelines.newest
    seen = np.minimum(at, newest + 1)
    past = at <= newest
    if past.any():
        times, asked = timelines.histories().times, at[past]
        first = asked.min()
        older = times[times < first]
        oldest = older.max() if len(older) else -1
        between = np.sort(times[(times >= first) & (times < asked.max())])
        before = np.searchsorted(between, asked)
        seen[past] = np.append(between, oldest)[before - 1] + 1  # -1: the oldest, put last
    return seen


def _awaited(histories: Histories, start: int, stop: int) -> tuple[Ints, Doubles]:
    """Find the events after which somebody was awaited at some time between two instants.

    Returns:
        Places [n], and the seconds [n] until the user's next instant with an event, however late.
    """
    times, users = histories.times, histories.user_of
    places = np.flatnonzero(np.append((np.diff(times) != 0) | (np.diff(users) != 0), True))
    same = np.append(users[places[1:]] == users[places[:-1]], False)
    # The next event of the same instant is not the next instant: places hold the last of each.
    after = np.append(times[places[1:]], 0)
    waits = np.where(same, (after - times[places]) / 1e6, _LONGEST)
    kept = (times[places] < stop) & (~same | (after > start))
    return places[kept], waits[kept]


def _runs(days: Ints) -> list[tuple[int, int]]:
    """Put days [n], ascending, together as ranges, the last day of each left out."""
    if not len(days):
        return []
    parts = np.split(days, np.flatnonzero(np.diff(days) > 1) + 1)
    return [(int(part[0]), int(part[-1]) + 1) for part in parts]
