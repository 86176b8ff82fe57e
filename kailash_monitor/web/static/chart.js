/** Charts: lines over time with limits and spans of trouble, and the same numbers as a table. */

import { h, replace } from "./dom.js";
import { absolute, clockTime, number } from "./format.js";

const COLOURS = 10; // as many as a chart of the program's has lines; style.css has them
const ROOM = 0.08; // of the range, above and below the lines
const QUARTER = 900; // seconds below which the axis shows seconds

const sizes = new ResizeObserver((entries) => entries.forEach(({ target }) => target.draw()));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  for (const drawn of document.querySelectorAll(".plot, .sparkline")) drawn.draw(true);
});

/**
 * Give a figure for a chart document of the API: canvas, legend and a table of the numbers. It takes the width it gets, follows
 * the system's colours, and is kept up to date by `update(figure, data)`.
 */
export function chart(data, { height = 220 } = {}) {
  const parts = {
    height,
    title: h("figcaption"),
    plot: h("div.plot", { style: { "min-height": `${height}px` } }),
    legend: h("ul.legend"),
    table: h("div.scroll", { tabindex: "0", role: "region", "aria-label": "Numbers" }),
    uplot: null,
    shape: "",
  };
  parts.details = h("details", { ontoggle: () => fill(parts) }, h("summary", "Table"), parts.table);
  parts.plot.draw = (anew) => draw(parts, anew);
  const figure = h("figure.chart", parts.title, parts.plot, parts.legend, parts.details);
  figure.parts = parts;
  update(figure, data);
  sizes.observe(parts.plot);
  return figure;
}

/** Have a figure of `chart` show a newer document. */
export function update(figure, data) {
  const { parts } = figure;
  const shape = JSON.stringify([data.unit, data.series.map((one) => one.name)]);
  parts.data = data;
  parts.name = data.title || data.expr || "Chart";
  if (parts.title.textContent !== parts.name) replace(parts.title, parts.name);
  draw(parts, shape !== parts.shape);
  parts.shape = shape;
  legend(parts);
  fill(parts);
}

function draw(parts, anew = false) {
  const { data, plot, height } = parts;
  if (anew) parts.uplot = parts.uplot?.destroy();
  const width = Math.floor(plot.clientWidth);
  if (!width || !data.times.length) return;
  const numbers = [data.times, ...data.series.map((one) => one.values)];
  if (!parts.uplot) parts.uplot = new uPlot(options(parts, width), numbers, plot);
  else if (parts.uplot.width !== width) parts.uplot.setSize({ width, height });
  else parts.uplot.setData(numbers);
  const canvas = plot.querySelector("canvas");
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", described(parts));
}

// -- the picture --

function options(parts, width) {
  const { series } = parts.data;
  const style = getComputedStyle(parts.plot);
  const colour = (name) => style.getPropertyValue(`--${name}`).trim();
  const axis = { stroke: colour("muted"), grid: { stroke: colour("edge"), width: 1 }, ticks: { show: false }, font: `11px ${style.fontFamily}` };
  const room = (u, texts) => 18 + 6.4 * Math.max(2, ...(texts ?? []).map((text) => text.length)); // a digit is 6.4 wide
  return {
    width,
    height: parts.height,
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: { size: 7 } },
    padding: [10, 8, 0, 0],
    scales: {
      x: { range: () => [parts.data.start, parts.data.end] },
      y: { range: (u, low, high) => range(parts.data, low, high) },
    },
    axes: [
      { ...axis, space: 70, size: 28, values: (u, ticks) => ticks.map((at) => clockLabel(at, parts.data)) },
      { ...axis, space: 34, values: (u, ticks) => ticks.map((value) => number(value, parts.data.unit)), size: room },
    ],
    series: [
      {},
      ...series.map((one, n) => ({
        stroke: colour(`line-${n % COLOURS}`),
        fill: series.length === 1 ? `${colour("line-0")}1c` : undefined,
        width: 1.75,
        points: { show: (u, n) => lone(u.data[n]), size: 4 },
      })),
    ],
    hooks: {
      drawClear: [(u) => spans(u, parts.data, colour)],
      draw: [(u) => thresholds(u, parts.data, colour)],
      setCursor: [(u) => legend(parts, u.cursor.idx)],
    },
  };
}

/** Whether no value has a neighbour: a line needs two, else points are shown. */
const lone = (values) => !values.some((value, n) => n && value !== null && values[n - 1] !== null);

/** The range of the values and the limits, with room around; from zero where that is near: then heights mean something. */
function range(data, low, high) {
  const numbers = [low, high, ...data.thresholds.map((one) => one.value)].filter(Number.isFinite);
  if (!numbers.length) return [0, 1];
  const [least, most] = [Math.min(...numbers), Math.max(...numbers)];
  const bottom = least >= 0 && least <= most * 0.6 ? 0 : least;
  const room = (most - bottom || Math.abs(most) || 1) * ROOM;
  return [bottom === 0 ? 0 : bottom - room, most + room];
}

const clockLabel = (at, { start, end }) => new Date(at * 1000).toLocaleTimeString("en-GB", { timeStyle: end - start < QUARTER ? "medium" : "short" });

/** Shade when it was pending or firing; the bar above is seen by those who see no difference in the shades. */
function spans({ ctx, bbox, valToPos }, data, colour) {
  ctx.save();
  for (const { state, from, to } of data.spans) {
    const begin = Math.max(bbox.left, valToPos(from, "x", true));
    const long = Math.min(bbox.left + bbox.width, valToPos(to ?? data.end, "x", true)) - begin;
    if (long < 0) continue;
    ctx.fillStyle = colour(state === "firing" ? "error" : "warning");
    for (const [alpha, high] of [[0.12, bbox.height], [1, 3 * devicePixelRatio]]) {
      ctx.globalAlpha = alpha;
      ctx.fillRect(begin, bbox.top, Math.max(long, devicePixelRatio), high);
    }
  }
  ctx.restore();
}

