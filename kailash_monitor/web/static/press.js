/** Presses: buttons that change something. */

import { announce } from "./announce.js";
import { h } from "./dom.js";
import { anew } from "./poll.js";

/**
 * Give a button that does `work` once at a time, then has the page ask anew, and says the text that `work` gives, else `said`, or
 * why it failed. `about` is the id of what it is about, read out beside its label. Where the button goes with its work, the focus
 * stays close: at the button in its place, else at the next row's, else at the section's heading.
 */
export function press(label, work, { about = null, said = "", ...attributes } = {}) {
  let busy = false;
  const button = h("button", { "aria-describedby": about, ...attributes }, label);
  button.addEventListener("click", async () => {
    if (busy) return;
    const row = button.closest("tr, .buttons");
    const near = [row, row?.nextElementSibling, row?.previousElementSibling];
    const heading = button.closest("section, .page")?.querySelector("h2, h1");
    busy = true;
    button.classList.add("busy");
    try {
      const told = await work();
      await anew();
      announce(typeof told === "string" ? told : said);
    } catch (error) {
      announce(error.message);
    }
    busy = false;
    button.classList.remove("busy");
    if (button.isConnected || document.activeElement !== document.body) return;
    const next = near.map((place) => place?.isConnected && place.querySelector("button")).find(Boolean) ?? heading;
    if (next === heading) heading?.setAttribute("tabindex", "-1");
    next?.focus({ preventScroll: true });
  });
  return button;
}
