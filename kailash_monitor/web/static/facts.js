/** Facts: what is known of one thing, as terms with their values. */

import { h } from "./dom.js";

/** Give a list of `[term, value]`, or `[term, value, class]`; a value of null, undefined or "" is left out with its term. */
export function facts(pairs) {
  const said = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return h("dl.facts", said.map(([term, value, name]) => h("div", { class: name === "wide" ? name : null }, h("dt", term), h("dd", { class: name }, value))));
}
