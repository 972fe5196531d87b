"""BG/NBD of Lifetimes. Runs in ``.venvs/heads``; see ``benchmarks.heads.peers``.

    P(at least one order in t) = P(alive) * (1 - ((alpha + T) / (alpha + T + t)) ^ (r + x))

for a customer with x repeated orders, the newest at age t_x, observed for T: while alive, orders
are a Poisson process whose rate is Gamma(r + x, alpha + T) by then, and a customer leaves right
after an order only. Settings: ``penalizers`` to choose from on the newest snapshot.

Source:
    Fader, Hardie and Lee, "Counting Your Customers" the Easy Way, Marketing Science 2005.
"""

import importlib.metadata
import json
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from lifetimes import BetaGeoFitter
from lifetimes.utils import ConvergenceError

Floats = npt.NDArray[np.float64]


def main() -> None:
    """Choose the penalty on the older snapshot, fit on the newer, and give chances."""
    warnings.filterwarnings("ignore")
    folder, settings = Path(sys.argv[1]), json.loads(sys.argv[2])
    with np.load(folder / "given.npz") as found:
        given = dict(found)
    horizon, began = settings["horizon_days"], time.perf_counter()
    losses = {}
    for penalty in settings["penalizers"]:
        try:
            chances = _chances(_fitted(given, "old", penalty), given, "old", horizon)
        except ConvergenceError:
            print(f"BG/NBD with a penalty of {penalty} did not converge", file=sys.stderr)
            continue
        right = np.where(given["old_happened"], chances, 1 - chances).clip(1e-7, 1)
        losses[penalty] = float(-np.log(right).mean())
    if not losses:
        raise SystemExit("BG/NBD converged with none of the penalties; give it larger ones.")
    best = min(losses, key=losses.__getitem__)
    model = _fitted(given, "new", best)
    seconds = time.perf_counter() - began
    np.savez(folder / "found.npz", chance=_chances(model, given, "new", horizon))
    about = {
        "version": f"Lifetimes {importlib.metadata.version('lifetimes')}",
        "train_seconds": seconds,
        "penalizer": best,
        "parameters": {name: float(value) for name, value in model.params_.items()},
    }
    (folder / "about.json").write_text(json.dumps(about), encoding="utf-8")


def _fitted(given: dict[str, Any], when: str, penalty: float) -> Any:
    model = BetaGeoFitter(penalizer_coef=penalty)
    return model.fit(given[f"{when}_repeats"], given[f"{when}_newest"], given[f"{when}_age"])


def _chances(model: Any, given: dict[str, Any], when: str, horizon: float) -> Floats:
    x, newest, age = (given[f"{when}_{name}"] for name in ("repeats", "newest", "age"))
    alive = np.asarray(model.conditional_probability_alive(x, newest, age), np.float64)
    r, alpha = model.params_["r"], model.params_["alpha"]
    none = ((alpha + age) / (alpha + age + horizon)) ** (r + x)
    return alive * (1 - none)


if __name__ == "__main__":
    main()
