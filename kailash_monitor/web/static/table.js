/** Tables: rows that are kept up to date in place, and become cards where there is no room for columns. */

import { h, keyed, refresh } from "./dom.js";
import { count } from "./format.js";

/**
 * Give a table: an element with `show(rows)`. `columns` are `{title, cell(row), class}`; the class "number" aligns to the right,
 * "wide" takes the room, "actions" is for buttons. The first column heads its row. `caption` is read out, and seen with
 * `captioned`. `empty`, or what it gives, is said where there are no rows.
 */
export function table({ caption, columns, keyOf = (row) => row.id ?? row.name, empty = "Nothing here.", captioned = false }) {
  const body = h("tbody");
  const nothing = h("div.empty", { hidden: true });
  const headings = columns.map(({ title, class: name }) =>
    h("th", { scope: "col", class: name }, name === "actions" ? h("span.unseen", title) : title),
  );
  const head = h("thead", h("tr", headings));
  const grid = h("table.rows", h("caption", { class: captioned ? null : "unseen" }, caption), head, body);
  const element = h("div.table", grid, nothing);

  const make = (row) =>
    h("tr", columns.map(({ title, cell, class: name }, n) => {
      if (n === 0) return h("th", { scope: "row", class: name }, cell(row));
      return h("td", { class: name, "data-label": name === "actions" ? null : title }, cell(row));
    }));

  element.show = (rows) => {
    keyed(body, rows, keyOf, make, (tr, row) => refresh(tr, make(row)));
    grid.hidden = !rows.length;
    nothing.hidden = rows.length > 0;
    if (!rows.length) refresh(nothing, h("div", typeof empty === "function" ? empty() : empty));
  };
  return element;
}

/** Give a column that shows a field of its rows as it is. */
export const plain = (title, field, name) => ({ title, class: name, cell: (row) => row[field] });

/** How many rows a page of a list has. */
export const PAGE = 50;

/** Give the foot of a list with pages of `size`: an element with `show(offset, shown, total)`; `go(offset)` shows another. */
export function pager(noun, go, size = PAGE) {
  const where = h("span.muted");
  const earlier = h("button", "Previous");
  const later = h("button", "Next");
  const element = h("nav.pager", { "aria-label": `Pages of ${noun}s` }, where, earlier, later);
  element.show = (offset, shown, total) => {
    where.textContent = (total > shown ? `${offset + 1}–${offset + shown} of ` : "") + count(total, noun);
    earlier.hidden = later.hidden = total <= size && offset === 0;
    earlier.disabled = offset === 0;
    later.disabled = offset + shown >= total;
    earlier.onclick = () => go(Math.max(0, offset - size));
    later.onclick = () => go(offset + size);
  };
  element.show(0, 0, 0);
  return element;
}
