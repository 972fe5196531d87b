// A history in words and cards: the last events with the gaps between them, and the shares of its
// categories.

import { cover, hue, shelf, tint } from "./art.js";
import { h } from "./dom.js";
import { ago, count, date, duration, HOUR, SECOND } from "./format.js";

const SHOWN = 9;

/** Count visits: runs of events with no pause of an hour or more. */
export function visits(events) {
  return events.reduce((n, one, i) => n + (i === 0 || one.time - events[i - 1].time >= HOUR ? 1 : 0), 0);
}

/** Say in a line what a history holds. */
export function summary(events, hidden, now) {
  if (!events.length) return "No event yet.";
  const first = events[0].time;
  const older = hidden ? `the newest of ${count(hidden + events.length, "event")}: ` : "";
  return `${older}${count(events.length, "event")} in ${count(visits(events), "visit")} since ${date(first)}, the last ${ago(events.at(-1).time, now)}`;
}

/** Fill the strip with the last events before the clock and the gaps between them. */
export function showRecent(root, note, events, at) {
  const last = events.slice(-SHOWN);
  note.textContent = events.length > SHOWN ? `the newest ${SHOWN} of ${events.length.toLocaleString("en")}` : "";
  if (!last.length) {
    root.classList.remove("cut");
    root.replaceChildren(h("li", { class: "empty" }, "Nothing before this instant."));
    return;
  }
  const cells = [];
  last.forEach((one, i) => {
    if (i) cells.push(gap(one.time - last[i - 1].time));
    cells.push(card(one));
  });
  const since = at - last.at(-1).time;
  cells.push(h("li", { class: "gap open" }, h("span", {}, since < SECOND ? "now" : duration(since))));
  root.replaceChildren(...cells);
  root.scrollLeft = root.scrollWidth;
  root.classList.toggle("cut", root.scrollLeft > 0);
}

function gap(ms) {
  const wide = ms >= HOUR;
  return h("li", { class: wide ? "gap wide" : "gap" }, h("span", {}, duration(ms)));
}

function card(one) {
  return h("li", { class: one.trial ? "seen trial" : "seen", vars: tint(one.categories), title: `${one.title}, ${shelf(one.categories)}` },
    cover(one, 52),
    h("span", { class: "title" }, one.title),
    h("span", { class: "meta" }, one.trial ? "tried out" : (one.type ?? "")),
  );
}

/** Show the shares of the categories as one line of colour, the largest first. */
export function showSpectrum(root, events) {
  const counts = new Map();
  for (const one of events) {
    const name = shelf(one.categories);
    const known = counts.get(name) ?? { n: 0, categories: one.categories };
    known.n += 1;
    counts.set(name, known);
  }
  const order = [...counts].filter(([name]) => name).sort((a, b) => b[1].n - a[1].n);
  root.hidden = order.length === 0;
  root.replaceChildren(...order.map(([name, { n, categories }]) => {
    const share = n / events.length;
    return h("li", { vars: { ...tint(categories), "--n": String(n) }, title: `${name}: ${Math.round(share * 100)} %`, class: hue(categories) === null ? "grey" : null },
      h("span", {}, share >= 0.07 ? name : ""));
  }));
}
