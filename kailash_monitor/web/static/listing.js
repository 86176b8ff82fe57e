/** Lists: one page of rows of the API at a time, kept up to date, with the other pages below. */

import { remember } from "./address.js";
import { Rows, session } from "./api.js";
import { h } from "./dom.js";
import { live } from "./poll.js";
import { pager, PAGE, table } from "./table.js";

const SECONDS = 2; // what is new is seen within three

/**
 * Give a live element that shows the list at `path`, whose rows the API calls `name`, and people `noun`.
 *
 * `ask()` gives what is asked for beside the page of `size` rows, which is kept in `parameters` under `page`. `columns`, `caption`
 * and `empty` are the table's; those of the class "actions" are for who may change something. `refuse(field, message)` is told
 * which filter is wrong, null once none is; `seen(answer)` sees each answer.
 */
export function listing({ path, name = path, noun, parameters, signal, ask = () => ({}), page = "offset", size = PAGE, ...shown }) {
  const rows = new Rows(path, name);
  const columns = shown.columns.filter((column) => column.class !== "actions" || session.canChange);
  const grid = table({ caption: shown.caption ?? `${noun}s`, columns, empty: shown.empty });
  const pages = pager(noun, (offset) => {
    turn(offset);
    element.again();
    element.scrollIntoView();
  }, size);
  const loading = h("p.muted", "Loading…");
  const element = h("div.listing", loading, grid, pages);
  grid.hidden = pages.hidden = true;

  function turn(offset) {
    if (offset) parameters.set(page, offset);
    else parameters.delete(page);
    remember(parameters);
  }

  async function work(signal) {
    const offset = Number(parameters.get(page)) || 0;
    let answer = { rows: [], total: 0 };
    try {
      answer = await rows.poll({ ...ask(), limit: size, offset }, signal);
      shown.refuse?.(null);
    } catch (error) {
      if (error.status !== 400) throw error;
      shown.refuse?.(error.field, error.message);
    }
    if (offset && !answer.rows.length && answer.total) {
      turn(0); // what was on this page is gone
      return element.again();
    }
    loading.hidden = true;
    grid.hidden = pages.hidden = false;
    grid.show(answer.rows);
    pages.show(offset, answer.rows.length, answer.total);
    if (answer.envelope) shown.seen?.(answer);
  }

  return live(element, work, SECONDS, signal);
}
