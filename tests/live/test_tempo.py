"""Tempo: returns of the days that are over, against what was expected of them."""

import numpy as np
import pytest
import torch

from recency.data.histories import Histories
from recency.data.timelines import Timelines
from recency.live import tempo as tempo_module
from recency.live.tempo import HALF_LIFE, PRIOR, Tempo
from recency.nn.model import SequenceModel
from recency.nn.time_head import TimeHead

DAY, US = 86_400, 1_000_000
RATE = 0.5  # returns a day


class Constant(TimeHead):
    """Expects returns at one rate for all; training knew nothing after the first instant."""

    def facts(self, ledger, users, items, at):
        return np.zeros((len(users), self.n_facts), np.float32)

    def survival(self, outputs, facts, waits, tempo=None):
        return torch.exp(-RATE * waits / DAY)


def timelines_of(*days: list[float]) -> Timelines:
    """One user a list, with events at these days."""
    times = [np.array(one) * DAY * US for one in days]
    offsets = np.concatenate([[0], np.cumsum([len(one) for one in times])])
    flat = np.concatenate(times).astype(np.int64)
    return Timelines(Histories(offsets, np.zeros(len(flat), np.int32), flat))


@pytest.fixture
def tempo(monkeypatch: pytest.MonkeyPatch) -> Tempo:
    monkeypatch.setattr(
        tempo_module,
        "outputs_at",
        lambda model, histories, users, stops: torch.zeros(len(users), 1),
    )
    head = Constant(parts=1)
    head.build(1)
    model = SequenceModel.__new__(SequenceModel)
    monkeypatch.setattr(SequenceModel, "n_items", 1, raising=False)
    return Tempo(model, head)


def at(*days: float) -> np.ndarray:
    return (np.array(days) * DAY * US).astype(np.int64)


def test_days_that_are_over_are_counted_those_too_on_which_nobody_came(tempo):
    # User 0 comes on every half day, user 1 once and never again.
    timelines = timelines_of([0.5, 1.5, 2.5, 3.5], [0.0])
    found = tempo.at(timelines, at(0.9, 1.6, 2.6))
    days = np.array([[0, RATE * 1.5], [1, RATE * 2]])  # user 0 is awaited from its first event on
    keep = 0.5 ** (1 / HALF_LIFE)
    after = [days[0] + PRIOR, days[0] * keep + days[1] + PRIOR]
    expected = [1.0, *(one[0] / one[1] for one in after)]
    assert found == pytest.approx(expected, rel=1e-5)


def test_later_events_change_no_earlier_tempo(tempo):
    early, late = (
        timelines_of([0.5, 1.5, 2.5], [0.2, 2.9]),
        timelines_of([0.5, 1.5, 2.5, 3.1, 3.2, 3.3], [0.2, 2.9, 3.05]),
    )
    asked = at(1.0, 2.0, 2.99)
    first = tempo.at(early, asked)
    again = Tempo(tempo._model, tempo._head).at(late, asked)
    assert np.array_equal(first, again)
    assert tempo.at(late, at(4.0))[0] != first[-1]


def test_days_of_which_nothing_is_known_do_not_count(tempo):
    timelines = timelines_of([0.5, 1.5, 2.5], [0.0])
    assert tempo.at(timelines, at(2.6)) == tempo.at(timelines, at(400.0))
    # Nor do they once somebody has come back after them: the answer stays the one given then.
    later = timelines_of([0.5, 1.5, 2.5, 9.0], [0.0])
    asked = at(2.6, 6.0, 9.0)
    assert tempo.at(timelines, asked) == pytest.approx(
        Tempo(tempo._model, tempo._head).at(later, asked), abs=0
    )


def test_a_question_sees_up_to_the_newest_event_before_it():
    timelines = timelines_of([0.5, 1.5, 2.5], [0.0, 1.5])
    asked = at(0.0, 0.5, 0.6, 1.5, 2.0, 2.5, 9.0)
    newest = [None, 0.0, 0.5, 0.5, 1.5, 1.5, 2.5]  # strictly before each
    expected = [0 if day is None else at(day)[0] + 1 for day in newest]
    assert tempo_module._seen_until(timelines, asked).tolist() == expected
    for order in ([3], [1, 6], [5, 2, 0]):  # whatever is asked together
        told = tempo_module._seen_until(timelines, asked[order])
        assert told.tolist() == [expected[one] for one in order]
