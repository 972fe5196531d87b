// The small panel of items like one item: opens while the pointer rests on ≈, stays when pressed.

import * as api from "./api.js";
import { cover, shelf, tint } from "./art.js";
import { by, h } from "./dom.js";

const SHOWN = 6;
const REST = 280; // ms of the pointer before it opens
const LEAVE = 350; // ms after the pointer left before it closes

export class SimilarItems {
  /** Live in `panel`; `onPick(item)` is told of clicks, `guarded` runs what may fail. */
  constructor(panel, { onPick, guarded }) {
    Object.assign(this, { panel, onPick, guarded, timer: null, pinned: false });
    by("similar-close").addEventListener("click", () => this.close());
    panel.addEventListener("pointerenter", () => clearTimeout(this.timer));
    panel.addEventListener("pointerleave", () => this.offer(null));
    document.addEventListener("pointerdown", (event) => {
      if (!event.target.closest("#similar, .pick-like")) this.close();
    });
  }

  /** Open for an item soon, at once when its button was pressed; close soon when item is null. */
  offer(item, button, press) {
    clearTimeout(this.timer);
    if (item === null) {
      if (!this.pinned) this.timer = setTimeout(() => this.close(), LEAVE);
    } else if (press && this.pinned && this.panel.dataset.item === item.id) {
      this.close();
    } else {
      this.timer = setTimeout(() => this.guarded(() => this.open(item, button, press)), press ? 0 : REST);
    }
  }

  async open(item, button, press) {
    this.pinned = press;
    this.button = button;
    this.panel.dataset.item = item.id;
    const items = await api.similar(item.id, SHOWN);
    if (this.panel.dataset.item !== item.id || !button.isConnected) return;
    by("similar-title").textContent = `Like ${item.title}`;
    by("similar-list").replaceChildren(...items.map((one) => this.row(one)));
    this.panel.hidden = false;
    this.place(button.getBoundingClientRect());
    if (press) this.panel.querySelector("li button")?.focus();
  }

  place(box) {
    const { offsetWidth: width, offsetHeight: height, style } = this.panel;
    const room = document.documentElement.clientWidth;
    const below = box.bottom + 8;
    style.left = `${Math.max(8, Math.min(box.right - width, room - width - 8))}px`;
    style.top = `${below + height < innerHeight ? below : Math.max(8, box.top - height - 8)}px`;
  }

  row(item) {
    const score = item.score ?? 0;
    return h("li", { vars: tint(item.categories) },
      h("button", { type: "button", on: { click: () => this.onPick(item) } },
        cover(item, 30),
        h("span", { class: "pick-text" }, h("span", { class: "title" }, item.title), h("span", { class: "meta" }, shelf(item.categories))),
        h("i", { class: "likeness", title: `cosine ${score.toFixed(3)}`, vars: { "--share": String(Math.max(0, score)) } }),
      ),
    );
  }

  close() {
    clearTimeout(this.timer);
    this.pinned = false;
    if (this.panel.contains(document.activeElement)) this.button.focus();
    this.panel.hidden = true;
    delete this.panel.dataset.item;
  }
}
