"""Prepare a log the way RecBole does, and say what it took. Runs in an environment of its own.

    .venvs/recbole/bin/python benchmarks/reading/recbole_way.py FOLDER NAME

``FOLDER/NAME/NAME.inter`` is an atomic file. Measured are RecBole's own steps for a sequence model,
with its default length of 50 events: ``create_dataset`` (read, clean, remap) and ``build`` (sort,
cut into sequences, split), which is what ``data_preparation`` runs before it makes loaders.
"""

import importlib.metadata
import json
import sys
import time
from pathlib import Path

import torch
from recbole.config import Config
from recbole.data import create_dataset


def main(folder: str, name: str) -> None:
    """Print one JSON line: seconds of each step, the peak of memory, and what came out."""
    torch.set_num_threads(2)
    config = Config(
        model="GRU4Rec",
        dataset=name,
        config_dict={
            "data_path": folder,
            "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
            "eval_args": {"split": {"LS": "valid_and_test"}, "order": "TO", "group_by": "user"},
            "train_neg_sample_args": None,
            "state": "ERROR",
            "use_gpu": False,
        },
    )
    started = time.perf_counter()
    dataset = create_dataset(config)
    read = time.perf_counter()
    n_events = dataset.inter_num
    parts = dataset.build()
    built = time.perf_counter()
    status = Path("/proc/self/status").read_text().splitlines()
    peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))
    print(
        json.dumps(
            {
                "read_seconds": read - started,
                "build_seconds": built - read,
                "seconds": built - started,
                "peak_mb": round(peak / 1024, 1),
                "n_events": n_events,
                "n_sequences": sum(len(part) for part in parts),
                "n_users": dataset.user_num - 1,  # without the padding row
                "n_items": dataset.item_num - 1,
                "version": importlib.metadata.version("recbole"),
            }
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
