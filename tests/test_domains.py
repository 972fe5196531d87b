"""Several domains in one log: what a model learns across them, on logs whose truth is known."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from recency.data.catalogue import Catalogue
from recency.data.log import TIME, Log
from recency.errors import ConfigError
from recency.nn import domains
from recency.nn.domains import DomainConfig
from recency.nn.experts import ExpertConfig
from recency.nn.inputs import InputConfig
from recency.nn.model import SequenceModel
from recency.nn.recurrent import GRU
from recency.recommender import SequenceRecommender
from recency.training.config import TrainConfig

HOUR = 3_600_000_000
START = 1_767_225_600_000_000  # 2026-01-01T00:00Z
N_TASTES, N_USERS = 4, 60
QUICK = TrainConfig(epochs=10, lr=2e-2, tokens=256, valid_share=0.0)


def tastes_log(n_users: int = N_USERS, books: int = 4, seed: int = 0) -> Log:
    """Users of one taste each: six films of it, then books of the same taste.

    Films of taste 2 are f2-0 to f2-3, books b2-0 to b2-3. Users from ``n_users`` on saw films only.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for user in range(n_users + 2 * N_TASTES):
        taste, last = user % N_TASTES, books if user < n_users else 0
        kinds = ["f"] * 6 + ["b"] * last
        for place, kind in enumerate(kinds):
            item = f"{kind}{taste}-{rng.integers(4)}"
            rows.append((f"u{user}", item, START + user + place * HOUR, kind))
    frame = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp", "kind"], orient="row")
    names = {"f": "films", "b": "books"}
    return Log.from_frame(
        frame.select(
            "user_id",
            "item_id",
            pl.col("timestamp").cast(TIME),
            pl.col("kind").replace_strict(names).alias("domain"),
        )
    )


def model_of(domains: DomainConfig | None, **training: object) -> SequenceRecommender:
    return SequenceRecommender(
        GRU(16),
        training=replace(QUICK, **training),  # type: ignore[arg-type]  # any setting may be given
        inputs=InputConfig(dropout=0.0),
        experts=None,
        fallback_half_life="7d",
        domains=domains,
    )


@pytest.fixture(scope="module")
def fitted() -> SequenceRecommender:
    return model_of(DomainConfig(rank=4)).fit(tastes_log())


@pytest.fixture
def own(fitted: SequenceRecommender, tmp_path: Path) -> SequenceRecommender:
    fitted.save(tmp_path / "model")
    return SequenceRecommender.load(tmp_path / "model")


STRANGERS_TO_BOOKS = [f"u{N_USERS + n}" for n in range(2 * N_TASTES)]


def share_of_taste(model: SequenceRecommender) -> float:
    """Give the share of books of the right taste among the best four of who read none."""
    found = model.recommend(STRANGERS_TO_BOOKS, k=4, domain="books")
    right = [
        item.startswith(f"b{n % N_TASTES}")
        for n, items in enumerate(found.items)
        for item in map(str, items)
    ]
    return float(np.mean(right))


# --- what it learns ------------------------------------------------------------------------------


def test_books_are_told_from_films_alone(fitted: SequenceRecommender) -> None:
    found = fitted.recommend(STRANGERS_TO_BOOKS, k=4, domain="books")
    assert all(str(item).startswith("b") for items in found.items for item in items)
    assert not any(found.fallback)
    assert share_of_taste(fitted) > 0.9


@pytest.mark.parametrize(
    "config",
    [
        DomainConfig(rank=0),
        DomainConfig(embedding=False),
        DomainConfig(within=1.0, balance=0.0),
        DomainConfig(within=0.0, balance=1.0),
    ],
)
def test_each_part_can_be_switched_off(config: DomainConfig) -> None:
    assert share_of_taste(model_of(config).fit(tastes_log())) > 0.75


def test_drawn_items_stand_for_the_others_of_their_domain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(domains, "EXACT", 2)
    model = model_of(DomainConfig(), loss="sampled", negatives=8).fit(tastes_log())
    assert share_of_taste(model) > 0.6


def test_epochs_are_judged_within_the_domain() -> None:
    """A loss within domains only says nothing of which domain comes next; judging minds that."""
    model = model_of(DomainConfig(within=1.0), valid_share=0.2, patience=9).fit(tastes_log())
    assert model.training_result is not None and model.training_result.valid is not None
    assert model.training_result.valid > 0.4


# --- what stays as it is --------------------------------------------------------------------------


def test_serving_knows_nothing_of_domains(fitted: SequenceRecommender) -> None:
    model = fitted.live.model
    assert model.domains is None
    assert not [name for name in model.state_dict() if "domain" in name]


@pytest.mark.parametrize("rank", [0, 2])
def test_folding_changes_no_score(rank: int) -> None:
    from recency.nn.domains import fold, join
    from recency.nn.inputs import Tensors

    torch.manual_seed(0)
    model = SequenceModel(GRU(8), 6, inputs=InputConfig(dropout=0.0)).eval()
    of_items = np.array([0, 0, 1, 1, 1, -1])
    join(model, of_items, DomainConfig(rank=rank), seed=0)
    assert model.domains is not None and model.domains.reading is not None
    torch.nn.init.normal_(model.domains.reading)
    if rank:
        assert model.domains.up is not None
        torch.nn.init.normal_(model.domains.up)
    cells = torch.arange(6).view(1, 6)
    nothing = torch.full((1, 6), -1)
    values = torch.full((1, 6), torch.nan)
    batch = Tensors(cells, cells * HOUR, cells * 3600.0, nothing, values, torch.tensor([6]))
    with torch.no_grad():
        before = model.scores(model(batch)[0][0])
        plain = model.items[2:] @ model(batch)[0][0].T
        fold(model, of_items)
        after = model.scores(model(batch)[0][0])
    torch.testing.assert_close(after, before, rtol=0, atol=1e-5)
    torch.testing.assert_close(after[:, 5], plain[5], rtol=0, atol=1e-5)  # it has no domain
    assert ((after[:, 0] - plain[0]).abs().max() > 1e-3) == (rank > 0)