function thresholds({ ctx, bbox, valToPos }, data, colour) {
  const right = bbox.left + bbox.width;
  const size = devicePixelRatio;
  ctx.save();
  ctx.font = `${11 * size}px system-ui, sans-serif`;
  [ctx.textAlign, ctx.textBaseline] = ["right", "bottom"];
  for (const { severity, value } of data.thresholds) {
    const y = Math.round(valToPos(value, "y", true));
    const words = [`${severity} ${number(value, data.unit)}`, right - 4 * size, y - 2 * size];
    ctx.strokeStyle = ctx.fillStyle = colour(severity);
    ctx.lineWidth = 1.5 * size;
    ctx.setLineDash([6 * size, 4 * size]);
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(right, y);
    ctx.stroke();
    ctx.setLineDash([]);
    ctx.lineWidth = 4 * size;
    ctx.strokeStyle = colour("surface"); // a halo, so that the words are read where lines cross them
    ctx.strokeText(...words);
    ctx.fillText(...words);
  }
  ctx.restore();
}

// -- the numbers --

/** Each line's name and its value under the pointer, else its last. */
function legend({ data, name, legend: list }, index = null) {
  const value = ({ values }) => (index === null ? values.findLast((one) => one !== null) : values[index]);
  const items = data.series.map((one, n) =>
    h(
      "li",
      null,
      h("i.swatch", { style: { background: `var(--line-${n % COLOURS})` }, "aria-hidden": "true" }),
      h("span.muted", one.name || name),
      h("b", number(value(one), data.unit)),
    ),
  );
  const note = data.note || (data.more ? `and ${data.more} more` : items.length ? "" : "No values in this time.");
  const when = index === null ? "latest" : clockTime(iso(data.times[index]));
  replace(list, items, note && h("li.muted", note), items.length > 0 && h("li.when.muted", when));
}

/** Fill the table, newest first, where somebody opened it: it is long. */
function fill({ data, name, details, table }) {
  if (!details.open) return;
  const heads = data.series.map((one) => h("th.number", { scope: "col" }, one.name || name));
  const cells = (n) => data.series.map((one) => h("td.number", number(one.values[n], data.unit)));
  const rows = data.times.map((at, n) => h("tr", h("th", { scope: "row" }, absolute(iso(at))), cells(n)));
  const head = h("thead", h("tr", h("th", { scope: "col" }, "Time"), heads));
  const scrolled = table.scrollTop;
  replace(table, h("table.numbers", h("caption.unseen", name), head, h("tbody", rows.reverse())));
  table.scrollTop = scrolled;
}

const iso = (seconds) => new Date(seconds * 1000).toISOString();

/** What the picture says, in words. */
function described({ data, name }) {
  const said = (value) => number(value, data.unit);
  const lines = data.series.map(({ name: line, values }) => {
    const known = values.filter((value) => value !== null);
    if (!known.length) return `${line}: nothing`;
    return `${line || "value"}: ${said(Math.min(...known))} to ${said(Math.max(...known))}, last ${said(known.at(-1))}`;
  });
  const limits = data.thresholds.map(({ severity, value }) => `${severity} limit ${said(value)}`);
  const spans = data.spans.map(({ state, from, to }) => `${state} from ${clockTime(iso(from))}${to ? ` to ${clockTime(iso(to))}` : ""}`);
  return [`${name}, ${clockTime(iso(data.start))} to ${clockTime(iso(data.end))}`, ...lines, ...limits, ...spans].join("; ");
}

// -- small ones --

/** Give a small line without axes, or have the `canvas` of one show newer values. The number beside it is for screen readers. */
export function sparkline(times, values, canvas = h("canvas.sparkline", { "aria-hidden": "true" })) {
  const known = Boolean(canvas.draw);
  canvas.draw = () => trace(canvas, times, values);
  if (known) canvas.draw();
  else sizes.observe(canvas); // which draws it as soon as it has a size
  return canvas;
}

function trace(canvas, times, values) {
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  const numbers = values.filter((value) => value !== null);
  if (!width) return;
  [canvas.width, canvas.height] = [width * devicePixelRatio, height * devicePixelRatio];
  if (!numbers.length) return;
  const [least, most] = [Math.min(...numbers), Math.max(...numbers)];
  const x = (at) => 3 + ((at - times[0]) / (times.at(-1) - times[0] || 1)) * (width - 6);
  const y = (value) => (most === least ? height / 2 : height - 3 - ((value - least) / (most - least)) * (height - 6));
  const ctx = canvas.getContext("2d");
  ctx.scale(devicePixelRatio, devicePixelRatio);
  ctx.lineJoin = "round";
  ctx.lineWidth = 1.5;
  ctx.strokeStyle = ctx.fillStyle = getComputedStyle(canvas).getPropertyValue("--line-0").trim();
  let last = null;
  times.forEach((at, n) => {
    if (values[n] !== null) {
      if (last === null) ctx.moveTo(x(at), y(values[n]));
      else ctx.lineTo(x(at), y(values[n]));
    }
    last = values[n];
  });
  ctx.stroke();
  const end = values.findLastIndex((value) => value !== null);
  ctx.beginPath();
  ctx.arc(x(times[end]), y(values[end]), 2.2, 0, 2 * Math.PI);
  ctx.fill();
}
