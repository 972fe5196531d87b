// The evaluation: each model's number with its interval, drawn on one scale so that they compare.

import { h, s } from "./dom.js";

const WIDTH = 260;

/** Fill the section from a report, or say plainly that there is none. */
export function showResults(root, note, report) {
  if (!report?.rows?.length) {
    note.textContent = "";
    root.replaceChildren(h("p", { class: "empty" }, "No evaluation lies beside this model. `recency demo` makes one; `recency evaluate` prints one for your own log."));
    return;
  }
  note.textContent = report.protocol ?? "";
  const metrics = report.metrics;
  const main = metrics[0];
  const rows = [...report.rows].sort((a, b) => b.metrics[main].value - a.metrics[main].value);
  const top = Math.max(...rows.map((row) => row.metrics[main].high ?? row.metrics[main].value));
  const head = h("tr", {}, h("th", { scope: "col" }, "Recommender"), h("th", { scope: "col", class: "plot" }, `${main}, 95 % interval`), ...metrics.map((one) => h("th", { scope: "col", class: "number" }, one)));
  const body = rows.map((row) => h("tr", { class: row.kind },
    h("th", { scope: "row" }, row.title ?? row.name, row.note ? h("span", {}, row.note) : null),
    h("td", { class: "plot" }, forest(row.metrics[main], top)),
    ...metrics.map((one) => h("td", { class: "number" }, row.metrics[one] ? row.metrics[one].value.toFixed(3) : "–")),
  ));
  root.replaceChildren(
    h("div", { class: "table-wrap" }, h("table", {}, h("thead", {}, head), h("tbody", {}, body))),
    ...(report.notes ?? []).map((text) => h("p", { class: "quiet" }, text)),
  );
}

function forest({ value, low, high }, top) {
  const x = (v) => 6 + (v / top) * (WIDTH - 12);
  const parts = [s("path", { d: `M6 10H${WIDTH - 6}`, class: "rail" }), s("path", { d: `M6 10H${x(value)}`, class: "stem" })];
  if (low !== undefined && low !== null) parts.push(s("path", { d: `M${x(low)} 10H${x(high)}`, class: "interval" }));
  parts.push(s("circle", { cx: x(value), cy: 10, r: 4.5, class: "point" }));
  const label = low === undefined || low === null ? value.toFixed(3) : `${value.toFixed(3)}, between ${low.toFixed(3)} and ${high.toFixed(3)}`;
  return s("svg", { viewBox: `0 0 ${WIDTH} 20`, role: "img", "aria-label": label }, s("title", {}, label), ...parts);
}
