"""The lift of experts: golden ranks, the scale of own items, noise, and what it is for."""

import math
from typing import Any

import numpy as np
import pytest
import torch

from recency import ExpertConfig
from recency.nn.experts import Experts
from recency.nn.fading import Context
from recency.nn.memories import Memories
from recency.nn.voices import Voices, voices_of
from recency.training.lift import Vote, Votes
from recency.training.validation import K

NAMES = ("encoder", "own", "pair", "crowd")
ENCODER, OWN, PAIR, CROWD = range(len(NAMES))


def vote(
    parts: dict[int, list[float]],
    *,
    target: int = 0,
    own: tuple[int, ...] = (),
    again: float = 0.5,
) -> Vote:
    """Say what experts give to every item."""
    n = len(next(iter(parts.values())))
    shares, is_own = np.zeros((len(NAMES), n)), np.zeros(n, bool)
    for expert, given in parts.items():
        shares[expert] = given
    is_own[list(own)] = True
    return Vote.of(shares, is_own, again, target, np.ones(n, bool))


def lifted(**by_name: float) -> Any:
    return np.array([by_name.get(name, 0.0) for name in NAMES])


def test_a_lift_brings_to_the_top_what_one_expert_is_right_about():
    # The target has .02 of pairs; two others have .03 and .05 of the encoder.
    one = vote({ENCODER: [0, 0.03, 0.05], PAIR: [0.02, 0, 0]})
    lists = Votes([one], np.array([0]))
    assert lists.gains(lifted()) == pytest.approx([1 / math.log2(4)])
    # .02 * 2 lies between the two, .02 * 4 before both.
    assert lists.gains(lifted(pair=math.log(2))) == pytest.approx([1 / math.log2(3)])
    assert lists.gains(lifted(pair=math.log(4))) == [1]
    assert lists.gains(lifted(encoder=-math.log(4))) == [1]


def test_equal_items_share_their_places_and_silence_earns_nothing():
    equal = vote({ENCODER: [0.2, 0.2, 0.2]})
    silent = vote({ENCODER: [0.0, 0.1, 0.2]})
    gains = Votes([equal, silent], np.array([0, 1])).gains(lifted())
    assert gains == pytest.approx([1 / math.log2(3), 0])


def test_own_items_have_the_chance_of_coming_again_under_every_lift():
    # The target, new, has .1 of .5 new; the own item has all of the own. Own once more: .4 or .9.
    for again, gain in ((0.1, 1.0), (0.9, 1 / math.log2(3))):
        one = vote({ENCODER: [0.4, 0.5, 0.1], OWN: [0, 0, 0]}, own=(1,), again=again)
        lists = Votes([one], np.array([0]))
        for lift in (lifted(), lifted(own=3.0), lifted(encoder=-2.0)):
            assert lists.gains(lift) == pytest.approx([gain])


@pytest.mark.parametrize("seed", range(20))
def test_ranks_are_those_of_the_whole_mixture(seed: int):
    rng = np.random.default_rng(seed)
    n_items, config = 30, ExpertConfig(pair=("2h",), crowd=("1h", "10h"))
    times = np.sort(rng.integers(0, 40, 60)) * 3_600_000_000
    users, items = rng.integers(0, 4, 60), rng.integers(0, n_items, 60)
    memories = Memories.of(config, users, items, times)
    torch.manual_seed(seed)
    experts = Experts(4, config).eval()
    with torch.no_grad():
        for weight in experts.parameters():
            weight.normal_(std=0.5)
    lift = rng.normal(size=len(config.names))
    newest = torch.from_numpy(np.full((1, 100), -1))
    newest[0, :5] = torch.from_numpy(items[users == users[-1]][::-1][:5].copy())
    context = Context(newest, torch.rand(1, 100))
    encoder = rng.dirichlet(np.ones(n_items))
    query, target = torch.randn(1, 4), int(rng.integers(n_items))

    plain = voices_of(experts, query, context, repeats=True)
    own = np.isin(np.arange(n_items), newest.numpy())
    parts = memories.parts(plain, 0, encoder)
    assert parts.sum(axis=0) == pytest.approx(memories.mixture(plain, 0, encoder))
    one = Vote.of(parts, own, float(plain.again[0]), target, np.ones(n_items, bool))
    found = Votes([one], np.array([0])).gains(lift)

    experts.lift[1] = torch.from_numpy(lift)
    served: Voices = voices_of(experts, query, context, repeats=True)
    scores = memories.mix(served, 0, encoder)
    rank = 1 + (scores > scores[target]).sum()
    assert found == pytest.approx([1 / np.log2(1 + rank) if rank <= K else 0])


def right_when_louder(n: int) -> list[Vote]:
    return [vote({ENCODER: [0.0, 0.05, 0.04], PAIR: [0.03, 0, 0]}) for _ in range(n)]


def test_the_best_lift_is_found_and_who_says_nothing_has_none():
    lists = Votes(right_when_louder(20), np.arange(20))
    lift = lists.best()
    assert lists.gains(lift).mean() == 1
    assert lift[ENCODER] < lift[PAIR]
    assert lift[[OWN, CROWD]].tolist() == [0, 0]


def test_one_user_alone_is_no_evidence():
    lists = Votes(right_when_louder(20), np.zeros(20, int))
    assert not lists.best().any()


def test_where_nothing_is_to_be_gained_nothing_is_lifted():
    lists = Votes([vote({ENCODER: [0.3, 0.2, 0.1], PAIR: [0.3, 0.1, 0.2]})] * 9, np.arange(9))
    assert not lists.best().any()


def test_chances_know_no_lift_and_ranks_do():
    config = ExpertConfig(pair=("1h",), crowd=("3h",))
    experts = Experts(3, config)
    experts.lift[0, 0], experts.lift[1, 1] = 2.0, 3.0
    query = torch.zeros(1, 3)
    context = Context(torch.full((1, 100), -1), torch.zeros(1, 100))
    assert not experts.gates(query).any()
    for repeats, heard in ((False, [[2, 0, 0, 0]]), (True, [[0, 3, 0, 0]])):
        assert voices_of(experts, query, context, repeats).gates.tolist() == heard
        assert experts.loudness(query, repeats).tolist() == heard


@pytest.mark.parametrize("lift", [None, [1.0, 2.0, 0.0, 0.0]])
def test_weights_of_before_there_were_two_lifts_have_one_for_both_or_none(lift):
    config = ExpertConfig(pair=("1h",), crowd=("3h",))
    older = {k: v for k, v in Experts(3, config).state_dict().items() if k != "lift"}
    if lift is not None:
        older["lift"] = torch.tensor(lift)
    experts = Experts(3, config)
    experts.lift.fill_(3.0)
    experts.load_state_dict(older)
    assert experts.lift.tolist() == [lift or [0.0] * 4] * 2