def test_steps_equal_reading_at_once(own: SequenceRecommender) -> None:
    at = own.live.now
    at_once = own.live.scores_after(own.live.seen(np.array([3]), at), at)[0]
    stepped = own.live.scores(np.array([3]), at)[0]
    np.testing.assert_allclose(stepped, at_once, atol=1e-5)


def test_a_folder_gives_the_same_answers(
    fitted: SequenceRecommender, own: SequenceRecommender
) -> None:
    users = ["u0", *STRANGERS_TO_BOOKS]
    assert own.domains == fitted.domains
    ours, theirs = (one.recommend(users, domain="books") for one in (own, fitted))
    assert ours.items == theirs.items
    for mine, other in zip(ours.scores, theirs.scores, strict=True):  # states of other batches
        np.testing.assert_allclose(mine, other, atol=1e-5)


def test_a_model_begins_as_one_that_ignores_domains() -> None:
    """What tells domains apart starts at nothing: read and scored, items are their rows."""
    torch.manual_seed(0)
    model = SequenceModel(GRU(8), 4)
    told = domains.Domains(8, torch.tensor([0, 0, 1, -1]), DomainConfig(rank=2))
    with torch.no_grad():
        assert torch.equal(told.read(model.items), model.items)
        assert torch.equal(told.scored(model.items[2:]), model.items[2:])


def test_a_small_domain_is_compared_with_exactly_where_items_are_drawn() -> None:
    from recency.nn.losses import Sample

    torch.manual_seed(0)
    model = SequenceModel(GRU(8), 40)
    domains.join(model, np.arange(40) % 2, DomainConfig(within=1.0), seed=0)
    queries, targets = torch.randn(6, 8), torch.arange(6)
    with torch.no_grad():
        exact = model.domain_loss(queries, targets)
        drawn = model.domain_loss(queries, targets, Sample(torch.tensor([1, 2, 3])))
    assert torch.equal(exact, drawn)


def test_learning_on_keeps_what_domains_are_read_and_scored_by(own: SequenceRecommender) -> None:
    assert own.live.model.scored_items is not None
    apart = (own.live.model.scored_items - own.live.model.items[2:]).detach().clone()
    now = own.live.now
    more = [
        {"user_id": "u1", "item_id": f"b1-{n}", "timestamp": now + n * HOUR, "domain": "books"}
        for n in range(5)
    ]
    own.partial_fit(more)
    assert own.live.model.scored_items is not None and len(own.live.model.scored_items) == len(
        own.items
    )
    known = len(apart)
    moved = (own.live.model.scored_items[:known] - own.live.model.items[2 : known + 2]).detach()
    assert float((moved - apart).abs().mean()) < 0.5 * float(apart.abs().mean())
    assert share_of_taste(own) > 0.75
    assert "b1-4" in own.recommend(["u1"], k=20, domain="books").items[0]  # new, and in its domain


# --- bad input ------------------------------------------------------------------------------------


def test_impossible_settings_are_named_together() -> None:
    with pytest.raises(ConfigError) as told:
        DomainConfig(rank=-1, within=1.5, balance=2.0)
    for part in ("rank=-1", "within=1.5", "balance=2.0"):
        assert part in str(told.value)


def test_a_log_without_domains_is_refused() -> None:
    log = Log.from_frame(tastes_log().events.drop("domain"))
    with pytest.raises(ConfigError, match="expected items with a domain, found none"):
        model_of(DomainConfig()).fit(log)


def test_domains_of_the_catalogue_will_do() -> None:
    log = tastes_log()
    items = Catalogue.from_frame(log.events.select("item_id", "domain").unique("item_id"))
    model = model_of(DomainConfig(rank=4)).fit(Log.from_frame(log.events.drop("domain")), items)
    assert share_of_taste(model) > 0.75


def test_a_domain_unseen_in_training(own: SequenceRecommender) -> None:
    with pytest.raises(ConfigError, match=r"no item has the domain 'games'.*Known: books, films"):
        own.recommend(["u0"], domain="games")
    now = own.live.now
    own.observe(
        [
            {"user_id": f"u{n}", "item_id": "g0", "timestamp": now + n, "domain": "games"}
            for n in range(3)
        ]
    )
    found = own.recommend(["u0"], domain="games")
    assert found.items == [["g0"]]
    assert found.fallback == [True]


def test_rows_of_items_cannot_be_moved_one_by_one() -> None:
    model = model_of(DomainConfig(), item_updates="rows", loss="sampled", negatives=4)
    with pytest.raises(ConfigError, match="item_updates='rows'.*with domains"):
        model.fit(tastes_log())


def test_experts_need_a_loss_over_all_items() -> None:
    model = model_of(DomainConfig(within=1.0))
    model.experts = ExpertConfig()
    with pytest.raises(ConfigError, match="within=1.* with experts"):
        model.fit(tastes_log())


def test_experts_and_domains_go_together() -> None:
    model = model_of(DomainConfig(rank=4), valid_share=0.2)
    model.experts = ExpertConfig(pair=(), crowd=("7d",))
    assert share_of_taste(model.fit(tastes_log())) > 0.5
