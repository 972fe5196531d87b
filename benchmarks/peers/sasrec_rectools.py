"""Fit RecTools' SASRec and answer questions through files. Runs in an environment of its own.

    .venvs/rectools/bin/python benchmarks/peers/sasrec_rectools.py FOLDER SETTINGS

Reads ``train.parquet`` (user_id, item_id; in the log's order) from FOLDER, fits, prints one JSON
line. Then, for each line ``N`` on standard input, reads ``questions-N.parquet`` (``history``: list
of item ids, oldest first) and ``items-N.parquet`` (``id``), writes ``scores-N.npy`` (questions x
items, float32, -inf for items that the model never saw) and prints one JSON line.

SETTINGS is JSON: the arguments of ``SASRecModel``, and ``seed``.
"""

import importlib.metadata
import json
import logging
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import torch
from pytorch_lightning import Trainer, seed_everything
from rectools import Columns
from rectools.dataset import Dataset
from rectools.models import SASRecModel

BLOCK = 512  # questions scored at once


def main(folder: Path, settings: dict) -> None:
    """Fit once, then answer until standard input ends."""
    quiet()
    seed_everything(settings.pop("seed"))
    started = time.perf_counter()
    model = fit(pl.read_parquet(folder / "train.parquet"), settings)
    say({"train_seconds": time.perf_counter() - started} | about(model))
    for line in sys.stdin:
        number = line.strip()
        started = time.perf_counter()
        histories = pl.read_parquet(folder / f"questions-{number}.parquet")["history"].to_list()
        items = pl.read_parquet(folder / f"items-{number}.parquet")["id"].to_list()
        np.save(folder / f"scores-{number}.npy", scores(model, histories, items))
        say({"answer_seconds": time.perf_counter() - started} | about(model))


def fit(train: pl.DataFrame, settings: dict) -> SASRecModel:
    """Fit on windows: RecTools learns from a user's last ``session_max_len + 1`` events only."""
    epochs = settings["epochs"]

    def trainer() -> Trainer:
        return Trainer(
            max_epochs=epochs,
            accelerator="cpu",
            enable_progress_bar=False,
            enable_model_summary=False,
            enable_checkpointing=False,
            logger=False,
        )

    model = SASRecModel(**settings, get_trainer_func=trainer, recommend_torch_device="cpu")
    model.fit(Dataset.construct(windows(train, settings["session_max_len"])))
    return model


def windows(train: pl.DataFrame, length: int) -> pd.DataFrame:
    """Cut each history, from its end, into windows that overlap by one event.

    So each event but a user's first is a target once.

    SASRec does not look at time, so the order of the log stands in for it and ties keep that order.
    """
    number, parts = 0, []
    for (items,) in (
        train.group_by("user_id", maintain_order=True).agg("item_id").select("item_id").iter_rows()
    ):
        for stop in range(len(items), 1, -length):
            window = items[max(stop - length - 1, 0) : stop]
            parts.append(
                pd.DataFrame(
                    {
                        Columns.User: number,
                        Columns.Item: window,
                        Columns.Weight: 1.0,
                        Columns.Datetime: pd.to_datetime(np.arange(len(window)), unit="s"),
                    }
                )
            )
            number += 1
    return pd.concat(parts, ignore_index=True)


def scores(model: SASRecModel, histories: list[list], items: list) -> np.ndarray:
    """Score every item for every history with the fitted network itself."""
    known = model.data_preparator.item_id_map.to_internal
    length = model.session_max_len
    columns = np.array([known.get(item, -1) for item in items])
    found = columns >= 0
    net = model.torch_model.eval()
    answer = np.full((len(histories), len(items)), -np.inf, dtype=np.float32)
    with torch.no_grad():
        table = net.item_model.get_all_embeddings()
        towers = net.similarity_module.item_tower_forward(table)
        for start in range(0, len(histories), BLOCK):
            block = histories[start : start + BLOCK]
            x = np.zeros((len(block), length), dtype=np.int64)
            for row, history in zip(x, block, strict=True):
                rows = [known[item] for item in history if item in known][-length:]
                row[length - len(rows) :] = rows
            sessions = net.encode_sessions({"x": torch.from_numpy(x)}, table)[:, -1, :]
            full = net.similarity_module.session_tower_forward(sessions) @ towers.T
            answer[start : start + len(block), found] = full.numpy()[:, columns[found]]
    return answer


def about(model: SASRecModel) -> dict:
    """Say which version ran, how large the network is and the most memory held by this process."""
    status = Path("/proc/self/status").read_text().splitlines()
    peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))
    return {
        "version": importlib.metadata.version("rectools"),
        "parameters": sum(p.numel() for p in model.torch_model.parameters()),
        "peak_mb": round(peak / 1024, 1),
    }


def quiet() -> None:
    """Keep notices of the libraries off standard output, which carries the answers."""
    warnings.filterwarnings("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)


def say(answer: dict) -> None:
    """Send one answer."""
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]))
