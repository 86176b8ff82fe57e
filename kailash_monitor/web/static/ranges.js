/** Ranges: a chart over the time that people choose. */

import { chart, update } from "./chart.js";
import { h, replace } from "./dom.js";
import { live } from "./poll.js";

const USUAL = "3600";
const SECONDS = 5; // or half a step of the chart: asking more often would show the same

/** The field of `filters` that chooses the range; its usual one is not kept in the address. */
export const RANGE = {
  name: "range",
  label: "Range",
  any: null,
  options: [["300", "5 minutes"], ["900", "15 minutes"], ["", "1 hour"], ["21600", "6 hours"], ["86400", "24 hours"]],
};

/** Give the seconds that the address's `parameters` choose. */
export const rangeOf = (parameters) => parameters.get("range") || USUAL;

/**
 * Give an element that shows the chart that `ask(range, signal)` answers, kept up to date; `element.again()` asks at once.
 *
 * What the API refuses (400, 404) is shown in place of the chart, and told to `refuse(field, message)`; null once it is not.
 */
export function ranged({ ask, parameters, signal, height = 240, refuse }) {
  const element = h("div.ranged", h("p.muted", "Loading…"));
  let figure = null;
  let asked = "";
  let fresh = 0;

  async function work(signal) {
    const range = rangeOf(parameters);
    const question = parameters.toString();
    if (figure && question === asked && performance.now() < fresh) return;
    try {
      const document = await ask(range, signal);
      [asked, fresh] = [question, performance.now() + document.step * 500];
      if (figure) update(figure, document);
      else replace(element, (figure = chart(document, { height })));
      refuse?.(null);
    } catch (error) {
      if (error.status !== 400 && error.status !== 404) throw error;
      figure = null;
      replace(element, h("p.empty", error.message));
      refuse?.(error.field, error.message);
    }
  }

  return live(element, work, SECONDS, signal);
}
