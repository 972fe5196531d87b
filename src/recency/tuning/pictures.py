"""Pictures of a study: its history, what mattered, how trials learned, and each setting by itself.

Matplotlib draws, through its objects and without pyplot, as in `recency.data.inspection.picture`,
whose colours these share: ink for trials, the accent for the best one, grey for what was ended
early.
"""

import base64
import io
import json
import math
from typing import TYPE_CHECKING, Any

import polars as pl

from recency.data.inspection.picture import ACCENT, INK, LINE, MUTED, TEXT
from recency.tuning.judging import METRIC
from recency.tuning.result import TuningResult
from recency.tuning.spaces import Choice, Range

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_FAINT = "#b3c0c6"
_COLUMNS = 4  # slices side by side
_MOST_SHOWN = 14  # characters of a value below a slice


def history(result: TuningResult) -> str:
    """Draw the judgement of every trial, and the best so far."""
    figure, (axes,) = _figure(5.7, 3.2, 1)
    complete, pruned = _parts(result.trials)
    axes.scatter(pruned["trial"], pruned[METRIC], s=22, facecolor="white", edgecolor=_FAINT)
    axes.scatter(complete["trial"], complete[METRIC], s=30, color=INK, linewidth=0, alpha=0.85)
    numbers, best = complete["trial"].to_list(), complete[METRIC].cum_max().to_list()
    if numbers:
        axes.step(
            [*numbers, result.trials.height], [*best, best[-1]], where="post", color=ACCENT,
            linewidth=1.6, zorder=0,
        )  # fmt: skip
    if result.start is not None:
        axes.axhline(result.start, color=MUTED, linewidth=0.9, linestyle=(0, (4, 4)), zorder=0)
    _mark_best(axes, result, complete["trial"].to_list())
    axes.set_xlim(0.4, result.trials.height + 0.6)
    _whole_axis(axes)
    _limits(axes, result)
    return _uri(figure)


def importance(result: TuningResult) -> str:
    """Draw what share of a good judgement each setting decides."""
    found = dict(reversed(result.importance.items()))
    figure, (axes,) = _figure(5.7, 0.4 + 0.34 * max(len(found), 6), 1)
    top = max(found.values())
    colors = [ACCENT if share == top else INK for share in found.values()]
    axes.barh(list(found), list(found.values()), color=colors, height=0.56, alpha=0.9)
    for row, share in enumerate(found.values()):
        axes.text(share + 0.01 * top, row, f"{share:.0%}", va="center", size=9, color=MUTED)
    axes.set_xlim(0, 1.1 * top)
    axes.set_xticks([])
    axes.grid(False)
    axes.spines["bottom"].set_visible(False)
    axes.tick_params(axis="y", length=0, labelsize=9.5, labelcolor=TEXT)
    return _uri(figure)


def curves(result: TuningResult) -> str:
    """Draw the judgement of every trial while it learned."""
    figure, (axes,) = _figure(5.7, 3.2, 1)
    complete = set(result.trials.filter(state="complete")["trial"])
    best = _best_number(result)
    for (number,), curve in result.curves.group_by("trial", maintain_order=True):
        steps, values = curve["step"], curve[METRIC]
        color, width = (INK, 1.1) if number in complete else (_FAINT, 1.0)
        order, alpha = 1, 0.45
        if number == best:
            color, width, order, alpha = ACCENT, 2.2, 3, 1.0
        axes.plot(
            steps, values, color=color, linewidth=width, alpha=alpha, zorder=order, marker="o",
            markersize=2.4 if number != best else 4,
        )  # fmt: skip
    _whole_axis(axes)
    _limits(axes, result)
    return _uri(figure)


def slices(result: TuningResult) -> str:
    """Draw the judgements over each setting by itself."""
    names = list(result.importance) or sorted(result.space)
    rows = math.ceil(len(names) / _COLUMNS)
    figure, panels = _figure(11.6, 2.5 * rows, len(names))
    for at, (axes, name) in enumerate(zip(panels, names, strict=True)):
        _slice(axes, result, name)
        axes.tick_params(axis="y", labelleft=at % _COLUMNS == 0)
    return _uri(figure)


