/** Alerts: which there are, and of each how it stands, what its metric did, and who was told why. */

import { href } from "../address.js";
import { at, change, get, session } from "../api.js";
import { SEVERITIES, TONES, labels, severity, state } from "../badge.js";
import { h, refresh, replace, webLink } from "../dom.js";
import { facts } from "../facts.js";
import { filters } from "../filters.js";
import { absolute, clockTime, count, duration, number, time } from "../format.js";
import { listing } from "../listing.js";
import { live } from "../poll.js";
import { press } from "../press.js";
import { RANGE, ranged } from "../ranges.js";
import { reason } from "../reasons.js";
import { silence } from "../silence.js";

const SECONDS = 2;
const STATES = ["firing", "pending", "silenced", "acknowledged", "resolved"];
const FIELDS = [
  { name: "text", label: "Search", placeholder: "Title, description, label" },
  { name: "match", label: "Labels", placeholder: 'team="db", env!~"dev.*"' },
  { name: "state", label: "State", options: STATES },
  { name: "severity", label: "Severity", options: SEVERITIES },
];
const ENTRIES = 60; // of the timeline; what flaps for a night has thousands
const ATTEMPTS = 5; // of each channel, the latest

export async function show(root, { parameters, path: [id], signal }) {
  if (id) one(root, id, parameters, signal);
  else list(root, parameters, signal);
}

// -- the list --

function list(root, parameters, signal) {
  const tally = h("p.muted");
  const bar = filters(FIELDS, parameters);
  const rows = listing({
    path: "alerts",
    noun: "alert",
    parameters,
    signal,
    caption: "Alerts",
    ask: bar.asked,
    refuse: bar.refuse,
    seen: ({ envelope: { counts } }) => {
      const some = STATES.filter((name) => counts[name]).map((name) => `${number(counts[name])} ${name}`);
      replace(tally, some.join(", ") || "All clear");
    },
    empty: () => bar.nothing("alert", ["No alert, and none lately resolved. As soon as a ", h("a", { href: "#/rules" }, "rule"), " is breached, its alert is here."]),
    columns: COLUMNS,
  });
  replace(root, h("div", h("h1", "Alerts"), tally), bar, rows);
}

/** What tables of alerts show: which, how it stands, its value against the limit and the worst it was, and since when. */
export const COLUMNS = [
  { title: "Alert", class: "wide", cell: described },
  { title: "Severity", cell: (alert) => severity(alert.severity) },
  { title: "State", cell: (alert) => state(alert.status) },
  { title: "Value", class: "number", cell: measured },
  { title: "Since", class: "number", cell: (alert) => time(alert.resolved_at ?? alert.fired_at ?? alert.created_at) },
];

function described({ id, title, labels: pairs, runbook }) {
  const link = h("a", { href: href(["alerts", id]) }, title || id);
  return h("div.alert-title", link, h("span.labels", labels(pairs), runbook && webLink(runbook, "Runbook")));
}

function measured({ value, threshold, peak }) {
  const limit = threshold !== null && h("span.muted", ` / ${number(threshold)}`);
  return h("div.measured", h("span", h("b", number(value)), limit), peak !== null && peak !== value && h("small", `peak ${number(peak)}`));
}

// -- one alert --

function one(root, id, parameters, signal) {
  const title = h("h1", id);
  const standing = h("p.standing.muted");
  const buttons = h("div.buttons");
  const about = h("div.section");
  const timeline = h("ol.timeline");
  const channels = h("div");
  const back = h("a.back", { href: "#/alerts" }, "← All alerts");
  let unit = "";

  const chart = ranged({
    ask: async (range, signal) => {
      const data = await get(at("alerts", id, "chart"), { range }, signal);
      if (unit !== data.unit) [unit] = [data.unit, about.again()];
      return data;
    },
    parameters,
    signal,
  });

  async function look(signal) {
    let known;
    try {
      known = await get(at("alerts", id, "explain"), {}, signal);
    } catch (error) {
      if (error.status !== 404) throw error;
      replace(root, back, h("h1", "Not found"), h("p.empty", `There is no alert ${id}, or not any more.`));
      return;
    }
    const { alert } = known;
    title.textContent = alert.title || id;
    refresh(standing, h("p", severity(alert.severity), state(alert.status), hushed(known)));
    refresh(about, h("div", alert.description && h("p", alert.description), labels(alert.labels), measures(known, unit)));
    offer(buttons, known);
    refresh(timeline, h("ol", told(known.history)));
    refresh(channels, h("div", known.channels.length ? known.channels.map(story) : h("p.empty", "There is no channel: nobody is told.")));
    if (title.isConnected) return;
    replace(
      root,
      back,
      h("div.head", h("div.section", title, standing), buttons),
      h("section.card", { "aria-label": "How it stands" }, about),
      h("section.card.section", { "aria-label": "Chart" }, filters([RANGE], parameters), chart),
      h("div.columns", h("section.card", h("h2", "What happened"), timeline), h("section.card", h("h2", "Who was told, and why"), channels)),
    );
  }

  live(about, look, SECONDS, signal);
}

