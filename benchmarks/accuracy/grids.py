"""The stated grids: what is tried for each model before it is judged, four points each.

Every neural model gets the same learning rates and dropouts, and the number of epochs is chosen
with them: a peer is judged at each of `CHECKPOINTS` on its way, ours stops by itself as always.
RecBole keeps its dropouts; the length of its prefixes, which its time goes with, is tried instead.
What was chosen stands in ``chosen.json``. Where nothing was, ours have the library's defaults and
peers the first point of their grid.
"""

import json
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

from benchmarks.accuracy.ours import BASELINES, KNOWN
from benchmarks.accuracy.splits import Split
from benchmarks.peers.peer import PEERS
from recency import InputConfig, TrainConfig

CHOSEN = Path(__file__).parent / "chosen.json"
Settings = dict[str, Any]

CHECKPOINTS = (1, 2, 4, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50, 60, 80, 100)
LEARNING_RATES, DROPOUTS = (0.001, 0.003), (0.2, 0.5)
PEER_EPOCHS, OUR_EPOCHS, OUR_DIM = 10, 20, 64
WINDOW = 100  # newest events that RecTools reads under ``time``, its default
# It pads every window to the full; short histories would cost up to twenty times their length.
WINDOWS = {"amazon-beauty": 20, "globo-news": 10}
LARGE = 5_000  # items beyond which it draws negatives: all items at all places cost minutes
DRAWN: Settings = {"loss": "sampled_softmax", "n_negatives": 128, "batch_size": 128}
PREFIXES = (20, 50)  # newest events that RecBole reads; 50 is its default


def grid(model: str, split: Split) -> list[Settings]:
    """List the points of a model's grid; the first is a peer's default."""
    if model in BASELINES:
        return [{}]  # they choose for themselves, on the newest tenth
    if model.startswith("implicit/"):
        return [point | {"max_len": _length(split, point["max_len"])} for point in _SIMPLE[model]]
    if model.startswith("recbole/"):
        return [
            {"learning_rate": lr, "max_len": length, "epochs": PEER_EPOCHS}
            for length, lr in product(PREFIXES, reversed(LEARNING_RATES))
        ]
    points = [{"lr": lr, "dropout": drop} for drop, lr in product(DROPOUTS, LEARNING_RATES)]
    points = [points[1], points[0], *points[2:]]
    if model not in PEERS:
        return [point | {"dim": OUR_DIM, "epochs": OUR_EPOCHS} for point in points]
    return [_rectools(model, split, point) for point in points]


def settings_of(model: str, split: Split) -> Settings:
    """Give what was chosen for a model on a log, else its default.

    An ablation or a variant of request time has the settings of the model that it is one of.
    """
    parent = model.removesuffix(KNOWN).split(", ")[0]
    chosen = chosen_so_far().get(split.data, {}).get(split.kind, {})
    found = chosen.get(model) or chosen.get(parent)
    return dict(found["settings"]) if found else _untuned(model, split)


def _untuned(model: str, split: Split) -> Settings:
    if model in PEERS or model in BASELINES:
        return grid(model, split)[0]
    training, dropout = TrainConfig(), InputConfig().dropout
    return {"lr": training.lr, "dropout": dropout, "dim": OUR_DIM, "epochs": training.epochs}


def chosen_so_far() -> dict[str, dict[str, dict[str, Any]]]:
    """Read ``chosen.json``: log, kind of split, model."""
    return json.loads(CHOSEN.read_text(encoding="utf-8")) if CHOSEN.exists() else {}


def keep_chosen(split: Split, model: str, found: Mapping[str, Any]) -> None:
    """Write what was chosen for a model on a log."""
    known = chosen_so_far()
    models = known.setdefault(split.data, {}).setdefault(split.kind, {})
    models[model] = dict(found)
    known[split.data][split.kind] = dict(sorted(models.items()))
    text = json.dumps(dict(sorted(known.items())), indent=1)
    CHOSEN.write_text(text + "\n", encoding="utf-8")


_SIMPLE: dict[str, list[Settings]] = {
    "implicit/als": [
        {"factors": 64, "regularization": 0.1, "alpha": alpha, "epochs": 15, "max_len": length}
        for alpha, length in product((1.0, 10.0), (None, 20))
    ],
    "implicit/bm25": [
        {"K": n, "K1": 1.2, "B": 0.75, "max_len": length}
        for n, length in product((100, 500), (5, None))
    ],
}


def _rectools(model: str, split: Split, point: Settings) -> Settings:
    """Say a point in RecTools' words."""
    said: Settings = {"lr": point["lr"], "dropout_rate": point["dropout"], "epochs": PEER_EPOCHS}
    length = split.source.max_len if split.kind == "last" else WINDOW
    said["max_len"] = WINDOWS.get(split.data, length)
    if split.train.n_items > LARGE:
        said |= DRAWN
    if model == "rectools/hstu" and split.source.order_only:
        said["relative_time_attention"] = False
    return said


def _length(split: Split, length: int | None) -> int | None:
    return (
        min(length or split.source.max_len, split.source.max_len)
        if split.kind == "last"
        else length
    )
