"""Picture: an explanation drawn, what each event brings on the left and each voice on the right.

Matplotlib draws, through its objects and without pyplot, as in `recency.data.inspection.picture`,
whose colours these share: ink for what speaks for the item, the accent for what speaks against it.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from recency.data.inspection.picture import ACCENT, INK, LINE, MUTED, TEXT
from recency.errors import ConfigError
from recency.units import SECOND, format_duration

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from recency.explaining.explanation import Explanation

_SUFFIXES = (".png", ".svg", ".pdf")
_MOST_SHOWN = 34  # characters of a title


def draw(told: "Explanation", path: Path | None, most: int) -> "Figure":
    """Draw an explanation; see `Explanation.plot`.

    Raises:
        ConfigError: the path's suffix is none that can be drawn.
    """
    if path is not None:
        check_path(path)
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = _rows(told, most)
    figure = Figure(figsize=(11, 1.5 + 0.32 * max(len(rows), 5)), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(told.sentences()[0], x=0.01, ha="left", size=11, color=TEXT)
    events, voices = figure.subplots(1, 2, width_ratios=(2, 1))
    _events(events, rows)
    _voices(voices, told)
    if path is not None:
        figure.savefig(path, format=path.suffix[1:].lower())
    return figure


def check_path(path: Path) -> None:
    """Refuse a path whose suffix is none that can be drawn.

    Raises:
        ConfigError: it is none of ``.png``, ``.svg`` and ``.pdf``.
    """
    if path.suffix.lower() not in _SUFFIXES:
        raise ConfigError(f"expected a picture ending in .png, .svg or .pdf, found {str(path)!r}.")


def _rows(told: "Explanation", most: int) -> list[dict[str, Any]]:
    """Give the events that count most, newest first."""
    known = told.events.drop_nulls("contribution")
    order = known["contribution"].abs().arg_sort(descending=True)[:most]
    chosen = known[order].sort("ago")
    times = chosen["timestamp"].dt.timestamp("us").to_list()
    ages = [format_duration((told.at - one) / SECOND) for one in times]
    return [row | {"age": age} for row, age in zip(chosen.to_dicts(), ages, strict=True)]


def _events(axes: "Axes", rows: list[dict[str, Any]]) -> None:
    labels = [f"{_short(row['title'] or str(row['item_id']))} · {row['age']}" for row in rows]
    values = [float(row["contribution"]) for row in rows]
    colors = [INK if value >= 0 else ACCENT for value in values]
    axes.barh(range(len(rows)), values, color=colors, height=0.62)
    axes.set_yticks(range(len(rows)), labels)
    axes.invert_yaxis()
    axes.axvline(0, color=MUTED, linewidth=0.8)
    axes.set_title("What each event brings, in nats", loc="left", size=10, color=TEXT)
    _plain(axes)


def _voices(axes: "Axes", told: "Explanation") -> None:
    parts = {name: share for name, share in (told.voices or {}).items() if share >= 0.005}
    axes.barh(list(parts), list(parts.values()), color=INK, height=0.62)
    axes.invert_yaxis()
    axes.set_title("Share of the chance by voice", loc="left", size=10, color=TEXT)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    _plain(axes)


def _plain(axes: "Axes") -> None:
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.grid(axis="x", color=LINE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=8.5, labelcolor=MUTED, length=0)


def _short(title: str) -> str:
    return title if len(title) <= _MOST_SHOWN else f"{title[: _MOST_SHOWN - 1]}…"
