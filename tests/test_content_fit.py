"""Content in a fit: items are told apart by what they are, also those without any event."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

import recency as rc
from recency.content.adaptor import Adaptor
from recency.data.catalogue import Catalogue
from recency.data.log import Log
from recency.errors import ConfigError, DataError, FormatError

START = datetime(2026, 1, 1, tzinfo=UTC)
KINDS = {"red": [1.0, 0.0, 0.0], "blue": [0.0, 1.0, 0.0]}
ITEMS = [f"{kind}{n}" for kind in KINDS for n in range(12)]
COLD = ["red11", "blue11"]  # described, and never in an event


def two_camps() -> Log:
    """Half of the users take red items, half blue ones, each in an order of its own."""
    random = np.random.default_rng(0)
    rows = []
    for user in range(40):
        kind = list(KINDS)[user % 2]
        for step, n in enumerate(random.permutation(11)[:8]):
            rows.append((f"u{user}", f"{kind}{n}", START + timedelta(hours=step, minutes=user)))
    frame = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    return Log.from_frame(frame)


def vectors(ids: list[str] = ITEMS) -> rc.ItemVectors:
    random = np.random.default_rng(1)
    rows = [np.array(KINDS[one.rstrip("0123456789")]) for one in ids]
    return rc.ItemVectors.of_rows(ids, np.stack(rows) + 0.05 * random.normal(size=(len(ids), 3)))


def made(hidden: float = 0.5) -> rc.SequenceRecommender:
    return rc.SequenceRecommender(
        rc.GRU(16),
        inputs=rc.InputConfig(dropout=0.0, gap=False, calendar=False),
        training=rc.TrainConfig(epochs=30, lr=1e-2, tokens=256, valid_share=0.0),
        experts=None,
        fallback_half_life="7d",
    ).fit(two_camps(), content=rc.Content([vectors()], hidden=hidden))


@pytest.fixture(scope="module")
def fitted() -> rc.SequenceRecommender:
    return made()


def order(
    model: rc.SequenceRecommender | rc.Ensemble, items: list[str], user: str = "u0"
) -> list[float]:
    return [float(one) for one in model.score([user], items)[0]]


def test_items_without_an_event_are_told_apart(fitted: rc.SequenceRecommender) -> None:
    red, blue = order(fitted, COLD)
    assert red > blue + 1
    red, blue = order(fitted, COLD, "u1")
    assert blue > red + 1
    assert "red11" in fitted.recommend(["u0"], k=12).to_frame()["item_id"].to_list()


def test_an_item_that_comes_later_is_scored_at_once(fitted: rc.SequenceRecommender) -> None:
    model = made()
    before = order(model, ITEMS)
    assert model.add_items([vectors(["red12", "blue12"])]) == 2
    red, blue = order(model, ["red12", "blue12"])
    assert red > blue + 1
    assert order(model, ITEMS) == before  # nobody's state moved
    assert model.add_items([vectors(["red12"])]) == 0  # known by now
    assert fitted.model_version != model.model_version


def test_a_saved_model_knows_its_content(fitted: rc.SequenceRecommender, tmp_path: Path) -> None:
    fitted.save(tmp_path / "model")
    again = rc.load(tmp_path / "model")
    assert order(again, ITEMS) == order(fitted, ITEMS)
    assert isinstance(again, rc.SequenceRecommender)
    again.add_items([vectors(["red13"])])
    assert order(again, ["red13"])[0] > order(again, ["blue0"])[0]
    again.save(tmp_path / "model")
    third = rc.load(tmp_path / "model")
    np.testing.assert_array_equal(order(third, [*ITEMS, "red13"]), order(again, [*ITEMS, "red13"]))


def test_content_of_another_version_is_refused(
    fitted: rc.SequenceRecommender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Adaptor.arrays
    for gone in ("network.middle", "mean.vector", "known"):
        monkeypatch.setattr(
            Adaptor,
            "arrays",
            lambda one, gone=gone: {k: v for k, v in whole(one).items() if k != gone},
        )
        fitted.save(tmp_path / gone)
        with pytest.raises(FormatError, match=f"cannot read .*{gone.rpartition('.')[2]}.*again"):
            rc.load(tmp_path / gone)


def test_learning_on_keeps_what_content_says(tmp_path: Path) -> None:
    model = made()
    model.add_items([vectors(["red12"])])
    late = START + timedelta(days=2)
    model.partial_fit([
        {"user_id": f"u{n}", "item_id": "red12" if n % 2 == 0 else "blue5", "timestamp": late}
        for n in range(6)
    ])  # fmt: skip
    red, blue = order(model, COLD)
    assert red > blue + 0.5


def test_nothing_fitted_sees_items_that_training_lacks() -> None:
    """Other vectors of the cold items change neither weights nor whitening: contract 2."""
    wild = vectors()
    wild.vectors[[ITEMS.index(one) for one in COLD]] = 1e3
    other = rc.SequenceRecommender(
        rc.GRU(16),
        inputs=rc.InputConfig(dropout=0.0, gap=False, calendar=False),
        training=rc.TrainConfig(epochs=30, lr=1e-2, tokens=256, valid_share=0.0),
        experts=None,
        fallback_half_life="7d",
    ).fit(two_camps(), content=rc.Content([wild], hidden=0.5))
    one = made()
    assert one.adaptor is not None and other.adaptor is not None
    warm = [item for item in ITEMS if item not in COLD]
    assert order(one, warm) == order(other, warm)
    for name, weight in one.adaptor.network.state_dict().items():
        torch.testing.assert_close(weight, other.adaptor.network.state_dict()[name], rtol=0, atol=0)


def test_categories_and_prices_alone_are_content() -> None:
    catalogue = Catalogue.from_frame(
        pl.DataFrame({
            "item_id": ITEMS,
            "categories": [[one.rstrip("0123456789")] for one in ITEMS],
            "price": [5.0 + n if one.startswith("red") else None for n, one in enumerate(ITEMS)],
        })
    )  # fmt: skip
    model = rc.SequenceRecommender(
        rc.GRU(16),
        inputs=rc.InputConfig(dropout=0.0),
        training=rc.TrainConfig(epochs=20, lr=1e-2, tokens=256, valid_share=0.0),
        fallback_half_life="7d",
    ).fit(two_camps(), catalogue, content=rc.Content(hidden=0.5))
    assert model.adaptor is not None
    assert model.adaptor.features.widths == {"categories": 2, "price": 8}
    red, blue = order(model, COLD)
    assert red > blue


def test_an_evaluation_may_ask_for_all_that_is_listed() -> None:
    log = two_camps()
    train, test = log.split_at(log.quantile(0.8))
    catalogue = Catalogue.from_frame(pl.DataFrame({"item_id": [*ITEMS, "never"]}))
    model = rc.SequenceRecommender(
        rc.GRU(8), training=rc.TrainConfig(epochs=1), fallback_half_life="7d"
    ).fit(train, catalogue, content=rc.Content([vectors()]))
    report = rc.evaluate(model, test, reading="listed", catalogue=catalogue, baselines=False)
    assert report.counts.n_items == 25 and report.counts.n_missed == 0
    bins = report.slices.filter(pl.col("slice") == "training events of the item")
    assert bins["n_units"].sum() == report.counts.n_units
    with pytest.raises(ConfigError, match="takes candidates from a catalogue, found none"):
        rc.evaluate(model, test, reading="listed", baselines=False)


def test_where_experts_are_mixed_content_follows_what_was_learned() -> None:
    """Rows of items with many events stay nearly what they are without content."""
    plain, told = (
        rc.SequenceRecommender(
            rc.GRU(16),
            inputs=rc.InputConfig(dropout=0.0, gap=False, calendar=False),
            training=rc.TrainConfig(epochs=20, lr=1e-2, tokens=256, valid_share=0.0),
            fallback_half_life="7d",
        ).fit(two_camps(), content=content)
        for content in (None, rc.Content([vectors()]))
    )
    warm = [item for item in ITEMS if item not in COLD]
    before, after = (one.live.model.vectors.detach()[: len(warm)] for one in (plain, told))
    cosines = torch.nn.functional.cosine_similarity(before, after, dim=1)
    assert float(cosines.min()) > 0.9
    red, blue = order(told, COLD)
    assert red > blue  # though no weight has ever seen either
    assert not set(COLD) & set(plain.items.ids.to_list())


def test_faults(fitted: rc.SequenceRecommender) -> None:
    log = two_camps()
    with pytest.raises(ConfigError, match=r"dims=0.*\n?.*hidden=1"):
        rc.Content(dims=0, hidden=1)
    with pytest.raises(ConfigError, match="learned='later'.*expected 'auto', 'joint' or 'after'"):
        rc.Content(learned="later")  # type: ignore[arg-type]  # what a person might write
    with pytest.raises(ConfigError, match="expected different names, found vector, vector"):
        rc.Content([vectors(), vectors()])
    with pytest.raises(DataError, match="found none; pass vectors=, or a catalogue"):
        rc.SequenceRecommender(rc.GRU(8)).fit(log, content=rc.Content())
    strangers = rc.ItemVectors.of_rows(["x", "y"], np.eye(2))
    with pytest.raises(DataError, match="vector: expected vectors of two items at least"):
        rc.SequenceRecommender(rc.GRU(8)).fit(log, content=rc.Content([strangers]))
    with pytest.raises(DataError, match="expected vectors of 3 numbers, as in training, found 2"):
        fitted.add_items([strangers])
    other = rc.ItemVectors.of_rows(["x"], np.eye(3)[:1], "picture")
    with pytest.raises(DataError, match="expected vectors named vector, as in training, found pic"):
        fitted.add_items([other])
    plain = rc.SequenceRecommender(
        rc.GRU(8), training=rc.TrainConfig(epochs=1), fallback_half_life="7d"
    ).fit(log)
    with pytest.raises(ConfigError, match="knows items by their events alone"):
        plain.add_items([vectors()])
