"""TensorBoard on request."""

import sys
from dataclasses import replace

import pytest

from recency.errors import ConfigError
from recency.training.config import EpochRecord
from recency.training.loop import train
from recency.training.tensorboard import Board, open_board


class Recorder:
    def __init__(self) -> None:
        self.scalars: list[tuple[str, float, int]] = []

    def add_scalar(self, name: str, value: float, step: int) -> None:
        self.scalars.append((name, value, step))


def test_an_epoch_is_written_under_its_stage():
    writer = Recorder()
    Board(writer).write(EpochRecord("search", 3, 1.5, 0.25, 9.0), lr=0.01)
    Board(writer).write(EpochRecord("refit", 1, 1.25, None, 9.0), lr=0.02)
    assert writer.scalars == [
        ("search/loss", 1.5, 3),
        ("search/lr", 0.01, 3),
        ("search/ndcg@10", 0.25, 3),
        ("refit/loss", 1.25, 1),
        ("refit/lr", 0.02, 1),
    ]


def test_a_folder_is_filled_when_asked_for(new_model, histories, config, tmp_path):
    pytest.importorskip("tensorboard")
    train(new_model(), histories, replace(config, epochs=2, tensorboard_dir=tmp_path / "board"))
    (written,) = (tmp_path / "board").iterdir()
    assert written.stat().st_size > 100


def test_a_missing_package_is_named_with_the_way_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with (
        pytest.raises(ConfigError, match=r"pip install 'recency\[tensorboard\]'"),
        open_board(tmp_path),
    ):
        pass


def test_no_folder_writes_nothing():
    with open_board(None) as board:
        board.write(EpochRecord("search", 1, 1.0, None, 1.0), lr=0.01)
