/** Rules: what is judged, how it stands, and a place to try what might be. */

import { href } from "../address.js";
import { severity, state } from "../badge.js";
import { h } from "../dom.js";
import { filters } from "../filters.js";
import { number, time } from "../format.js";
import { listing } from "../listing.js";
import { condition, rule, toggle } from "../rule.js";
import { trial } from "../trial.js";

const STATES = ["firing", "pending", "recovering", "error", "inactive", "waiting", "disabled"];

export function show(root, { parameters, path, signal }) {
  if (path.length) return rule(root, { name: path[0], parameters, signal });
  const filter = filters(
    [{ name: "text", label: "Search", placeholder: "Name, description, metric" }, { name: "state", label: "State", options: STATES }],
    parameters,
  );
  const list = listing({
    path: "rules",
    noun: "rule",
    columns: COLUMNS,
    empty: () => filter.nothing("rule", "There are no rules yet. Add some to the configuration, or in the program with add_rule()."),
    parameters,
    signal,
    ask: filter.asked,
    refuse: filter.refuse,
  });
  const form = trial({ parameters, signal });
  const jump = h("a", { href: href("rules"), onclick: (event) => (event.preventDefault(), form.enter()) }, "Experiment on live data");
  root.append(h("div.head", h("h1", "Rules"), jump), ...(form.given ? [form, filter, list] : [filter, list, form]));
  if (form.given) setTimeout(form.enter); // once the page has the focus
}

const COLUMNS = [
  { title: "Rule", class: "wide", cell: named },
  { title: "State", cell: (rule) => state(rule.state) },
  { title: "Severity", cell: (rule) => severity(rule.severity) },
  { title: "Last value", class: "number", cell: (rule) => number(rule.value, rule.unit) },
  { title: "Last evaluation", cell: evaluated },
  { title: "Next", cell: (rule) => time(rule.next_evaluation) },
  { title: "Change", class: "actions", cell: (rule) => toggle(rule, { class: "small" }) },
];

function evaluated(rule) {
  return h("div", time(rule.last_evaluation), rule.duration_ms && h("div.muted.detail", `took ${number(rule.duration_ms, "ms")}`));
}

function named(rule) {
  const link = h("a", { id: `rule-${rule.name}`, href: href(["rules", rule.name]) }, rule.name);
  return [link, h("div.muted.clamped", condition(rule)), rule.error && h("div.bad.detail", rule.error)];
}
