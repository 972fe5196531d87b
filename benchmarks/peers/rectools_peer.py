"""RecTools' SASRec, BERT4Rec and HSTU behind `exchange`. Runs in an environment of its own.

Settings: ``kind``, ``seed``, ``max_len``, and the arguments of the model itself. ``logits_t`` is
the temperature of cosine scores, ``epochs`` is not read here.

RecTools learns from a user's newest window only, so histories are cut into windows first. Times go
in as nanoseconds. The scores are those of the fitted network for the whole catalogue, by the
network's own parts; nothing is ranked here.
"""

import importlib.metadata
import logging
import time
import warnings
from typing import Any

import numpy as np
import pandas as pd
import torch
from pytorch_lightning import Trainer, seed_everything
from rectools import Columns
from rectools.dataset import Dataset
from rectools.models import BERT4RecModel, HSTUModel, SASRecModel
from rectools.models.nn.transformers.constants import MASKING_VALUE

from benchmarks.peers.exchange import Asked, Ints, Lesson, Scores, serve

KINDS = {"sasrec": SASRecModel, "bert4rec": BERT4RecModel, "hstu": HSTUModel}
NOT_THEIRS = ("kind", "seed", "max_len", "epochs", "logits_t")
BLOCK = 256  # questions scored at once


class RecTools:
    """Teach one of RecTools' transformers, and score with it."""

    def __init__(self, lesson: Lesson, settings: dict[str, Any]) -> None:
        _quiet()
        seed_everything(settings["seed"])
        self._kind, self._max_len = settings["kind"], settings["max_len"]
        self._n_items = int(lesson.n_items)
        self._data = Dataset.construct(windows(lesson, self._max_len))
        theirs = {name: value for name, value in settings.items() if name not in NOT_THEIRS}
        self._model = KINDS[self._kind](
            **theirs,
            session_max_len=self._max_len,
            get_trainer_func=_trainer,
            recommend_torch_device="cpu",
            lightning_module_kwargs={"logits_t": settings.get("logits_t", 1)},
        )
        self._done = 0

    def train(self, epochs: int, seconds: float | None) -> int:
        """Learn on; with a limit of time the clock is looked at after every epoch."""
        started = time.process_time()
        step = 1 if seconds else max(1, epochs - self._done)
        while self._done < epochs:
            self._model.fit_partial(self._data, min_epochs=step, max_epochs=step)
            self._done += step
            if seconds and time.process_time() - started > seconds:
                break
        return self._done

    def scores(self, asked: Asked) -> Scores:
        """Score by the network's own parts, in blocks."""
        prepared = self._model.data_preparator
        known = prepared.item_id_map.to_internal
        to_theirs = np.array([known.get(row, 0) for row in range(self._n_items)])
        found = to_theirs > 0
        net = self._model.torch_model.eval()
        answer = np.full((len(asked), self._n_items), -np.inf, dtype=np.float32)
        with torch.no_grad():
            table = net.item_model.get_all_embeddings()
            for start in range(0, len(asked), BLOCK):
                part = asked.part(start, min(start + BLOCK, len(asked)))
                sessions = net.encode_sessions(self._batch(part, to_theirs), table)[:, -1, :]
                full = net.similarity_module(sessions, table).numpy()
                answer[start : start + len(part), found] = full[:, to_theirs[found]]
        return answer

    def _batch(self, asked: Asked, to_theirs: Ints) -> dict[str, torch.Tensor]:
        """Lay questions out as RecTools' own collation does: padded on the left."""
        if self._kind == "bert4rec":
            mask = self._model.data_preparator.extra_token_ids[MASKING_VALUE]
            x = asked.padded(to_theirs[asked.items], self._max_len - 1, 0, left=True)
            return {"x": torch.from_numpy(np.pad(x, ((0, 0), (0, 1)), constant_values=mask))}
        x = asked.padded(to_theirs[asked.items], self._max_len, 0, left=True)
        batch = {"x": torch.from_numpy(x)}
        if self._kind == "hstu":
            seconds = asked.padded(asked.times // 10**6, self._max_len, -1, left=True)
            whole = np.concatenate([seconds, asked.at[:, None] // 10**6], axis=1)
            first = (whole >= 0).argmax(axis=1)
            oldest = whole[np.arange(len(whole)), first][:, None]
            batch["unix_ts"] = torch.from_numpy(np.where(whole < 0, oldest, whole))
        return batch

    def about(self) -> dict[str, Any]:
        """Say which version ran, and how large the network is."""
        net = self._model.torch_model if self._done else None
        return {
            "version": importlib.metadata.version("rectools"),
            "parameters": sum(p.numel() for p in net.parameters()) if net else None,
        }


def windows(lesson: Lesson, length: int) -> pd.DataFrame:
    """Cut each history, from its end, into windows of ``length + 1`` that overlap by one event.

    So each event but a user's first is a target once. Ties of time keep the order of the log.
    """
    events, offsets = lesson.by_user()
    starts, stops = [], []
    for first, end in zip(offsets, offsets[1:], strict=False):
        for stop in range(end, first + 1, -length):
            starts.append(max(stop - length - 1, first))
            stops.append(stop)
    lengths = np.array(stops) - np.array(starts)
    shifts = np.repeat(np.array(starts) - (np.cumsum(lengths) - lengths), lengths)
    places = shifts + np.arange(lengths.sum())
    return pd.DataFrame(
        {
            Columns.User: np.repeat(np.arange(len(lengths)), lengths),
            Columns.Item: events.items[places],
            Columns.Weight: 1.0,
            Columns.Datetime: pd.to_datetime(events.times[places] * 1000, unit="ns"),
        }
    )


def _trainer() -> Trainer:
    return Trainer(
        max_epochs=1,
        accelerator="cpu",
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        logger=False,
    )


def _quiet() -> None:
    warnings.filterwarnings("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)


if __name__ == "__main__":
    serve(RecTools)
