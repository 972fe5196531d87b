// The people to choose from.

import { mark } from "./art.js";
import { h } from "./dom.js";
import { ago, count } from "./format.js";

/** Fill the list with users; `chosen` is the id of the one shown, null for the visitor. */
export function showPeople(root, note, { users, total, chosen, now, query, onChoose }) {
  root.replaceChildren(...users.map((one) => h("li", {},
    h("button", { type: "button", "aria-current": one.id === chosen ? "true" : null, on: { click: () => onChoose(one.id) } },
      mark(one.id),
      h("span", { class: "person" },
        h("b", {}, one.id),
        h("span", {}, [count(one.nEvents, "event"), one.last === null ? "" : ago(one.last, now)].filter(Boolean).join(" · "))),
    ))));
  const current = root.querySelector("[aria-current]");
  if (current) {
    // Only the list scrolls, not the page.
    const row = current.parentElement;
    root.scrollTop = Math.min(root.scrollTop, row.offsetTop - root.offsetTop);
    root.scrollTop = Math.max(root.scrollTop, row.offsetTop - root.offsetTop + row.offsetHeight - root.clientHeight);
    if (row.offsetLeft - root.offsetLeft > root.clientWidth) root.scrollLeft = row.offsetLeft - root.offsetLeft;
  }
  if (!users.length) note.textContent = query ? `No user id among those listed holds “${query}”. Press Enter to ask for it by its exact id.` : "The service knows no user yet.";
  else note.textContent = total > users.length ? `${users.length.toLocaleString("en")} of ${total.toLocaleString("en")} shown; type an id and press Enter for any other.` : "";
}
