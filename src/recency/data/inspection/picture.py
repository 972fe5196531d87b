"""Picture: an inspection in six panels, as PNG or SVG, or as one self-contained HTML page.

Matplotlib draws, through its objects and without pyplot, so that no global state is touched and no
display is needed; it is imported where it draws, because it is slow to import. On a logarithmic
axis the bars show counts per doubling, so that equal areas are equal numbers. One ink, one accent:
the accent marks what the text names.
"""

import base64
import html
import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recency.data.inspection.findings import percent
from recency.errors import ConfigError
from recency.units import DAY, SECOND, format_duration, format_instant

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from recency.data.inspection.facts import Inspection

INK, ACCENT, TEXT, MUTED, LINE = "#387b8a", "#d1603d", "#22313a", "#72808a", "#e3e8eb"
_SHADES = ("#f4f8f9", "#a8ced3", "#2a6f7f", "#123c49")
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_DURATIONS = {
    "1 s": 1, "10 s": 10, "1 min": 60, "10 min": 600, "1 h": 3_600, "6 h": 21_600, "1 d": 86_400,
    "1 wk": 604_800, "1 mo": 2_629_746, "1 y": 31_556_952, "10 y": 315_569_520,
}  # fmt: skip


def save_picture(facts: "Inspection", path: Path, title: str = "") -> Path:
    """Draw an inspection and save it; see `Inspection.picture`."""
    suffix = checked_suffix(path)
    figure = draw(facts, title)
    if suffix == ".html":
        path.write_text(_page(facts, figure, title), encoding="utf-8")
    else:
        figure.savefig(path, format=suffix[1:])
    return path


def checked_suffix(path: Path) -> str:
    """Give the suffix of a picture's path, in lower case; refuse what cannot be drawn."""
    suffix = path.suffix.lower()
    if suffix not in (".png", ".svg", ".html"):
        raise ConfigError(f"expected a picture ending in .png, .svg or .html, found {str(path)!r}.")
    return suffix


