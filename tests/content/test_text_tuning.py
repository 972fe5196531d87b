"""Texts that learn with the recommender: what a frozen encoder does not tell, a tuned one does."""

import time
import warnings
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

import recency as rc
from recency.content import text_tuning
from recency.content.adaptor import Adaptor
from recency.content.item_words import ItemWords
from recency.content.sentence_model import SentenceModel
from recency.content.text_adapter import TextAdapter
from recency.content.text_source import TextSource
from recency.content.tuned_texts import TunedTexts
from recency.content.whitening import Whitening
from recency.data.catalogue import Catalogue
from recency.data.log import Log
from recency.errors import ConfigError, DataError, FormatError
from recency.nn.item_content import ItemContent, describe, fold
from recency.nn.learned_features import renew, study
from recency.nn.model import SequenceModel
from recency.serving.engine import Engine
from recency.serving.intake.item_checks import ItemChecks
from recency.serving.log.events import ItemChange
from recency.training.config import TrainingStep
from recency.training.memory import advice_for

START = datetime(2026, 1, 1, tzinfo=UTC)
N_KIND, N_COLD = 24, 6
NOISE = ["tent", "lamp", "sleeps", "two", "rain", "bright", "light", "camping"]
ITEMS = [f"{kind}-{n}" for kind in ("red", "blue") for n in range(N_KIND)]
COLD = [one for one in ITEMS if int(one.partition("-")[2]) >= N_KIND - N_COLD]  # never in an event
TUNED = rc.TextTuning(rank=4, learning_rate=1e-2, epochs=10)
QUICK = rc.TextTuning(rank=2, learning_rate=1e-2, epochs=2, texts_per_step=4)


def shop(ids: list[str] = ITEMS, seed: int = 3) -> Catalogue:
    """One word of a title tells the camp; the others, which are many, tell nothing."""
    random = np.random.default_rng(seed)
    titles = [f"{one.partition('-')[0]} {' '.join(random.choice(NOISE, 6))}" for one in ids]
    return Catalogue.from_frame(pl.DataFrame({"item_id": ids, "title": titles}))


def two_camps(*types: str) -> Log:
    """Half of the users take red items, half blue ones, each in an order of its own."""
    random = np.random.default_rng(0)
    rows = []
    for user in range(40):
        kind = ("red", "blue")[user % 2]
        for step, n in enumerate(random.permutation(N_KIND - N_COLD)[:10]):
            rows.append((f"u{user}", f"{kind}-{n}", START + timedelta(hours=step, minutes=user)))
    frame = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    if types:
        kinds = [types[n % len(types)] for n in range(len(frame))]
        frame = frame.with_columns(event_type=pl.Series(kinds))
    return Log.from_frame(frame)


def texts_of(folder: Path, items: Catalogue | None = None) -> rc.ItemVectors:
    return rc.ItemVectors.of_texts(items or shop(), rc.TextEncoder(folder, device="cpu"))


def fitted(folder: Path, tuned: rc.TextTuning | None, **training: Any) -> rc.SequenceRecommender:
    settings: dict[str, Any] = {
        "epochs": 15,
        "lr": 1e-2,
        "tokens": 128,
        "valid_share": 0.0,
        "device": "cpu",
    }
    return new(rc.TrainConfig(**{**settings, **training})).fit(
        two_camps(), shop(), content=rc.Content([texts_of(folder)], dims=2, tuned=tuned)
    )


def new(training: rc.TrainConfig | None = None, **more: Any) -> rc.SequenceRecommender:
    return rc.SequenceRecommender(
        rc.GRU(16),
        inputs=rc.InputConfig(dropout=0.0, gap=False, calendar=False),
        training=training,
        **{"experts": None, "fallback_half_life": "7d", **more},
    )


@pytest.fixture(scope="module")
def tuned(tiny_bert: Path) -> rc.SequenceRecommender:
    return fitted(tiny_bert, TUNED)


