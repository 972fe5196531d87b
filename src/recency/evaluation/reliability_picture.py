"""The reliability picture: what was foretold against what happened, bin by bin.

Matplotlib draws through its objects, without pyplot, and is imported where it draws; colours are
those of the picture of a log.
"""

import io
from typing import TYPE_CHECKING

import numpy as np

from recency.data.inspection.picture import ACCENT, INK, LINE, MUTED, TEXT
from recency.evaluation.chances import Reliability

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_Z = 1.96  # of a 95 % interval


def reliability_picture(found: Reliability, title: str) -> bytes:
    """Draw the share that happened against the chance foretold, with 95 % intervals, as PNG.

    Args:
        found: Of `recency.evaluation.chances.reliability`.
        title: Says which model foretold what.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 6), dpi=120, facecolor="white")
    FigureCanvasAgg(figure)
    figure.text(0.12, 0.95, title, size=13, weight="bold", color=TEXT, va="top")
    said = f"calibration error {found.error:.3f} · {int(found.n.sum()):,} questions"
    figure.text(0.12, 0.905, said, size=9.5, color=MUTED, va="top")
    _draw(figure.add_axes((0.12, 0.1, 0.82, 0.76)), found)
    written = io.BytesIO()
    figure.savefig(written, format="png")
    return written.getvalue()


def _draw(axes: "Axes", found: Reliability) -> None:
    # Wilson's interval stays within [0, 1] where a bin holds few questions.
    n, share = found.n, found.happened
    middle = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z * np.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2)) / (1 + _Z**2 / n)
    axes.vlines(found.foretold, middle - half, middle + half, color=INK, linewidth=1.4, alpha=0.6)
    axes.plot(found.foretold, share, marker="o", color=INK, linewidth=1.6, markersize=5)
    top = float(max(found.foretold.max(), (middle + half).max(), 0.02)) * 1.05
    axes.plot([0, top], [0, top], color=ACCENT, linewidth=1.1, linestyle=(0, (4, 4)), zorder=0)
    axes.set_xlim(0, min(top, 1.02))
    axes.set_ylim(0, min(top, 1.02))
    axes.set_xlabel("chance foretold", size=9.5, color=MUTED)
    axes.set_ylabel("share that happened", size=9.5, color=MUTED)
    axes.grid(color=LINE, linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