def draw(facts: "Inspection", title: str = "") -> "Figure":
    """Draw the six panels on a figure of 14 by 8 inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(14, 8), dpi=110, facecolor="white")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(
        2, 3, left=0.055, right=0.975, top=0.79, bottom=0.075, wspace=0.24, hspace=0.52
    )
    panels: list[Callable[[Axes, Inspection], None]] = [
        _over_time, _gaps, _lengths, _popularity, _clock, _ages
    ]  # fmt: skip
    for at, panel in enumerate(panels):
        panel(figure.add_subplot(grid[at // 3, at % 3]), facts)
    _header(figure, facts, title)
    return figure


def _header(figure: "Figure", facts: "Inspection", title: str) -> None:
    counts, times = facts.counts, facts.times
    span = format_duration((times.end - times.start) / SECOND)
    day = format_instant(times.start)[:10], format_instant(times.end - 1)[:10]
    said = (
        f"{counts.events:,} events     {counts.users:,} users     {counts.items:,} items     "
        f"{day[0]} to {day[1]} ({span})     resolution: {times.resolution}"
    )
    figure.text(0.055, 0.955, title or "Event log", size=17, weight="bold", color=TEXT, va="top")
    figure.text(0.055, 0.905, said, size=11, color=MUTED, va="top")


def _over_time(axes: "Axes", facts: "Inspection") -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    drawn = facts.distributions
    step = format_duration(drawn.step / SECOND)
    step = {"1 d": "day", "1 h": "hour", "1 min": "minute", "1 y": "year"}.get(step, step)
    _style(axes, "Events over time", f"events per {step}; tinted: the newest tenth of the events")
    starts = np.append(drawn.time_edges, drawn.time_edges[-1] + drawn.step)
    dates = starts / DAY  # what matplotlib calls a date: days since 1970
    cut = facts.after_cut.cut / DAY
    axes.axvspan(cut, dates[-1], color=ACCENT, alpha=0.13, linewidth=0, zorder=0)
    _bars(axes, drawn.over_time, dates)
    axes.axvline(cut, color=ACCENT, linewidth=1.4)
    # Matplotlib's dates have no types yet, hence the ignores.
    locator = AutoDateLocator(minticks=3, maxticks=7)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, show_offset=False))  # type: ignore[no-untyped-call]
    axes.set_xlim(dates[0], dates[-1])
    _count_axis(axes)


def _gaps(axes: "Axes", facts: "Inspection") -> None:
    drawn = facts.distributions
    total = int(drawn.gaps.sum()) + drawn.n_ties
    if not total:
        _style(axes, "Gaps between a user's events", "no user has two events")
        return _empty(axes)
    tied = percent(drawn.n_ties / total)
    _style(axes, "Gaps between a user's events", f"gaps per doubling; {tied} are 0 and not drawn")
    _bars(axes, _per_doubling(drawn.gaps, drawn.gap_edges), drawn.gap_edges)
    _duration_axis(axes, drawn.gap_edges[0], drawn.gap_edges[-1])
    _count_axis(axes)


def _lengths(axes: "Axes", facts: "Inspection") -> None:
    drawn, histories = facts.distributions, facts.histories
    median = histories.lengths["0.5"]
    said = f"users per doubling of events; half have {median:,.0f} or less"
    _style(axes, "Length of histories", said)
    _bars(axes, _per_doubling(drawn.lengths, drawn.length_edges), drawn.length_edges)
    axes.axvline(median, color=ACCENT, linewidth=1.4)
    axes.set_xscale("log")
    shortest = drawn.length_edges[int(np.flatnonzero(drawn.lengths)[0])]
    _number_axis(axes, shortest / 1.15, max(drawn.length_edges[-1], 10))
    _count_axis(axes)


def _popularity(axes: "Axes", facts: "Inspection") -> None:
    drawn, items = facts.distributions, facts.items
    share = percent(items.top_share)
    _style(axes, "Popularity of items", f"events by rank; the top 1 % take {share} of the events")
    axes.set_xscale("log")
    axes.set_yscale("log")
    top = max(1, facts.counts.items // 100)
    for part, color, alpha in (
        (drawn.ranks <= top, ACCENT, 0.35),
        (drawn.ranks >= int(drawn.ranks[drawn.ranks <= top][-1]), INK, 0.16),
    ):
        ranks, counts = drawn.ranks[part], drawn.popularity[part]
        axes.fill_between(ranks, counts, 0.7, color=color, alpha=alpha, linewidth=0)
    axes.plot(drawn.ranks, drawn.popularity, color=INK, linewidth=2)
    axes.set_xlim(1, max(int(drawn.ranks[-1]), 10))
    axes.set_ylim(bottom=0.7)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(_short)
        axis.minorticks_off()


def _clock(axes: "Axes", facts: "Inspection") -> None:
    from matplotlib.colors import LinearSegmentedColormap

    drawn = facts.distributions
    shares = drawn.by_hour / max(int(drawn.by_hour.sum()), 1)
    if facts.times.resolution == "day":
        _style(axes, "Day of the week", "share of the events; hours are unknown in this log")
        axes.bar(range(7), shares.sum(axis=1), color=INK, width=0.72)
        axes.set_xticks(range(7), _WEEKDAYS)
        axes.yaxis.set_major_formatter(_share)
        return
    weekday, hour = np.unravel_index(int(shares.argmax()), shares.shape)
    busiest = f"{_WEEKDAYS[int(weekday)]} {int(hour):02}:00"
    _style(axes, "Hour and weekday", f"darker: more events; busiest {busiest} ({drawn.time_zone})")
    shades = LinearSegmentedColormap.from_list("ink", _SHADES)
    axes.pcolormesh(
        np.arange(25), np.arange(8), shares, cmap=shades, edgecolors="white", linewidth=0.6,
        vmin=0,
    )  # fmt: skip
    axes.invert_yaxis()
    axes.set_xticks([0, 6, 12, 18, 24])
    axes.set_yticks(np.arange(7) + 0.5, _WEEKDAYS)
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.tick_params(length=0)


def _ages(axes: "Axes", facts: "Inspection") -> None:
    drawn = facts.distributions
    half = int(np.searchsorted(drawn.ages, 0.5))
    middle = float(drawn.age_edges[min(half, len(drawn.age_edges) - 1)])
    said = f"half of the events within {format_duration(middle)} of the item's first"
    _style(axes, "Age of items at their events", said)
    axes.fill_between(drawn.age_edges, drawn.ages, color=INK, alpha=0.16, linewidth=0)
    axes.plot(drawn.age_edges, drawn.ages, color=INK, linewidth=2)
    axes.plot([middle, middle], [0, 0.5], color=ACCENT, linewidth=1.4)
    axes.plot([middle], [0.5], marker="o", color=ACCENT, markersize=6)
    rises = int(np.argmax(drawn.ages > drawn.ages[0] + 0.003))  # before it the line is flat
    _duration_axis(axes, drawn.age_edges[max(rises - 8, 0)], drawn.age_edges[-1])
    axes.set_ylim(0, 1)
    axes.yaxis.set_major_formatter(_share)


def _style(axes: "Axes", title: str, caption: str) -> None:
    axes.text(
        0, 1.155, title, transform=axes.transAxes, size=12.5, weight="bold", color=TEXT, va="bottom"
    )
    axes.text(0, 1.045, caption, transform=axes.transAxes, size=9.5, color=MUTED, va="bottom")
    axes.grid(axis="y", color=LINE, linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(LINE)
    axes.tick_params(colors=MUTED, labelsize=9, length=3, width=0.8, color=LINE)
    axes.tick_params(axis="y", length=0)


def _per_doubling(counts: Any, edges: Any) -> Any:
    return counts / np.log2(edges[1:] / edges[:-1])


def _bars(axes: "Axes", counts: Any, edges: Any) -> None:
    axes.stairs(counts, edges, fill=True, color=INK, linewidth=0)


def _count_axis(axes: "Axes") -> None:
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(_short)


def _duration_axis(axes: "Axes", low: float, high: float) -> None:
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    inside = {name: at for name, at in _DURATIONS.items() if low <= at <= high}
    while len(inside) > 7:  # every second one
        inside = dict(list(inside.items())[::2])
    axes.set_xticks(list(inside.values()), list(inside))
    axes.xaxis.minorticks_off()


def _number_axis(axes: "Axes", low: float, high: float) -> None:
    steps = [digit * 10**power for power in range(9) for digit in (1, 2, 5)]
    ticks = [at for at in steps if low <= at <= high]
    if len(ticks) > 7:
        ticks = [at for at in ticks if str(at)[0] == "1"]
    axes.set_xlim(low, high)
    axes.set_xticks(ticks, [_short(at) for at in ticks])
    axes.xaxis.minorticks_off()


def _empty(axes: "Axes") -> None:
    axes.set_xticks([])
    axes.set_yticks([])


def _short(value: float, _: Any = None) -> str:
    """Write a count briefly: 1,500 as 1.5k."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def _share(value: float, _: Any = None) -> str:
    return f"{value:.0%}"


def _page(facts: "Inspection", figure: "Figure", title: str) -> str:
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    encoded = base64.b64encode(picture.getvalue()).decode("ascii")
    name = html.escape(title or "Event log")
    found = "".join(f"<li>{html.escape(one)}</li>" for one in facts.warnings)
    warnings = f"<h2>What will mislead</h2><ul>{found}</ul>" if found else ""
    table = html.escape(str(facts).partition("\n\n")[0])
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{name}</title>
<style>
  body {{ font: 16px/1.5 system-ui, sans-serif; color: {TEXT}; max-width: 1180px;
         margin: 2rem auto; padding: 0 1rem; }}
  img {{ width: 100%; height: auto; }}
  h2 {{ font-size: 1.1rem; margin-top: 2rem; }}
  li {{ margin: .4rem 0; }}
  li::marker {{ color: {ACCENT}; }}
  pre {{ background: #f4f8f9; padding: 1rem; overflow-x: auto; font-size: 13px; }}
</style>
<img alt="Six panels: events over time, gaps, history lengths, popularity, hours, item ages"
     src="data:image/png;base64,{encoded}">
{warnings}
<h2>Numbers</h2>
<pre>{table}</pre>
</html>
"""
