/** Notifications: how the channels do, what waits for them, what they were told, and what was given up. */

import { href } from "../address.js";
import { at, change } from "../api.js";
import { state } from "../badge.js";
import { ask } from "../dialog.js";
import { h } from "../dom.js";
import { filters } from "../filters.js";
import { number, time } from "../format.js";
import { listing } from "../listing.js";
import { press } from "../press.js";
import { plain } from "../table.js";

const OUTCOMES = ["delivered", "retry", "given up"];
const NAMED = 3; // alerts of a message that are named; of more the rest is counted
const SIZE = 20; // rows of each list: there are three

export function show(root, { parameters, signal }) {
  const channel = () => parameters.get("channel");
  const shared = { parameters, signal, size: SIZE, ask: () => ({ channel: channel() }) };
  const filter = filters(
    [{ name: "channel", label: "Channel", options: [channel()].filter(Boolean) }, { name: "outcome", label: "Outcome of attempts", options: OUTCOMES }],
    parameters,
  );
  const section = (title, ...parts) => h("section.section", h("h2", title), parts);
  root.append(
    h("h1", "Notifications"),
    section(
      "Channels",
      listing({
        ...shared, path: "channels", noun: "channel", columns: CHANNELS, page: "channels", ask: () => ({}),
        empty: "There is no channel: nobody is told of alerts. Add one to the configuration, or in the program with add_notification_channel().",
        seen: ({ rows }) => filter.offer("channel", rows.map((one) => one.name)),
      }),
      h("p.muted", { id: "tested" }),
    ),
    filter,
    section("Waiting", listing({ ...shared, path: "outbox", name: "waiting", noun: "message", columns: WAITING, page: "waiting", empty: "Nothing waits: every channel was told what it is to know." })),
    section("Dead letters", listing({ ...shared, path: "dead-letters", name: "dead_letters", noun: "dead letter", columns: LETTERS, page: "letters", empty: "No dead letters. What a channel refuses for good appears here." })),
    section(
      "Attempts",
      listing({
        ...shared, path: "deliveries", noun: "attempt", columns: ATTEMPTS, ask: filter.asked,
        empty: () => filter.nothing("attempt", "Nobody was told anything since the start. Send a test to see that a channel works."),
      }),
    ),
  );
}

const detail = (name, ...children) => h("div", { class: `${name} detail` }, children);

const CHANNELS = [
  { title: "Channel", class: "wide", cell: ({ name, state, why }) => [h("span", { id: `channel-${name}` }, name), why && state !== "ok" && detail("bad", why)] },
  { title: "State", cell: standing },
  { title: "Bucket", cell: bucket },
  plain("Delivered", "delivered", "number"),
  plain("Failed", "failed", "number"),
  plain("Waiting", "waiting", "number"),
  plain("Instead", "fallback"),
  { title: "Change", class: "actions", cell: ({ name }) => press("Send a test", () => test(name), { about: `channel-${name}`, class: "small" }) },
];

/** The breaker leaves alone a channel that failed again and again, and asks it once when the pause is over. */
function standing(channel) {
  const until = channel.open_until ? [", asked ", time(channel.open_until)] : null;
  return h("div", channel.refuses ? state("refuses", "bad") : state(channel.state), channel.state !== "ok" && detail("muted", "since ", time(channel.since)), detail("muted", "breaker ", channel.state === "open" ? "open" : "closed", until));
}

/** The bucket holds as many messages as may be sent at once. */
function bucket({ tokens, burst, rate }) {
  if (rate === null) return h("span.muted", "no limit");
  const often = rate >= 1 ? `${number(rate)} a second` : `${number(rate * 60)} a minute`;
  return h("div", `${Math.floor(tokens)} of ${burst} left`, detail("muted", often));
}

async function test(name) {
  const shown = document.getElementById("tested");
  shown.textContent = `${name} is sent a test…`;
  const { outcome, why } = await change("POST", `${at("channels", name)}/test`).catch((error) => ({ outcome: "failed", why: error.message }));
  return (shown.textContent = outcome === "delivered" ? `${name} took the test.` : `${name} did not take the test (${outcome}): ${why}.`);
}

const WAITING = [
  { title: "Alerts", class: "wide", cell: (waiting) => [about(waiting.alert_ids), waiting.why && detail("bad", waiting.why, waiting.in_doubt && "; it may have been heard all the same")] },
  plain("Channel", "channel"),
  { title: "News", cell: (waiting) => waiting.kinds.join(", ") },
  plain("Attempts", "attempts", "number"),
  { title: "Next try", cell: (waiting) => (waiting.due ? time(waiting.due) : "under way") },
];

const LETTERS = [
  { title: "Message", class: "wide", cell: ({ id, notice, why }) => [h("div", { id: `letter-${id}` }, titled(notice.alert.title, told(notice))), detail("bad", why)] },
  plain("Channel", "channel"),
  { title: "News", cell: (letter) => letter.notice.kind },
  { title: "Given up", cell: (letter) => time(letter.at) },
  plain("Attempts", "attempts", "number"),
  { title: "Change", class: "actions", cell: deeds },
];

const told = ({ alert, items }) => (items.length ? items.map((item) => item.alert.id) : [alert.id]);

function deeds(letter) {
  const attributes = { about: `letter-${letter.id}`, class: "small" };
  const resend = () => change("POST", `${at("dead-letters", letter.id)}/resend`);
  return [press("Resend", resend, { ...attributes, said: `${letter.channel} is told how it stands now.` }), press("Discard", () => discard(letter), attributes)];
}

async function discard({ id, channel, notice }) {
  const body = h("p", `${channel} will not hear of it: ${notice.alert.title}`);
  const act = () => change("DELETE", at("dead-letters", id));
  return (await ask({ title: "Discard this dead letter?", body, confirm: "Discard", danger: true, act })) ? "Discarded." : "";
}

const ATTEMPTS = [
  { title: "Message", class: "wide", cell: (attempt) => [titled(attempt.title, attempt.alert_ids), attempt.why && detail("bad", attempt.why)] },
  plain("Channel", "channel"),
  plain("News", "kind"),
  { title: "Outcome", cell: (attempt) => state(attempt.outcome) },
  plain("Attempt", "attempt", "number"),
  { title: "When", cell: (attempt) => time(attempt.at) },
];

/** A message's title: a link to its alert, or, where it is of several, with links to them below. */
function titled(title, ids) {
  return ids.length === 1 ? h("a", { href: href(["alerts", ids[0]]) }, title) : [title, detail("muted", about(ids))];
}

/** Links to alerts, the first few of them. */
function about(ids) {
  const links = ids.slice(0, NAMED).map((id, n) => [n ? ", " : null, h("a", { href: href(["alerts", id]) }, id)]);
  return [links, ids.length > NAMED ? ` and ${ids.length - NAMED} more` : null];
}
