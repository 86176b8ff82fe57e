/** Announcements: short words about what just happened, seen at the page's foot and read out by screen readers. */

const SHOWN = 6000; // milliseconds: long enough to read two lines

let timer = 0;

/** Say `text` in the page's live region; it takes the place of what was said before. */
export function announce(text) {
  const region = document.getElementById("announcements");
  clearTimeout(timer);
  region.textContent = text;
  timer = setTimeout(() => (region.textContent = ""), SHOWN);
}
