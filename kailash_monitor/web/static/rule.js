/** A rule: what it judges, what came of it, its chart, and what may be done with it. */

import { href } from "./address.js";
import { ApiError, at, change, get, Rows, session } from "./api.js";
import { labels, severity, state } from "./badge.js";
import { h, refresh, replace } from "./dom.js";
import { facts } from "./facts.js";
import { filters } from "./filters.js";
import { count, duration, number, time } from "./format.js";
import { listing } from "./listing.js";
import { live } from "./poll.js";
import { COLUMNS } from "./pages/alerts.js";
import { press } from "./press.js";
import { ranged, RANGE } from "./ranges.js";

const SECONDS = 2;

/** Show the rule `name` in `root`. */
export async function rule(root, { name, parameters, signal }) {
  const rows = new Rows("rules", "rules");
  const one = async (signal) => (await rows.poll({ text: name, limit: 500 }, signal)).rows.find((rule) => rule.name === name);
  let known = await one(signal);
  if (!known) throw new ApiError(404, `There is no rule "${name}". It may have been removed since.`);

  const badges = h("div.actions");
  const buttons = h("div.buttons");
  const error = h("p.card.bad", { role: "alert", hidden: true });
  const said = h("div");
  root.append(
    h("a.back", { href: "#/rules" }, "← All rules"),
    h("div.head", h("div", h("h1", { id: `rule-${name}` }, name), badges), buttons),
    error,
    h("section.card.section", { "aria-label": "Chart" }, filters([RANGE], parameters), ranged({ ask: (range, signal) => get(`${at("rules", name)}/chart`, { range }, signal), parameters, signal })),
    h("section.card", h("h2", "What it judges"), said),
    h("section.section", h("h2", "Alerts"), listing({ path: "alerts", noun: "alert", columns: COLUMNS, parameters, signal, ask: () => ({ match: `alertname=${JSON.stringify(name)}` }), empty: "Nothing breaches, and nothing did of late." })),
  );

  let offered = null;
  const show = () => {
    refresh(badges, h("div", state(known.state), severity(known.severity), known.description && h("span.muted", known.description)));
    refresh(said, h("div", judged(known)));
    error.hidden = !known.error;
    refresh(error, h("p", known.error));
    if (session.canChange && offered !== known.enabled) replace(buttons, testAgain(name), toggle(known));
    offered = known.enabled;
  };
  show();
  live(said, async (signal) => {
    known = (await one(signal)) ?? { ...known, state: "removed", error: "This rule is no longer there." };
    show();
  }, SECONDS, signal);
}

function testAgain(name) {
  return press("Test again", () => change("POST", `${at("rules", name)}/evaluate`), { said: `Rule ${name} was judged just now.`, about: `rule-${name}` });
}

/** Give the button that enables or disables a rule, whichever it is not. */
export function toggle({ name, enabled }, attributes = {}) {
  const verb = enabled ? "disable" : "enable";
  return press(enabled ? "Disable" : "Enable", () => change("POST", at("rules", name, verb)), { said: `Rule ${name} is ${verb}d.`, about: `rule-${name}`, ...attributes });
}

const WORD = /^(?!latest)\w/;

/** Give what a rule asks, such as "response_time p95 > 0.5 over 5 min", as code. Without a word, it asks the latest value. */
export function condition(rule) {
  if (rule.expr) return h("code", rule.expr);
  const metric = rule.metric_name || rule.metrics.join(", ");
  const over = rule.time_window_seconds && WORD.test(rule.condition) ? ` over ${duration(rule.time_window_seconds)}` : "";
  return h("code", `${metric} ${rule.condition}${over}`);
}

function judged(rule) {
  const limits = rule.levels.map(({ severity: grave, threshold, clear }) => h("div", severity(grave), ` ${number(threshold, rule.unit)}${clear === null ? "" : ` until ${number(clear, rule.unit)}`}`));
  const tried = rule.expr ? { expr: rule.expr } : { kind: "condition", metric: rule.metric_name, collector: rule.collector, condition: rule.condition, window: `${rule.time_window_seconds}s` };
  return facts([
    [rule.expr ? "Expression" : "Condition", [condition(rule), " ", h("a", { href: href("rules", tried) }, "Vary it")], "wide"],
    ["Last value", number(rule.value, rule.unit), "large"],
    ["Last evaluation", time(rule.last_evaluation)],
    ["Next evaluation", time(rule.next_evaluation)],
    ["It took", rule.duration_ms && number(rule.duration_ms, "ms")],
    ["Evaluated", `${count(rule.evaluations, "time")}, every ${duration(rule.evaluation_interval_seconds)}${rule.on_write ? " and on each write" : ""}`],
    ["Skipped, being busy", rule.late ? count(rule.late, "time") : null],
    ["Limits", limits.length ? limits : null],
    ["Breaches for", rule.hold_seconds ? `${duration(rule.hold_seconds)} before it fires` : "it fires at once"],
    ["Keeps firing for", rule.keep_firing_seconds ? duration(rule.keep_firing_seconds) : null],
    ["Without data", rule.no_data.replaceAll("_", " ")],
    ["Window", rule.expr ? null : duration(rule.time_window_seconds)],
    ["Collector", rule.collector],
    ["Only where", labels(rule.match)],
    ["One alert for each", rule.group_by.join(", ")],
  ]);
}
