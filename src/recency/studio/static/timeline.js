// The time line: every event of a history as a dot on a real time axis. Events that fall on the same
// few pixels stack up, so that a visit stands as a tower; zooming in takes the towers apart.

import { hue, shelf } from "./art.js";
import { calm, h, s } from "./dom.js";
import { DAY, exactTime, HOUR, part } from "./format.js";

const SPANS = { month: 30 * DAY, week: 7 * DAY, day: DAY };
const FOOT = 42; // below the axis
const PAD = 14;
const ROUND = 4.2; // radius of a dot
const TICKS = [
  [HOUR, 1, "hour"], [3 * HOUR, 3, "hour"], [6 * HOUR, 6, "hour"], [DAY, 1, "day"], [2 * DAY, 2, "day"], [7 * DAY, 7, "week"],
  [30.4 * DAY, 1, "month"], [91 * DAY, 3, "month"], [365 * DAY, 1, "year"], [5 * 365 * DAY, 5, "year"],
];

export class Timeline {
  /** Draw into `root`; `onClock(ms | null)` is told where the hand was put (null = now). */
  constructor(root, tip, onClock) {
    this.root = root;
    this.tip = tip;
    this.onClock = onClock;
    this.span = "all";
    this.events = [];
    this.svg = s("svg", { class: "line", "aria-hidden": true });
    root.append(this.svg);
    this.drag();
    new ResizeObserver(() => this.draw()).observe(root);
  }

  /** Show events (oldest first), with types in the order of their marks, from `start` to `now`. */
  show({ events, types, clock, now, whatIf }) {
    Object.assign(this, { events, types, clock, now, whatIf });
    const first = events.length ? events[0].time : now - DAY;
    const margin = Math.max(HOUR, (now - first) * 0.015);
    this.life = [first - margin, now];
    this.draw();
  }

  zoom(span) {
    this.span = span;
    this.draw();
  }

  /** Give the shown span in milliseconds: the whole life, or a window around the clock. */
  window() {
    const [start, end] = this.life;
    const span = SPANS[this.span];
    if (!span || span >= end - start) return this.life;
    const at = this.clock ?? this.now;
    const right = Math.min(end, at + span * 0.3);
    return [right - span, right];
  }

  scale() {
    const [start, end] = this.window();
    const width = Math.max(60, this.width - 2 * PAD);
    return {
      x: (ms) => PAD + ((ms - start) / (end - start)) * width,
      ms: (x) => start + ((x - PAD) / width) * (end - start),
      perPixel: (end - start) / width,
    };
  }

  draw() {
    this.width = this.root.clientWidth;
    this.height = this.root.clientHeight;
    if (!this.width || !this.life) return;
    this.base = this.height - FOOT;
    this.svg.setAttribute("width", this.width);
    this.svg.setAttribute("height", this.height);
    this.svg.setAttribute("viewBox", `0 0 ${this.width} ${this.height}`);
    const scale = this.scale();
    this.svg.replaceChildren(
      ...this.rests(scale), ...this.axis(scale), ...this.dots(scale), ...this.trials(scale), this.hand(scale),
    );
  }

  /** Shade weekends, and nights once single days can be seen. */
  rests({ x, ms, perPixel }) {
    const bands = [];
    const [start, end] = [ms(0), ms(this.width)];
    if (perPixel > DAY / 5) return bands;
    for (let day = Math.floor(start / DAY) * DAY; day < end; day += DAY) {
      if (perPixel < DAY / 90) {
        for (const [from, to] of [[0, 6], [22, 24]]) bands.push([day + from * HOUR, day + to * HOUR, "night"]);
      } else if ([0, 6].includes(new Date(day).getUTCDay())) {
        bands.push([day, day + DAY, "weekend"]);
      }
    }
    return bands.map(([from, to, kind]) => s("rect", { x: x(from), y: 8, width: Math.max(0, x(to) - x(from)), height: this.base - 8, class: kind }));
  }

  axis({ x, ms, perPixel }) {
    const [, step, unit] = TICKS.find(([size]) => size / perPixel > (this.width < 480 ? 74 : 88)) ?? TICKS.at(-1);
    const parts = [s("path", { d: `M0 ${this.base + 0.5}H${this.width}`, class: "axis" })];
    for (const tick of ticks(ms(0), ms(this.width), step, unit)) {
      const place = Math.round(x(tick)) + 0.5;
      parts.push(s("path", { d: `M${place} ${this.base}v5`, class: "axis" }));
      if (place < 18 || place > this.width - 18) continue;
      const [label, below] = words(tick, unit);
      parts.push(s("text", { x: place, y: this.base + 19, class: "tick" }, label));
      if (below) parts.push(s("text", { x: place, y: this.base + 33, class: "tick year" }, below));
    }
    return parts;
  }

  dots({ x, perPixel }) {
    const at = this.clock ?? Infinity;
    const parts = [];
    for (const stack of stacks(this.events, perPixel * (2 * ROUND + 1))) {
      const place = x(stack[0].time);
      if (place < -20 || place > this.width + 20) continue;
      const rise = Math.min(2 * ROUND + 1, (this.base - 24) / stack.length);
      stack.forEach((one, i) => {
        const late = one.time >= at;
        const dot = glyph(this.types.indexOf(one.type), place, this.base - ROUND - 2 - i * rise);
        dot.classList.add("dot", ...(late ? ["late"] : []), ...(one.fresh ? ["fresh"] : []));
        const found = hue(one.categories);
        if (found === null) dot.style.setProperty("--chroma", "0.012");
        dot.style.setProperty("--hue", String(found ?? 80));
        dot.addEventListener("pointerenter", () => this.tell(one, dot));
        dot.addEventListener("pointerleave", () => (this.tip.hidden = true));
        parts.push(dot);
      });
    }
    return parts;
  }