def told_apart(model: rc.SequenceRecommender) -> float:
    """Share of pairs of an own camp's and another's item, never in an event, that are in order."""
    red = np.array([one.startswith("red") for one in COLD])
    right = []
    for user in range(10):
        scores = model.score([f"u{user}"], COLD)[0]
        own = red if user % 2 == 0 else ~red
        right.append((scores[own][:, None] > scores[~own]).mean())
    return float(np.mean(right))


def scores(model: Any, items: list[str] = ITEMS) -> Any:
    return model.score(["u0", "u1"], items)


def source_of(model: rc.SequenceRecommender) -> TextSource:
    assert model.adaptor is not None
    return model.adaptor.features.sources["text"]


# --- what is learned -----------------------------------------------------------------------------


def test_a_tuned_encoder_tells_cold_items_that_a_frozen_one_does_not(
    tiny_bert: Path, tuned: rc.SequenceRecommender
) -> None:
    frozen = fitted(tiny_bert, None)
    assert told_apart(frozen) < 0.85
    assert told_apart(tuned) > 0.95
    assert source_of(frozen).adapter is None


def test_the_encoders_own_weights_stay(tiny_bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import AutoModel

    seen: list[TunedTexts] = []
    begin = TunedTexts.begin

    def begun(one: TunedTexts, epoch: int) -> None:
        seen.append(one)
        begin(one, epoch)

    monkeypatch.setattr(TunedTexts, "begin", begun)
    before = SentenceModel.find(tiny_bert).identity
    model = fitted(tiny_bert, QUICK, epochs=3)
    assert SentenceModel.find(tiny_bert).identity == before
    own = AutoModel.from_pretrained(tiny_bert).state_dict()
    network = seen[0]._network[0]
    kept = {
        name.removeprefix("base_model.model.").replace(".base_layer", ""): one
        for name, one in network.state_dict().items()
        if "lora" not in name
    }
    assert set(kept) == set(own) and all(torch.equal(kept[name], own[name]) for name in own)
    adapter = source_of(model).adapter
    assert adapter is not None and adapter.rank == 2
    ups = [
        one for name, one in adapter.weights.items() if "lora_B" in name and "pooler" not in name
    ]
    assert all(one.any() for one in ups)  # they begin at zero, and have learned


def test_a_fit_repeats(tiny_bert: Path) -> None:
    one, other = (fitted(tiny_bert, QUICK, epochs=3) for _ in range(2))
    assert one.model_version == other.model_version
    assert source_of(one).identity == source_of(other).identity


def test_words_of_items_that_training_lacks_change_nothing(tiny_bert: Path) -> None:
    """Contract 2: neither what the encoder learns nor what else is fitted sees them."""
    cold = pl.col("item_id").is_in(COLD)
    wild = Catalogue.from_frame(
        shop().frame.with_columns(
            title=pl.when(cold).then(pl.lit("of in the a")).otherwise(pl.col("title"))
        )
    )
    found = []
    for items in (shop(), wild):
        model = new(rc.TrainConfig(epochs=2, tokens=128, valid_share=0.0, device="cpu"))
        content = rc.Content([texts_of(tiny_bert, items)], dims=2, tuned=QUICK)
        found.append(model.fit(two_camps(), items, content=content))
    assert source_of(found[0]).identity == source_of(found[1]).identity
    warm = [one for one in ITEMS if one not in COLD]
    np.testing.assert_array_equal(scores(found[0], warm), scores(found[1], warm))
    assert not np.array_equal(scores(found[0], COLD), scores(found[1], COLD))


def test_experts_or_not_tuning_learns_jointly(tiny_bert: Path) -> None:
    training = rc.TrainConfig(epochs=2, tokens=128, valid_share=0.3, device="cpu")
    model = new(training, experts=rc.ExpertConfig(), heads=[rc.HorizonHead("buy", "1h")])
    log = two_camps("click", "click", "buy")
    model.fit(log, shop(), content=rc.Content([texts_of(tiny_bert)], tuned=QUICK))
    assert source_of(model).adapter is not None
    assert model.training_result is not None
    assert (
        "texts: up to 4 of a step are encoded with gradients in the first 2 epochs of a stage, and "
        "all 36 once in each." in model.training_result.choices
    )


# --- a step --------------------------------------------------------------------------------------


def described_model(folder: Path, tuning: rc.TextTuning) -> tuple[SequenceModel, TunedTexts]:
    """A model of items, the last of which has no words, with their features after a 1."""
    catalogue = Catalogue.from_frame(
        pl.DataFrame({"item_id": list("abcdefgh"), "title": [*NOISE[:7], None]})
    )
    vectors = texts_of(folder, catalogue)
    whitening = Whitening.fit(vectors.vectors, 2)
    assert vectors.source is not None
    texts = [f"{word}." for word in NOISE[:7]] + [""]
    learned = TunedTexts(tuning, vectors.source, texts, whitening, slice(1, 3), seed=0)
    features = np.hstack((np.ones((8, 1)), whitening.apply(vectors.vectors))).astype(np.float32)
    model = SequenceModel(rc.GRU(4), 8)
    content = ItemContent(4, {"price": 1, "text": 2})
    describe(model, content, torch.from_numpy(features), 0.0, learned)
    renew(model, 0)
    return model, learned


def test_a_step_encodes_so_many_texts_and_no_more(
    tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, learned = described_model(tiny_bert, rc.TextTuning(rank=2, texts_per_step=3, epochs=1))
    encoded: list[int] = []
    encode = learned._encode

    def counted(items: Sequence[int], device: torch.device) -> torch.Tensor:
        encoded.append(len(items))
        return encode(items, device)

    monkeypatch.setattr(learned, "_encode", counted)
    before = model.vectors.detach().clone()
    study(model, torch.tensor([[0, 1, 2, -1]]), torch.tensor([3, 4, 5, 6, 7]))
    assert encoded == [3]
    torch.testing.assert_close(model.vectors, before)  # nothing has been learned yet
    model.vectors.sum().backward()
    moved = [one.grad for one in learned.weights if one.grad is not None and one.grad.any()]
    assert moved and all(one.requires_grad is False for one in _own(learned))
    study(model, torch.tensor([7, -1]))  # without words: nothing to encode
    renew(model, 1)
    study(model, torch.tensor([0, 1]))  # its epochs are over
    assert encoded == [3]
    assert model.described is not None and not model.described._now.requires_grad


def test_too_large_a_step_names_the_texts(tiny_bert: Path) -> None:
    model, _ = described_model(tiny_bert, QUICK)
    said = advice_for(model, rc.TrainConfig(loss="softmax"))
    assert "lower max_len=200, the encoder's dim=4, TextTuning(texts_per_step=...); or " in said


def _own(learned: TunedTexts) -> list[torch.nn.Parameter]:
    return [one for name, one in learned._network[0].named_parameters() if "lora" not in name]


def test_features_follow_the_weights(tiny_bert: Path) -> None:
    told: list[tuple[int, int]] = []
    tuning = rc.TextTuning(rank=2, progress=lambda done, texts: told.append((done, texts)))
    model, learned = described_model(tiny_bert, tuning)
    assert model.described is not None and not told  # as given: nothing was encoded
    given = model.described.features.clone()
    first = {name: one.detach().clone() for name, one in model.state_dict().items()}
    assert sum("learned" in name for name in first) == len(learned.weights)  # no more of it
    with torch.no_grad():
        for one in learned.weights:
            one.add_(0.3)
    renew(model)
    assert told[-1] == (7, 7)
    moved = model.described.features
    assert (moved[:7, 1:] - given[:7, 1:]).abs().max() > 0.1
    assert torch.equal(moved[:, 0], given[:, 0]) and torch.equal(moved[7], given[7])
    n_told = len(told)
    renew(model)
    assert len(told) == n_told  # nothing has moved since
    study(model, torch.tensor([0, 1]))
    model.load_state_dict(first)
    assert torch.equal(model.described.features, given)


def test_what_is_kept_in_the_end_is_no_steps_but_all_texts(tiny_bert: Path) -> None:
    model, _ = described_model(tiny_bert, rc.TextTuning(rank=2))
    assert model.described is not None
    study(model, torch.tensor([0, 1]))
    last = model.described.features + 1.0
    model.described.read(last)
    told, _ = model.described.content(last)
    torch.testing.assert_close(model.vectors - model.items[2:], told)


def test_the_encoder_of_a_model_computes_as_the_one_that_learned(tiny_bert: Path) -> None:
    model, learned = described_model(tiny_bert, rc.TextTuning(rank=2))
    with torch.no_grad():
        for one in learned.weights:
            one.add_(0.3)
    renew(model)
    source = texts_of(tiny_bert).source
    assert source is not None and model.described is not None
    tuned = source.tuned(learned.adapter())
    vectors = tuned.encoder().encode([f"{word}." for word in NOISE[:7]])
    whitened = (torch.from_numpy(vectors) - learned.mean) @ learned.projection
    torch.testing.assert_close(whitened, model.described.features[:7, 1:], rtol=1e-4, atol=1e-4)


# --- a run ---------------------------------------------------------------------------------------


class Stopped(Exception):
    """Stand for a kill."""


def test_a_fit_that_tunes_to_the_end_is_read_by_what_came_of_it(
    tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows of items are folded with the vectors that later items get, none of a step before."""
    kept: list[torch.Tensor] = []
    adaptors: list[Adaptor] = []
    settle = Adaptor.settle

    def settled(one: Adaptor, *told: Any) -> int:
        adaptors.append(one)
        return settle(one, *told)

    def seen(model: SequenceModel) -> None:
        assert model.described is not None
        known = torch.from_numpy(adaptors[0].known[: model.n_items])
        told, _ = model.described.content(known)
        rows = model.items[2:].clone()
        fold(model)
        kept.append(model.items[2:] - rows - told)

    monkeypatch.setattr(Adaptor, "settle", settled)
    monkeypatch.setattr("recency.content.adaptor.fold", seen)
    fitted(tiny_bert, rc.TextTuning(rank=2, learning_rate=1e-1, epochs=2), epochs=2)
    assert kept and kept[0].abs().max() < 1e-5


@pytest.mark.parametrize("where", [("search", 2), ("refit", 1)])
def test_a_stopped_fit_ends_as_one_that_was_not(
    tiny_bert: Path, tmp_path: Path, where: tuple[str, int]
) -> None:
    settings: dict[str, Any] = {"epochs": 3, "valid_share": 0.3, "patience": 3}
    content = rc.Content([texts_of(tiny_bert)], dims=2, tuned=QUICK)

    def stop(step: TrainingStep) -> None:
        if (step.stage, step.epoch, step.step) == (*where, 2):
            raise Stopped

    def start() -> rc.SequenceRecommender:
        folder = tmp_path / "run"
        return new(rc.TrainConfig(**settings, tokens=128, device="cpu", checkpoint_dir=folder))

    straight = fitted(tiny_bert, QUICK, lr=3e-3, **settings)
    with pytest.raises(Stopped):
        start().fit(two_camps(), shop(), stop, content=content)
    again = start().fit(two_camps(), shop(), content=content)
    assert again.model_version == straight.model_version
    assert source_of(again).identity == source_of(straight).identity
    with pytest.raises(ConfigError, match="checkpoint in .* is of another run: .*tuned differ"):
        other = rc.Content([texts_of(tiny_bert)], dims=2, tuned=rc.TextTuning(rank=2, epochs=1))
        start().fit(two_camps(), shop(), content=other)


def test_without_a_refit_the_best_epochs_encoder_stays(tiny_bert: Path) -> None:
    model = fitted(tiny_bert, QUICK, epochs=3, valid_share=0.3, refit=False)
    adaptor = model.adaptor
    assert adaptor is not None
    vectors = source_of(model).encoder().encode([f"{one}." for one in shop().frame["title"]])
    whitened = adaptor.features.whitenings["text"].apply(vectors)
    rows = adaptor.items.rows(ITEMS)
    np.testing.assert_allclose(adaptor.known[rows], whitened, atol=1e-5)


# --- afterwards ----------------------------------------------------------------------------------


def test_a_saved_model_keeps_its_encoder(
    tiny_bert: Path, tuned: rc.SequenceRecommender, tmp_path: Path
) -> None:
    tuned.save(tmp_path / "model")
    kinds = {one.suffix for one in (tmp_path / "model").iterdir()}
    assert kinds <= {".json", ".safetensors", ".parquet"}
    again = rc.load(tmp_path / "model")
    assert isinstance(again, rc.SequenceRecommender)
    assert again.model_version == tuned.model_version  # a sum over all weights
    np.testing.assert_allclose(scores(again), scores(tuned), rtol=1e-5)
    assert source_of(again) == source_of(tuned)
    assert source_of(again).identity != texts_of(tiny_bert).source.identity  # type: ignore[union-attr]  # it has one


def test_new_items_are_read_by_the_tuned_encoder(
    tuned: rc.SequenceRecommender, tmp_path: Path
) -> None:
    tuned.save(tmp_path / "model")
    again = rc.load(tmp_path / "model")
    assert isinstance(again, rc.SequenceRecommender)
    late = [f"{one}-late" for one in COLD]
    twins = Catalogue.from_frame(
        shop().frame.filter(pl.col("item_id").is_in(COLD)).with_columns(pl.col("item_id") + "-late")
    )
    assert again.add_items(items=twins) == len(late)
    np.testing.assert_allclose(scores(again, late), scores(tuned, COLD), atol=1e-4)
    assert str(again.search("red", k=3).items[0][0]).startswith("red")
    again.save(tmp_path / "model")
    third = rc.load(tmp_path / "model")
    np.testing.assert_array_equal(scores(third, late), scores(again, late))


def test_a_service_reads_new_items_by_the_tuned_encoder(
    tuned: rc.SequenceRecommender, tmp_path: Path
) -> None:
    tuned.save(tmp_path / "shop")
    titles = dict(zip(ITEMS, shop().frame["title"], strict=True))
    with closing(Engine.open(tmp_path / "shop")) as engine:
        change = ItemChecks(engine.checks).check({"item_id": "new", "title": titles[COLD[0]]}, "us")
        assert isinstance(change, ItemChange)
        engine.put_items([change]).result(30)

        def near() -> bool:
            found = engine.call(lambda one: scores(one, ["new"])).result(30)
            return bool(np.allclose(found, scores(tuned, COLD[:1]), atol=1e-4))

        wait_for(near)


def wait_for(check: Any, seconds: float = 20.0) -> None:
    until = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_vectors_are_kept_under_the_adapters_own_name(tiny_bert: Path, tmp_path: Path) -> None:
    tuning = rc.TextTuning(rank=2, epochs=1, cache=tmp_path)
    model = fitted(tiny_bert, tuning, epochs=1)
    source = source_of(model)
    assert source.adapter is not None
    assert [one.name for one in tmp_path.iterdir()] == [source.identity]
    assert source.identity.endswith(f"-lora-{source.adapter.identity}")
    found = ItemWords({"text": source}, tmp_path).of_items(shop())
    assert found[0].source == source
    other = TextAdapter.of(2, {n: one + 1 for n, one in source.adapter.weights.items()})
    assert source.tuned(other).identity != source.identity


# --- what is refused -----------------------------------------------------------------------------


def test_vectors_of_the_untuned_encoder_are_refused_later(
    tiny_bert: Path, tuned: rc.SequenceRecommender
) -> None:
    more = shop(["red-late"])
    before = scores(tuned)
    for vectors in (texts_of(tiny_bert, more), rc.ItemVectors.of_rows(["x"], [[1.0] * 16], "text")):
        with pytest.raises(DataError, match=r"text: expected vectors by the text encoder that was"):
            tuned.add_items([vectors], more)
    np.testing.assert_array_equal(scores(tuned), before)


def test_settings_are_refused_together() -> None:
    with pytest.raises(ConfigError) as caught:
        rc.TextTuning(rank=0, learning_rate=float("nan"), epochs=True, texts_per_step=1.5)  # type: ignore[arg-type]  # wrong on purpose
    said = str(caught.value)
    assert "TextTuning(rank=0): expected a whole number of at least 1." in said
    assert "TextTuning(epochs=True): expected a whole number of at least 1." in said
    assert "TextTuning(texts_per_step=1.5): expected a whole number of at least 1." in said
    assert "TextTuning(learning_rate=nan): expected a number above 0." in said


def test_what_cannot_learn_is_refused_together(
    tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_tuning, "find_spec", lambda name: None if name == "peft" else name)
    table = TextSource("static", "potion", "0")
    static = rc.ItemVectors(["a"], np.ones((1, 4), np.float32), "static", table)
    half = TextSource("network", "bert", "0", precision="bfloat16")
    rounded = rc.ItemVectors(["a"], np.ones((1, 4), np.float32), "rounded", half)
    file = rc.ItemVectors.of_rows(["a"], [[1.0]], "pictures")
    with pytest.raises(ConfigError) as caught:
        rc.Content([static, rounded, file], learned="after", hidden=2.0, tuned=rc.TextTuning())
    said = str(caught.value)
    assert "Content(hidden=2.0)" in said
    assert "needs further packages, peft: pip install 'recency[text]'." in said
    assert "Content(tuned=..., learned='after'): content that follows rows" in said
    assert "found 0 among 'static' (made by a table of word vectors, no network)" in said
    assert "'rounded' (made in bfloat16)" in said
    assert "'pictures' (not made by an encoder of texts that Recency brings)" in said
    assert "ItemVectors.of_texts(items, TextEncoder(...))" in said
    monkeypatch.undo()
    with pytest.raises(ConfigError, match=r"rank=17\): expected at most 16, the width of the"):
        rc.Content([texts_of(tiny_bert)], tuned=rc.TextTuning(rank=17))
    with pytest.raises(ConfigError, match=r"tuned=True\): expected a TextTuning"):
        rc.Content([texts_of(tiny_bert)], tuned=True)  # type: ignore[arg-type]  # wrong on purpose
    with pytest.raises(ConfigError, match="found 0 among none at all"):
        rc.Content(tuned=rc.TextTuning())


def test_a_tuned_encoder_is_not_tuned_again(tiny_bert: Path, tuned: rc.SequenceRecommender) -> None:
    again = ItemWords({"text": source_of(tuned)}).of_items(shop())
    with pytest.raises(ConfigError, match="made by an encoder that was tuned before"):
        rc.Content(again, tuned=rc.TextTuning())


def test_words_must_be_there(tiny_bert: Path) -> None:
    content = rc.Content([texts_of(tiny_bert)], tuned=QUICK)
    with pytest.raises(ConfigError, match=r"pass the catalogue that was encoded, fit\(log, items"):
        new().fit(two_camps(), content=content)
    with pytest.raises(
        DataError, match="all 48 items whose vectors 'text' are known, found none o"
    ):
        new().fit(two_camps(), shop(ITEMS[:-2]), content=content)


def test_an_adapter_of_another_network_is_refused(tiny_bert: Path) -> None:
    strange = TextAdapter.of(2, {"layer.weight": np.zeros((2, 2), np.float32)})
    encoder = rc.TextEncoder(tiny_bert, adapter=strange)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(
            FormatError, match="expected an adapter of this text encoder's .* fit t"
        ):
            encoder.encode(["red tent"])
