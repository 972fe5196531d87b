"""RecTools' SASRec in slices of time; see `pace`. Runs in an environment of its own.

A target is a cell of its batches that holds an item to be told. RecTools learns from a user's
newest window only, so histories are cut first into windows that share no target; a window is padded
to ``max_len`` whatever is in it.
"""

import importlib.metadata
import logging
import warnings
from typing import Any

from pytorch_lightning import Trainer, seed_everything
from pytorch_lightning.callbacks import LambdaCallback
from rectools.dataset import Dataset
from rectools.models import SASRecModel

from benchmarks.peers.exchange import Lesson
from benchmarks.peers.rectools_peer import windows
from benchmarks.speed.pace import Pacer, drive

NOT_THEIRS = ("max_len", "seed")


def learn(lesson: Lesson, settings: dict[str, Any], pacer: Pacer) -> None:
    """Train for ever."""
    warnings.filterwarnings("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    seed_everything(settings["seed"])
    theirs = {name: value for name, value in settings.items() if name not in NOT_THEIRS}

    def begin(trainer: Any, module: Any) -> None:  # only now is all prepared
        parameters = sum(p.numel() for p in module.torch_model.parameters())
        version = importlib.metadata.version("rectools")
        pacer.begin({"version": version, "parameters": parameters})

    def tick(trainer: Any, module: Any, outputs: Any, batch: Any, number: int) -> None:
        pacer.tick(int((batch["y"] != 0).sum()))

    def trainer() -> Trainer:
        return Trainer(
            max_epochs=10**6,
            accelerator="cpu",
            enable_progress_bar=False,
            enable_model_summary=False,
            enable_checkpointing=False,
            logger=False,
            callbacks=[LambdaCallback(on_train_start=begin, on_train_batch_end=tick)],
        )

    model = SASRecModel(**theirs, session_max_len=settings["max_len"], get_trainer_func=trainer)
    model.fit(Dataset.construct(windows(lesson, settings["max_len"])))


if __name__ == "__main__":
    drive(learn)
