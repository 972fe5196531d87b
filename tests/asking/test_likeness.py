"""Items like an item, by deeds or by what they are; items by words; plain answers to faults."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

import recency as rc
from recency.content.item_words import ItemWords
from recency.content.text_source import TextSource, encoder_named
from recency.data.catalogue import Catalogue
from recency.errors import ConfigError, DataError, UnknownIdError

COLOURS = ("red", "blue", "green", "grey")
THINGS = ("tent", "lamp", "book")


def words_model(folder: Path) -> Path:
    """A table of word vectors in which colours and things each have a direction of their own."""
    model2vec = pytest.importorskip("model2vec", reason="pip install 'recency[text]'")
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    words = ["[UNK]", "[PAD]", *COLOURS, *THINGS]
    tokenizer = Tokenizer(WordLevel({w: n for n, w in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    vectors = np.vstack((np.zeros((2, 7)), np.eye(7))).astype(np.float32)
    model2vec.StaticModel(vectors, tokenizer).save_pretrained(str(folder))
    return folder


def described() -> Catalogue:
    titles = [f"{colour} {thing}" for colour in COLOURS for thing in THINGS]
    ids = [title.replace(" ", "-") for title in titles]
    return Catalogue.from_frame(pl.DataFrame({"item_id": ids, "title": titles}))


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> rc.SequenceRecommender:
    """Eight users who go through the lamps, then the tents; grey things are never in an event."""
    folder = words_model(tmp_path_factory.mktemp("words") / "table")
    seen = [f"{colour}-{thing}" for thing in ("lamp", "tent", "book") for colour in COLOURS[:3]]
    rows = [
        (f"u{user}", seen[(user + step) % 9], f"2026-01-0{1 + user % 8}T0{step}:00:00Z")
        for user in range(8)
        for step in range(9)
    ]
    frame = pl.DataFrame(rows, ["user_id", "item_id", "timestamp"], orient="row")
    vectors = rc.ItemVectors.of_texts(described(), rc.StaticTextEncoder(folder))
    model = rc.SequenceRecommender(
        rc.GRU(8), training=rc.TrainConfig(epochs=2), fallback_half_life="7d"
    )
    return model.fit(rc.read_log(frame), described(), content=rc.Content([vectors]))


def listed(found: rc.Recommendations) -> list[object]:
    return list(found.items[0])


def test_words_find_what_they_say(shop: rc.SequenceRecommender) -> None:
    assert listed(shop.search("a grey lamp", 1)) == ["grey-lamp"]
    tents = listed(shop.search("tent", 4))
    assert sorted(map(str, tents)) == ["blue-tent", "green-tent", "grey-tent", "red-tent"]
    found = shop.search("red book", 12)
    assert found.scores[0][0] == pytest.approx(1, abs=1e-4)
    assert found.scores[0] == sorted(found.scores[0], reverse=True)
    assert listed(shop.search("red\0 bo\ud800ok", 12)) == listed(found)  # and nobody is warned


def test_alike_by_what_items_are(shop: rc.SequenceRecommender) -> None:
    near = listed(shop.similar_items("red-tent", 4, by="content"))
    assert "red-tent" not in near
    assert all("red" in str(one) or "tent" in str(one) for one in near)
    assert len(listed(shop.similar_items("grey-tent", 4, by="content"))) == 4  # never in an event


def test_both_is_the_mean_of_the_two(shop: rc.SequenceRecommender) -> None:
    def scores(by: str) -> dict[object, float]:
        found = shop.similar_items("red-lamp", 11, by=by)  # type: ignore[arg-type]  # any of them
        return dict(zip(found.items[0], found.scores[0], strict=True))

    deeds, content, both = scores("behaviour"), scores("content"), scores("both")
    assert len(both) == 11 and deeds != content
    for item, score in both.items():
        assert score == pytest.approx((deeds[item] + content[item]) / 2, abs=1e-6)


def test_a_saved_model_still_understands_words(
    shop: rc.SequenceRecommender, tmp_path: Path
) -> None:
    shop.save(tmp_path / "model")
    again = rc.load(tmp_path / "model")
    assert again.search("blue book", 3).scores == shop.search("blue book", 3).scores


def test_faults_say_what_to_do(shop: rc.SequenceRecommender) -> None:
    with pytest.raises(DataError, match="expected words to search for, found '  '"):
        shop.search("  ")
    with pytest.raises(ConfigError, match="by: expected one of behaviour, content, both"):
        shop.similar_items("red-lamp", by="price")  # type: ignore[arg-type]  # the fault
    with pytest.raises(UnknownIdError, match="'sofa' is known by nothing but its events"):
        shop.similar_items("sofa", by="content")
    with pytest.raises(UnknownIdError, match="'sofa' has no vector: it was never seen"):
        shop.similar_items("sofa")
    with pytest.raises(ConfigError, match="no texts of items to search in; .* recency fit --text"):
        ItemWords({}).of_words("tent")


def test_a_model_without_content_says_so(tiny_log: rc.Log) -> None:
    plain = rc.SequenceRecommender(rc.GRU(4), training=rc.TrainConfig(epochs=1)).fit(tiny_log)
    for ask in (lambda: plain.search("tent"), lambda: plain.similar_items("m", by="both")):
        with pytest.raises(ConfigError, match=r"by their events alone; fit it with content="):
            ask()


def test_an_encoder_of_other_weights_is_refused(tmp_path: Path) -> None:
    folder = words_model(tmp_path / "table")
    source = TextSource.of(encoder_named(f"static:{folder}"), ["title"])
    assert source is not None and TextSource.from_dict(source.to_dict()) == source
    other = TextSource("static", source.model, "static-0123456789abcdef", ("title",))
    with pytest.raises(ConfigError, match="found another of that name.*put the old one back"):
        other.encoder()
