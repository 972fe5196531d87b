// The recommendation list: rows that move to their new places, and say how they moved.

import { cover, tint } from "./art.js";
import { calm, h } from "./dom.js";

const GLIDE = { duration: 460, easing: "cubic-bezier(.2,.75,.2,1)" };

export class Ranking {
  /** Fill `root`, an ol; `onPick(item)` and `onSimilar(item, button)` are told of clicks. */
  constructor(root, { onPick, onSimilar }) {
    this.root = root;
    this.onPick = onPick;
    this.onSimilar = onSimilar;
    this.rows = new Map();
  }

  /** Show a list; `compare` says whether it follows from the one shown before. */
  show(items, { compare, fallback, verb }) {
    const before = compare ? [...this.rows.keys()] : [];
    const places = new Map([...this.rows].map(([id, row]) => [id, row.getBoundingClientRect().top]));
    const leaving = [...this.rows].filter(([id]) => !items.some((one) => one.id === id));
    this.rows = new Map(items.map((one, i) => {
      const was = before.indexOf(one.id);
      return [one.id, this.row(one, i, { was, compare: before.length > 0, best: items[0].score, fallback, verb })];
    }));
    const focused = document.activeElement?.closest?.(".pick");
    const place = focused ? [...this.root.children].indexOf(focused) : -1;
    this.root.replaceChildren(...this.rows.values());
    // Whoever clicks with the keyboard stays on the item, or on its place when the item has left.
    const next = focused && (this.rows.get(focused.dataset.item) ?? this.root.children[place]);
    next?.querySelector("button").focus({ preventScroll: true });
    if (!calm()) this.glide(places, before.length > 0 ? leaving.length : 0);
  }

  clear(message) {
    this.rows = new Map();
    this.root.replaceChildren(h("li", { class: "empty" }, message));
  }

  row(item, i, { was, compare, best, fallback, verb }) {
    const score = item.score ?? 0;
    // Scores of the model are logits: the exponent of a difference is a ratio of chances.
    const share = fallback ? score / (best || 1) : Math.exp(score - best);
    const kind = [...item.categories].reverse().join(" · ");
    return h("li", { class: "pick", "data-item": item.id, vars: tint(item.categories) },
      h("button", { type: "button", class: "pick-main", "aria-label": `${i + 1}. ${item.title}. ${verb}.`, on: { click: () => this.onPick(item) } },
        h("span", { class: "rank" }, String(i + 1), compare ? moved(was, i) : null),
        cover(item, 44),
        h("span", { class: "pick-text" }, h("span", { class: "title" }, item.title), h("span", { class: "meta" }, kind)),
        h("span", { class: "score", title: `score ${score.toFixed(4)}` },
          h("b", {}, Math.abs(score) < 100 ? score.toFixed(2) : Math.round(score).toLocaleString("en")),
          h("i", { vars: { "--share": String(Math.max(0.02, Math.min(1, share))) } })),
      ),
      h("button", { type: "button", class: "pick-like", "aria-label": `Items similar to ${item.title}`, title: "Similar items", on: {
        click: (event) => this.onSimilar(item, event.currentTarget, true),
        pointerenter: (event) => event.pointerType === "mouse" && this.onSimilar(item, event.currentTarget, false),
        pointerleave: () => this.onSimilar(null),
      } }, "≈"),
    );
  }

  glide(places, gone) {
    let fresh = 0;
    for (const [id, row] of this.rows) {
      const top = places.get(id);
      if (top === undefined) {
        row.animate([{ opacity: 0, transform: "translateX(24px)" }, { opacity: 1, transform: "none" }], { ...GLIDE, delay: 30 * fresh++, fill: "backwards" });
        continue;
      }
      const shift = top - row.getBoundingClientRect().top;
      if (Math.abs(shift) > 1) {
        row.animate([{ transform: `translateY(${shift}px)`, zIndex: 1 }, { transform: "none", zIndex: 1 }], GLIDE);
      }
    }
    if (gone) this.root.animate([{ opacity: 0.85 }, { opacity: 1 }], { duration: 200 });
  }
}

function moved(was, now) {
  if (was < 0) return h("span", { class: "move new" }, "new");
  if (was === now) return h("span", { class: "move same" }, "–");
  const up = was > now;
  return h("span", { class: up ? "move up" : "move down" }, `${up ? "▲" : "▼"}${Math.abs(was - now)}`);
}
