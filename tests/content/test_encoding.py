"""Each text is encoded once, and kept; vectors that come from elsewhere are checked."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from recency.content.encoding import encode_texts
from recency.content.item_texts import LONGEST, cleaned, item_texts
from recency.content.item_vectors import ItemVectors
from recency.content.text import Floats, Told
from recency.content.vector_cache import VectorCache
from recency.data.catalogue import Catalogue
from recency.data.vocab import Vocab
from recency.errors import ConfigError, DataError, DataWarning, FormatError


class Lengths:
    """Encode a text by its length, and count what was asked."""

    identity, dim = "lengths", 2

    def __init__(self) -> None:
        self.asked: list[str] = []

    def encode(self, texts: Sequence[str], done: Told | None = None) -> Floats:
        self.asked += texts
        if done is not None:
            done(len(texts))
        return np.array([[len(text), 1] for text in texts], np.float32)


def shop() -> Catalogue:
    return Catalogue.from_frame(
        pl.DataFrame(
            {
                "item_id": ["a", "b", "c"],
                "title": ["Blue  tent", "Lamp!", None],
                "text": ["Sleeps\ttwo", None, None],
                "categories": [["camping", "summer"], ["light"], None],
            }
        )
    )


def test_texts_of_items_are_joined_as_said() -> None:
    found = item_texts(shop())
    assert found.ids == ["a", "b", "c"]
    assert found.texts == [
        "Blue tent. Sleeps two. Categories: camping, summer.",
        "Lamp! Categories: light.",
        "",
    ]
    assert item_texts(shop(), ["title"]).texts == ["Blue tent.", "Lamp!", ""]
    with pytest.raises(ConfigError, match="expected one of the columns words"):
        item_texts(shop(), ["words"])


def test_what_cannot_be_read_is_taken_out_and_told() -> None:
    with pytest.warns(DataWarning) as told:
        found = cleaned(["ok", "bi\x00na\x07ry", "broken \ud800 half", "x" * (LONGEST + 5), None])
    assert found[:3] == ["ok", "binary", "broken half"]
    assert (len(found[3]), found[4]) == (LONGEST, "")
    said = [str(one.message) for one in told]
    assert said[0].startswith("2 of 5 texts held characters that cannot be read")
    assert said[1].startswith(f"1 of 5 texts were longer than {LONGEST:,}")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert cleaned(["fine", ""]) == ["fine", ""]


def test_a_second_run_encodes_nothing(tmp_path: Path) -> None:
    first, second = Lengths(), Lengths()
    texts = ["one", "three", "one", "", "seven77"]
    seen: list[tuple[int, int]] = []
    found = encode_texts(texts, first, tmp_path, lambda done, total: seen.append((done, total)))
    assert sorted(first.asked) == ["", "one", "seven77", "three"] and seen[-1] == (4, 4)
    assert found[:, 0].tolist() == [3, 5, 3, 0, 7]
    assert np.array_equal(encode_texts(texts, second, tmp_path), found)
    assert not second.asked
    more = encode_texts(["three", "eleven11111"], second, tmp_path)
    assert second.asked == ["eleven11111"] and more[:, 0].tolist() == [5, 11]


def test_an_interrupted_encoding_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recency.content.encoding._KEPT_AT_ONCE", 2)
    texts = ["a", "bb", "ccc", "dddd", "eeeee"]

    class Killed(Lengths):
        def encode(self, texts: Sequence[str], done: Told | None = None) -> Floats:
            if "bb" in texts:
                raise KeyboardInterrupt
            return super().encode(texts, done)

    with pytest.raises(KeyboardInterrupt):
        encode_texts(texts, Killed(), tmp_path)
    rest = Lengths()
    assert encode_texts(texts, rest, tmp_path)[:, 0].tolist() == [1, 2, 3, 4, 5]
    assert sorted(rest.asked) == ["a", "bb", "ccc"]


def test_caches_of_two_encoders_never_meet(tmp_path: Path) -> None:
    VectorCache(tmp_path, "one").add(["x"], np.ones((1, 2), np.float32))
    assert not VectorCache(tmp_path, "other").find(["x"])[1].any()
    vectors, there = VectorCache(tmp_path, "one").find(["y", "x"])
    assert there.tolist() == [False, True] and vectors.tolist() == [[0, 0], [1, 1]]


def test_a_damaged_cache_says_what_to_do(tmp_path: Path) -> None:
    cache = VectorCache(tmp_path, "one")
    cache.add(["x"], np.ones((1, 2), np.float32))
    next(cache.folder.glob("vectors-*")).write_bytes(b"\x93NUMPY")
    with pytest.raises(FormatError, match="Remove .*one: it is made anew"):
        cache.find(["x"])


def test_vectors_of_texts_know_who_has_none() -> None:
    found = ItemVectors.of_texts(shop(), Lengths())
    assert found.known.tolist() == [True, True, False]
    assert (found.dim, found.name, len(found)) == (2, "text", 3)


def test_vectors_are_written_read_and_aligned(tmp_path: Path) -> None:
    given = ItemVectors.of_rows(["a", "b"], [[1, 2], [np.nan, np.nan]], "picture")
    given.write(tmp_path / "pictures.parquet")
    again = ItemVectors.read(tmp_path / "pictures.parquet", column="picture")
    assert again.ids == ["a", "b"] and again.known.tolist() == [True, False]
    np.save(tmp_path / "sound.npy", np.ones((2, 3), np.float32))
    sound = ItemVectors.read(tmp_path / "sound.npy", ids=["b", "c"])
    aligned = sound.aligned(Vocab.from_ids(pl.Series(["a", "b"])))
    assert np.isnan(aligned[0]).all() and aligned[1].tolist() == [1, 1, 1]


def test_vectors_from_elsewhere_are_checked(tmp_path: Path) -> None:
    with pytest.raises(DataError) as found:
        ItemVectors.of_rows(["a", "a", "b"], [[1, 2], [np.inf, 0], [np.nan, 1]], "picture")
    for part in ("1 items come twice", "1 rows hold infinite", "1 rows are NaN in part"):
        assert part in str(found.value)
    with pytest.raises(DataError, match=r"expected one row an item, \[2, dim\], found \[3, 2\]"):
        ItemVectors.of_rows(["a", "b"], np.ones((3, 2)))
    with pytest.raises(DataError, match="rows of as many numbers each"):
        ItemVectors.of_rows(["a", "b"], [[1, 2], [1]])
    pl.DataFrame({"item_id": ["a"], "v": [[1.0]]}).write_parquet(tmp_path / "v.parquet")
    with pytest.raises(FormatError, match="expected the columns item_id and vector"):
        ItemVectors.read(tmp_path / "v.parquet")
    np.save(tmp_path / "v.npy", np.ones((1, 1)))
    with pytest.raises(DataError, match="holds no ids"):
        ItemVectors.read(tmp_path / "v.npy")
    (tmp_path / "bad.npy").write_bytes(b"no")
    with pytest.raises(FormatError, match="cannot read vectors"):
        ItemVectors.read(tmp_path / "bad.npy", ids=["a"])


def test_small_files_are_joined_and_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recency.content.vector_cache._MOST_SMALL", 3)
    cache = VectorCache(tmp_path, "one")
    texts = [f"text {n}" for n in range(11)]
    for n, text in enumerate(texts):
        cache.add([text], np.full((1, 2), n, np.float32))
        assert len(list(cache.folder.glob("keys-*"))) <= 4
    cache.add(texts[:2], np.array([[0, 0], [1, 1]], np.float32))  # two encoded it at once
    found, there = cache.find([*texts, "other"])
    assert there.tolist() == [True] * 11 + [False]
    assert found[:11, 0].tolist() == list(range(11))
    assert len(list(cache.folder.iterdir())) == 2 * len(list(cache.folder.glob("keys-*")))
