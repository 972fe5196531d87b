// The page: who is looked at, what time it is there, and what follows from both.

import * as api from "./api.js";
import { by, calm, h, s } from "./dom.js";
import { ago, exactTime, latency, longTime } from "./format.js";
import { showRecent, showSpectrum, summary } from "./history.js";
import { showPeople } from "./people.js";
import { complain, settle } from "./notice.js";
import { Ranking } from "./ranking.js";
import { showResults } from "./results.js";
import { SimilarItems } from "./similar.js";
import { glyph, Timeline } from "./timeline.js";

const K = 10;
const LISTED = 200; // users in the side list
const LONGEST = 1000; // events of a history sent along with a question
const STEPS = 10_000; // of the slider

const state = {
  user: null, // id, or null for a visitor without a name
  events: [], // oldest first
  hidden: 0, // older events that the service left out
  clock: null, // instant of the question in ms, null for now
  trials: [], // events tried out while looking back
  users: [],
  total: 0,
  typeCounts: new Map(),
  type: null, // what a click is
  offset: 0, // the service's clock minus this machine's, ms
  playing: null,
};

const similar = new SimilarItems(by("similar"), { onPick: pick, guarded });
const ranking = new Ranking(by("list"), { onPick: pick, onSimilar: (...given) => similar.offer(...given) });
const timeline = new Timeline(by("chart"), by("tip"), setClock);
let question = new AbortController();

const now = () => Date.now() + state.offset;
const at = () => state.clock ?? now();
const before = () => (state.clock === null ? state.events : state.events.filter((one) => one.time < state.clock));
const types = () => [...state.typeCounts].sort((a, b) => b[1] - a[1]).map(([name]) => name);

// --- people ---------------------------------------------------------------------------------------

async function loadPeople(after = 0) {
  const found = await api.users(LISTED, after);
  state.users = found.users.sort((a, b) => (b.last ?? 0) - (a.last ?? 0));
  state.total = found.total;
}

function listPeople() {
  const query = by("query").value.trim();
  const lower = query.toLowerCase();
  showPeople(by("people"), by("people-note"), {
    users: state.users.filter((one) => one.id.toLowerCase().includes(lower)).slice(0, LISTED),
    total: query ? 0 : state.total, chosen: state.user, now: now(), query, onChoose: choose,
  });
}

/** Show another part of the list, and somebody of it with a history worth looking at. */
async function anyone() {
  await guarded(() => loadPeople(Math.floor(Math.random() * Math.max(0, state.total - LISTED))));
  const rich = state.users.filter((one) => one.nEvents >= 15 && one.nEvents <= 150 && one.id !== state.user);
  const pool = rich.length ? rich : state.users;
  if (pool.length) await choose(pool[Math.floor(Math.random() * pool.length)].id);
}

async function choose(user) {
  pause();
  await guarded(async () => {
    const { events, total } = user === null ? { events: [], total: 0 } : await api.history(user);
    Object.assign(state, { user, events, hidden: total - events.length, clock: null, trials: [] });
    state.typeCounts = new Map(user === null ? state.typeCounts : countTypes(events));
    if (!types().includes(state.type)) state.type = types()[0] ?? null;
    const address = new URL(location.href);
    if (user === null) address.searchParams.delete("user");
    else address.searchParams.set("user", user);
    history.replaceState(null, "", address);
    listPeople();
    await refresh({ compare: false });
  });
}

function countTypes(events) {
  const counts = new Map(state.typeCounts);
  for (const { type } of events) if (type !== null) counts.set(type, (counts.get(type) ?? 0) + 1);
  return counts;
}

// --- the question and its answer --------------------------------------------------------------------

async function refresh({ compare = true, stored = null } = {}) {
  paint();
  question.abort();
  question = new AbortController();
  const { signal } = question;
  const start = performance.now();
  const found = await ask(signal).catch((error) => {
    if (error.name === "AbortError") return null;
    throw error;
  });
  if (!found || signal.aborted) return;
  const took = performance.now() - start;
  if (state.clock === null && found.at !== null && setOffset(found.at - Date.now())) {
    paint();
    listPeople();
  }
  show(found, compare);
  by("latency").replaceChildren(
    ...(stored === null ? [] : [h("span", {}, "stored in ", h("b", {}, latency(stored)))]),
    h("span", {}, stored === null ? "answered in " : "new list in ", h("b", {}, latency(took))),
  );
}

