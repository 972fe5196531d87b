"""RecBole's sequence models behind `exchange`. Runs in an environment of its own.

Settings: ``kind`` (a model's name in RecBole, such as ``GRU4Rec``), ``seed``, ``max_len``, and
settings of RecBole's own. ``epochs`` is not read here.

RecBole learns each prefix of a history as an example of its own, so an epoch costs ``max_len``
times what a model costs that learns all positions of a window at once. It reads times as float32,
which cannot tell neighbouring seconds apart; the place in the history stands in for them.
"""

import importlib.metadata
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from recbole.config import Config
from recbole.data import create_dataset
from recbole.data.dataloader import TrainDataLoader
from recbole.data.interaction import Interaction
from recbole.utils import get_model, get_trainer, init_seed

from benchmarks.peers.exchange import Asked, Lesson, Scores, serve

NOT_THEIRS = ("kind", "seed", "max_len", "epochs")
NAME = "log"
BLOCK = 1024  # questions scored at once


class RecBole:
    """Teach one of RecBole's sequence models, and score with it."""

    def __init__(self, lesson: Lesson, settings: dict[str, Any]) -> None:
        warnings.filterwarnings("ignore")
        write_atomic(lesson, Path.cwd() / NAME)
        self._n_items, self._max_len = int(lesson.n_items), settings["max_len"]
        self._config = config = _config(settings)
        init_seed(config["seed"], config["reproducibility"])
        data = create_dataset(config)
        (examples,) = data.build()
        self._tokens = data.token2id("item_id", [str(row) for row in np.unique(lesson.items)])
        self._rows = np.unique(lesson.items)
        self._loader = TrainDataLoader(config, examples, None, shuffle=True)
        self._model = get_model(config["model"])(config, examples)
        self._trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, self._model)

    def train(self, epochs: int, seconds: float | None) -> int:
        """Learn on; with a limit of time the clock is looked at after every epoch."""
        started = time.process_time()
        while self._trainer.start_epoch < epochs:
            self._trainer.epochs = self._trainer.start_epoch + 1 if seconds else epochs
            self._trainer.fit(self._loader, verbose=False, saved=False)
            self._trainer.start_epoch = self._trainer.epochs
            if seconds and time.process_time() - started > seconds:
                break
        return int(self._trainer.start_epoch)

    def scores(self, asked: Asked) -> Scores:
        """Score by ``full_sort_predict``, in blocks; histories are padded on the right."""
        to_theirs = np.zeros(self._n_items, dtype=np.int64)
        to_theirs[self._rows] = self._tokens
        self._model.eval()
        answer = np.full((len(asked), self._n_items), -np.inf, dtype=np.float32)
        for start in range(0, len(asked), BLOCK):
            part = asked.part(start, min(start + BLOCK, len(asked)))
            x = part.padded(to_theirs[part.items], self._max_len, 0, left=False)
            lengths = np.minimum(np.diff(part.offsets), self._max_len)
            question = Interaction(
                {
                    self._config["ITEM_ID_FIELD"] + self._config["LIST_SUFFIX"]: torch.from_numpy(
                        x
                    ),
                    self._config["ITEM_LIST_LENGTH_FIELD"]: torch.from_numpy(lengths),
                }
            )
            with torch.no_grad():
                full = self._model.full_sort_predict(question).numpy()
            full = full.reshape(len(part), -1)
            answer[start : start + len(part), self._rows] = full[:, self._tokens]
        return answer

    def about(self) -> dict[str, Any]:
        """Say which version ran, and how large the network is."""
        return {
            "version": importlib.metadata.version("recbole"),
            "parameters": sum(p.numel() for p in self._model.parameters()),
        }


def write_atomic(lesson: Lesson, folder: Path) -> None:
    """Write the events as RecBole's atomic file; the time of an event is its place."""
    events, offsets = lesson.by_user()
    place = np.arange(len(events.users)) - offsets[events.users]
    folder.mkdir()
    np.savetxt(
        folder / f"{NAME}.inter",
        np.stack([events.users, events.items, place], axis=1),
        fmt="%d",
        delimiter="\t",
        header="user_id:token\titem_id:token\ttimestamp:float",
        comments="",
    )


def _config(settings: dict[str, Any]) -> Config:
    theirs = {name: value for name, value in settings.items() if name not in NOT_THEIRS}
    return Config(
        model=settings["kind"],
        dataset=NAME,
        config_dict=theirs
        | {
            "seed": settings["seed"],
            "MAX_ITEM_LIST_LENGTH": settings["max_len"],
            "data_path": str(Path.cwd()),
            "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
            "eval_args": {"split": {"RS": [1.0]}, "order": "TO", "group_by": None, "mode": "full"},
            "train_neg_sample_args": None,
            "state": "ERROR",
            "use_gpu": False,
            "show_progress": False,
        },
    )


if __name__ == "__main__":
    serve(RecBole)
