// What went wrong, in words, with the one thing that can be done about it.

import { ServiceError, setKey } from "./api.js";
import { by, h } from "./dom.js";

/** Show an error; `retry()` starts the page's questions again. */
export function complain(error, retry) {
  const notice = by("notice");
  if (error.status === 401 || error.status === 403) notice.replaceChildren(...askForKey(retry));
  else {
    // What the service refused will be refused again; what it failed to answer may be answered.
    const refused = error.status >= 400 && error.status < 500;
    notice.replaceChildren(h("span", {}, error.message), refused ? button("Close", settle) : button("Try again", retry));
  }
  notice.hidden = false;
  if (!(error instanceof ServiceError)) console.error(error);
}

/** Take the notice away. */
export function settle() {
  by("notice").hidden = true;
}

function askForKey(retry) {
  const key = h("input", { type: "password", "aria-label": "API key", placeholder: "API key", autocomplete: "off" });
  const enter = () => {
    setKey(key.value);
    retry();
  };
  key.addEventListener("keydown", (event) => event.key === "Enter" && enter());
  return [h("span", {}, "This service asks for its API key."), key, button("Enter", enter)];
}

const button = (text, click) => h("button", { type: "button", on: { click } }, text);
