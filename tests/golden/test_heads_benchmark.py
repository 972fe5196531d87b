"""What stands beside the heads in ``benchmarks/heads``: laws sum to 1, counts do not leak."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from benchmarks.heads.bias import Ratings, fit_biases, frozen, running
from benchmarks.heads.buys import HORIZON
from benchmarks.heads.buys import questions as buying_questions
from benchmarks.heads.features import DAY, Events, of_customers, of_impressions
from benchmarks.heads.judging import chance_gains, mean_gain, rmse_gain
from benchmarks.heads.laws import Mixture
from benchmarks.heads.like import questions
from benchmarks.heads.rmtpp import RmtppHead
from benchmarks.heads.tally import Tally
from benchmarks.heads.when import Visits, constant, per_user
from recency.evaluation.times import Gaps


def drawn(n: int = 3_000, seed: int = 0) -> Events:
    """Draw events of 40 users on 60 items over 100 days, several in a second."""
    rng = np.random.default_rng(seed)
    times = np.sort(rng.integers(0, 100 * DAY, n) // 30 * 30)
    kinds = rng.choice(["VIEW", "VIEW", "LIKE", "BOOKMARK"], n)
    users, items = rng.integers(0, 40, n), rng.integers(0, 60, n)
    return Events(users, items, times, kinds, rng.random(n), np.ones(n))


def corrupted(events: Events, cut: int) -> Events:
    """Give the same events with everything at or after an instant replaced."""
    late = events.times >= cut
    rng = np.random.default_rng(9)
    return Events(
        np.where(late, rng.permutation(events.users), events.users),
        np.where(late, rng.permutation(events.items), events.items),
        events.times,
        np.where(late, "LIKE", events.kinds),
        np.where(late, 77.0, events.amounts),
        events.lines,
    )


def test_a_tally_counts_strictly_before() -> None:
    tally = Tally.of(
        np.array([1, 1, 0, 1]), np.array([10, 20, 20, 30]), np.array([1.0, 2.0, 8.0, 4.0])
    )
    keys, at = np.array([1, 1, 1, 0, 5]), np.array([10, 30, 31, 99, 99])
    assert tally.count(keys, at).tolist() == [0, 2, 3, 1, 0]
    assert tally.total(keys, at).tolist() == [0, 3, 7, 8, 0]
    assert tally.count(keys, at, 11).tolist() == [0, 1, 2, 0, 0]
    assert tally.since_last(keys, at)[1:4].tolist() == [10, 1, 79]
    assert np.isnan(tally.since_last(keys, at)[[0, 4]]).all()
    assert tally.since_first(keys, at)[1:4].tolist() == [20, 21, 79]
    assert tally.first_after(np.array([1, 0]), np.array([20, 21]))[0] == 0
    assert np.isnan(tally.first_after(np.array([1, 0]), np.array([31, 21]))).all()


def test_features_know_nothing_of_what_comes() -> None:
    events, cut = drawn(), 60 * DAY
    logs = (events, corrupted(events, cut))
    users, at = np.arange(40), np.full(40, cut)
    both = [of_impressions(one, users, users, at, ("LIKE",), 0.1)[1] for one in logs]
    assert both[0] == pytest.approx(both[1], nan_ok=True)
    both = [of_customers(one, users, at)[1] for one in logs]
    assert both[0] == pytest.approx(both[1], nan_ok=True)


def test_a_like_counts_within_a_day_of_the_first_view() -> None:
    names = ["VIEW", "LIKE", "VIEW", "BOOKMARK", "LIKE", "VIEW", "VIEW"]
    events = Events(
        users=np.array([0, 0, 0, 0, 1, 1, 2]),
        items=np.array([5, 5, 5, 6, 5, 5, 5]),
        times=np.array([0, 50, 60, 70, 80, 90, 100]) * 3_600,
        kinds=np.array(names),
        amounts=np.ones(7),
        lines=np.ones(7),
    )
    asked = questions(events, 70 * 3_600)
    assert asked.users.tolist() == [0, 1, 2]
    assert asked.happened.tolist() == [False, False, False], "50 h later; liked before; never"
    assert asked.learned.tolist() == [True, False, False]
    assert asked.tested.tolist() == [False, False, False], "no day is left before the log ends"


def test_purchases_are_asked_of_those_known_by_then() -> None:
    events, cut = drawn(), 95 * DAY
    learned, tested = buying_questions(events, cut, back=2)
    for at in np.unique(learned.at):
        known = np.unique(events.users[events.times < at])
        assert learned.users[learned.at == at].tolist() == known.tolist()
        came = [
            bool(((events.users == u) & (events.times >= at) & (events.times < at + HORIZON)).any())
            for u in known
        ]
        assert learned.happened[learned.at == at].tolist() == came
    assert (learned.at + HORIZON <= cut).all() and (tested.at == cut).all()


def test_biases_are_ridge_regression() -> None:
    """The same minimum as the normal equations give."""
    rng = np.random.default_rng(0)
    ratings = Ratings(
        rng.integers(0, 6, 80), rng.integers(0, 5, 80), np.arange(80), rng.normal(3, 1, 80)
    )
    found = fit_biases(ratings, (6, 5), (2.0, 3.0))
    design = np.zeros((80, 11))
    design[np.arange(80), ratings.users] = 1
    design[np.arange(80), 6 + ratings.items] = 1
    weights = np.diag([2.0] * 6 + [3.0] * 5)
    rest = ratings.values - ratings.values.mean()
    exact = np.linalg.solve(design.T @ design + weights, design.T @ rest)
    assert np.concatenate([found.users, found.items]) == pytest.approx(exact, abs=1e-5)
    assert frozen(found, ratings)[0] == pytest.approx(ratings.values.mean() + design[0] @ exact)


def test_running_biases_know_nothing_of_what_comes() -> None:
    rng = np.random.default_rng(1)
    ratings = Ratings(
        rng.integers(0, 6, 90), rng.integers(0, 5, 90), np.arange(90), rng.normal(3, 1, 90)
    )
    later = Ratings(ratings.users, ratings.items, ratings.times, ratings.values.copy())
    later.values[70:] = 99.0
    biases = fit_biases(ratings.part(0, 50), (6, 5), (2.0, 3.0))
    ours, other = (running(biases, one, 50) for one in (ratings, later))
    assert ours[:21] == pytest.approx(other[:21]) and abs(ours[22:] - other[22:]).max() > 1


def test_visits_are_seconds_and_the_last_is_censored() -> None:
    one = np.ones(4)
    events = Events(
        np.array([3, 3, 3, 7]), np.zeros(4, np.int64), np.array([10, 10, 40, 50]), one.astype(str),
        one, one,
    )  # fmt: skip
    visits = Visits.of(events, 100)
    assert visits.times.tolist() == [10, 40, 50]
    assert visits.gaps.seconds.tolist() == [30, 60, 50]
    assert visits.gaps.ended.tolist() == [True, False, False]
    assert Visits.of(events, 45).gaps.ended.tolist() == [True, False]


def grid_of(log_likelihood_of) -> float:
    """Add up a law over log-seconds: at once, a fine grid, and what is longer."""
    edges = np.linspace(0, np.log(1e7), 20_001)
    middles = np.exp((edges[1:] + edges[:-1]) / 2)
    n = len(middles)
    density = np.exp(log_likelihood_of(middles, np.ones(n, bool)))
    at_once = np.exp(log_likelihood_of(np.ones(1), np.ones(1, bool)))[0]
    longer = np.exp(log_likelihood_of(np.array([1e7]), np.zeros(1, bool)))[0]
    return float(at_once + (density * np.diff(edges)).sum() + longer)


def test_every_law_sums_to_one() -> None:
    events = drawn()
    learned, everything = Visits.of(events, 60 * DAY), Visits.of(events, 100 * DAY)
    asked = np.zeros(len(everything.users), bool)
    asked[-3:] = True
    for law in (constant(learned, 3), per_user(everything, learned, asked, 4.0)):
        for place in range(3):
            columns = (law.at_once, law.weights, law.means, law.deviations)

            def likelihood(seconds, ended, columns=columns, place=place):
                n = len(seconds)
                one = Mixture(*(np.repeat(c[place : place + 1], n, axis=0) for c in columns))
                return one.log_likelihood(Gaps(seconds, ended, seconds))

            # A law of logs may reach below a second, which is no gap that can be asked about.
            assert grid_of(likelihood) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("slope", [-0.3, 0.4])
def test_rmtpp_sums_to_one(slope: float) -> None:
    head = RmtppHead()
    head.build(8)
    head.mean.fill_(8.0)
    with torch.no_grad():
        head.slope.fill_(slope)

    def likelihood(seconds, ended):
        n = len(seconds)
        labels = torch.from_numpy(np.stack([seconds, ended], axis=1)).double()
        head.double()
        return (
            -head.nats(torch.zeros(n, 8).double(), torch.ones(n, 4).double(), labels)
            .detach()
            .numpy()
        )

    assert grid_of(likelihood) == pytest.approx(1, abs=1e-3)
    waits = torch.tensor([[1.0, 100.0, 1e4, 1e6]])
    lasting = head.survival(torch.zeros(1, 8).double(), torch.ones(1, 4).double(), waits)[0]
    assert all(first > second for first, second in pairwise(lasting.tolist()))


def test_gains_point_the_right_way() -> None:
    rng = np.random.default_rng(2)
    users, truth = np.arange(400) // 4, rng.random(400)
    happened = rng.random(400) < truth
    noise = (truth + rng.normal(0, 0.4, 400)).clip(0.01, 0.99)
    found = chance_gains(truth.clip(0.01, 0.99), {"noise": noise}, happened, users)
    assert found["auc_gain_over_best_baseline"] > 0
    assert found["auc_gain_over_best_baseline p"] < 0.05
    assert found["log_loss_gain_over_best_baseline low"] > 0
    assert mean_gain(np.zeros(400), np.ones(400), users, "x")["x"] == 1
    assert rmse_gain(np.full(400, 0.81), np.ones(400), users, "x")["x"] == pytest.approx(0.1)
