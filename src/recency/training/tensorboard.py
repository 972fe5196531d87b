"""TensorBoard on request: loss, learning rate and judgement of every epoch."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from recency.errors import ConfigError
from recency.training.config import EpochRecord


class Board:
    """Write what epochs tell; without a writer, write nothing."""

    def __init__(self, writer: Any = None) -> None:
        self._writer = writer

    def write(self, record: EpochRecord, lr: float) -> None:
        """Write one epoch, under the name of its stage."""
        if self._writer is None:
            return
        self._writer.add_scalar(f"{record.stage}/loss", record.loss, record.epoch)
        self._writer.add_scalar(f"{record.stage}/lr", lr, record.epoch)
        if record.valid is not None:
            self._writer.add_scalar(f"{record.stage}/ndcg@10", record.valid, record.epoch)


@contextmanager
def open_board(folder: str | Path | None) -> Iterator[Board]:
    """Open a board on a folder; None gives one that writes nothing.

    Raises:
        ConfigError: the package ``tensorboard`` is missing.
    """
    if folder is None:
        yield Board()
        return
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ConfigError(
            "TrainConfig(tensorboard_dir=...) needs the package tensorboard, which is not "
            "installed; pip install 'recency[tensorboard]'."
        ) from None
    writer = SummaryWriter(str(folder))
    try:
        yield Board(writer)
    finally:
        writer.close()
