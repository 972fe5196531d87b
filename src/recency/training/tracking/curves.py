"""Curves: every epoch of a run as a table, and as a picture of loss and judgement.

Colours and manners are those of the picture of a log: one ink for what led to the choice, the
accent for the choice itself. Cooling leaves the search at its best as a broken line. A refit starts
afresh; it lies under both as a broad grey line, since they often run together.
"""

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import polars as pl

from recency.data.inspection.picture import ACCENT, INK, LINE, MUTED, TEXT
from recency.training.config import EpochRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Text

Epochs = Sequence[tuple[EpochRecord, float]]  # with the learning rate at the end of each

_STAGES = {
    "search": "search, on the older part",
    "cooling": "┄ cooling",
    "refit": "refit, on all",
    "train": "train",
}
_GREY, _LIGHT = "#8d9aa2", "#c6cfd4"
_COLUMNS = {
    "stage": pl.String,
    "epoch": pl.Int64,
    "loss": pl.Float64,
    "ndcg@10": pl.Float64,
    "lr": pl.Float64,
    "seconds": pl.Float64,
    "n_targets": pl.Int64,
    "targets_per_second": pl.Float64,
}


def curves_table(epochs: Epochs) -> pl.DataFrame:
    """Give one row an epoch, in the order of the run.

    Returns:
        ``stage``, ``epoch``, ``loss`` (mean nats a target), ``ndcg@10`` (null where nothing was
        judged), ``lr`` at the end of the epoch, ``seconds`` of learning, ``n_targets``,
        ``targets_per_second``.
    """
    rows = [
        (e.stage, e.epoch, e.loss, e.valid, lr, e.seconds, e.n_targets, e.targets_per_second)
        for e, lr in epochs
    ]
    return pl.DataFrame(rows, schema=_COLUMNS, orient="row")


def curves_picture(epochs: Epochs, title: str, caption: str) -> bytes:
    """Draw the loss and, where epochs were judged, NDCG@10 over the epochs, as PNG.

    Args:
        epochs: One at least.
        title: Says which run it is.
        caption: Says what it learns from; one line.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    judged = [e for e, _ in epochs if e.valid is not None]
    figure = Figure(figsize=(11, 4.6), dpi=120, facecolor="white")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(
        1, 2 if judged else 1, left=0.07, right=0.97, top=0.685, bottom=0.125, wspace=0.17
    )
    figure.text(0.07, 0.955, title, size=15, weight="bold", color=TEXT, va="top")
    figure.text(0.07, 0.885, caption, size=9.5, color=MUTED, va="top")
    _losses(figure.add_subplot(grid[0, 0]), epochs)
    if judged:
        _judgements(figure.add_subplot(grid[0, 1]), judged, max(e.epoch for e, _ in epochs))
    return _png(figure)


def _losses(axes: "Axes", epochs: Epochs) -> None:
    _style(axes, "Loss", max(e.epoch for e, _ in epochs))
    said = _caption(axes, "nats a target:", MUTED)
    for stage, found in _lines([e for e, _ in epochs]).items():
        _line(axes, [e.epoch for e in found], [e.loss for e in found], stage)
        said = _caption(axes, _STAGES[stage], _GREY if stage == "refit" else INK, after=said)


def _judgements(axes: "Axes", judged: Sequence[EpochRecord], last: int) -> None:
    chosen = [e for e in judged if e.chosen][-1]  # the first epoch is, until a better one comes
    _style(axes, "NDCG@10", last)
    said = _caption(axes, "on the newest slice,", MUTED)
    _caption(axes, f"chosen: epoch {chosen.epoch}", ACCENT, after=said)
    for stage, found in _lines(judged).items():
        _line(axes, [e.epoch for e in found], [float(e.valid or 0.0) for e in found], stage)
    x, y = chosen.epoch, float(chosen.valid or 0.0)
    axes.axvline(x, color=ACCENT, linewidth=1.2, alpha=0.5, zorder=1)
    axes.plot([x], [y], marker="o", color=ACCENT, markersize=8, zorder=5)
    right = x > (1 + last) / 2
    axes.annotate(
        f"{y:.4f}", (x, 0.985), xycoords=axes.get_xaxis_transform(), xytext=(-9 if right else 9, 0),
        textcoords="offset points", size=11, weight="bold", color=ACCENT,
        ha="right" if right else "left", va="top",
    )  # fmt: skip
    axes.margins(y=0.18)


def _lines(epochs: Sequence[EpochRecord]) -> dict[str, list[EpochRecord]]:
    """Part epochs into a line a stage, in the order of the run; cooling begins where it left."""
    lines: dict[str, list[EpochRecord]] = {}
    for one in epochs:
        lines.setdefault(one.stage, []).append(one)
    if cooling := lines.get("cooling"):
        lines["cooling"] = [e for e in lines["search"] if e.epoch == cooling[0].epoch - 1] + cooling
    return lines


def _line(axes: "Axes", x: Sequence[int], y: Sequence[float], stage: str) -> None:
    under = stage == "refit"
    color, width, size, order = (_LIGHT, 6.0, 6.0, 2) if under else (INK, 2.0, 4.0, 3)
    marker, style = "o" if len(x) <= 40 else "", (0, (2, 1.5)) if stage == "cooling" else "-"
    axes.plot(
        x, y, color=color, linewidth=width, linestyle=style, marker=marker, markersize=size,
        zorder=order,
    )  # fmt: skip


def _caption(axes: "Axes", text: str, color: str, after: "Text | None" = None) -> "Text":
    """Write a part of the line under a panel's title; parts of it stand in the lines' colours."""
    if after is None:
        return axes.text(0, 1.055, text, transform=axes.transAxes, size=9.5, color=color)
    return axes.annotate(
        text, (1, 0), xycoords=after, xytext=(7, 0), textcoords="offset points", size=9.5,
        color=color, weight="bold", va="bottom", annotation_clip=False,
    )  # fmt: skip


def _style(axes: "Axes", title: str, last: int) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.text(0, 1.14, title, transform=axes.transAxes, size=12.5, weight="bold", color=TEXT)
    axes.set_xlabel("epoch", size=9.5, color=MUTED)
    axes.set_xlim(0.6, max(last, 2) + 0.4)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=10))
    axes.grid(axis="y", color=LINE, linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(LINE)
    axes.tick_params(colors=MUTED, labelsize=9, length=3, width=0.8, color=LINE)
    axes.tick_params(axis="y", length=0)


def _png(figure: "Figure") -> bytes:
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    return picture.getvalue()
