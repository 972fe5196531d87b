"""Render docs/results.md and the README's table from ``benchmarks/results/*.json``.

    python -m benchmarks.render            (make results)

No figure is typed by hand: a test holds both files to what this module renders.
"""

from collections.abc import Iterable
from typing import Any

from benchmarks.record import RESULTS, ROOT, Row, load

PAGE = ROOT / "docs" / "results.md"
README = ROOT / "README.md"
BEGIN, END = "<!-- results: rendered by `make results` -->\n", "<!-- end of results -->"

# What stands above each table, in this order; a table that is missing here comes last.
TITLES = {
    "quality": "Quality",
    "paired": "Paired differences",
    "evaluation": "Full evaluation: time and memory",
    "reading": "Reading and preparing a log",
    "service": "The service",
    "service_kill": "The service, killed",
}
# What the README tells of each table, beside the NDCG.
IN_SHORT = {
    "reading": ("seconds", "times faster than RecBole"),
    "evaluation": ("seconds", "targets a second"),
    "service": ("requests_per_second", "events_per_second", "p50_ms", "p99_ms"),
    "service_kill": ("kills", "acknowledged", "lost", "doubled", "answers_changed"),
}
# The columns shown where a table holds more than a page can; the file has them all.
SHOWN = {
    "quality": ("recall@10", "ndcg@10", "mrr@10", "coverage@10", "novelty@10", "popularity@10"),
}
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
    return "\n".join([*_quality_in_short(), *_measures_in_short()])


def update_readme(text: str) -> str:
    """Put the rendered table between the README's two marks."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"expected the marks {BEGIN.strip()!r} and {END!r} in README.md.")
    return f"{before}{begin}\n{readme_table()}\n{end}{after}"


def main() -> None:
    """Write both files."""
    PAGE.write_text(page(), encoding="utf-8")
    README.write_text(update_readme(README.read_text(encoding="utf-8")), encoding="utf-8")


def _place(name: str) -> tuple[int, str]:
    known = list(TITLES)
    return (known.index(name) if name in known else len(known), name)


def _table_of(name: str) -> str:
    rows = load(name)
    prose = RESULTS / f"{name}.md"
    parts = [f"## {TITLES.get(name, name)}\n"]
    if prose.exists():
        parts.append(prose.read_text(encoding="utf-8"))
    for (data, protocol), group in _groups(rows, "data", "protocol").items():
        parts.append(f"### {data}\n\n{protocol}\n" if protocol else f"### {data}\n")
        parts.append(_markdown(group))
        parts.append(_origin(group))
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
    return "\n".join(f"<small>{origin}</small>\n" for origin in seen)


def _groups(rows: Iterable[Row], *keys: str) -> dict[tuple[Any, ...], list[Row]]:
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[key] for key in keys), []).append(row)
    return groups


def _quality_in_short() -> list[str]:
    rows = [row for row in load("quality") if "reading warm" in row["protocol"]]
    models = list(dict.fromkeys(row["model"] for row in rows))
    lines = [["NDCG@10", *models]]
    for (data, protocol), group in _groups(rows, "data", "protocol").items():
        found = {row["model"]: row["metrics"]["ndcg@10"] for row in group}
        best = max(found.values())
        cells = [
            f"**{found[m]:.4f}**" if found.get(m) == best else _plain(found.get(m)) for m in models
        ]
        kind = "any item" if "repeats yes" in protocol else "items new to the user"
        lines.append([f"{data}, {kind}", *cells])
    return [_pipes(lines), _commands(rows) + "\n"] if rows else []


def _measures_in_short() -> list[str]:
    lines = [["what", "measured"]]
    for name, metrics in IN_SHORT.items():
        rows = load(name)
        lines += [[_commands(rows), ""]] if rows else []
        for row in rows:
            given = row["metrics"] or {}
            values = [f"{_words(one)} {_plain(given[one])}" for one in metrics if one in given]
            values += [f"peak {row['peak_mb']:,.0f} MiB"] if row["peak_mb"] else []
            what = f"{row['data']}: {row['protocol']}, {row['model']}"
            lines.append([what, ", ".join(values)])
    return [_pipes(lines)] if len(lines) > 1 else []


def _commands(rows: Iterable[Row]) -> str:
    return ", ".join(dict.fromkeys(f"`{row['command']}`" for row in rows))


def _words(name: str) -> str:
    return name.replace("_", " ")


if __name__ == "__main__":
    main()
