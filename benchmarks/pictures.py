"""Draw what each part of a model is worth, from the paired differences of its ablations.

A picture a log: docs/images/parts-LOG.svg. A mark is the share of NDCG@10 that is lost where a part
is switched off, with its 95 % interval over users; left of zero the model is better without it.
"""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.accuracy.exams import QUESTIONS
from benchmarks.record import ROOT, Row, load
from recency.data.inspection.picture import ACCENT, INK, LINE, TEXT

if TYPE_CHECKING:
    from matplotlib.axes import Axes

IMAGES = ROOT / "docs" / "images"
WHOLES = {"tide, experts off": "the encoder alone", "tide": "the whole, experts mixed in"}
# What rows call switched off, in words; depths are set against the two blocks of the default.
PARTS = {
    "time off": "time",
    "all time off": "time",
    "calendar off": "the calendar",
    "short bank off": "the short bank",
    "long bank off": "the long bank",
    "periodic bank off": "the periodic bank",
    "1 block": "two blocks, not one",
    "3 blocks": "two blocks, not three",
    "4 blocks": "two blocks, not four",
    "encoder off": "the encoder",
    "crowd off": "the crowd",
    "pair off": "the pair",
    "own off": "one's own past",
    "experts off": "all experts",
}


class Worth(NamedTuple):
    """Tell the share of NDCG@10 that a part brings, and its interval."""

    share: float
    low: float
    high: float


def worths(rows: list[Row], whole: str, question: str) -> dict[str, Worth]:
    """Read what the parts of a model are worth to one kind of question, its catalogue fixed."""
    found = {}
    for row in rows:
        first, _, other = row["model"].partition(" − ")
        part = PARTS.get(other.removeprefix("tide, "))
        asked = question in row["protocol"] and "reading warm" in row["protocol"]
        if first != whole or part is None or not asked:
            continue
        told = row["metrics"]
        difference = told["ndcg@10"]
        without = difference / told["ndcg@10 share"]
        every = (difference, told["ndcg@10 low"], told["ndcg@10 high"])
        found[part] = Worth(*(one / (without + difference) for one in every))
    return {part: found[part] for part in PARTS.values() if part in found}


def path_of(data: str) -> Path:
    """Name the picture of a log."""
    return IMAGES / f"parts-{data}.svg"


def is_drawn(rows: list[Row]) -> bool:
    """Tell whether rows of a log hold enough ablations for a picture."""
    return max(len(worths(rows, whole, "repeats no")) for whole in WHOLES) >= 2


def draw(data: str, rows: list[Row]) -> None:
    """Draw the parts of a log's models, one panel a model."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    told = {
        whole: {words: worths(rows, whole, question) for question, words in QUESTIONS.items()}
        for whole in WHOLES
    }
    told = {whole: asked for whole, asked in told.items() if any(asked.values())}
    most = max(len(asked) for panel in told.values() for asked in panel.values())
    with rc_context({"svg.hashsalt": "recency", "svg.fonttype": "none"}):
        figure = Figure(figsize=(10, 1.4 + 0.42 * most), layout="constrained")
        FigureCanvasSVG(figure)
        panels = figure.subplots(1, len(told), squeeze=False)[0]
        for axes, (whole, asked) in zip(panels, told.items(), strict=True):
            _panel(axes, WHOLES[whole], asked, most)
        marks, words = panels[0].get_legend_handles_labels()
        figure.legend(marks, words, loc="outside lower right", ncols=2, frameon=False, fontsize=9)
        figure.savefig(path_of(data), format="svg", metadata={"Date": None})


def draw_all() -> None:
    """Draw every log that has ablations."""
    rows = load("accuracy_paired")
    for data in dict.fromkeys(row["data"] for row in rows):
        of_data = [row for row in rows if row["data"] == data]
        if is_drawn(of_data):
            draw(data, of_data)


def _panel(axes: "Axes", title: str, asked: dict[str, dict[str, Worth]], height: int) -> None:
    parts = list(dict.fromkeys(part for found in asked.values() for part in found))
    axes.axvline(0, color=TEXT, linewidth=0.8)
    for (words, found), color, shift in zip(
        asked.items(), (INK, ACCENT), (-0.14, 0.14), strict=True
    ):
        for part, worth in found.items():
            row = parts.index(part) + shift
            axes.plot([100 * worth.low, 100 * worth.high], [row, row], color=color, linewidth=1.6)
        rows = [parts.index(part) + shift for part in found]
        shares = [100 * worth.share for worth in found.values()]
        axes.scatter(shares, rows, s=30, color=color, label=words, zorder=3)
    axes.set_yticks(range(len(parts)), parts)
    axes.set_ylim(height - 0.5, -0.5)
    axes.set_title(title, loc="left", fontsize=10.5, color=TEXT)
    axes.set_xlabel("% of NDCG@10 lost without", color=TEXT)
    axes.grid(axis="x", color=LINE)
    axes.set_axisbelow(True)
    axes.tick_params(colors=TEXT, length=0)
    axes.spines[["top", "right", "left", "bottom"]].set_visible(False)
