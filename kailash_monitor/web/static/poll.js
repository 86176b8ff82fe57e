/** Polls: work that is done again and again while somebody looks. */

const FIRST_PAUSE = 1; // seconds after the first failure; it doubles
const LONGEST_PAUSE = 15; // so that a program that is back is seen within a breath
const JITTER = 0.2; // a fifth, so that many pages do not ask at the same moment

const failing = new Map(); // the error of each poll that fails

/** Says "change" when the connection is lost or back: `lost` is null, or {since, error, again}. */
export const connection = Object.assign(new EventTarget(), { lost: null });

/**
 * Do `work(signal)` now and again `seconds` after it ended, until `signal` aborts; give a function that does it at once.
 *
 * While the page is hidden nothing is done, and at once when it is seen again. Where it fails, the page says so, and it is
 * tried again after pauses that grow: what people can mend is for `work` to catch and to show.
 */
export function poll(work, seconds, signal) {
  let timer = 0;
  let running = false;
  let asked = false; // again, while it ran
  let failures = 0;

  async function run() {
    clearTimeout(timer);
    if (signal.aborted || document.hidden) return;
    if (running) {
      asked = true;
      return;
    }
    running = true;
    asked = false;
    let pause = seconds;
    try {
      await work(signal);
      failures = 0;
      report(run, null);
    } catch (error) {
      if (signal.aborted) return;
      pause = Math.min(FIRST_PAUSE * 2 ** failures, LONGEST_PAUSE) * (1 + JITTER * Math.random());
      failures += 1;
      if (error.name !== "ApiError") console.error(error); // a fault of the page's own
      report(run, error);
    } finally {
      running = false;
    }
    if (signal.aborted) return;
    if (asked && !failures) run();
    else timer = setTimeout(run, pause * 1000);
  }

  document.addEventListener("visibilitychange", run, { signal });
  addEventListener("online", run, { signal });
  signal.addEventListener("abort", () => {
    clearTimeout(timer);
    report(run, null);
  });
  run();
  return run;
}

function report(run, error) {
  if (error) failing.set(run, error);
  else if (!failing.delete(run)) return;
  const [first] = failing.values();
  const again = () => failing.forEach((_, run) => run());
  connection.lost = first ? { error: first, since: connection.lost?.since ?? new Date().toISOString(), again } : null;
  connection.dispatchEvent(new Event("change"));
}

// -- live parts of the page --

/** Have `element` do `work` every so many seconds, and at once by `element.again()`; give it. */
export function live(element, work, seconds, signal) {
  element.classList.add("live");
  element.again = poll(work, seconds, signal);
  return element;
}

/** Have every live part of the page ask anew: a filter has changed, or what it shows has. */
export const anew = () => Promise.all([...document.querySelectorAll(".live")].map((part) => part.again()));
