"""Render docs/results.md and the README's table from ``benchmarks/results/*.json``.

    python -m benchmarks.render            (make results; draws docs/images/parts-*.svg as well)

No figure is typed by hand: a test holds both files to what this module renders.
"""

from typing import Any

from benchmarks.accuracy.exams import QUESTIONS
from benchmarks.accuracy.ours import BASELINES
from benchmarks.goals import standings
from benchmarks.in_short import measured_in_short
from benchmarks.pictures import draw_all, is_drawn, path_of
from benchmarks.record import RESULTS, ROOT, Row, load
from benchmarks.seeds import averaged, grouped

PAGE = ROOT / "docs" / "results.md"
README = ROOT / "README.md"
BEGIN, END = "<!-- results: rendered by `make results` -->\n", "<!-- end of results -->"

# What stands above each table, in this order; a table that is missing here comes last.
TITLES = {
    "accuracy": "Accuracy, beside the peers",
    "accuracy_paired": "Accuracy: paired differences",
    "encoders": "What encoders cost",
    "evaluation": "Full evaluation: time and memory",
    "content": "Items that speak, domains, pre-training",
    "heads": "Rating, liking, buying, when",
    "explain": "Why: how true explanations are",
    "sequences": "Sequences beyond shops",
    "online": "Learning while it runs",
    "reading": "Reading and preparing a log",
    "serving": "The service",
    "faults": "The service, under fault",
    "speed": "Training: speed",
}
# The columns shown where a table holds more than a page can; the file has them all.
_DIFFERENCES = ("ndcg@10", "ndcg@10 share", "ndcg@10 p", "ndcg@10 gap>1h", "ndcg@10 gap>7d")
_HEADS = (
    "rmse",
    "mae",
    "rmse_gain_over_bias",
    "rmse_gain_over_running_bias",
    "rmse_gain_over_svdpp",
    "auc",
    "auc_gain_over_best_baseline",
    "log_loss",
    "log_loss_gain_over_best_baseline",
    "ece",
    "nll",
    "mae_log",
    "return 1 d ece",
    "return 7 d ece",
    "return 30 d ece",
    "nll_gain_over constant",
    "nll_gain_over per-user log-normal",
    "nll_gain_over RMTPP form",
    "ndcg@10",
    "ndcg@10 gain_over_alone share",
    "rating squared error",
    "rating squared error gain_over_alone",
    "like log_loss",
    "like log_loss gain_over_alone",
    "buys log_loss",
    "buys log_loss gain_over_alone",
    "when nll",
    "when nll gain_over_alone",
)
SHOWN = {
    "accuracy": ("ndcg@10", "recall@10", "ndcg@10 gap>1h", "ndcg@10 gap>7d", "coverage@10"),
    "accuracy_paired": _DIFFERENCES,
    "heads": _HEADS,
}
# The columns of the README's table of accuracy: a row of ours, or the best of a kind.
OURS = {"Tide": ("tide", "unknown"), "Tide, knowing when it is asked": ("tide", "known")}
HEAD = """# Measured results

<!-- This page is rendered by `make results` from benchmarks/results/*.json. Do not edit it. -->

Each table names its protocol, and under it stand the command, the commit and the machine. What the
words of a protocol mean is under [Evaluation](evaluation.md). Brackets hold 95 % bootstrap
intervals over users.
"""


def page() -> str:
    """Render docs/results.md: the texts beside the results, then every table."""
    names = sorted({path.stem for path in RESULTS.glob("*.json")}, key=_place)
    parts = [HEAD, *(_table_of(name) for name in names)]
    if not names:
        parts.append("Nothing is measured yet.\n")
    return "\n".join(parts)


def readme_table() -> str:
    """Render the README's part: NDCG@10 by data and model, then the other measurements in short."""
    measured = [["what", "measured", "command"], *measured_in_short()]
    return "\n".join([*_accuracy_in_short(), _pipes(measured)])