function ask(signal) {
  const looking = state.user !== null && !state.trials.length;
  if (looking) return api.recommend(state.user, { k: K, at: state.clock, signal });
  const events = [...before(), ...state.trials].slice(-LONGEST);
  const last = events.at(-1);
  // Just after the newest event: this machine's clock and the service's may differ a little.
  return api.recommendAfter(events, { k: K, at: last ? last.time + 1 : state.clock, signal });
}

/** Follow the service's clock; tell whether that moved this page's. */
function setOffset(offset) {
  // Less than two seconds is the answer's way here, not another clock.
  const moved = Math.abs(offset - state.offset) >= 2000;
  if (moved) state.offset = Math.abs(offset) < 2000 ? 0 : offset;
  return moved;
}

function show(found, compare) {
  by("model").replaceChildren(
    h("span", { class: "version", title: "The weights that answered" }, found.version ?? "model"),
    found.asOf === null ? "" : h("span", { title: exactTime(found.asOf) }, `newest event ${ago(found.asOf, now())}`),
  );
  by("next-note").replaceChildren(note(found));
  if (!found.items.length) return ranking.clear("Nothing may be recommended at this instant: no item is on sale.");
  const verb = state.user !== null && state.clock === null ? `Post a ${state.type ?? "click"}` : "Try it out";
  by("spoken").textContent = state.playing === null ? `First: ${found.items.slice(0, 3).map((one) => one.title).join(", ")}` : "";
  ranking.show(found.items, { compare, fallback: found.fallback, verb });
}

function note(found) {
  if (state.trials.length) {
    const clear = h("button", { type: "button", class: "link", on: { click: clearTrials } }, "undo");
    return h("span", {}, `After ${state.trials.length} tried-out click${state.trials.length > 1 ? "s" : ""}, which nothing stores. `, clear);
  }
  if (found.fallback) return h("span", {}, "No history before this instant: what is popular.");
  if (state.user === null) return h("span", {}, "From this visit alone. Nothing of it is stored.");
  if (state.clock !== null) return h("span", {}, "As of then. A click is tried out, not stored.");
  return h("span", {}, "Click an item: the event is stored, and the list follows.");
}

// --- drawing what is known here ---------------------------------------------------------------------

function paint() {
  const moment = now();
  const known = before();
  const shown = [...known, ...state.trials];
  by("who").textContent = state.user ?? "New visitor";
  document.title = `${state.user ?? "New visitor"} · Recency Studio`;
  by("who-note").textContent = state.user === null && !state.events.length
    ? "Nobody the model knows. The first click tells it something."
    : summary(state.events, state.hidden, moment);
  by("next-title").textContent = state.clock === null ? "Next" : "Next, as of then";
  showSpectrum(by("spectrum"), shown);
  showRecent(by("recent"), by("recent-note"), shown, state.trials.at(-1)?.time ?? at());
  timeline.show({ events: state.events, types: types(), clock: state.clock, now: moment, whatIf: state.trials });
  paintClock(moment);
  paintTypes();
}

function paintClock(moment) {
  const live = state.clock === null;
  by("clock").classList.toggle("live", live);
  by("clock-time").textContent = longTime(at());
  by("clock-state").textContent = live ? "now" : ago(state.clock, moment);
  by("to-now").setAttribute("aria-pressed", String(live));
  const [start, end] = timeline.life;
  by("slider").value = live ? STEPS : Math.round(((state.clock - start) / (end - start)) * STEPS);
  by("slider").setAttribute("aria-valuetext", live ? "now" : longTime(state.clock));
  by("step-back").disabled = !before().length;
  by("step-on").disabled = live;
  by("play").disabled = !state.events.length;
}

function paintTypes() {
  const names = types();
  by("click-means").hidden = names.length < 2;
  by("types").replaceChildren(...names.slice(0, 4).map((name) => h("button", {
    type: "button", "aria-pressed": String(name === state.type), on: { click: () => { state.type = name; paintTypes(); } },
  }, name)));
  by("marks").replaceChildren(...(names.length < 2 ? [] : names.slice(0, 4).map((name, i) => h("li", {},
    s("svg", { viewBox: "0 0 12 12", width: 12, height: 12, "aria-hidden": true }, glyph(i, 6, 6)), name))));
}

// --- clicks -----------------------------------------------------------------------------------------

