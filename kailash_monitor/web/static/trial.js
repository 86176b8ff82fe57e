/** Trials: a condition or an expression, judged once on live data, before it becomes a rule. */

import { remember } from "./address.js";
import { get } from "./api.js";
import { labels, state } from "./badge.js";
import { chart, update } from "./chart.js";
import { field } from "./dialog.js";
import { h, replace } from "./dom.js";
import { clockTime, count, number } from "./format.js";
import { RANGE } from "./ranges.js";
import { table } from "./table.js";

const KINDS = { expr: ["expr"], condition: ["metric", "collector", "condition", "window"] };

/** Give a section with a form; `enter()` goes there, `given` says that the address's `parameters` have filled it. */
export function trial({ parameters, signal }) {
  const input = (label, name, placeholder) => field(label, { name, placeholder, value: parameters.get(name) ?? "" });
  const kind = field("Kind", { name: "kind", value: parameters.get("kind") ?? "expr", onchange: choose }, { options: [["expr", "Expression"], ["condition", "Condition"]] });
  const ofExpr = h("div.field.whole", h("label", { for: "field-expr" }, "Expression"), expression(parameters.get("expr") ?? ""));
  const ofCondition = [input("Metric", "metric", "response_time"), input("Collector", "collector", "any"), input("Condition", "condition", "p95 > 0.5"), input("Window", "window", "5m")];
  const range = field("Range", { name: "range", value: "" }, { options: RANGE.options });
  const refusal = h("p.refusal.mono", { role: "alert" });
  const verdict = h("p.muted", { "aria-live": "polite" });
  const answers = table({ caption: "Result", captioned: true, columns: COLUMNS, keyOf: (row) => JSON.stringify(row.labels), empty: "It gives nothing now." });
  const picture = h("div");
  const result = h("div.section", { hidden: true }, answers, picture);
  const form = h("form.filters.trial", { novalidate: true, "aria-label": "Try", onsubmit: judge }, kind, ofExpr, ofCondition, range, h("button.primary", { type: "submit" }, "Try"));
  const section = h("section.card.section", { "aria-labelledby": "trial" }, h("h2", { id: "trial" }, "Try on live data"), form, refusal, verdict, result);
  const inputs = form.elements;
  const main = () => inputs[KINDS[inputs.kind.value][0]];
  let figure = null;

  function choose() {
    ofExpr.hidden = inputs.kind.value !== "expr";
    for (const one of ofCondition) one.hidden = inputs.kind.value === "expr";
  }

  async function judge(event) {
    event?.preventDefault();
    const asked = Object.fromEntries(KINDS[inputs.kind.value].map((name) => [name, inputs[name].value.trim()]));
    for (const name of Object.values(KINDS).flat()) parameters.delete(name);
    for (const [name, value] of Object.entries({ kind: inputs.kind.value, ...asked })) parameters.set(name, value);
    remember(parameters);
    for (const one of inputs) one.removeAttribute("aria-invalid");
    try {
      show(await get("try", { ...asked, range: inputs.range.value }, signal));
      replace(refusal);
    } catch (error) {
      if (signal.aborted) return;
      result.hidden = true;
      replace(verdict);
      replace(refusal, error.message);
      ((error.field && inputs.namedItem(error.field)) || main()).setAttribute("aria-invalid", "true");
    }
  }

  function show({ at, rows, total, chart: document }) {
    const judged = rows.some((row) => row.breaches !== null) ? `; ${rows.filter((row) => row.breaches).length} would breach` : "";
    replace(verdict, `${count(total, "result")} at ${clockTime(at)}${judged}${total > rows.length ? `; the first ${rows.length} are shown` : ""}.`);
    answers.show(rows.map((row) => ({ ...row, unit: document.unit })));
    result.hidden = false;
    if (figure) update(figure, document);
    else replace(picture, (figure = chart(document)));
  }

  choose();
  section.given = ["expr", "condition"].some((name) => parameters.get(name));
  section.enter = () => {
    section.scrollIntoView();
    main().focus({ preventScroll: true });
  };
  if (section.given) judge();
  return section;
}

/** A text of several lines, in which Enter tries; Shift and Enter begin a line. */
function expression(value) {
  const keydown = (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    event.target.form.requestSubmit();
  };
  return h("textarea", { id: "field-expr", name: "expr", rows: 1, class: "mono", spellcheck: "false", placeholder: "sum by (job) (rate(requests_total[5m])) > 10", onkeydown: keydown }, value);
}

const COLUMNS = [
  { title: "Labels", class: "wide", cell: (row) => labels(row.labels) ?? h("span.muted", "no labels") },
  { title: "Value", class: "number", cell: (row) => number(row.value, row.unit) },
  { title: "Breaches", cell: ({ breaches }) => (breaches === null ? "–" : breaches ? state("yes", "bad") : state("no", "good")) },
];