/** Who is on it, and until when nobody is told. */
function hushed({ acknowledged_by: by, suppressed, suppressed_by: cause, suppressed_until: until }) {
  const link = h("a", { href: "#/silences" }, "silence");
  return [
    by !== null && h("span", `acknowledged by ${by || "somebody"}`),
    suppressed === "silenced" && h("span", "by a ", link, until ? ` until ${clockTime(until)}` : " until it is resolved"),
    suppressed && !["silenced", "acknowledged"].includes(suppressed) && h("span", `${suppressed} by ${cause}`),
  ];
}

function measures({ alert, data, flapping }, unit) {
  const begun = alert.fired_at ?? alert.created_at;
  const lasted = duration((Date.parse(alert.resolved_at) - Date.parse(begun)) / 1000);
  const dated = (iso, more = "") => [time(iso), h("br"), h("small", absolute(iso), more)];
  const runbook = alert.annotations.runbook_url ?? alert.annotations.runbook;
  return facts([
    ["Value", number(alert.value, unit), "large"],
    ["Limit", number(alert.threshold, unit), "large"],
    ["Peak", number(alert.peak, unit), "large"],
    [alert.fired_at ? "Firing since" : "Pending since", dated(begun)],
    ["Resolved", alert.resolved_at && dated(alert.resolved_at, `, after ${lasted}`)],
    ["Rule", h("a", { href: href(["rules", alert.rule_name]) }, alert.rule_name)],
    ["Incident", `number ${alert.incident}${flapping ? ", goes on and off" : ""}`],
    ["Data", data === "fresh" ? null : data, "bad"],
    ["Runbook", runbook && webLink(runbook), "wide"],
  ]);
}

/** Offer what can be done about it now; a button that stays keeps its element, and the focus. */
function offer(box, { alert, acknowledged_by: by, suppressed }) {
  const open = alert.status !== "resolved" && by === null;
  const offered = session.canChange ? [open && "Acknowledge", suppressed !== "silenced" && "Silence", "Test again"].filter(Boolean) : [];
  const before = new Map([...box.children].map((button) => [button.textContent, button]));
  if (offered.join() === [...before.keys()].join()) return;
  const deeds = {
    Acknowledge: [() => change("POST", "alerts/acknowledge", { alert_id: alert.id }), { class: "primary", said: "Acknowledged: no repeats, no further escalation." }],
    Silence: [() => silence({ alert })],
    "Test again": [() => change("POST", at("rules", alert.rule_name, "evaluate")), { said: "Judged again." }],
  };
  const focused = box.contains(document.activeElement);
  replace(box, offered.map((name) => before.get(name) ?? press(name, ...deeds[name])));
  if (focused && !box.contains(document.activeElement)) box.firstChild?.focus();
}

// -- what happened, and who was told --

const CHANGED = /^#(\d+) (?:.* → )?(\w+) (\w+)$/; // what is remarked when an incident's state changes: "#2 pending → firing error"

/** The timeline, newest first; channels of which the same was decided at the same time share an entry. */
function told(history) {
  const entries = [];
  for (const entry of history) {
    const last = entries.at(-1);
    if (entry.reason === "already_told") continue; // it follows each message, and says nothing new
    if (entry.reason && last?.reason === entry.reason && Date.parse(entry.at) - Date.parse(last.at) < 1000) last.channels.push(entry.channel);
    else entries.push({ ...entry, channels: [entry.channel] });
  }
  const left = entries.length - ENTRIES;
  return [
    entries.slice(-ENTRIES).reverse().map(happened),
    left > 0 && h("li.off", `and ${count(left, "earlier entry", "earlier entries")}`),
    !entries.length && h("li.off", "Nothing that is still known."),
  ];
}

function happened({ at, channels, reason: why, what }) {
  const when = h("div.when", clockTime(at), " · ", time(at));
  const [, incident, name, grave] = CHANGED.exec(what) ?? [];
  if (why) return h("li.off", h("div", h("b", LIST.format(channels)), ` ${reason(why)}`), when);
  if (!name) return h("li.calm", h("div", what), when);
  return h("li", { class: TONES[name] ?? "calm" }, h("div", state(name), " ", severity(grave), ` incident ${incident}`), when);
}

const LIST = new Intl.ListFormat("en-GB");
const HEARD = { told: ["told", "good"], untold: ["not told", "off"], in_doubt: ["in doubt", "warn"] };

function story({ channel, heard, reason: why, muted_by: mute, next_flush: next, attempts }) {
  const words = [why !== "already_told" && `now ${reason(why)}`, mute && `muted by ${mute}`].filter(Boolean).join(", ");
  return h(
    "section.channel",
    { "aria-label": channel },
    h("div.head", h("b", channel), state(...HEARD[heard]), h("span.muted", words)),
    next && h("p.muted", "next message ", time(next)),
    h("ul.attempts", attempts.slice(-ATTEMPTS).reverse().map(attempt)),
  );
}

function attempt({ at, kind, outcome, attempt: nth, why }) {
  return h("li", state(outcome), nth > 1 ? `${kind}, attempt ${nth}` : kind, h("span.muted", clockTime(at), why && ` · ${why}`));
}