async function pick(item) {
  pause();
  similar.close();
  await guarded(async () => {
    const one = { ...item, type: state.type, time: now() };
    if (state.clock !== null) {
      const time = (state.trials.at(-1)?.time ?? state.clock) + 1000;
      state.trials.push({ ...one, time, trial: true });
      return refresh();
    }
    if (state.user === null) {
      state.events.push({ ...one, fresh: true });
      await refresh();
      return timeline.drop();
    }
    const start = performance.now();
    await api.post(state.user, one);
    const stored = performance.now() - start;
    for (const old of state.events) old.fresh = false;
    state.events.push({ ...one, fresh: true });
    const listed = state.users.find(({ id }) => id === state.user);
    if (listed) Object.assign(listed, { nEvents: listed.nEvents + 1, last: one.time });
    listPeople();
    await refresh({ stored });
    return timeline.drop();
  });
}

function clearTrials() {
  state.trials = [];
  guarded(() => refresh());
}

// --- the clock --------------------------------------------------------------------------------------

let due = null;

function setClock(ms) {
  state.clock = ms;
  state.trials = [];
  paint();
  // While the hand moves, ask a few times a second.
  clearTimeout(due);
  due = setTimeout(() => guarded(() => refresh()), 50);
}

function stepOn() {
  if (state.clock === null) return false;
  const next = state.events.find((one) => one.time >= state.clock);
  const last = next === undefined || next === state.events.at(-1);
  setClock(last ? null : next.time + 1);
  return !last;
}

function stepBack() {
  const last = before().at(-1);
  if (last) setClock(last.time);
}

function play() {
  if (state.playing !== null) return pause();
  if (state.clock === null && state.events.length) setClock(state.events[0].time);
  by("play").classList.add("playing");
  by("play-label").textContent = "Pause";
  const pace = calm() ? 1600 : Math.max(220, Math.min(900, 30_000 / state.events.length));
  state.playing = setInterval(() => stepOn() || pause(), pace);
}

function pause() {
  clearInterval(state.playing);
  state.playing = null;
  by("play").classList.remove("playing");
  by("play-label").textContent = "Replay";
}

// --- trouble ----------------------------------------------------------------------------------------

/** Do something; if it fails, say so in words and stop what moves by itself. */
async function guarded(action) {
  try {
    await action();
    settle();
  } catch (error) {
    pause();
    complain(error, start);
  }
}

// --- wiring -----------------------------------------------------------------------------------------

function wire() {
  by("query").addEventListener("input", listPeople);
  by("search").addEventListener("submit", (event) => {
    event.preventDefault();
    const exact = by("query").value.trim();
    if (exact) choose(exact);
  });
  by("new-visitor").addEventListener("click", () => choose(null));
  by("anyone").addEventListener("click", anyone);
  by("slider").addEventListener("input", (event) => {
    pause();
    const [start, end] = timeline.life;
    const value = Number(event.target.value);
    setClock(value >= STEPS ? null : start + (value / STEPS) * (end - start));
  });
  by("slider").addEventListener("keydown", (event) => {
    const step = { ArrowLeft: stepBack, ArrowRight: stepOn, ArrowDown: stepBack, ArrowUp: stepOn }[event.key];
    if (!step) return;
    event.preventDefault();
    pause();
    step();
  });
  by("step-back").addEventListener("click", () => { pause(); stepBack(); });
  by("step-on").addEventListener("click", () => { pause(); stepOn(); });
  by("to-now").addEventListener("click", () => { pause(); setClock(null); });
  by("play").addEventListener("click", play);
  for (const button of by("zoom").children) button.addEventListener("click", () => {
    for (const one of by("zoom").children) one.setAttribute("aria-pressed", String(one === button));
    timeline.zoom(button.dataset.span);
  });
  document.addEventListener("keydown", keys);
  setInterval(() => document.hidden || state.clock !== null || paint(), 30_000);
}

function keys(event) {
  if (event.key === "Escape") return similar.close();
  if (event.target.closest("input, button, a, select") || event.metaKey || event.ctrlKey || event.altKey) return;
  const action = { ArrowLeft: stepBack, ArrowRight: stepOn, " ": play }[event.key];
  if (!action) return;
  event.preventDefault();
  if (event.key !== " ") pause();
  action();
}

async function start() {
  await guarded(async () => {
    await loadPeople();
    const asked = new URL(location.href).searchParams.get("user");
    const rich = state.users.find((one) => one.nEvents >= 25 && one.nEvents <= 150);
    await choose(asked ?? rich?.id ?? state.users[0]?.id ?? null);
    document.body.dataset.ready = "true";
  });
}

wire();
start();
api.report().then((found) => showResults(by("results-body"), by("results-note"), found));
