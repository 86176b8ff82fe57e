/** A metric: its chart, what came in its windows, and its series. */

import { href } from "./address.js";
import { ApiError, get, Rows } from "./api.js";
import { labels } from "./badge.js";
import { h, refresh, replace } from "./dom.js";
import { facts } from "./facts.js";
import { filters } from "./filters.js";
import { duration, number } from "./format.js";
import { listing } from "./listing.js";
import { live } from "./poll.js";
import { ranged, RANGE } from "./ranges.js";
import { table } from "./table.js";

const SECONDS = 5;
const SIZE = 20; // series at once: they are below all else
const OF_DISTRIBUTION = ["avg", "rate", "p50", "p90", "p95", "p99", "max"];
const STATISTICS = { counter: ["rate", "increase", "total"], gauge: ["value", "avg", "min", "max"], histogram: OF_DISTRIBUTION, timer: OF_DISTRIBUTION };

/** Show the metric `name` of `collector` in `root`. */
export async function metric(root, { collector, name, parameters, signal }) {
  const which = { collector, name };
  const rows = new Rows("metrics", "metrics");
  const one = async (signal) => (await rows.poll({ collector, text: name, limit: 500 }, signal)).rows.find((row) => row.name === name);
  const [first, known] = await Promise.all([one(signal), get("metrics/series", { ...which, limit: 1 }, signal)]);
  if (!first) throw new ApiError(404, `There is no metric "${name}" of the collector "${collector}".`);

  const match = () => parameters.get("match");
  const [usual, ...others] = STATISTICS[first.type];
  const filter = filters(
    [
      { name: "statistic", label: "Statistic", any: usual, options: others },
      RANGE,
      { name: "by", label: "Compare by", any: "Nothing", options: known.labels.map((label) => label.name) },
      { name: "match", label: "Labels", placeholder: 'route="/cart", status=~"5.."' },
    ],
    parameters,
  );
  const ask = (range, signal) => get("metrics/chart", { ...which, ...filter.asked(), range }, signal);
  const series = listing({
    path: "metrics/series",
    name: "series",
    noun: "label set",
    columns: [
      { title: "Labels", class: "wide", cell: (row) => chosen(which, row) },
      { title: "Latest", class: "number", cell: (row) => number(row.latest, first.unit) },
    ],
    empty: () => (match() ? "No series has these labels." : "No series yet. The first write makes one."),
    parameters,
    signal,
    size: SIZE,
    ask: () => ({ ...which, match: match() }),
  });
  const tried = href("rules", { kind: "condition", metric: name, collector, condition: "> 0" });
  const said = h("div");
  root.append(
    h("a.back", { href: "#/metrics" }, "← All metrics"),
    h("div.head", h("div", h("h1", name), first.description && h("p.muted", first.description)), h("a", { href: tried }, "Try a condition on it")),
    said,
    filter,
    h("section.card", { "aria-label": "Chart" }, ranged({ ask, parameters, signal, refuse: filter.refuse })),
    h("section.section", h("h2", "Windows"), windows({ which, type: first.type, match, signal })),
    h("section.section", h("h2", "Series"), series),
  );
  live(said, async (signal) => refresh(said, h("div", knownOf((await one(signal)) ?? first, known.labels))), SECONDS, signal);
}

function knownOf(metric, names) {
  const refused = metric.refused > 0 && h("span.bad", ` and ${number(metric.refused)} refused`);
  return facts([
    ["Latest", metric.latest === null ? null : number(metric.latest, metric.unit), "large"],
    ["Series", [metric.series.toLocaleString("en-GB"), refused], "large"],
    ["Collector", h("a", { href: href("metrics", { collector: metric.collector }) }, metric.collector)],
    ["Type", metric.type],
    ["Unit", metric.unit],
    ["Values of each label", names.length ? h("span.labels", names.map((label) => h("span.label", h("b", label.name), ` ${label.values}`))) : null],
    ["Exported as", h("code", metric.exported), "wide"],
  ]);
}

/** The labels of a series, as a link to it alone. */
function chosen({ collector, name }, row) {
  const match = row.id.replace(/^\{|\}$/g, "");
  return match ? h("a", { href: href(["metrics", collector, name], { match }) }, labels(row.labels)) : h("span.muted", "no labels");
}

const AGGREGATES = ["count", "sum", "rate", "increase", "avg", "min", "max", "p50", "p90", "p95", "p99"];

/** What came in the last minute, five minutes, hour and day; what means nothing for the metric's type has no column. */
function windows({ which, type, match, signal }) {
  const element = h("div.windows", { role: "region", tabindex: "0", "aria-label": "Windows" });
  const note = h("p.muted", "* What is kept began within this window.");
  let grid = null;
  let shape = null;

  async function work(signal) {
    const { windows: rows, unit } = await get("metrics/windows", { ...which, match: match() }, signal).catch(refused);
    const told = AGGREGATES.filter((name) => rows.some((row) => row[name] !== null));
    if (told.join() !== shape) {
      shape = told.join();
      grid = table({ caption: "Windows", keyOf: (row) => row.seconds, columns: columns(told, type, unit), empty: "Nothing came in the last day." });
      replace(element, grid, note);
    }
    grid.show(told.length ? rows : []);
    note.hidden = !rows.some((row) => row.partial);
  }

  return live(element, work, SECONDS, signal);
}

/** The chart says what is wrong with the labels. */
function refused(error) {
  if (error.status !== 400) throw error;
  return { windows: [] };
}

function columns(told, type, unit) {
  const column = (name) => ({ title: name, class: "number", cell: (row) => number(row[name], unitOf(name, unit, type)) });
  return [{ title: "Last", cell: (row) => `${duration(row.seconds)}${row.partial ? " *" : ""}` }, ...told.map(column)];
}

/** What a number is measured in: of a distribution, what is counted are its observations. */
function unitOf(name, unit, type) {
  const counts = name === "count" || (["rate", "increase"].includes(name) && type !== "counter");
  return `${counts ? "" : (unit ?? "")}${name === "rate" ? "/s" : ""}`;
}
