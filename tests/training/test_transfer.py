"""Transfer: what is taken over, what starts anew, and what is refused."""

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
import torch

import recency as rc
from recency.data.log import Log
from recency.data.synthetic import shop
from recency.errors import ConfigError, FormatError
from recency.nn.inputs import SPECIAL
from recency.training.transfer import Known, start_from

TRAINING = rc.TrainConfig(epochs=1, valid_share=0, tokens=4096, device="cpu")
STILL = replace(TRAINING, lr=1e-12, weight_decay=0.0)  # weights stay what they start from


@pytest.fixture(scope="module")
def log() -> Log:
    return shop(n_users=12, n_items=20, days=10, seed=0).log


@pytest.fixture(scope="module")
def other(log: Log) -> rc.SequenceRecommender:
    return new(training=TRAINING, seed=0).fit(log)


def new(
    encoder: rc.GRU | rc.LSTM | None = None,
    training: rc.TrainConfig = STILL,
    inputs: rc.InputConfig | None = None,
    experts: rc.ExpertConfig | None = None,
    seed: int = 5,
) -> rc.SequenceRecommender:
    return rc.SequenceRecommender(
        rc.GRU(16) if encoder is None else encoder,
        inputs=inputs,
        training=training,
        request_time="known",
        experts=rc.ExpertConfig(crowd=("1d",)) if experts is None else experts,
        seed=seed,
    )


def elsewhere(log: Log) -> Log:
    """Another shop: every second item has another id, and event types come in another order."""
    number = pl.col("item_id").hash(0) % 2
    renamed = pl.when(number == 0).then("their " + pl.col("item_id")).otherwise(pl.col("item_id"))
    frame = log.events.with_columns(renamed.alias("item_id")).filter(
        pl.col("timestamp") > pl.lit(log.events["timestamp"].min()).dt.offset_by("1d")
    )
    return Log.from_frame(frame)


def weights(one: rc.SequenceRecommender) -> dict[str, torch.Tensor]:
    return dict(one.live.model.named_parameters())


def close(one: torch.Tensor, other: torch.Tensor) -> bool:
    return torch.allclose(one, other, rtol=0, atol=1e-6)


def test_all_but_items_and_types_is_taken_whole(other, log):
    here = new().fit(elsewhere(log), init_from=other)
    mine, theirs = weights(here), weights(other)
    named = {"items", "bias", "events.types"}
    assert set(mine) == set(theirs)
    for name in set(mine) - named:
        assert close(mine[name], theirs[name]), name
    told = here.transferred
    assert told is not None and told.fresh == () and told.n_items == 0
    assert {"encoder", "output", "question", "events.gap", "experts.own"} <= set(told.parts)
    assert other.live.model.experts is not None
    assert told.experts == tuple(other.live.model.experts.names)
    assert "took over encoder" in str(told) and "0 item vectors" in str(told)


def test_items_are_taken_over_by_id_where_asked_for_and_types_always(other, log):
    here = new().fit(elsewhere(log), init_from=other, init_items=True)
    mine, theirs = here.live.model, other.live.model
    shared = [one for one in here.items.ids.to_list() if one in other.items]
    assert here.transferred is not None and here.transferred.n_items == len(shared)
    assert 0 < len(shared) < len(here.items)
    for one in here.items.ids.to_list():
        row, there = here.items.row(one), other.items.row(one)
        if one in shared:
            assert close(mine.items[row + SPECIAL], theirs.items[there + SPECIAL])
            assert close(mine.bias[row], theirs.bias[there])
        else:
            away = (mine.items[row + SPECIAL] - theirs.items[SPECIAL:]).abs().sum(1)
            assert (away > 0.5).all()
    assert close(mine.items[:SPECIAL], theirs.items[:SPECIAL])
    assert mine.events.types is not None and theirs.events.types is not None
    kinds = here.live.vocabs.types.ids.to_list()
    assert here.transferred.n_types == len(kinds) > 1
    for kind in kinds:
        row, there = here.live.vocabs.types.row(kind), other.live.vocabs.types.row(kind)
        assert close(mine.events.types[row + SPECIAL], theirs.events.types[there + SPECIAL])


def test_a_folder_serves_as_well_as_an_object(other, log, tmp_path: Path):
    other.save(tmp_path / "other")
    small = elsewhere(log)
    one = new().fit(small, init_from=other, init_items=True)
    two = new().fit(small, init_from=tmp_path / "other", init_items=True)
    assert one.model_version == two.model_version and one.transferred == two.transferred
    assert new().fit(small).model_version != one.model_version
    with pytest.raises(FormatError, match="expected a model folder"):
        new().fit(small, init_from=tmp_path / "nowhere")


def test_what_only_one_of_them_has_starts_anew_and_is_told(other, log):
    experts = rc.ExpertConfig(pair=(), crowd=("1d", "60d"))
    here = new(experts=experts).fit(log, init_from=other)
    told = here.transferred
    assert told is not None and told.experts == ("encoder", "own", "crowd 1 d")
    mine, theirs = here.live.model.experts, other.live.model.experts
    assert mine is not None and theirs is not None
    for name in told.experts:
        row, there = mine.names.index(name), theirs.names.index(name)
        assert close(mine.gate.weight[row], theirs.gate.weight[there])
    plain = new(inputs=rc.InputConfig(gap=False)).fit(log)
    full = new().fit(log, init_from=plain)
    assert full.transferred is not None and full.transferred.fresh == ("events.gap",)
    assert str(full.transferred).endswith("; events.gap start anew.")


def test_a_fit_without_it_forgets_that_there_was_one(other, log):
    here = new().fit(log, init_from=other)
    assert here.transferred is not None
    assert here.fit(log).transferred is None


def test_another_encoder_is_refused_with_all_differences(other, log):
    with pytest.raises(ConfigError) as caught:
        new(rc.GRU(32, layers=2)).fit(log, init_from=other)
    told = str(caught.value)
    assert "2 faults" in told
    assert "init_from: expected GRU(dim=32), found dim=16; make the new encoder with" in told
    assert "init_from: expected GRU(layers=2), found layers=1" in told
    with pytest.raises(ConfigError, match="expected an encoder LSTM, found GRU; use the same"):
        new(rc.LSTM(16)).fit(log, init_from=other)
    assert new(rc.GRU(16, dropout=0.1)).fit(log, init_from=other).transferred is not None


def test_ids_of_another_type_are_no_shared_items(other, log):
    """An id 7 and an id "7" do not mean the same."""
    number = pl.col("item_id").rank("dense").cast(pl.Int64).alias("item_id")
    numbered = Log.from_frame(log.events.with_columns(number))
    here = new().fit(numbered)
    told = start_from(
        Known(other.live.model, other.live.vocabs),
        Known(here.live.model, here.live.vocabs),
        items=True,
    )
    assert told.n_items == 0 and told.n_types > 0
