// The service, as this page needs it. Every shape that comes from outside is put in order here.

import { instant, iso } from "./format.js";

const ROOT = new URL("../v1/", document.baseURI);
const KEY = "recency-api-key";
const LONGEST = 2000; // events of a history
const LOOKUPS = 300; // items asked about for one history

/** What went wrong, in words for a person. */
export class ServiceError extends Error {
  constructor(message, status = 0) {
    super(message);
    this.status = status;
  }
}

export const setKey = (key) => sessionStorage.setItem(KEY, key);

function keyed() {
  const key = sessionStorage.getItem(KEY);
  return key ? { accept: "application/json", "x-api-key": key } : { accept: "application/json" };
}

async function ask(path, { method = "GET", body, signal } = {}) {
  const headers = keyed();
  if (body !== undefined) headers["content-type"] = "application/json";
  let response;
  try {
    response = await fetch(new URL(path, ROOT), {
      method, headers, signal, body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServiceError("The service does not answer. Is it still running?");
  }
  const found = await response.json().catch(() => null);
  if (!response.ok) throw new ServiceError(reason(found, response.status), response.status);
  return found;
}

function reason(found, status) {
  const text = found?.detail ?? found?.title ?? found?.error;
  if (typeof text === "string") return text;
  return `The service answered with status ${status} and no reason.`;
}

const path = (text) => encodeURIComponent(text);
const text = (value) => (value === null || value === undefined ? null : String(value));

function item(one) {
  return {
    id: String(one.item_id),
    title: one.title ?? String(one.item_id),
    categories: one.categories ?? [],
    score: one.score ?? null,
  };
}

function event(one) {
  return {
    ...item(one),
    time: instant(one.timestamp),
    type: text(one.event_type),
  };
}

function list(found) {
  return {
    items: (found.items ?? []).map(item),
    fallback: Boolean(found.fallback),
    version: found.model_version,
    at: instant(found.at),
    asOf: instant(found.as_of?.time),
  };
}

/** List users: `after` leaves that many out; the service gives 200 at most. */
export async function users(limit, after = 0) {
  const found = await ask(`users?${new URLSearchParams({ limit, after })}`);
  return {
    total: found.n_users,
    users: found.users.map((one) => ({ id: String(one.user_id), nEvents: one.n_events, last: instant(one.newest) })),
  };
}

export async function history(user) {
  const found = await ask(`users/${path(user)}?limit=${LONGEST}`);
  const events = found.events.map(event);
  await describe(events);
  return { events, total: found.n_events };
}

const known = new Map();

/** Add categories where the history came without: each item is asked about once. */
async function describe(events) {
  const bare = new Set(events.filter((one) => !one.categories.length).map((one) => one.id));
  await Promise.all([...bare].filter((id) => !known.has(id)).slice(0, LOOKUPS).map(async (id) => {
    known.set(id, (await ask(`items/${path(id)}`).catch(() => null))?.categories ?? []);
  }));
  for (const one of events) if (bare.has(one.id)) one.categories = known.get(one.id) ?? [];
}

export async function recommend(user, { k, at, signal }) {
  const query = new URLSearchParams({ k, details: true });
  if (at !== null) query.set("at", iso(at));
  return list(await ask(`users/${path(user)}/recommendations?${query}`, { signal }));
}

/** Ask for somebody without a name: nothing of the history is stored. */
export async function recommendAfter(events, { k, at, signal }) {
  const body = {
    k,
    details: true,
    history: events.map((one) => ({
      item_id: one.id,
      timestamp: iso(one.time),
      ...(one.type === null ? {} : { event_type: one.type }),
    })),
  };
  if (at !== null) body.at = iso(at);
  return list(await ask("recommendations", { method: "POST", body, signal }));
}

export async function post(user, one) {
  const body = { event_id: crypto.randomUUID?.() ?? undefined, user_id: user, item_id: one.id };
  if (one.type !== null) body.event_type = one.type;
  const found = await ask("events", { method: "POST", body });
  const outcome = found.results?.[0];
  if (outcome?.status === "rejected") throw new ServiceError(outcome.error, 422);
  return outcome;
}

export async function similar(one, k, signal) {
  return list(await ask(`items/${path(one)}/similar?k=${k}&details=true`, { signal })).items;
}

/** Read the evaluation that `recency demo` wrote, or null where there is none. */
export async function report() {
  const response = await fetch(new URL("report.json", document.baseURI), { headers: keyed() }).catch(() => null);
  return response?.ok ? response.json() : null;
}
