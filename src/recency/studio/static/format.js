// Writing times, durations and numbers. Instants are milliseconds since 1970 UTC here.

export const SECOND = 1000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

const UNITS = [
  [365.25 * DAY, "y"],
  [30.44 * DAY, "mo"],
  [7 * DAY, "wk"],
  [DAY, "d"],
  [HOUR, "h"],
  [MINUTE, "min"],
  [SECOND, "s"],
];

/** Read an instant: ISO 8601 text, or a count whose size tells its unit. */
export function instant(value) {
  if (value === null || value === undefined) return null;
  if (typeof value === "string") return Date.parse(value);
  if (value > 1e14) return value / 1000;
  return value > 1e11 ? value : value * 1000;
}

/** Write an instant for the service. */
export const iso = (ms) => new Date(ms).toISOString();

/** Write a duration with its largest fitting unit: `42 s`, `3 d`. */
export function duration(ms) {
  for (const [size, unit] of UNITS) {
    const rounded = Math.round(ms / size);
    if (rounded >= 1 && ms >= 0.95 * size) return `${rounded.toLocaleString("en")} ${unit}`;
  }
  return "at once";
}

/** Say how long ago an instant was. */
export const ago = (ms, now) => (now - ms < SECOND ? "just now" : `${duration(now - ms)} ago`);

const when = (options) => new Intl.DateTimeFormat("en-GB", { timeZone: "UTC", ...options });
const LONG = when({ weekday: "short", day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit" });
const EXACT = when({ weekday: "short", day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit" });
const DATE = when({ day: "numeric", month: "short", year: "numeric" });

export const longTime = (ms) => LONG.format(ms);
export const exactTime = (ms) => EXACT.format(ms);
export const date = (ms) => DATE.format(ms);
export const part = (ms, options) => when(options).format(ms);

/** Write a measured time in milliseconds. */
export const latency = (ms) => (ms < 10 ? `${ms.toFixed(1)} ms` : `${Math.round(ms)} ms`);

export const count = (n, one, many = `${one}s`) => `${n.toLocaleString("en")} ${n === 1 ? one : many}`;

/** Hash text to a whole number, the same on every visit. */
export function hash(text) {
  let value = 2166136261;
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 16777619);
  return value >>> 0;
}
