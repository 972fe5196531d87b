"""Pictures to vectors: alike whatever the batch, kept by their bytes; errors say what to do."""

import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from recency.content import images as module
from recency.content.images import ImageEncoder, image_vectors
from recency.data.catalogue import Catalogue
from recency.errors import ConfigError, DataWarning


@pytest.fixture(scope="module")
def tiny_vit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a ViT of one layer and sixteen numbers."""
    transformers = pytest.importorskip("transformers", reason="pip install 'recency[text]'")
    folder = tmp_path_factory.mktemp("models") / "tiny-vit"
    torch.manual_seed(0)
    config = transformers.ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        image_size=16, patch_size=8,
    )  # fmt: skip
    transformers.ViTModel(config).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(
        '{"image_processor_type": "ViTImageProcessor", "size": {"height": 16, "width": 16}, '
        '"do_resize": true, "do_rescale": true, "do_normalize": true, '
        '"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}'
    )
    return folder


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder with four pictures, two of them alike, and a file that is none."""
    from PIL import Image

    folder = tmp_path / "pictures"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name, size in (("a.png", (20, 30)), ("b.png", (16, 16)), ("grey.png", (9, 40))):
        Image.fromarray(rng.integers(0, 255, (*size, 3), np.uint8)).save(folder / name)
    Image.open(folder / "grey.png").convert("LA").save(folder / "grey.png")
    shutil.copyfile(folder / "a.png", folder / "again.png")
    (folder / "broken.jpg").write_bytes(b"no picture at all")
    return folder


def test_vectors_are_of_length_one_and_alike_whatever_the_batch(
    tiny_vit: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = ImageEncoder(tiny_vit, device="cpu")
    files = [pictures / name for name in ("a.png", "broken.jpg", "b.png", "again.png", "grey.png")]
    whole = encoder.encode(files)
    assert whole.shape == (5, encoder.dim) and encoder.dim == 16
    assert np.isnan(whole[1]).all() and not np.isnan(whole[[0, 2, 3, 4]]).any()
    np.testing.assert_allclose(np.linalg.norm(whole[[0, 2, 3, 4]], axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(whole[0], whole[3])
    assert np.abs(whole[0] - whole[2]).max() > 1e-3
    monkeypatch.setattr(module, "BATCH", 1)
    done: list[int] = []
    np.testing.assert_allclose(encoder.encode(files, done.append), whole, atol=1e-5)
    assert done == [1] * 5


def test_the_vector_is_the_mean_over_the_patches(tiny_vit: Path, pictures: Path) -> None:
    from PIL import Image
    from transformers import AutoImageProcessor, AutoModel

    pixels = AutoImageProcessor.from_pretrained(tiny_vit)(
        images=[Image.open(pictures / "b.png")], return_tensors="pt"
    )["pixel_values"]
    with torch.no_grad():
        hidden = AutoModel.from_pretrained(tiny_vit).eval()(pixel_values=pixels).last_hidden_state
    wanted = torch.nn.functional.normalize(hidden[0].mean(0), dim=0)
    found = ImageEncoder(tiny_vit).encode([pictures / "b.png"])[0]
    np.testing.assert_allclose(found, wanted.numpy(), atol=1e-5)


def test_items_without_a_picture_have_no_vector_and_losses_are_counted(
    tiny_vit: Path, pictures: Path
) -> None:
    encoder = ImageEncoder(tiny_vit)
    files = {"x": "a.png", "y": None, "z": "broken.jpg", "w": "gone.png", "v": "again.png"}
    with pytest.warns(DataWarning, match="2 of 4 pictures are missing or cannot be read, such as"):
        found = image_vectors(files, encoder, folder=pictures)
    assert found.ids == list(files) and found.name == "image"
    assert found.known.tolist() == [True, False, False, False, True]


def test_a_second_run_encodes_nothing_even_under_other_names(
    tiny_vit: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = pl.DataFrame({"item_id": [1, 2, 3], "image": ["a.png", "again.png", "b.png"]})
    told: list[tuple[int, int]] = []
    first = image_vectors(
        Catalogue.from_frame(frame), ImageEncoder(tiny_vit), folder=pictures,
        cache=tmp_path / "cache", progress=lambda done, whole: told.append((done, whole)),
    )  # fmt: skip
    assert told == [(2, 2)]  # two are alike
    shutil.move(pictures / "b.png", pictures / "c.png")
    again = ImageEncoder(tiny_vit)
    monkeypatch.setattr(again, "encode", None)
    second = image_vectors(
        {1: "a.png", 2: "again.png", 3: "c.png"}, again, folder=pictures, cache=tmp_path / "cache"
    )
    np.testing.assert_array_equal(second.vectors, first.vectors)


def test_faults_say_what_to_do(
    tiny_vit: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError) as error:
        ImageEncoder(tmp_path)
    for name in ("config.json", "preprocessor_config.json", "*.safetensors"):
        assert f"found no {name}; save network and image processor" in str(error.value)
    with pytest.raises(ConfigError, match="expected a folder with a Hugging Face encoder"):
        ImageEncoder("./nowhere")
    catalogue = Catalogue.from_frame(pl.DataFrame({"item_id": [1], "title": ["a"]}))
    with pytest.raises(ConfigError, match=r"expected the column image .* found item_id, title"):
        image_vectors(catalogue, ImageEncoder(tiny_vit))
    folder = Path(shutil.copytree(tiny_vit, tmp_path / "odd"))
    (folder / "config.json").write_text('{"model_type": "nothing-known"}')
    with pytest.raises(ConfigError, match="expected a Hugging Face vision encoder in .*odd"):
        _ = ImageEncoder(folder).dim
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'recency\[text\]'"):
        ImageEncoder(tiny_vit)


def test_no_network_is_an_error_that_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub
    from huggingface_hub.errors import LocalEntryNotFoundError

    def offline(*_: object, **__: object) -> str:
        raise LocalEntryNotFoundError("no connection to the hub.")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", offline)
    with pytest.raises(ConfigError, match="found 'someone/vision': no connection to the hub"):
        ImageEncoder("someone/vision")
    assert not list(tmp_path.iterdir())
