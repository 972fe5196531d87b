"""The time head: a density that sums to one, its survival, and what censoring teaches."""

import math
from typing import Any

import numpy as np
import pytest
import torch

from recency.data.histories import Histories
from recency.data.tallies import Ledger
from recency.errors import DataError
from recency.nn.time_head import TimeHead

DAY = 86_400.0


def ledger_of(*waits: list[float]) -> Ledger:
    """One user a list, whose events are so many seconds apart, all from one instant on."""
    times = [np.cumsum([0.0, *one]) for one in waits]
    offsets = np.concatenate([[0], np.cumsum([len(one) for one in times])])
    flat = (np.concatenate(times) * 1e6).astype(np.int64)
    return Ledger.of(Histories(offsets, np.zeros(len(flat), np.int32), flat), 1)


def built(ledger: Ledger, **settings: Any) -> TimeHead:
    torch.manual_seed(0)
    head = TimeHead(**settings)
    head.build(8)
    head.study(ledger, [])
    with torch.no_grad():
        for weight in head.parameters():
            weight.add_(0.1 * torch.randn(weight.shape))
    return head


@pytest.fixture
def ledger() -> Ledger:
    rng = np.random.default_rng(0)
    return ledger_of(*(list(rng.lognormal(8, 1.5, 20)) for _ in range(10)))


def test_density_and_survival_are_of_one_distribution(ledger):
    head, outputs = built(ledger, parts=3).double(), torch.randn(2, 8).double()
    facts = torch.tensor([[1.0, 0.2, 0.9, 0.3], [0.5, -1.0, 1.2, 0.1]]).double()
    logs = torch.linspace(1e-6, 40, 40_001).double()
    waits = logs.exp()
    for row in range(2):
        one, fact = outputs[row].expand(len(waits), -1), facts[row].expand(len(waits), -1)
        came = torch.stack((waits, torch.ones_like(waits)), dim=1)
        density = (-head.nats(one, fact, came)).exp()
        lasting = head.survival(outputs[row : row + 1], facts[row : row + 1], waits[None])[0]
        ended = torch.cumulative_trapezoid(density, logs)
        # What lies below a second is the hurdle's, and a little of the mixture's own tail.
        assert (lasting[0] - ended[-1]).item() == pytest.approx(0, abs=2e-4)
        assert torch.allclose(lasting[0] - ended, lasting[1:], atol=2e-4)
        open_ = torch.stack((waits, torch.zeros_like(waits)), dim=1)
        assert torch.allclose((-head.nats(one, fact, open_)).exp(), lasting, atol=1e-6)


def test_a_wait_of_no_time_costs_the_hurdle_alone(ledger):
    head = built(ledger, parts=2)
    outputs, facts = torch.zeros(1, 8), torch.tensor([[0.0, 0.0, 1.0, 0.5]])
    hurdle = head(outputs, facts)[0]
    cost = head.nats(outputs, facts, torch.tensor([[0.5, 1.0]]))
    assert cost.item() == pytest.approx(math.log1p(math.exp(-hurdle.item())), abs=1e-5)


def test_lessons_are_gaps_and_last_events_that_nothing_followed(ledger):
    made = ledger_of([10, 20], [100])
    head = TimeHead()
    head.build(4)
    head.study(ledger_of([10, 20, 30], [100, 50]), [])
    found = head.lessons(made, np.array([1, 2, 4]), np.array([0, 1, 3]))
    assert found.keys.tolist() == [0, 1, 2, 3, 4]
    end = made.until / 1e6
    expected = [[10, 1], [20, 1], [end - 30, 0], [100, 1], [end - 100, 0]]
    assert found.labels == pytest.approx(np.array(expected), abs=1e-3)


def test_facts_know_nothing_of_later_events(ledger):
    head = built(ledger)
    users, at = np.array([0, 0, 3]), ledger.times[[5, 12, 70]] + 1
    cut = ledger.histories.cut(
        ledger.histories.stops_before(np.arange(10), np.full(10, int(at.max())))
    )
    none = np.full(3, -1)
    assert np.array_equal(
        head.facts(ledger, users, none, at), head.facts(Ledger.of(cut, 1), users, none, at)
    )


