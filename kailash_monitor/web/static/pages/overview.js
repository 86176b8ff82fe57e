/** The overview: whether all is well, what fires, how the toolkit itself is, and the main metrics at a glance. */

import { href } from "../address.js";
import { Rows, get } from "../api.js";
import { SEVERITIES, severity } from "../badge.js";
import { sparkline } from "../chart.js";
import { facts } from "../facts.js";
import { h, keyed, refresh, replace } from "../dom.js";
import { count, number, time } from "../format.js";
import { poll } from "../poll.js";
import { table } from "../table.js";
import { COLUMNS } from "./alerts.js";

const SECONDS = 2; // a new alert is seen within three
const TILE_SECONDS = 10;
const FIRST = 8; // alerts that are listed; there is a link to the rest

export async function show(root, { signal }) {
  const verdict = h("section.card.verdict", { "aria-label": "Alerts by severity" });
  const firing = table({ caption: "Alerts that fire now", columns: COLUMNS.filter(({ title }) => title !== "State") });
  const rest = h("a", { href: href("alerts", { state: "firing" }) });
  const alerts = h("section.section", h("h2", "Firing now"), firing, rest);
  const tiles = h("div.tiles");
  const metrics = h("section.section", h("h2", "Main metrics, last 15 minutes"), tiles);
  const own = facts([]);
  const version = h("span.muted");
  const health = h("section.card", h("div.head", h("h2", "The monitor itself"), version), own);
  const rows = new Rows("alerts", "alerts");

  async function look(signal) {
    const asked = [get("health", {}, signal), rows.poll({ state: "firing", limit: FIRST }, signal)];
    const [state, { rows: shown, total }] = await Promise.all(asked);
    refresh(verdict, h("div", verdictOn(state)));
    verdict.className = `card verdict ${mood(state)}`;
    refresh(own, factsOf(state));
    version.textContent = `version ${state.version}`;
    alerts.hidden = !total;
    firing.show(shown);
    rest.hidden = total <= shown.length;
    rest.textContent = `All ${count(total, "firing alert")}`;
    if (!root.firstChild) replace(root, h("h1", "Overview"), verdict, alerts, metrics, health);
  }

  async function lookAtTiles(signal) {
    const answer = await get("tiles", {}, signal);
    metrics.hidden = !answer.tiles.length;
    keyed(tiles, answer.tiles, (tile) => tile.id, tileOf, showTile);
  }

  poll(look, SECONDS, signal);
  poll(lookAtTiles, TILE_SECONDS, signal);
}

// -- whether all is well --

const mood = ({ reason, alerts }) => (reason ? "warn" : alerts.counts.firing ? "" : "good");

function verdictOn(state) {
  const { counts, severities } = state.alerts;
  const quiet = ["acknowledged", "silenced", "pending"].filter((name) => counts[name]);
  const others = quiet.map((name, n) => [n ? ", " : " ", h("a", { href: href("alerts", { state: name }) }, `${counts[name]} ${name}`)]);
  const last = state.last_evaluation ? ["Last evaluation ", time(state.last_evaluation)] : "Nothing was judged yet";
  const judged = `, ${count(state.rules.enabled, "rule")} at work.`;
  const words = h("div.words", h("p", headline(state)), h("p.muted", last, judged, others.length ? [others, "."] : null));
  const active = SEVERITIES.some((name) => severities[name]);
  return [words, active ? h("div.tally", SEVERITIES.map((name) => tally(name, severities[name] ?? 0))) : null];
}

function headline({ reason, alerts }) {
  if (reason) return `Alerts cannot be relied on: ${reason}.`;
  if (!alerts.counts.firing) return alerts.counts.acknowledged + alerts.counts.silenced ? "Nothing new is firing" : "All clear";
  return `${count(alerts.counts.firing, "alert")} ${alerts.counts.firing === 1 ? "is" : "are"} firing`;
}

function tally(name, n) {
  return h("a", { class: n ? name : "off", href: href("alerts", { severity: name }) }, h("b", number(n)), severity(name));
}

// -- how the toolkit is --

function factsOf(state) {
  const bad = (text) => h("span.bad", text);
  const waiting = (n, name) => h("a", { href: href("notifications"), class: name }, number(n));
  return facts([
    ["Engine", state.reason ? bad(state.reason) : state.ready ? "Running, in time" : "Starting"],
    ["Store", state.store ? bad(state.store) : "No trouble"],
    ["Rules", part(state.rules.enabled, "at work", state.rules.errors, "in error", "rules")],
    ["Channels", part(state.channels.total, "in use", state.channels.failing, "failing", "notifications")],
    ["Messages waiting", waiting(state.waiting)],
    ["Dead letters", waiting(state.dead_letters, state.dead_letters ? "bad" : null)],
    ["Silences", h("a", { href: href("silences", { state: "active" }) }, `${number(state.silences)} active`)],
    ["Series", h("a", { href: href("metrics") }, `${number(state.series)} of ${count(state.collectors, "collector")}`)],
  ]);
}

function part(n, well, failing, ill, page) {
  const trouble = failing ? [", ", h("span.bad", `${number(failing)} ${ill}`)] : null;
  return [h("a", { href: href(page) }, `${number(n)} ${well}`), trouble];
}

// -- the main metrics --

function tileOf(tile) {
  const name = h("span.muted", { title: `${tile.collector} / ${tile.name}` }, tile.title.replace(" (value)", ""));
  const parts = [name, h("span.value", number(tile.value, tile.unit)), sparkline(tile.times, tile.values)];
  return h("a.card.tile", { href: href(["metrics", tile.collector, tile.name]) }, parts);
}

function showTile(link, tile) {
  link.children[1].textContent = number(tile.value, tile.unit);
  sparkline(tile.times, tile.values, link.lastChild);
}
