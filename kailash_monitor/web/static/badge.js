/** Badges: severities and states, told by a shape, a colour and a word, so that none of the three is needed. */

import { h } from "./dom.js";

/** How grave an alert is, gravest first. */
export const SEVERITIES = ["critical", "error", "warning", "info"];

/** Give a severity with its shape. */
export const severity = (name) => h("span", { class: `severity ${name}` }, h("i.shape", { "aria-hidden": "true" }), name);

/** Give a state as a pill; `tone` is "bad", "warn", "good", "calm" or "off", by default the one the word is known for. */
export const state = (name, tone = TONES[name] ?? "off") => h("span", { class: `state ${tone}` }, name.replaceAll("_", " "));

/** The tones of states. */
export const TONES = {
  firing: "bad", error: "bad", rejected: "bad", "given up": "bad", gone: "bad", unauthorised: "bad", open: "bad", failing: "bad",
  pending: "warn", retry: "warn", recovering: "warn",
  resolved: "good", inactive: "good", ok: "good", delivered: "good", active: "calm", acknowledged: "calm",
};

/** Give labels as chips, as text whatever they contain; null where there are none. */
export function labels(pairs) {
  const shown = Object.entries(pairs ?? {});
  return shown.length === 0 ? null : h("span.labels", shown.map(([name, value]) => h("span.label", h("b", name), `=${value}`)));
}