def _slice(axes: "Axes", result: TuningResult, name: str) -> None:
    axes.set_title(name, loc="left", size=10.5, color=TEXT, pad=8)
    complete, pruned = _parts(result.trials)
    one = result.space[name]
    if isinstance(one, Range) and one.log:
        axes.set_xscale("log")
        axes.minorticks_off()
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    hollow, full = (_places(one, part[name].to_list()) for part in (pruned, complete))
    axes.scatter(hollow, pruned[METRIC], s=18, facecolor="white", edgecolor=_FAINT)
    axes.scatter(full, complete[METRIC], s=26, color=INK, linewidth=0, alpha=0.75)
    _mark_best(axes, result, full)
    if isinstance(one, Choice):
        shown = [_short(value) for value in one.values]
        axes.set_xticks(range(len(shown)), shown)
        axes.set_xlim(-0.6, len(shown) - 0.4)
    elif one.step is not None or (one.whole and one.high - one.low < 8):
        step = one.step or 1
        axes.set_xticks([one.low + step * n for n in range(round((one.high - one.low) / step) + 1)])
    _limits(axes, result)


def _places(one: Range | Choice, values: list[Any]) -> list[float]:
    """Give where values stand on an axis: choices side by side."""
    if isinstance(one, Range):
        return values
    labels = [json.dumps(value) for value in one.values]
    return [labels.index(json.dumps(value)) for value in values]


def _short(value: Any) -> str:
    shown = {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
    return shown if len(shown) <= _MOST_SHOWN else f"{shown[: _MOST_SHOWN - 1]}…"


def _parts(trials: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Give the trials that were finished, and those ended early after a judgement at least."""
    judged = trials.filter(pl.col(METRIC).is_not_null())
    return judged.filter(state="complete"), judged.filter(state="pruned")


def _best_number(result: TuningResult) -> int:
    complete = result.trials.filter(state="complete")
    return int(complete["trial"][int(complete[METRIC].arg_max() or 0)])


def _mark_best(axes: "Axes", result: TuningResult, places: list[float]) -> None:
    """Ring the best trial; places are those of the complete ones."""
    numbers = result.trials.filter(state="complete")["trial"].to_list()
    at = places[numbers.index(_best_number(result))]
    axes.scatter([at], [result.value], s=44, color=ACCENT, linewidth=0, zorder=4)
    axes.scatter([at], [result.value], s=130, facecolor="none", edgecolor=ACCENT, zorder=4)


def _limits(axes: "Axes", result: TuningResult) -> None:
    """Show the better half at ease: what was hopeless lies at the lower edge."""
    values = result.trials[METRIC].drop_nulls().sort()
    low, high = float(values[len(values) // 10]), float(values[-1])
    room = max(high - low, 0.02 * high, 1e-4)
    axes.set_ylim(max(0.0, low - 0.12 * room), high + 0.14 * room)


def _figure(width: float, height: float, n: int) -> "tuple[Figure, list[Axes]]":
    """Make a figure of n panels in rows of four, in inches, each drawn plainly."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), facecolor="none", layout="constrained")
    figure.get_layout_engine().set(hspace=0.12, wspace=0.04)  # type: ignore[union-attr, call-arg]  # a constrained one has them
    FigureCanvasSVG(figure)
    columns = 1 if n == 1 else _COLUMNS
    grid = figure.add_gridspec(math.ceil(n / columns), columns)
    panels = [figure.add_subplot(grid[at // columns, at % columns]) for at in range(n)]
    for axes in panels:
        axes.set_facecolor("none")
        axes.grid(axis="y", color=LINE, linewidth=0.8)
        axes.set_axisbelow(True)
        for side in ("top", "right", "left"):
            axes.spines[side].set_visible(False)
        axes.spines["bottom"].set_color(LINE)
        axes.tick_params(labelcolor=MUTED, labelsize=8.5, length=3, width=0.8, color=LINE)
        axes.tick_params(axis="y", length=0)
    return figure, panels


def _whole_axis(axes: "Axes") -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _uri(figure: "Figure") -> str:
    """Give a figure as the address of an image that holds itself."""
    picture = io.BytesIO()
    figure.savefig(picture, format="svg", metadata={"Date": None})
    return f"data:image/svg+xml;base64,{base64.b64encode(picture.getvalue()).decode('ascii')}"
