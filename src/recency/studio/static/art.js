// Colour and cover of an item, from its categories and its id: the same item always looks the same
// within a visit of this page, and items of one category look like kin.

import { s } from "./dom.js";
import { hash } from "./format.js";

// Hues far from the vermilion that stands for the clock.
const HUES = [155, 75, 258, 335, 205, 112, 300, 48];
const SHIFTS = [0, 20, -20, 10, -10, 30, -30];

const families = new Map();
const places = new Map();

function place(categories) {
  const family = categories[0] ?? "";
  const name = categories.join("/");
  if (!families.has(family)) families.set(family, { index: families.size, members: 0 });
  if (!places.has(name)) {
    const known = families.get(family);
    places.set(name, { family: known.index, member: known.members, index: places.size });
    known.members += 1;
  }
  return places.get(name);
}

/** Give the hue of a category in degrees; what has no category is grey (null). */
export function hue(categories) {
  if (!categories.length) return null;
  const { family, member } = place(categories);
  const turn = Math.floor(family / HUES.length) * 17;
  return HUES[family % HUES.length] + SHIFTS[member % SHIFTS.length] + turn;
}

/** Give the custom properties that colour an element by category. */
export function tint(categories) {
  const found = hue(categories);
  return found === null ? { "--hue": "80", "--chroma": "0.012" } : { "--hue": String(found) };
}

export const shelf = (categories) => categories.at(-1) ?? "";

/** Draw an item's cover: a motif of its category, varied by its id. */
export function cover(item, size = 40) {
  const seed = hash(item.id);
  const motif = motifOf(item.categories, seed);
  const svg = s("svg", { viewBox: "0 0 40 40", width: size, height: size, class: "cover", "aria-hidden": true, vars: tint(item.categories) });
  svg.append(s("rect", { width: 40, height: 40, class: "c-paper" }), ...motif(chances(seed)));
  return svg;
}

/** Draw a user's mark: four arcs, as a tree keeps its years. */
export function mark(id, size = 28) {
  const random = chances(hash(id));
  const svg = s("svg", { viewBox: "0 0 28 28", width: size, height: size, class: "mark", "aria-hidden": true, vars: { "--hue": String(Math.floor(random() * 360)) } });
  for (let ring = 0; ring < 4; ring++) {
    const r = 3 + ring * 3;
    const around = 2 * Math.PI * r;
    const dash = around * (0.3 + 0.55 * random());
    svg.append(s("circle", {
      cx: 14, cy: 14, r, "stroke-dasharray": `${dash.toFixed(1)} ${(around - dash).toFixed(1)}`,
      transform: `rotate(${Math.floor(random() * 360)} 14 14)`,
    }));
  }
  return svg;
}

function chances(seed) {
  let state = seed || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 4294967296;
  };
}

const dot = (cx, cy, r, tone) => s("circle", { cx, cy, r, class: tone });
const shape = (d, tone) => s("path", { d, class: tone });

function peaks(random) {
  const a = 8 + random() * 10;
  const b = 24 + random() * 9;
  return [
    dot(6 + random() * 28, 9 + random() * 4, 3.4, "c-light"),
    shape(`M${b - 17} 40 ${b} ${13 + random() * 5} ${b + 19} 40z`, "c-mid"),
    shape(`M${a - 16} 40 ${a} ${19 + random() * 6} ${a + 15} 40z`, "c-deep"),
  ];
}

function steam(random) {
  const top = 7 + random() * 4;
  const lines = [13, 20, 27].map((x, i) => shape(`M${x} ${21} q${-4} -4 0 -7 t0 ${-(7 - top / 3) - i % 2}`, "c-line"));
  return [...lines, shape("M8 24h24v3a12 10 0 0 1-24 0z", "c-deep"), dot(33, 27.5, 3 + random(), "c-ring")];
}

function spines(random) {
  const parts = [];
  for (let x = 5; x < 34;) {
    const width = 4 + Math.floor(random() * 4);
    const top = 7 + Math.floor(random() * 12);
    parts.push(s("rect", { x, y: top, width: width - 1, height: 40 - top, class: ["c-deep", "c-mid", "c-light"][Math.floor(random() * 3)] }));
    x += width;
  }
  return parts;
}

function arches(random) {
  const x = 20 + (random() - 0.5) * 8;
  return [16, 11.5, 7].map((r, i) => shape(`M${x - r} 40V${24 - r / 3}a${r} ${r} 0 0 1 ${2 * r} 0V40z`, ["c-mid", "c-paper", "c-deep"][i]));
}

function rings(random) {
  const x = 14 + random() * 12;
  const y = 14 + random() * 12;
  return [dot(x, y, 15, "c-mid"), dot(x, y, 10.5, "c-paper"), dot(x, y, 8, "c-deep"), dot(x, y, 2.4, "c-light")];
}

