/** Metrics: what is measured, by whom, and which metrics have the most series. */

import { href } from "../address.js";
import { h, refresh } from "../dom.js";
import { filters } from "../filters.js";
import { count, number } from "../format.js";
import { listing } from "../listing.js";
import { metric } from "../metric.js";
import { plain } from "../table.js";

export function show(root, { parameters, path, signal }) {
  if (path.length > 1) return metric(root, { collector: path[0], name: path[1], parameters, signal });
  const tally = h("p.muted");
  const filter = filters(
    [
      { name: "text", label: "Search", placeholder: "Name or description" },
      { name: "collector", label: "Collector", options: [parameters.get("collector")].filter(Boolean) },
      { name: "type", label: "Type", options: ["counter", "gauge", "histogram", "timer"] },
      { name: "sort", label: "Sort by", any: "Name", options: [["series", "Most series"]] },
    ],
    parameters,
  );
  const list = listing({
    path: "metrics",
    noun: "metric",
    columns: COLUMNS,
    empty: () => filter.nothing("metric", "Nothing is measured yet. A metric appears here once the program defines it."),
    parameters,
    signal,
    ask: filter.asked,
    refuse: filter.refuse,
    seen: ({ envelope: { collectors } }) => {
      filter.offer("collector", collectors);
      refresh(tally, h("p", count(collectors.length, "collector")));
    },
  });
  root.append(h("div.head", h("h1", "Metrics"), tally), filter, list);
}

const COLUMNS = [
  { title: "Metric", class: "wide", cell: named },
  { title: "Collector", cell: (metric) => h("a", { href: href("metrics", { collector: metric.collector }) }, metric.collector) },
  plain("Type", "type"),
  { title: "Latest", class: "number", cell: (metric) => number(metric.latest, metric.unit) },
  { title: "Series", class: "number", cell: cardinality },
];

function named(metric) {
  const link = h("a", { href: href(["metrics", metric.collector, metric.name]) }, metric.name);
  return [link, metric.description && h("div.muted.clamped", metric.description)];
}

function cardinality({ series, refused }) {
  return [series.toLocaleString("en-GB"), refused > 0 && h("div.bad.detail", `${number(refused)} refused`)];
}