def test_users_without_a_second_event_leave_nothing_to_tell():
    head = TimeHead()
    head.build(4)
    with pytest.raises(
        DataError, match="TimeHead: expected gaps between a user's events that diff"
    ):
        head.study(ledger_of([], []), [])


def learn(head: TimeHead, facts: torch.Tensor, labels: torch.Tensor) -> None:
    optimizer = torch.optim.Adam(head.parameters(), lr=0.02)
    outputs = torch.zeros(len(labels), 8)
    for _ in range(150):
        optimizer.zero_grad()
        head.loss(outputs, outputs, facts, labels).backward()
        optimizer.step()


def test_waits_still_open_make_told_waits_longer(ledger):
    """Waits around 4 days are cut off at 3 days; where that is known, the median is right."""
    rng = np.random.default_rng(1)
    true = np.exp(rng.normal(np.log(4 * DAY), 0.7, 400))
    seen, came = np.minimum(true, 3 * DAY), true <= 3 * DAY
    facts = torch.tensor([[0.0, 0.0, 1.0, 0.1]]).expand(400, -1)
    medians = []
    for labels in (np.stack((seen, came), axis=1), np.stack((seen, np.ones(400)), axis=1)):
        head = built(ledger, parts=2)
        learn(head, facts, torch.from_numpy(labels).float())
        waits = torch.logspace(3, 7, 400)[None]
        lasting = head.survival(torch.zeros(1, 8), facts[:1], waits)[0]
        medians.append(float(waits[0][(lasting < 0.5).nonzero()[0]]) / DAY)
    assert medians[0] == pytest.approx(4, rel=0.3)
    assert medians[1] < 3.2


def test_calibration_shifts_waits_that_were_told_too_short(ledger):
    head = built(ledger, parts=2)
    facts = torch.tensor([[0.0, 0.0, 1.0, 0.1]]).expand(300, -1)
    outputs = torch.zeros(300, 8)
    long = torch.from_numpy(np.random.default_rng(2).lognormal(11, 1, 300)).float()
    labels = torch.stack((long, torch.ones(300), torch.zeros(300)), dim=1)
    before = head.nats(outputs, facts, labels[:, :2]).mean().item()
    assert head.settle(outputs, outputs, facts, labels)
    assert head.nats(outputs, facts, labels[:, :2]).mean().item() < before - 0.1
    assert not head.line.requires_grad
    assert not head.settle(outputs[:10], outputs[:10], facts[:10], labels[:10])


def test_paces_bring_back_as_many_as_came():
    torch.manual_seed(0)
    head = TimeHead(parts=2)
    head.build(4)
    head.mean.fill_(10.0)
    head.deviation.fill_(2.0)
    n = 2_000
    outputs, facts = torch.zeros(n, 4), torch.tensor([0.0, 0.0, 1.0, 0.01]).repeat(n, 1)
    waits = torch.distributions.Exponential(1 / 86_400).sample((n,)).clamp(min=2)
    seen = torch.full((n,), 2 * 86_400.0)  # nobody is watched for longer
    labels = torch.stack((torch.minimum(waits, seen), (waits < seen).float(), seen * 0), dim=1)
    assert head.settle(outputs, torch.zeros(n, 4), facts, labels)
    asked = torch.tensor([[3_600.0, 86_400.0]])
    lasting = head.survival(outputs[:1], facts[:1], asked)[0].detach()
    for one, told in zip(asked[0], lasting, strict=True):
        assert float(told) == pytest.approx(float((waits > one).float().mean()), abs=0.06)
    # What is told of density and of survival is of one curve.
    times = torch.linspace(0, 14, 20_000).exp()
    costs = head.nats(
        outputs[:1].expand(20_000, 4),
        facts[:1].expand(20_000, 4),
        torch.stack((times, torch.ones(20_000)), dim=1),
    )
    mass = torch.trapezoid(torch.exp(-costs[1:]).detach(), times[1:].log())
    ends = head.survival(outputs[:1], facts[:1], times[[1, -1]][None])[0].detach()
    assert float(mass) == pytest.approx(float(ends[0] - ends[1]), abs=2e-3)
