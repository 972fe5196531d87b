"""Metrics of foretold values, such as ratings: how far they lie from what was given.

With v the values given and w those foretold, over n targets:

    rmse   sqrt(mean (w - v)^2), in units of the value
    mae    mean |w - v|

Errors are given per target as well, so that users can be resampled and models compared in pairs
(`recency.evaluation.intervals`).
"""

import numpy as np
import numpy.typing as npt

from recency.errors import DataError, raise_all

Floats = npt.NDArray[np.float64]


def value_metrics(foretold: npt.ArrayLike, given: npt.ArrayLike) -> dict[str, float]:
    """Measure foretold values against those given.

    Args:
        foretold: [n] finite values.
        given: [n] finite values, in the same units.

    Returns:
        ``"rmse"`` and ``"mae"``, both 0 or more, lower is better.

    Raises:
        DataError: nothing to measure, lengths differ, or a value is not finite; all faults at once.
    """
    errors = squared_errors(foretold, given)
    return {"rmse": float(np.sqrt(errors.mean())), "mae": float(np.sqrt(errors).mean())}


def squared_errors(foretold: npt.ArrayLike, given: npt.ArrayLike) -> Floats:
    """Give each target's squared error, [n].

    Raises:
        DataError: as `value_metrics`.
    """
    w, v = np.asarray(foretold, np.float64), np.asarray(given, np.float64)
    raise_all(_faults(w, v), DataError)
    errors: Floats = (w - v) ** 2
    return errors


def _faults(foretold: Floats, given: Floats) -> list[str]:
    if foretold.shape != given.shape or foretold.ndim != 1:
        return [
            f"expected as many foretold values as given ones, each in one row, found shapes "
            f"{foretold.shape} and {given.shape}."
        ]
    if not len(given):
        return ["expected at least one target, found none; is the test part empty?"]
    return [
        f"expected finite {name} values, found {bad:,} of {len(given):,} that are NaN or infinite, "
        f"the first at place {int(np.argmin(np.isfinite(values)))}; drop or repair them."
        for name, values in (("foretold", foretold), ("given", given))
        if (bad := int((~np.isfinite(values)).sum()))
    ]
