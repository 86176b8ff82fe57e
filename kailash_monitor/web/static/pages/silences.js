/** Silences: what nobody is told of for a while, and who changed what from here. */

import { href } from "../address.js";
import { at, change, session } from "../api.js";
import { state } from "../badge.js";
import { h } from "../dom.js";
import { filters } from "../filters.js";
import { time } from "../format.js";
import { listing } from "../listing.js";
import { press } from "../press.js";
import { silence } from "../silence.js";
import { plain } from "../table.js";

const STATES = ["active", "pending", "expired"];

export function show(root, { parameters, signal }) {
  const filter = filters([{ name: "state", label: "State", options: STATES }], parameters);
  const list = listing({
    path: "silences",
    noun: "silence",
    columns: COLUMNS,
    empty: () => filter.nothing("silence", `Nothing is silenced.${session.canChange ? " Add a silence before a deployment, or from an alert." : ""}`),
    parameters,
    signal,
    ask: filter.asked,
  });
  const audit = listing({
    path: "audit",
    name: "deeds",
    noun: "change",
    columns: DEEDS,
    empty: "Nobody has changed anything from here since the start. Who acknowledges, silences or resends is named here.",
    parameters,
    page: "from",
    signal,
  });
  const button = session.canChange && press("Add silence", () => silence(), { class: "primary" });
  root.append(
    h("div.head", h("h1", "Silences"), button),
    filter,
    list,
    h("section.section", h("h2", "Changes"), audit),
  );
}

const COLUMNS = [
  { title: "Covers", class: "wide", cell: covers },
  { title: "State", cell: (silence) => state(silence.state) },
  { title: "Starts", cell: (silence) => time(silence.starts_at) },
  { title: "Ends", cell: (silence) => (silence.until_resolved ? "when resolved" : time(silence.ends_at)) },
  plain("By", "author"),
  plain("Reason", "reason", "text"),
  { title: "Change", class: "actions", cell: end },
];

const DEEDS = [
  plain("What", "what", "wide"),
  { title: "Who", cell: (deed) => deed.who || "somebody" },
  { title: "When", cell: (deed) => time(deed.at) },
];

function covers({ id, alert_id, matchers }) {
  return alert_id ? h("a", { id, href: href(["alerts", alert_id]) }, alert_id) : h("code", { id }, matchers);
}

function end({ id, state }) {
  return state !== "expired" && press("End", () => change("DELETE", at("silences", id)), { said: "The silence is over.", about: id, class: "small" });
}
