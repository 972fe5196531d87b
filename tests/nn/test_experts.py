"""The mixture of encoder and experts: golden numbers, silence, trust, and replay."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from recency.data.histories import NO_GAP, PADDING, Histories
from recency.errors import ConfigError, DataError
from recency.nn.evidence import EvidenceTable
from recency.nn.experts import Evidence, ExpertConfig, Experts
from recency.nn.fading import Context
from recency.nn.memories import Memories
from recency.nn.voices import context_of, voices_of

HOUR = 3_600_000_000
CONFIG = ExpertConfig(pair=("2h", "300d"), crowd=("1h", "10h"))


def experts(config: ExpertConfig = CONFIG) -> Experts:
    torch.manual_seed(0)
    made = Experts(4, config)
    with torch.no_grad():
        for weight in made.parameters():
            weight.normal_(std=0.5)
        made.trust.normal_(std=0.5)
    return made.eval()


def log(seed: int, n_users: int = 5, n_items: int = 7) -> Histories:
    """Draw histories in which instants repeat within and between users."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 25, n_users)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    times = np.concatenate([np.sort(rng.integers(0, 30, n)) for n in lengths]) * HOUR
    items = rng.integers(-1, n_items, len(times)).astype(np.int32)
    return Histories(offsets=offsets, items=items, times=times, types=None, values=None)


def test_names_stand_in_the_order_of_the_gate():
    assert CONFIG.names == [
        "encoder",
        "own",
        "pair 2 h",
        "pair 300 d",
        "crowd 1 h",
        "crowd 10 h",
    ]
    assert ExpertConfig(own=False, pair=(), crowd=()).names == ["encoder"]


def test_impossible_settings_are_refused_together():
    with pytest.raises(ConfigError) as caught:
        ExpertConfig(encoder=False, crowd=(), pair=(0,))
    assert "pair=(0,)" in str(caught.value) and "expected one of them" in str(caught.value)
    with pytest.raises(DataError, match="0 seconds or more, found -1"):
        ExpertConfig(resolution=-1)


def test_the_mixture_is_the_mean_of_probabilities_by_the_gate():
    made = experts(ExpertConfig(own=False, pair=(), crowd=("1h",)))
    gates = torch.log(torch.tensor([[3.0, 1.0]]))
    parts = torch.log(torch.tensor([[0.1, 0.5]]))
    assert made.mixture(gates, parts).exp().item() == pytest.approx(0.75 * 0.1 + 0.25 * 0.5)


def test_an_expert_that_knows_nothing_is_not_asked():
    made = experts(ExpertConfig(own=False, pair=(), crowd=("1h",)))
    parts = torch.tensor([[math.log(0.2), -math.inf]])
    assert made.mixture(torch.zeros(1, 2), parts).exp().item() == pytest.approx(0.2)


def test_own_items_count_by_how_long_ago_they_were():
    made = experts(ExpertConfig(pair=(), crowd=()))
    assert made.own is not None
    with torch.no_grad():
        made.own.by_events.zero_()
        made.own.by_time.zero_()
        made.own.by_time[-1] = -math.log(3)  # a year ago weighs a third of now
    year = 365.25 * 86_400
    context = Context(torch.tensor([[5, 6, 5, PADDING]]), torch.tensor([[0.0, year, year, NO_GAP]]))
    given = Evidence(context, torch.empty(1, 10, 0), torch.empty(1, 0))
    parts = made.parts(torch.zeros(1, 4), torch.zeros(1), torch.tensor([5]), given)
    assert parts[0, 1].exp().item() == pytest.approx((1 + 1 / 3) / (1 + 2 / 3), abs=1e-6)


@pytest.mark.parametrize("resolution", [0, "7h"])
@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_what_training_looks_up_is_what_a_replay_answers(seed: int, known: bool, resolution):
    histories, made, n_items = log(seed), experts(), 7
    config = replace(CONFIG, resolution=resolution)
    table = EvidenceTable(histories, config, ages_to_target=known)
    queries = torch.randn(histories.n_events, 4, generator=torch.Generator().manual_seed(seed))
    encoder = np.random.default_rng(seed).dirichlet(np.ones(n_items))
    for target in range(histories.n_events):
        start, item = (
            int(histories.offsets[histories.user_of[target]]),
            int(histories.items[target]),
        )
        stop = int(histories.group_start[target])
        if stop == start or item < 0:
            continue
        at = int(histories.times[target])
        users = np.arange(histories.n_users)
        until = at if resolution == 0 else at // (7 * HOUR) * (7 * HOUR)
        past = histories.cut(histories.stops_before(users, np.full(len(users), until)))
        memories = Memories.of(config, past.user_of, past.items, past.times)
        instant = np.array([at]) if known else None
        context = context_of(histories, np.array([start]), np.array([stop]), instant)
        query = queries[target : target + 1]
        voices = voices_of(made, query, context, repeats=True)
        chances = memories.mixture(voices, 0, encoder)
        with torch.no_grad():
            given = table.of(np.array([target]), torch.device("cpu"))
            log_chance = torch.tensor([math.log(encoder[item])], dtype=torch.float32)
            parts = made.parts(query, log_chance, torch.tensor([item]), given)
            looked_up = made.mixture(made.gates(query), parts).item()
        assert math.log(chances[item]) == pytest.approx(looked_up, abs=2e-4)
        scores = memories.mix(voices, 0, encoder).astype(np.float64)
        own = np.unique(context.items[context.items >= 0].numpy())
        if 0 < len(own) < n_items:
            again = torch.sigmoid(made.repeats(query, context)).item()
            assert np.exp(scores[own]).sum() == pytest.approx(again, abs=1e-4)
            assert np.exp(scores).sum() == pytest.approx(1, abs=1e-4)


def test_trust_finds_the_expert_that_is_right_later():
    made = experts(ExpertConfig(own=False, pair=(), crowd=("1h",)))
    gates = torch.zeros(200, 2)
    parts = torch.log(torch.tensor([[0.9, 0.1], [0.1, 0.4]])).repeat(100, 1)
    before = made.mixture(gates, parts).mean()
    made.calibrate(gates, parts)
    assert made.mixture(gates + made.trust, parts).mean() > before
    # Where the encoder is right on a tenth of the events only, it is trusted less.
    mostly = torch.log(torch.tensor([[0.9, 0.1]] + [[1e-6, 0.4]] * 9)).repeat(20, 1)
    made.calibrate(gates, mostly)
    assert made.trust[0] < made.trust[1] - 1


def test_every_expert_learns():
    histories, made = log(3), experts().train()
    table = EvidenceTable(histories, CONFIG, ages_to_target=False)
    starts = histories.offsets[histories.user_of]
    asked = (histories.group_start > starts) & (histories.items >= 0)
    targets = np.flatnonzero(asked)
    queries = torch.randn(len(targets), 4)
    rows = torch.from_numpy(histories.items[targets].astype(np.int64))
    encoder = torch.full((len(targets),), -2.0, requires_grad=True)
    parts = made.parts(queries, encoder, rows, table.of(targets, torch.device("cpu")))
    given = table.of(targets, torch.device("cpu"))
    again = made.repeat_nats(queries, rows, given)
    (made.mixture(made.gates(queries), parts).mean() + again).backward()
    weights = {"encoder": encoder, **dict(made.named_parameters())}
    for name, weight in weights.items():
        assert weight.grad is not None and weight.grad.isfinite().all(), name
        assert weight.grad.abs().sum() > 0, name
