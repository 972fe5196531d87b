"""Shortlists: what they list is what scoring, masking and ranking everything lists."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recency.data.arrivals import Events
from recency.data.histories import PADDING, UNKNOWN, Histories
from recency.data.timelines import Timelines
from recency.live.shortlists import Shortlists, Wanted
from recency.nn.experts import ExpertConfig
from recency.nn.fading import OWN_WINDOW, Context
from recency.nn.item_table import ItemTable
from recency.nn.memories import Memories
from recency.nn.model import SequenceModel
from recency.nn.recurrent import GRU
from recency.nn.voices import Voices, voices_of
from recency.ranking.filters import drop_history, keep_items
from recency.ranking.topk import top_k

HOUR = 3_600_000_000
CONFIGS = [
    ExpertConfig(pair=("2h", "300d"), crowd=("1h", "10h")),
    ExpertConfig(encoder=False, pair=("1d",), crowd=("1h",)),
    ExpertConfig(own=False, pair=(), crowd=("7d",)),
    ExpertConfig(pair=("1d",), crowd=()),
    ExpertConfig(own=True, pair=(), crowd=()),
]


def model_of(n_items: int, config: ExpertConfig | None, seed: int, spread: float) -> SequenceModel:
    torch.manual_seed(seed)
    model = SequenceModel(GRU(6), n_items, experts=config).eval()
    with torch.no_grad():
        model.items.normal_(std=spread)
        model.bias.normal_(std=spread)
        if model.experts is not None:
            for weight in model.experts.parameters():
                weight.normal_(std=0.5)
    return model


def memories_of(config: ExpertConfig, n_items: int, n_events: int, seed: int) -> Memories:
    random = np.random.default_rng(seed)
    users = random.integers(0, 6, n_events)
    items = random.integers(UNKNOWN, n_items, n_events)
    times = np.sort(random.integers(0, 40, n_events)) * HOUR  # many equal: ties
    half = n_events // 2
    memories = Memories.of(config, users[:half], items[:half], times[:half])
    if config.pair:
        memories.beside.rows(range(n_items))  # what is looked up now has to be forgotten below
    memories.clock.rough(n_items)
    memories.add(users[half:], items[half:], times[half:])
    return memories


def asked(model: SequenceModel, n: int, n_items: int, seed: int) -> tuple[torch.Tensor, Voices]:
    random = np.random.default_rng(seed + 1)
    items = np.full((n, OWN_WINDOW), PADDING, np.int64)
    ages = np.zeros((n, OWN_WINDOW), np.float32)
    for row in range(n):
        length = int(random.integers(1, 14))
        items[row, :length] = random.integers(UNKNOWN, n_items, length)
        ages[row, :length] = np.sort(random.exponential(9_999, length))
    queries = torch.from_numpy(random.normal(size=(n, model.dim)).astype(np.float32))
    assert model.experts is not None
    context = Context(torch.from_numpy(items), torch.from_numpy(ages))
    return queries, voices_of(model.experts, queries, context, repeats=True)


@torch.no_grad()
def whole(
    model: SequenceModel,
    memories: Memories,
    voices: Voices,
    queries: torch.Tensor,
    wanted: Wanted,
) -> tuple[np.ndarray, np.ndarray]:
    chances = np.zeros((len(queries), wanted.n_items))
    logits = model.scores(queries).double()
    chances[:, : model.n_items] = torch.softmax(logits, dim=1).numpy()
    scores = np.stack([memories.mix(voices, row, one) for row, one in enumerate(chances)])
    if wanted.allowed is not None:
        keep_items(scores, wanted.allowed)
    if wanted.seen is not None:
        drop_history(scores, wanted.seen, wanted.seen.offsets[:-1], wanted.seen.offsets[1:])
    return top_k(scores, wanted.m)


def seen_of(n: int, n_items: int, seed: int) -> Histories:
    random = np.random.default_rng(seed + 2)
    offsets = np.concatenate(([0], np.cumsum(random.integers(0, 5, n))))
    items = random.integers(UNKNOWN, n_items, offsets[-1]).astype(np.int32)
    return Histories(offsets=offsets, items=items, times=np.zeros(len(items), np.int64))


@pytest.mark.parametrize("config", CONFIGS)
@given(
    n_items=st.integers(1, 90),
    n_new=st.integers(0, 12),
    n_events=st.sampled_from([0, 3, 200]),
    m=st.integers(1, 20),
    masks=st.booleans(),
    spread=st.sampled_from([0.0, 0.3, 4.0]),
    seed=st.integers(0, 99),
)
@settings(max_examples=8, deadline=None)
def test_the_best_are_those_of_the_whole_mixture(
    config, n_items, n_new, n_events, m, masks, spread, seed
) -> None:
    model, known = model_of(n_items, config, seed, spread), n_items + n_new
    if not config.encoder:
        n_events = 200  # somebody has to know something
    memories = memories_of(config, known, n_events, seed)
    queries, voices = asked(model, 5, known, seed)
    allowed = np.random.default_rng(seed).random(known) < 0.5 if masks else None
    wanted = Wanted(m, known, allowed, seen_of(5, known, seed) if masks else None)
    expected = whole(model, memories, voices, queries, wanted)
    found = Shortlists(model).of_experts(memories, voices, queries, wanted)
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-6, atol=1e-5)
    # Items change places only where float32 cannot tell them apart.
    for row, place in zip(*np.nonzero(expected[0] != found[0]), strict=True):
        gaps = np.abs(np.delete(expected[1][row], place) - expected[1][row, place])
        assert gaps.min(initial=0) < 1e-5


def test_rough_scores_find_the_same_items_and_nearly_the_same_scores() -> None:
    n_items, config = 6_000, CONFIGS[0]
    model = model_of(n_items, config, 3, 0.4)
    memories = memories_of(config, n_items, 3_000, 3)
    queries, voices = asked(model, 24, n_items, 3)
    lists = Shortlists(model)
    lists._table = ItemTable(model, rough=True)
    for wanted in (
        Wanted(10, n_items),
        Wanted(10, n_items, np.arange(n_items) % 7 == 0, seen_of(24, n_items, 3)),
    ):
        expected = whole(model, memories, voices, queries, wanted)
        found = lists.of_experts(memories, voices, queries, wanted)
        assert (expected[0] == found[0]).mean() > 0.98  # neighbours may swap, by a tiny share
        np.testing.assert_allclose(found[1], expected[1], atol=2e-3)


@torch.no_grad()
@pytest.mark.parametrize("rough", [False, True])
def test_without_experts_scores_are_the_encoder_s(rough: bool) -> None:
    model = model_of(500, None, 1, 0.4)
    queries = torch.randn(7, model.dim, generator=torch.Generator().manual_seed(0))
    lists, allowed = Shortlists(model), np.arange(510) % 3 > 0
    lists._table = ItemTable(model, rough=rough)
    scores = np.full((7, 510), -np.inf, np.float32)
    scores[:, :500] = model.scores(queries).numpy()
    keep_items(scores, allowed)
    expected = top_k(scores, 12)
    found = lists.of_model(queries, Wanted(12, 510, allowed))
    assert found[0].tolist() == expected[0].tolist()
    np.testing.assert_allclose(found[1], expected[1], atol=1e-5)


def test_weights_that_move_are_seen_by_the_next_question() -> None:
    model = model_of(40, None, 0, 0.3)
    lists, query = Shortlists(model), torch.ones(1, model.dim)
    with torch.no_grad():
        model.bias[17] += 99.0
        assert lists.of_model(query, Wanted(1, 40))[0].tolist() == [[17]]
        model.bias = torch.nn.Parameter(torch.roll(model.bias, 1))
        assert lists.of_model(query, Wanted(1, 40))[0].tolist() == [[18]]


def test_what_no_float32_can_tell_apart_is_ranked_all_the_same() -> None:
    """All but three chances are 0 in float32; lists are full nevertheless."""
    config = CONFIGS[2]
    model = model_of(30, config, 0, 0.0)
    with torch.no_grad():
        model.bias[:] = -torch.arange(30.0) * 60
    queries, voices = asked(model, 2, 30, 0)
    memories = Memories(config)
    found = Shortlists(model).of_experts(memories, voices, queries, Wanted(8, 30))
    expected = whole(model, memories, voices, queries, Wanted(8, 30))
    assert found[0].tolist() == expected[0].tolist()
    assert (found[0] >= 0).all()


moves = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9), st.integers(0, 20)), max_size=30)


@given(moves, st.integers(0, 22), st.integers(1, 6))
@settings(max_examples=60, deadline=None)
def test_the_newest_events_are_the_ends_of_histories(events, at, width) -> None:
    base = Histories(
        offsets=np.array([0, 3, 3, 5]),
        items=np.array([1, 2, 3, 4, 5], np.int32),
        times=np.array([2, 8, 8, 3, 9]),
    )
    timelines = Timelines(base)
    for user, item, time in events:  # late ones among them
        users, items, times, types = (np.array([cell]) for cell in (user, item, time, -1))
        timelines.add(Events(users, items, times, types, np.array([np.nan], np.float32)))
    users = np.arange(5)
    items, times, counts = timelines.newest_before(users, at, width)
    histories = timelines.histories(users)
    stops = histories.stops_before(users, np.full(5, at))
    assert counts.tolist() == (stops - histories.offsets[:-1]).tolist()
    for user in range(5):
        start = max(histories.offsets[user], stops[user] - width)
        there = slice(start, stops[user])
        n = stops[user] - start
        assert items[user, :n].tolist() == histories.items[there][::-1].tolist()
        assert times[user, :n].tolist() == histories.times[there][::-1].tolist()
        assert (items[user, n:] == PADDING).all()