def update_readme(text: str) -> str:
    """Put the rendered table between the README's two marks."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"expected the marks {BEGIN.strip()!r} and {END!r} in README.md.")
    return f"{before}{begin}\n{readme_table()}\n{end}{after}"


def main() -> None:
    """Write both files, and draw the pictures of the page."""
    draw_all()
    PAGE.write_text(page(), encoding="utf-8")
    README.write_text(update_readme(README.read_text(encoding="utf-8")), encoding="utf-8")


def _place(name: str) -> tuple[int, str]:
    known = list(TITLES)
    return (known.index(name) if name in known else len(known), name)


def _table_of(name: str) -> str:
    rows = load(name)
    prose = RESULTS / f"{name}.md"
    parts = [f"## {TITLES.get(name, name)}\n"]
    if goals := [one.cells() for one in standings(name)]:
        parts.append(_pipes([["what", "goal", "measured", "stands"], *goals]))
    if prose.exists():
        parts.append(prose.read_text(encoding="utf-8"))
    for (data,), of_data in grouped(rows, "data").items():
        parts.append(f"### {data}\n")
        if name == "accuracy_paired" and is_drawn(of_data):
            parts.append(
                f"![What each part of Tide is worth]({path_of(data).relative_to(PAGE.parent)})\n"
            )
        for (protocol,), group in grouped(of_data, "protocol").items():
            parts += [f"{protocol}\n"] if protocol else []
            parts.append(_markdown(_ranked(group) if name == "accuracy" else group))
        parts.append(_origin(of_data))
    return "\n".join(parts)


def _markdown(rows: list[Row]) -> str:
    metrics = _metric_names(rows)
    extra = [
        key
        for key in ("request_time", "seed", "n_targets", "train_seconds", "peak_mb")
        if any(row[key] is not None for row in rows)
    ]
    lines = [["model", *map(_words, metrics), *map(_words, extra)]]
    lines += [
        [
            row["model"] or "",
            *(_cell(row, name) for name in metrics),
            *(_plain(row[k]) for k in extra),
        ]
        for row in rows
    ]
    return _pipes(lines)


def _metric_names(rows: list[Row]) -> list[str]:
    names = dict.fromkeys(name for row in rows for name in row["metrics"] or {})
    shown = next((SHOWN[row["table"]] for row in rows if row["table"] in SHOWN), names)
    return [name for name in shown if name in names and not name.endswith((" low", " high"))]


def _cell(row: Row, name: str) -> str:
    metrics = row["metrics"] or {}
    low, high = metrics.get(f"{name} low"), metrics.get(f"{name} high")
    interval = f" [{_plain(low)}, {_plain(high)}]" if low is not None and high is not None else ""
    return _plain(metrics.get(name)) + interval


def _plain(value: Any) -> str:
    """Write a number with the digits it deserves."""
    if value is None:
        return "–"
    if not isinstance(value, float):
        return f"{value:,}" if isinstance(value, int) else str(value)
    if abs(value) < 1:
        return str(value) if round(value, 2) == value else f"{value:.4f}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _pipes(lines: list[list[str]]) -> str:
    head, *body = [f"| {' | '.join(cells)} |" for cells in lines]
    rule = "|".join(["", "---", *["--:"] * (len(lines[0]) - 1), ""])
    return "\n".join([head, rule, *body]) + "\n"


def _origin(rows: list[Row]) -> str:
    seen = dict.fromkeys(
        f"`{row['command']}` at {row['commit']}, {row['machine']}, {row['date'][:10]}"
        for row in rows
    )
    if len(seen) == 1:
        return f"<small>{next(iter(seen))}</small>\n"
    lines = "".join(f"- {origin}\n" for origin in seen)
    return (
        f"<details markdown><summary>Commands, commits, machines</summary>\n\n{lines}\n</details>\n"
    )


def _ranked(rows: list[Row]) -> list[Row]:
    """Average each model over its seeds, and put the best first."""
    return sorted(averaged(rows), key=lambda row: -row["metrics"]["ndcg@10"])


def _accuracy_in_short() -> list[str]:
    """Tell ours beside the best simple baseline and the best peer of each log and question."""
    rows = [row for row in load("accuracy") if "reading growing" not in row["protocol"]]
    lines = [["NDCG@10", *OURS, "best baseline", "best peer"]]
    for (data, protocol), group in grouped(rows, "data", "protocol").items():
        ranked = _ranked(group)
        ours = [_value(ranked, *one) for one in OURS.values()]
        simple = [row for row in ranked if row["model"] in BASELINES]
        peers = [row for row in ranked if "/" in row["model"]]
        kind = next(words for said, words in QUESTIONS.items() if said in protocol)
        kind = f"last event, {kind}" if protocol.startswith("last") else kind
        lines.append([f"{data}, {kind}", *ours, _best(simple), _best(peers)])
    origin = "`python -m benchmarks.accuracy.run`; see [all results](docs/results.md)\n"
    return [_pipes(lines), origin] if rows else []


def _value(rows: list[Row], model: str, request_time: str) -> str:
    found = [r for r in rows if (r["model"], r["request_time"]) == (model, request_time)]
    return _plain(found[0]["metrics"]["ndcg@10"]) if found else "–"


def _best(rows: list[Row]) -> str:
    """Name the first of ranked rows."""
    return f"{rows[0]['model']} {_plain(rows[0]['metrics']['ndcg@10'])}" if rows else "–"


def _words(name: str) -> str:
    return name.replace("_", " ")


if __name__ == "__main__":
    main()
