import json
from pathlib import Path

import pytest

from recency.errors import FormatError
from recency.storage import MANIFEST, read_manifest, written_folder


def save(folder: Path, text: str) -> None:
    with written_folder(folder, {"name": text}) as draft:
        (draft / "part.txt").write_text(text)


def test_a_folder_is_read_back_and_replaced(tmp_path: Path) -> None:
    shop = tmp_path / "shop"
    save(shop, "one")
    (shop / "events.sqlite").write_text("kept")
    first = read_manifest(shop)
    save(shop, "two")
    second = read_manifest(shop)
    assert second.content == {"name": "two"} and second.path("part.txt").read_text() == "two"
    assert not first.path("part.txt").exists()
    assert (shop / "events.sqlite").read_text() == "kept"
    assert "part.txt" in second and "other" not in second
    assert len(list(shop.iterdir())) == 3


def test_a_failed_save_leaves_the_old_model(tmp_path: Path) -> None:
    save(tmp_path / "shop", "one")
    with pytest.raises(RuntimeError), written_folder(tmp_path / "shop", {}) as draft:
        (draft / "part.txt").write_text("half")
        raise RuntimeError("power")
    assert read_manifest(tmp_path / "shop").path("part.txt").read_text() == "one"
    assert len(list((tmp_path / "shop").iterdir())) == 2


def test_foreign_folders_are_not_touched(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(FormatError, match="is no Recency model; nothing was written"):
        save(tmp_path, "one")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_every_damage_is_named(tmp_path: Path) -> None:
    with written_folder(tmp_path / "shop", {}) as draft:
        (draft / "a.bin").write_bytes(b"12345")
        (draft / "b.bin").write_bytes(b"12345")
    manifest = read_manifest(tmp_path / "shop")
    manifest.path("a.bin").write_bytes(b"1234")
    manifest.path("b.bin").unlink()
    with pytest.raises(FormatError) as caught:
        read_manifest(tmp_path / "shop")
    assert "a-5994471a.bin was changed or cut short" in str(caught.value)
    assert "b-5994471a.bin is missing" in str(caught.value)


def test_no_model_a_damaged_manifest_and_a_newer_format(tmp_path: Path) -> None:
    with pytest.raises(
        FormatError, match=r"expected a model folder with manifest.json, found none"
    ):
        read_manifest(tmp_path)
    save(tmp_path / "shop", "one")
    path = tmp_path / "shop" / MANIFEST
    newer = json.loads(path.read_text()) | {"format": 99}
    path.write_text(path.read_text()[:-20])
    with pytest.raises(FormatError, match="is damaged"):
        read_manifest(tmp_path / "shop")
    path.write_text(json.dumps(newer))
    with pytest.raises(FormatError, match="has format 99, this version of Recency reads up to 1"):
        read_manifest(tmp_path / "shop")


def test_a_manifest_cannot_point_outside_its_folder(tmp_path: Path) -> None:
    save(tmp_path / "shop", "one")
    path = tmp_path / "shop" / MANIFEST
    content = json.loads(path.read_text())
    content["files"]["part.txt"]["file"] = "../shop/" + content["files"]["part.txt"]["file"]
    path.write_text(json.dumps(content))
    with pytest.raises(FormatError, match="is missing"):
        read_manifest(tmp_path / "shop")


def test_an_absent_part_is_named(tmp_path: Path) -> None:
    save(tmp_path / "shop", "one")
    with pytest.raises(FormatError, match=r"has no weights.safetensors"):
        read_manifest(tmp_path / "shop").path("weights.safetensors")
