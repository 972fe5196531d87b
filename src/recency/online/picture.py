"""The picture of a replay: how good each arm was over time, and what it cost.

Colours and manners are those of the picture of a log: the arms are lines of their own inks, each
named at its end.
"""

import io
from typing import TYPE_CHECKING

from recency.data.inspection.picture import ACCENT, INK, LINE, MUTED, TEXT
from recency.online.replay import Replay

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_POINTS = 60  # of a curve; more would be noise
_INKS = {
    "frozen": "#c6cfd4",
    "state": "#8d9aa2",
    "live-popularity": "#b08d3c",
    "gate": "#7a5c94",
    "fine-tune": "#9cc5a1",
    "replay": INK,
    "refit": TEXT,
    "learn": ACCENT,
}


def replay_picture(found: Replay, title: str) -> bytes:
    """Draw NDCG over time and the seconds of learning of each arm, as PNG.

    Args:
        found: At least one arm.
        title: Says which log and model it is.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.6), dpi=120, facecolor="white")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(
        1, 2, left=0.07, right=0.97, top=0.8, bottom=0.14, wspace=0.3, width_ratios=(2.4, 1)
    )
    figure.text(0.07, 0.955, title, size=15, weight="bold", color=TEXT, va="top")
    _draw_curves(figure.add_subplot(grid[0, 0]), found)
    _draw_costs(figure.add_subplot(grid[0, 1]), found)
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    return picture.getvalue()


def _draw_curves(axes: "Axes", found: Replay) -> None:
    span = int(found.at.max() - found.start) // found.update + 1
    curve = found.curve(max(1, -(-span // _POINTS)))
    _style(axes, f"NDCG@{found.k} over time")
    for one in found.outcomes:
        axes.plot(
            curve["time"].to_numpy(), curve[one.arm].to_numpy(), linewidth=1.8,
            color=_INKS[one.arm], label=one.arm,
        )  # fmt: skip
    axes.legend(frameon=False, fontsize=9, labelcolor=TEXT, ncols=2)
    for label in axes.get_xticklabels():
        label.set_rotation(20)


def _draw_costs(axes: "Axes", found: Replay) -> None:
    _style(axes, "Seconds of learning")
    names = [one.arm for one in found.outcomes][::-1]
    seconds = [one.seconds for one in found.outcomes][::-1]
    axes.barh(names, seconds, color=[_INKS[name] for name in names], height=0.56)
    for row, value in enumerate(seconds):
        axes.text(value, row, f" {value:,.1f}", va="center", size=9, color=MUTED)
    axes.set_xlim(0, 1.25 * max(*seconds, 1e-9))
    axes.grid(False)


def _style(axes: "Axes", title: str) -> None:
    axes.set_title(title, loc="left", size=11.5, weight="bold", color=TEXT)
    axes.grid(axis="y", color=LINE, linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(LINE)
    axes.tick_params(colors=MUTED, labelsize=9, length=0)