function petals(random) {
  const turn = random() * 60;
  const n = 5 + Math.floor(random() * 3);
  const parts = [];
  for (let i = 0; i < n; i++) {
    parts.push(s("ellipse", { cx: 20, cy: 11, rx: 4.6, ry: 8, class: i % 2 ? "c-deep" : "c-mid", transform: `rotate(${turn + (i * 360) / n} 20 20)` }));
  }
  return [...parts, dot(20, 20, 3.4, "c-light")];
}

function seeds(random) {
  const parts = [];
  for (let y = 7; y < 38; y += 9) {
    for (let x = 7 + (y % 2) * 4; x < 38; x += 9) {
      parts.push(s("ellipse", { cx: x, cy: y, rx: 2 + random() * 1.6, ry: 3.4, class: random() < 0.5 ? "c-deep" : "c-mid", transform: `rotate(${random() * 180} ${x} ${y})` }));
    }
  }
  return parts;
}

function blades(random) {
  const lean = 8 + random() * 14;
  return [0, 11, 22].map((x, i) => shape(`M${x - 4} 40 ${x + lean} 0h8L${x + 4} 40z`, ["c-mid", "c-deep", "c-light"][i]));
}

function hills(random) {
  const y = () => 4 * random();
  return [
    dot(10 + random() * 20, 12, 5.4, "c-light"),
    shape(`M0 ${21 + y()}q10 -7 20 -1t20 -2V40H0z`, "c-mid"),
    shape(`M0 ${30 + y()}q12 -8 22 -1t18 -1V40H0z`, "c-deep"),
  ];
}

function rays(random) {
  const parts = [];
  const turn = random() * 30;
  for (let i = 0; i < 12; i++) {
    parts.push(s("rect", { x: 19, y: 1, width: 2, height: i % 2 ? 7 : 10, rx: 1, class: "c-mid", transform: `rotate(${turn + i * 30} 20 20)` }));
  }
  return [...parts, dot(20, 20, 7.5, "c-deep"), dot(20, 20, 3.2, "c-light")];
}

function grains(random) {
  const parts = [];
  for (let i = 0; i < 22; i++) {
    const far = random() ** 0.6;
    parts.push(dot(20 + 16 * far * Math.cos(i * 2.4), 22 + 14 * far * Math.sin(i * 2.4), 1.2 + 1.7 * random(), ["c-deep", "c-mid", "c-light"][i % 3]));
  }
  return parts;
}

function waves(random) {
  const lift = random() * 5;
  return [8, 16, 24, 32].map((y, i) => shape(`M-2 ${y + lift}q5.5 -6 11 0t11 0 11 0 11 0V44H-2z`, ["c-light", "c-mid", "c-deep", "c-mid"][i]));
}

function pages(random) {
  const parts = [];
  for (let i = 0; i < 4; i++) {
    const lift = 4 + i * 5 + random() * 2;
    parts.push(shape(`M20 34Q12 ${30 - lift} 3 ${33 - lift}L5 37Q13 34 20 38z`, ["c-deep", "c-mid", "c-light", "c-mid"][i]));
    parts.push(shape(`M20 34Q28 ${30 - lift} 37 ${33 - lift}L35 37Q27 34 20 38z`, ["c-mid", "c-light", "c-mid", "c-deep"][i]));
  }
  return parts;
}

// The first word found in a category's name decides; what matches none takes its turn.
const WORDS = [
  [/cookbook|recipe|magazine|news/i, pages],
  [/tent|camp|mountain|climb|adventure|western/i, peaks],
  [/travel|walk|trail run|hik|geograph|landscape/i, hills],
  [/novel|book|read|comic|writing|stor(y|ies)|document|paper/i, spines],
  [/guide|flower|garden|plant|nature|romance|beauty/i, petals],
  [/coffee|tea\b|drink|hot|comfort/i, steam],
  [/pan|pot|plate|disc|music|record|kitchen/i, rings],
  [/kni(fe|ves)|tool|blade|action|sport|war/i, blades],
  [/light|lamp|star|sun|sci|electr|comedy/i, rays],
  [/spice|grain|herb|sugar|crime|thriller|horror/i, grains],
  [/food|fruit|seed|snack|meal|child/i, seeds],
  [/pack|bag|case|home|house|furnitur|shelter|drama|theat/i, arches],
  [/boat|sea|water|swim|bath|fish|fantasy/i, waves],
];
const MOTIFS = WORDS.map(([, motif]) => motif);

function motifOf(categories, seed) {
  if (!categories.length) return MOTIFS[seed % MOTIFS.length];
  for (const name of [...categories].reverse()) {
    const found = WORDS.find(([words]) => words.test(name));
    if (found) return found[1];
  }
  return MOTIFS[place(categories).index % MOTIFS.length];
}
