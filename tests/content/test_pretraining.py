"""Item texts teach a text encoder; a run goes on where it stopped, and leaves a folder or none."""

import json
import shutil
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from recency.content import pretraining as module
from recency.content.language_losses import LanguageModel, Rows, hide
from recency.content.pretraining import pretrain_text
from recency.content.pretraining_config import PretrainingStep, TextPretraining
from recency.content.text import TextEncoder
from recency.data.catalogue import Catalogue
from recency.errors import ConfigError, DataError, FormatError, TrainingDivergedError

COLOURS, THINGS = ["blue", "red"], ["tent", "lamp", "light", "rain"]
# "sleeps" is always followed by "two": something to learn.
TEXTS = [
    f"{colour} {thing} for {other} sleeps two"
    for colour in COLOURS
    for thing in THINGS
    for other in THINGS
]
QUICK = TextPretraining(
    epochs=2, readers_first=0, lr=1e-2, tokens=64, valid_share=0.2, device="cpu"
)


def quick(**more: Any) -> TextPretraining:
    return TextPretraining(**{**vars(QUICK), **more})


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


# --- what is learned -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "left"),
    [
        ({}, 0.8),
        ({"masked": 0.0, "causal": 1.0}, 0.8),
        ({"causal": 1.0}, 0.8),
        ({"lora": 4, "lr": 3e-2}, 0.98),  # the words' own vectors are drawn, and stay
    ],
)
def test_texts_held_back_are_told_better(
    tiny_bert: Path, tmp_path: Path, more: dict[str, Any], left: float
) -> None:
    config = quick(epochs=6, **more)
    found = pretrain_text(TEXTS, tmp_path / "words", model=tiny_bert, config=config)
    first, last = found.history[0], found.history[-1]
    assert (first.masked is None) is (not config.masked)
    assert (first.causal is None) is (not config.causal)
    for before, after in ((first.masked, last.masked), (first.causal, last.causal)):
        assert before is None or (after is not None and after < left * before)
    assert found.n_texts == 26 and found.n_words == 9
    assert [one.epoch for one in found.history] == list(range(7))


def test_the_folder_is_one_that_text_encoders_read(tiny_bert: Path, tmp_path: Path) -> None:
    folder = pretrain_text(TEXTS, tmp_path / "words", model=tiny_bert, config=QUICK).folder
    before, after = TextEncoder(tiny_bert), TextEncoder(folder)
    assert after.identity != before.identity and after.pooling == before.pooling
    assert np.abs(after.encode(TEXTS) - before.encode(TEXTS)).max() > 1e-3
    assert (folder / "modules.json").exists()
    assert not (tmp_path / "words.partial").exists()


def test_lora_learns_few_numbers_and_keeps_word_vectors(tiny_bert: Path, tmp_path: Path) -> None:
    whole = pretrain_text(TEXTS, tmp_path / "whole", model=tiny_bert, config=QUICK)
    thin = pretrain_text(TEXTS, tmp_path / "thin", model=tiny_bert, config=quick(lora=1))
    assert thin.n_learned < whole.n_learned / 2
    start, end = weights(tiny_bert), weights(thin.folder)
    assert set(start) == set(end)  # what was learned is part of the matrices
    moved = {name for name in start if not torch.equal(start[name], end[name])}
    assert moved and all("embeddings" not in name for name in moved)


def test_later_words_stay_out_of_the_causal_loss(tiny_bert: Path) -> None:
    from transformers import AutoModel

    torch.manual_seed(0)
    network = AutoModel.from_pretrained(tiny_bert).eval()
    model = LanguageModel(network, torch.arange(5, 12), mask=1).eval()
    model.refuse_deaf()
    tokens = torch.tensor([[2, 5, 6, 7, 3]])
    rows = Rows(tokens, tokens > 0, torch.where(tokens >= 5, tokens - 5, -1))
    first_only = Rows(rows.tokens, rows.real, rows.words.clone())
    first_only.words[0, 2:] = -1
    other = Rows(torch.tensor([[2, 5, 9, 9, 9]]), rows.real, first_only.words)
    with torch.no_grad():
        assert model.causal_nats(first_only) == pytest.approx(float(model.causal_nats(other)))
        assert model.causal_nats(rows) != pytest.approx(float(model.causal_nats(first_only)))


