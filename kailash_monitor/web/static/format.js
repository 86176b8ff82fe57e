/** Formats: numbers, durations and times in words that people read. */

import { h } from "./dom.js";

let skew = 0; // milliseconds by which the program's clock is ahead of the browser's

/** Take note of the program's time, so that "2 min ago" is by its clock. */
export const serverTime = (iso) => (skew = Date.parse(iso) - Date.now());

/** Give the program's time now, in milliseconds since 1970. */
export const now = () => Date.now() + skew;

// -- durations and times --

const UNITS = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];

/** Give seconds in words: "1 h 5 min", "12 s", "340 ms". */
export function duration(seconds) {
  if (!Number.isFinite(seconds)) return "–";
  if (seconds && Math.abs(seconds) < 1) return `${significant(seconds * 1000)} ms`;
  if (seconds < 10) return `${significant(seconds, 2)} s`;
  const first = UNITS.findIndex(([, size]) => seconds >= size);
  let rest = Math.round(seconds);
  const parts = UNITS.slice(first, first + 2).map(([unit, size]) => {
    const count = Math.floor(rest / size);
    rest -= count * size;
    return count ? `${count} ${unit}` : "";
  });
  return parts.filter(Boolean).join(" ");
}

/** Give a time as people say it: "just now", "12 s ago", "in 5 min". */
export function relative(iso) {
  const seconds = (now() - Date.parse(iso)) / 1000;
  const size = Math.abs(seconds);
  if (size < 1.5) return "just now";
  const [unit, long] = UNITS.find(([, long]) => size >= long);
  const text = `${Math.floor(size / long)} ${unit}`;
  return seconds > 0 ? `${text} ago` : `in ${text}`;
}

const formatter = (styles) => new Intl.DateTimeFormat("en-GB", styles);
const EXACT = formatter({ dateStyle: "medium", timeStyle: "long" });
const DAY = formatter({ dateStyle: "medium" });
const CLOCK = formatter({ timeStyle: "medium" });

/** Give the date, the time and the zone, by the browser's zone. */
export const absolute = (iso) => (iso ? EXACT.format(new Date(iso)) : "–");

/** Give the time of day, with the date where it is not today's. */
export function clockTime(iso) {
  if (!iso) return "–";
  const at = new Date(iso);
  return `${DAY.format(at) === DAY.format(now()) ? "" : `${DAY.format(at)}, `}${CLOCK.format(at)}`;
}

/** Give a `<time>` that says how long ago or how soon, and, to the pointer and to screen readers, when exactly. */
export function time(iso) {
  if (!iso) return h("span.muted", "–");
  const exact = absolute(iso);
  return h("time", { datetime: iso, title: exact }, relative(iso), h("span.unseen", ` (${exact})`));
}

/** Have every `<time>` of the page say how long ago it is by now. */
export function tick() {
  for (const { firstChild: text, dateTime } of document.querySelectorAll("time[datetime]")) {
    const fresh = relative(dateTime);
    if (text.data !== fresh) text.data = fresh;
  }
}

// -- numbers --

const SHORT = { percent: "%", seconds: "s", milliseconds: "ms", microseconds: "µs", nanoseconds: "ns", ratio: "" };
const PREFIXES = [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e4, "k", 1e3]]; // 9999 is shorter than 10 k
const BINARY = [[2 ** 40, "TiB"], [2 ** 30, "GiB"], [2 ** 20, "MiB"], [2 ** 10, "KiB"], [0, "B", 1]];
const LONG = { seconds: 120, milliseconds: 10_000 }; // what is told as a duration: "2 min"

/** Give a number with four digits that count and its unit: "93.27 %", "1.5 GiB/s", "12.4 k"; a dash where there is none. */
export function number(value, unit = "") {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  const [base, ...per] = (unit ?? "").split("/");
  const seconds = base === "milliseconds" ? value / 1000 : value;
  if (base in LONG && !per.length && (Math.abs(value) >= LONG[base] || Math.abs(value) < 1)) return duration(seconds);
  const scale = (base === "bytes" ? BINARY : PREFIXES).find(([least]) => Math.abs(value) >= least);
  const text = scale ? `${significant(value / (scale[2] ?? scale[0]))} ${scale[1]}` : significant(value);
  const word = base === "bytes" ? "" : (SHORT[base] ?? base);
  return [word ? `${text} ${word}` : text, ...per.map((one) => SHORT[one] ?? one)].join("/");
}

function significant(value, digits = 4) {
  const size = Math.abs(value);
  const text = size && size < 1e-4 ? value.toExponential(2) : Number(size >= 10 ** digits ? value.toFixed(0) : value.toPrecision(digits));
  return String(text).replace(/^-/, "−");
}

/** Give "1 alert", "2 alerts". */
export const count = (many, noun, plural = `${noun}s`) => `${number(many)} ${many === 1 ? noun : plural}`;
