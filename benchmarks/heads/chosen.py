"""Settings of ours, log by log and task by task. None was chosen on the test.

Those of ``basket``, ``buys``, ``like``, ``rating``, and of ``when`` and ``joint`` on online-retail,
are the best of a few, tried with one seed on the newest tenth before the cut (``--valid``); the
others are first guesses.
"""

from typing import Any

Settings = dict[str, Any]

_TRAINING: Settings = {
    "tokens": 2_048,
    "loss": "sampled",
    "negatives": 128,
    "valid_share": 0.0,
    "heads": "joint",
    "guard": 1.0,
}


def settings(epochs: int, weight: float, dim: int = 32, **more: Any) -> Settings:
    """Put settings together.

    Args:
        epochs: Of each fit.
        weight: Of a head beside the next item.
        dim: Of the encoder.
        more: ``encoder``, ``inputs``, ``head``, ``training``, ``experts``, and ``tasks`` of joint
            training.
    """
    return {
        "encoder": {"name": more.get("encoder", "gru"), "dim": dim},
        "inputs": more.get("inputs", {}),
        "training": _TRAINING | {"epochs": epochs} | more.get("training", {}),
        "head": {"weight": weight} | more.get("head", {}),
        "experts": more.get("experts", False),
        "tasks": more.get("tasks", ()),
    }


# A small log takes small steps: with larger ones it would be left half learned.
_SMALL: Settings = {"tokens": 512}
_JUDGED: Settings = {"valid_share": 0.1}  # and set right on it

# A season of the newest tenth is not the next one's: how often anybody buys is left as learned.
_BUYS: dict[str, Any] = {"training": _JUDGED, "head": {"calibration": "none"}}
_WHEN: dict[str, Any] = {"training": _SMALL | _JUDGED | {"patience": 10}}

CHOSEN: dict[tuple[str, str], Settings] = {
    ("rating", "ml-100k"): settings(2, 1.0, training=_JUDGED),
    ("rating", "ml-latest-2k"): settings(2, 1.0, training=_JUDGED),
    ("like", "deskdrop"): settings(3, 1.0, training=_JUDGED),
    ("buys", "online-retail"): settings(3, 1.0, **_BUYS),
    ("when", "deskdrop"): settings(6, 1.0, **_WHEN),
    ("when", "online-retail"): settings(10, 1.0, **_WHEN),
    ("basket", "online-retail"): settings(2, 1.0, training=_JUDGED, experts=True),
    ("joint", "ml-100k"): settings(4, 0.1, tasks=("rating",)),
    ("joint", "deskdrop"): settings(4, 0.1, training=_SMALL, tasks=("like", "when")),
    # With four seeds each, 1.25 cost the time head a little and 2 the next item.
    ("joint", "online-retail"): settings(4, 1.5, training=_SMALL, tasks=("buys", "when")),
}

# A fit of these takes less than a minute on one core: they are asked with three seeds.
QUICK = {("rating", "ml-100k"), ("like", "deskdrop"), ("buys", "online-retail")}