  /** Events that were only tried out stand hollow at the hand. */
  trials({ x }) {
    return (this.whatIf ?? []).map((one, i) => {
      const found = hue(one.categories);
      return s("circle", { cx: x(one.time) + 9, cy: this.base - ROUND - 2 - i * 10, r: ROUND, class: "dot trial", vars: { "--hue": String(found ?? 80) } });
    });
  }

  hand({ x }) {
    const place = Math.round(x(this.clock ?? this.now)) + 0.5;
    return s("g", { class: this.clock === null ? "hand live" : "hand", transform: `translate(${place} 0)` },
      s("rect", { x: -11, y: 0, width: 22, height: this.height, class: "grip" }),
      s("path", { d: `M0 9V${this.base + 6}` }),
      s("circle", { cx: 0, cy: 9, r: 6 }),
    );
  }

  tell(one, dot) {
    const box = dot.getBoundingClientRect();
    this.tip.replaceChildren(
      h("strong", {}, one.title),
      h("span", {}, [one.type, shelf(one.categories)].filter(Boolean).join(" · ")),
      h("span", {}, exactTime(one.time)),
    );
    this.tip.hidden = false;
    const width = this.tip.offsetWidth;
    this.tip.style.left = `${Math.max(8, Math.min(innerWidth - width - 8, box.x + box.width / 2 - width / 2))}px`;
    this.tip.style.top = `${Math.max(8, box.y - this.tip.offsetHeight - 8)}px`;
  }

  drag() {
    const put = (event) => {
      const ms = this.scale().ms(event.clientX - this.svg.getBoundingClientRect().x);
      this.onClock(ms >= this.now ? null : Math.max(this.life[0], ms));
    };
    this.svg.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      // The window must not slide away under the finger.
      this.svg.setPointerCapture(event.pointerId);
      const held = this.window();
      const window = this.window;
      this.window = () => held;
      put(event);
      const done = () => {
        this.svg.removeEventListener("pointermove", put);
        this.window = window;
        this.draw();
      };
      this.svg.addEventListener("pointermove", put);
      this.svg.addEventListener("lostpointercapture", done, { once: true });
    });
  }

  /** Let the newest dot arrive: it drops onto its tower. */
  drop() {
    const dot = [...this.svg.querySelectorAll(".fresh")].at(-1);
    if (!dot || calm()) return;
    dot.animate([{ translate: "0 -60px", opacity: 0 }, { translate: "0 0", opacity: 1 }], { duration: 420, easing: "cubic-bezier(.3,1.4,.5,1)" });
  }
}

/** Gather events whose places fall within one dot's width of the first of them. */
function stacks(events, width) {
  const found = [];
  for (const one of events) {
    const last = found.at(-1);
    if (last && one.time - last[0].time < width) last.push(one);
    else found.push([one]);
  }
  return found;
}

/** Draw a mark by event type: the commonest a disc, the next a ring, the next a diamond, a square. */
export function glyph(index, x, y, r = ROUND) {
  if (index === 1) return s("path", { d: ring(x, y, r + 0.3, r * 0.42), "fill-rule": "evenodd" });
  if (index === 2) return s("path", { d: `M${x} ${y - r - 1.2}l${r + 1.2} ${r + 1.2} ${-r - 1.2} ${r + 1.2} ${-r - 1.2} ${-r - 1.2}z` });
  if (index > 2) return s("rect", { x: x - r * 0.9, y: y - r * 0.9, width: r * 1.8, height: r * 1.8 });
  return s("circle", { cx: x, cy: y, r });
}

function ring(x, y, outer, inner) {
  const circle = (r) => `M${x - r} ${y}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0z`;
  return circle(outer) + circle(inner);
}

function* ticks(start, end, step, unit) {
  if (unit === "hour" || unit === "day" || unit === "week") {
    const size = unit === "hour" ? step * HOUR : step * DAY;
    const origin = unit === "week" ? 4 * DAY : 0; // 1970-01-05 was a Monday
    for (let at = Math.ceil((start - origin) / size) * size + origin; at < end; at += size) yield at;
    return;
  }
  const first = new Date(start);
  for (let year = first.getUTCFullYear(); Date.UTC(year, 0) < end; year++) {
    for (let month = 0; month < 12; month += unit === "year" ? 12 : step) {
      const at = Date.UTC(year, month);
      if (at >= start && at < end && (unit !== "year" || year % step === 0)) yield at;
    }
  }
}

function words(tick, unit) {
  const moment = new Date(tick);
  if (unit === "year") return [String(moment.getUTCFullYear()), ""];
  const year = moment.getUTCMonth() === 0 ? String(moment.getUTCFullYear()) : "";
  if (unit === "month") return [part(tick, { month: "short" }), year];
  if (unit === "hour") {
    const midnight = moment.getUTCHours() === 0;
    return [part(tick, { hour: "2-digit", minute: "2-digit" }), midnight ? part(tick, { weekday: "short", day: "numeric", month: "short" }) : ""];
  }
  return [part(tick, { day: "numeric", month: "short" }), unit === "day" ? part(tick, { weekday: "short" }) : ""];
}
