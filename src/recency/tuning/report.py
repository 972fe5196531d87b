"""Report: a study as one HTML page that needs nothing from outside."""

import html
from pathlib import Path
from typing import Any

import polars as pl

from recency.data.inspection.picture import ACCENT, INK, LINE, MUTED, TEXT
from recency.tuning import pictures
from recency.tuning.judging import METRIC
from recency.tuning.result import TuningResult
from recency.tuning.run_file import setting
from recency.units import format_duration

_CSS = f"""
:root {{ color-scheme: light; }}
body {{ font: 16px/1.55 system-ui, -apple-system, sans-serif; color: {TEXT}; background: #fbfcfc;
       max-width: 1120px; margin: 0 auto; padding: 3rem 1.5rem 5rem; }}
h1 {{ font-size: 1.7rem; letter-spacing: -.01em; margin: 0; }}
h2 {{ font-size: 1.05rem; margin: 0; }}
p {{ margin: .25rem 0 0; color: {MUTED}; max-width: 68ch; }}
section {{ background: white; border: 1px solid {LINE}; border-radius: 12px; margin-top: 1.25rem;
          padding: 1.25rem 1.5rem; }}
img {{ display: block; width: 100%; height: auto; margin-top: .75rem; }}
.figures {{ display: flex; flex-wrap: wrap; gap: 2.75rem; margin: 1.75rem 0 .5rem; }}
.figures div {{ color: {MUTED}; font-size: .85rem; }}
.figures b {{ display: block; font-size: 1.6rem; font-weight: 600; color: {TEXT};
             letter-spacing: -.01em; font-variant-numeric: tabular-nums; }}
.figures div:first-child b {{ color: {ACCENT}; }}
.pair {{ display: grid; grid-template-columns: 1fr 1fr; gap: 1.25rem; margin-top: 1.25rem; }}
.pair section {{ margin-top: 0; min-width: 0; }}
@media (max-width: 860px) {{ .pair {{ grid-template-columns: 1fr; }} }}
.scroll {{ overflow-x: auto; margin-top: .75rem; }}
table {{ border-collapse: collapse; font-size: .84rem; font-variant-numeric: tabular-nums;
        width: 100%; }}
th {{ text-align: left; vertical-align: bottom; font-weight: 500; color: {MUTED};
     white-space: nowrap; line-height: 1.3; }}
th, td {{ padding: .36rem 1rem .36rem 0; border-bottom: 1px solid {LINE}; }}
td {{ white-space: nowrap; }}
td.why {{ white-space: normal; min-width: 11rem; overflow-wrap: anywhere; }}
tr:last-child td {{ border-bottom: 0; }}
tr.best td {{ color: {ACCENT}; font-weight: 600; }}
tr.pruned td {{ color: #9aa6ad; }}
td.moved {{ color: {INK}; font-weight: 600; }}
pre {{ font-size: .84rem; line-height: 1.5; margin: .75rem 0 0; overflow-x: auto; }}
summary {{ cursor: pointer; font-weight: 600; }}
"""


def save_report(result: TuningResult, path: Path, title: str = "") -> Path:
    """Write the page; see `TuningResult.report`."""
    encoder = str(result.sections["model"]["encoder"])
    name = html.escape(f"{title or 'Tuning'}: {encoder}")
    parts = [
        f"<h1>{name}</h1><p>Judged by {html.escape(str(result.objective))}.</p>",
        _figures(result),
        '<div class="pair">',
        _picture(
            "Trials",
            "Each dot is a trial; the line is the best so far, dashed: where the study started. "
            "Hollow: ended early.",
            pictures.history(result),
        ),
        _importance(result),
        _picture("Learning", _learning(result), pictures.curves(result)),
        _best(result),
        "</div>",
        _picture(
            "Settings, one by one",
            "The judgement of all trials over each setting; other settings differ from dot to dot.",
            pictures.slices(result),
        ),
        _trials(result),
        f"<section><details><summary>best.toml</summary>"
        f"<pre>{html.escape(result.run_toml())}</pre></details></section>",
    ]
    path.write_text(
        '<!doctype html>\n<html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{name}</title><style>{_CSS}</style>\n" + "\n".join(parts) + "\n</html>\n",
        encoding="utf-8",
    )
    return path


def _figures(result: TuningResult) -> str:
    figures = [(f"{result.value:.4f}", "best NDCG@10")]
    if result.start is not None:
        gain = (result.value / result.start - 1) if result.start else 0.0
        figures += [(f"{result.start:.4f}", "where it started"), (f"{gain:+.1%}", "gained")]
    figures += [
        (str(result.trials.height), "trials"),
        (str(result.n_pruned), "ended early"),
        (format_duration(float(result.trials["seconds"].sum())), "of trials"),
    ]
    cells = "".join(f"<div><b>{html.escape(value)}</b>{said}</div>" for value, said in figures)
    return f'<div class="figures">{cells}</div>'


def _picture(title: str, said: str, uri: str) -> str:
    alt = html.escape(f"{title}. {said}", quote=True)
    return f'<section><h2>{title}</h2><p>{said}</p><img alt="{alt}" src="{uri}"></section>'


def _importance(result: TuningResult) -> str:
    if not result.importance:
        return (
            "<section><h2>What mattered</h2><p>Too few finished trials to tell yet; six differing "
            "ones are needed.</p></section>"
        )
    return _picture(
        "What mattered",
        "Share of each setting in whether a trial is among the better ones (PED-ANOVA). With few "
        "trials, a hint only.",
        pictures.importance(result),
    )


def _learning(result: TuningResult) -> str:
    step = "fold: the mean so far" if result.objective.folds else "epoch"
    return f"NDCG@10 after each {step}; the best trial stands out, pale ones were ended early."


def _best(result: TuningResult) -> str:
    rows = []
    for name, value in result.best.items():
        before = setting(result.sections, name)
        moved = ' class="moved"' if value != before else ""
        rows.append(
            f"<tr><td>{html.escape(name)}</td><td>{_cell(before)}</td>"
            f"<td{moved}>{_cell(value)}</td></tr>"
        )
    return (
        "<section><h2>Best settings</h2><p>All others are as they were.</p>"
        '<div class="scroll"><table><tr><th>setting</th><th>started from</th><th>best</th></tr>'
        f"{''.join(rows)}</table></div></section>"
    )


def _trials(result: TuningResult) -> str:
    """Write all trials, the best first; those without any judgement last."""
    shown = [name for name in result.trials.columns if name not in ("state", "why")]
    trials = result.trials.sort(
        pl.col("state") == "pruned", pl.col(METRIC), descending=[False, True], nulls_last=True
    )
    head = "".join(f"<th>{_heading(name)}</th>" for name in [*shown, "ended early, because"])
    rows = []
    for place, row in enumerate(trials.iter_rows(named=True)):
        kind = "best" if not place else row["state"]
        cells = "".join(f"<td>{_cell(row[name])}</td>" for name in shown)
        why = html.escape(row["why"] or "")
        rows.append(f'<tr class="{kind}">{cells}<td class="why">{why}</td></tr>')
    return (
        "<section><h2>All trials</h2><p>The best first; epochs are those behind the judgement.</p>"
        f'<div class="scroll"><table><tr>{head}</tr>{"".join(rows)}</table></div></section>'
    )


def _heading(name: str) -> str:
    """Write a setting's section above its key, so that columns stay narrow."""
    section, dot, key = name.partition(".")
    return f"{html.escape(section)}{dot}{'<br>' if dot else ''}{html.escape(key)}"


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    return html.escape(str(value))
