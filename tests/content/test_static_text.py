"""Static vectors: the mean of the words', of length 1."""

from pathlib import Path

import numpy as np
import pytest

from recency.content.static_text import StaticTextEncoder
from recency.errors import ConfigError


@pytest.fixture
def words(tmp_path: Path) -> Path:
    """A folder with a table of three words."""
    model2vec = pytest.importorskip("model2vec", reason="pip install 'recency[text]'")
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    tokenizer = Tokenizer(WordLevel({"[UNK]": 0, "tent": 1, "lamp": 2}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    table = np.array([[0, 0], [3, 0], [0, 3]], np.float32)
    model = model2vec.StaticModel(table, tokenizer)
    model.save_pretrained(tmp_path / "words")
    return tmp_path / "words"


def test_a_text_is_the_mean_of_its_words(words: Path) -> None:
    encoder = StaticTextEncoder(words)
    found = encoder.encode(["tent", "tent lamp", ""])
    half = 1 / np.sqrt(2)
    np.testing.assert_allclose(found, [[1, 0], [half, half], [0, 0]], atol=1e-6)
    assert encoder.dim == 2 and encoder.identity == StaticTextEncoder(words).identity


def test_a_missing_model_is_named(tmp_path: Path) -> None:
    pytest.importorskip("model2vec", reason="pip install 'recency[text]'")
    with pytest.raises(ConfigError, match="expected a folder or a hub id of a model2vec model"):
        StaticTextEncoder(tmp_path)
