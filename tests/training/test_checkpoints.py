"""Checkpoint files: written whole, read with care."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from recency.errors import FormatError
from recency.training import checkpoints
from recency.training.checkpoints import (
    FILE,
    digest_histories,
    digest_tensors,
    load_checkpoint,
    save_checkpoint,
)

TENSORS = {
    "matrix": torch.arange(6.0).reshape(2, 3),
    "number": torch.tensor(3),
    "flag": torch.tensor(True),
    "nothing": torch.empty(0, 4),
}
FACTS = {"epoch": 3, "loss": [0.1, None], "name": "grün"}


def test_what_is_saved_is_loaded(tmp_path: Path):
    path = save_checkpoint(tmp_path / "new", TENSORS, FACTS)
    assert [one.name for one in path.parent.iterdir()] == [FILE]
    found = load_checkpoint(tmp_path / "new")
    assert found is not None
    tensors, facts = found
    assert facts == FACTS and set(tensors) == set(TENSORS)
    assert all(torch.equal(tensors[name], TENSORS[name]) for name in TENSORS)


def test_an_empty_folder_has_none(tmp_path: Path):
    assert load_checkpoint(tmp_path) is None and load_checkpoint(tmp_path / "missing") is None


def test_a_crash_while_writing_leaves_the_one_before(tmp_path: Path, monkeypatch):
    save_checkpoint(tmp_path, TENSORS, FACTS)

    def full(*_: object, **__: object) -> None:
        (tmp_path / "training.partial").write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints, "save_file", full)
    with pytest.raises(OSError, match="No space left on device"):
        save_checkpoint(tmp_path, TENSORS, {"epoch": 4})
    assert [one.name for one in tmp_path.iterdir()] == [FILE]
    found = load_checkpoint(tmp_path)
    assert found is not None and found[1] == FACTS


@pytest.mark.parametrize("cut", [0, 5, 100, -1])
def test_a_truncated_file_is_refused(tmp_path: Path, cut: int):
    path = save_checkpoint(tmp_path, TENSORS, FACTS)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(FormatError, match="is no readable checkpoint .*delete it to train"):
        load_checkpoint(tmp_path)


def test_a_file_that_is_something_else_is_refused(tmp_path: Path):
    save_file({"x": torch.zeros(1)}, tmp_path / FILE)
    with pytest.raises(FormatError, match="is no readable checkpoint"):
        load_checkpoint(tmp_path)


def test_another_version_is_named(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(checkpoints, "VERSION", 99)
    save_checkpoint(tmp_path, TENSORS, FACTS)
    monkeypatch.undo()
    with pytest.raises(FormatError, match="checkpoint version 99, this Recency reads version 1"):
        load_checkpoint(tmp_path)


def test_digests_see_names_types_shapes_and_values():
    one = {"a": torch.zeros(2, 3)}
    others = [
        {"b": torch.zeros(2, 3)},
        {"a": torch.zeros(3, 2)},
        {"a": torch.zeros(2, 3, dtype=torch.int32)},
        {"a": torch.tensor([[0.0, 0, 0], [0, 0, 1e-30]])},
    ]
    assert len({digest_tensors(one), *(digest_tensors(other) for other in others)}) == 5
    assert digest_tensors({"a": torch.zeros(3, 2).T}) == digest_tensors(one)


def test_the_digest_of_histories_sees_every_column(histories):
    others = [
        replace(histories, items=histories.items + np.int32(1)),
        replace(histories, times=histories.times + 1),
        replace(histories, values=np.zeros(histories.n_events, np.float32)),
        replace(histories, types=np.zeros(histories.n_events, np.int16)),
    ]
    digests = {digest_histories(one) for one in (histories, *others)}
    assert len(digests) == 5 and digest_histories(replace(histories)) in digests