def test_an_encoder_that_looks_ahead_is_refused(
    tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recency.content.language_losses.causal_mask", lambda real: real.long())
    with pytest.raises(ConfigError, match="under a causal mask, found BertModel"):
        pretrain_text(TEXTS, tmp_path / "x", model=tiny_bert, config=quick(causal=1.0))


def test_words_are_hidden_one_in_each_text_at_least() -> None:
    draw = torch.Generator().manual_seed(0)
    tokens = torch.randint(5, 50, (400, 10), generator=draw)
    words = tokens - 5
    words[:, 0] = -1
    rows = Rows(tokens, torch.ones_like(tokens, dtype=torch.bool), words)
    shown, chosen = hide(rows, 0.15, 1, torch.arange(5, 50), draw)
    assert chosen.any(1).all() and not chosen[:, 0].any()
    assert torch.equal(shown[~chosen], tokens[~chosen])
    assert 0.14 < chosen[:, 1:].float().mean() < 0.22
    assert 0.75 < (shown[chosen] == 1).float().mean() < 0.85
    assert 0.07 < (shown[chosen] == tokens[chosen]).float().mean() < 0.15
    assert hide(rows, 0.0, 1, torch.arange(5, 50), draw)[1].sum() == 400


# --- a run ---------------------------------------------------------------------------------------


class Stopped(Exception):
    """Stand for a kill."""


def test_a_stopped_run_ends_as_one_that_was_not(tiny_bert: Path, tmp_path: Path) -> None:
    def stop(step: PretrainingStep) -> None:
        if step.epoch == 2:
            raise Stopped

    straight = pretrain_text(TEXTS, tmp_path / "a", model=tiny_bert, config=QUICK)
    with pytest.raises(Stopped):
        pretrain_text(TEXTS, tmp_path / "b", model=tiny_bert, config=QUICK, progress=stop)
    assert not (tmp_path / "b").exists() and (tmp_path / "b.partial").exists()
    seen: list[PretrainingStep] = []
    again = pretrain_text(
        TEXTS, tmp_path / "b", model=tiny_bert, config=QUICK, progress=seen.append
    )
    assert {one.epoch for one in seen} == {2} and seen[-1].step == seen[-1].steps
    one, other = weights(straight.folder), weights(again.folder)
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert [one.masked for one in again.history] == [one.masked for one in straight.history]


def test_readers_learn_before_the_encoder_does(tiny_bert: Path, tmp_path: Path) -> None:
    """While they do, the encoder stays, and a run that stops there goes on as if it had not."""
    config = quick(readers_first=6)
    straight = pretrain_text(TEXTS, tmp_path / "a", model=tiny_bert, config=config)
    assert [one.epoch for one in straight.history] == list(range(9))
    masked = [one.masked for one in straight.history]
    assert masked[6] is not None and masked[0] is not None and masked[6] < masked[0]

    def stop(step: PretrainingStep) -> None:
        if step.epoch == 7:
            raise Stopped

    with pytest.raises(Stopped):
        pretrain_text(TEXTS, tmp_path / "b", model=tiny_bert, config=config, progress=stop)
    kept = load_file(tmp_path / "b.partial" / "run.safetensors")
    start = weights(tiny_bert)
    encoder = {name for name in start if f"weights/network.{name}" in kept}
    assert encoder and all(
        torch.equal(kept[f"weights/network.{one}"], start[one]) for one in encoder
    )
    moved = weights(straight.folder)
    assert not all(torch.equal(moved[one], start[one]) for one in encoder)
    again = pretrain_text(TEXTS, tmp_path / "b", model=tiny_bert, config=config)
    one, other = weights(straight.folder), weights(again.folder)
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_time_left_knows_that_readers_alone_are_quicker(
    tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock that ticks once a batch; a pass of all is reckoned as three of readers alone."""
    monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=count(0.0).__next__))
    left: dict[int, tuple[float, int]] = {}
    pretrain_text(
        TEXTS,
        tmp_path / "words",
        model=tiny_bert,
        config=quick(readers_first=1),
        progress=lambda step: left.update({step.epoch: (step.eta, step.steps)}),
    )
    assert left[1][0] == pytest.approx(6 * left[1][1])
    assert left[2][0] == pytest.approx(left[2][1]) and left[3][0] == pytest.approx(0)


def test_a_finished_run_is_not_done_again(
    tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = pretrain_text(TEXTS, tmp_path / "words", model=tiny_bert, config=QUICK)
    monkeypatch.setattr(module, "_Run", None)
    again = pretrain_text(TEXTS[::-1] + TEXTS, tmp_path / "words", model=tiny_bert, config=QUICK)
    assert again == first


def test_other_runs_are_not_overwritten(tiny_bert: Path, tmp_path: Path) -> None:
    out = tmp_path / "words"
    pretrain_text(TEXTS, out, model=tiny_bert, config=QUICK)
    with pytest.raises(ConfigError, match="or one of this very run, found something else"):
        pretrain_text(TEXTS, out, model=tiny_bert, config=quick(seed=1))
    (tmp_path / "mine").write_text("a diary")
    with pytest.raises(ConfigError, match="name another one, or remove it"):
        pretrain_text(TEXTS, tmp_path / "mine", model=tiny_bert, config=QUICK)


def test_drafts_of_other_runs_and_damaged_ones_are_told(tiny_bert: Path, tmp_path: Path) -> None:
    def stop(step: PretrainingStep) -> None:
        if step.epoch == 2:
            raise Stopped

    with pytest.raises(Stopped):
        pretrain_text(TEXTS, tmp_path / "a", model=tiny_bert, config=QUICK, progress=stop)
    with pytest.raises(ConfigError, match="with other texts, another model or other settings"):
        pretrain_text(TEXTS[2:], tmp_path / "a", model=tiny_bert, config=QUICK)
    (tmp_path / "a.partial" / "run.safetensors").write_bytes(b"half")
    with pytest.raises(FormatError, match="cannot be read .* to start afresh"):
        pretrain_text(TEXTS, tmp_path / "a", model=tiny_bert, config=QUICK)


def test_facts_lie_beside_the_encoder_and_change_nothing_of_it(
    tiny_bert: Path, tmp_path: Path
) -> None:
    folder = pretrain_text(TEXTS, tmp_path / "words", model=tiny_bert, config=QUICK).folder
    first, *epochs = map(json.loads, (folder / "pretraining.jsonl").read_text().splitlines())
    assert first["n_texts"] == 26 and [one["epoch"] for one in epochs] == [0, 1, 2]
    identity = TextEncoder(folder).identity
    (folder / "pretraining.jsonl").unlink()
    assert TextEncoder(folder).identity == identity


# --- what comes in -------------------------------------------------------------------------------


def test_a_catalogue_gives_its_words(tiny_bert: Path, tmp_path: Path) -> None:
    import polars as pl

    frame = pl.DataFrame({"item_id": range(len(TEXTS)), "title": TEXTS})
    found = pretrain_text(
        Catalogue.from_frame(frame), tmp_path / "words", model=tiny_bert, config=QUICK
    )
    assert found.n_texts == 26


def test_impossible_settings_are_refused_together() -> None:
    with pytest.raises(ConfigError) as error:
        TextPretraining(masked=-1.0, mask_share=1.0, epochs=0, readers_first=-1, lora=-2, lr=0.0)
    faults = ("masked=-1.0", "mask_share=1.0", "epochs=0", "readers_first=-1", "lora=-2", "lr=0.0")
    for fault in faults:
        assert f"TextPretraining({fault})" in str(error.value)
    with pytest.raises(ConfigError, match="masked=0, causal=0.*one above 0 at least"):
        TextPretraining(masked=0.0)


def test_a_tokeniser_without_a_mask_is_refused(tiny_bert: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_bert, tmp_path / "maskless"))
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**settings, "mask_token": None}))
    with pytest.raises(ConfigError, match="expected a tokeniser with a mask token"):
        pretrain_text(TEXTS, tmp_path / "x", model=folder, config=QUICK)


def test_too_few_texts_are_told(tiny_bert: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected 10 different item texts at least, found 2"):
        pretrain_text(["blue tent", "lamp", ""], tmp_path / "x", model=tiny_bert, config=QUICK)
    assert not list(tmp_path.iterdir())


def test_a_loss_that_is_not_finite_stops_the_run(tiny_bert: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingDivergedError, match=r"found nan in epoch .* lower TextPretraining"):
        pretrain_text(TEXTS, tmp_path / "x", model=tiny_bert, config=quick(lr=1e30, epochs=9))
    assert not (tmp_path / "x").exists()


def test_a_missing_package_is_named(
    tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recency.content.text_network.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'recency\[text\]'"):
        pretrain_text(TEXTS, tmp_path / "x", model=tiny_bert, config=QUICK)
    monkeypatch.setattr(
        "recency.content.text_network.find_spec", lambda name: None if name == "peft" else name
    )
    with pytest.raises(ConfigError, match=r"lora needs another package: pip install 'recency\[te"):
        pretrain_text(TEXTS, tmp_path / "x", model=tiny_bert, config=quick(lora=2))
    assert not list(tmp_path.iterdir())
