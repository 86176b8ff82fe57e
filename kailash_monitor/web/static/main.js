/** The page: which of its parts is shown, who looks at it, and whether the program answers. */

import { read } from "./address.js";
import { announce } from "./announce.js";
import { ApiError, Rows, session } from "./api.js";
import { ask, field } from "./dialog.js";
import { h, replace } from "./dom.js";
import { clockTime, tick } from "./format.js";
import { connection, poll } from "./poll.js";
import { press } from "./press.js";

const PAGES = ["overview", "alerts", "rules", "metrics", "notifications", "silences"];
const WATCH = 2; // seconds: who looks at any page hears of a new alert within three
const WATCHED = 100; // alerts; of more, the gravest and newest
const TOLD = 200; // characters of an error
const SPOKEN = 3; // titles; of more, their number

const byId = (id) => document.getElementById(id);
const name = (page) => page[0].toUpperCase() + page.slice(1);
let leaving = new AbortController(); // aborts when another page is shown

// -- pages --

async function show({ focus = false } = {}) {
  const { page, path, parameters } = read();
  leaving.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  navigation(page);
  const root = h("div.page");
  const content = byId("content");
  try {
    if (!PAGES.includes(page)) throw new ApiError(404, `There is no page "${page}".`);
    const module = await import(`./pages/${page}.js`);
    if (signal.aborted) return;
    replace(content, root);
    await module.show(root, { parameters, path, signal });
  } catch (error) {
    if (signal.aborted) return;
    if (!(error instanceof ApiError)) console.error(error);
    const way = h("p", h("a", { href: "#/overview" }, "Go to the overview"));
    replace(root, h("h1", PAGES.includes(page) ? name(page) : "Not found"), h("div.empty", h("p", error.message), way));
    replace(content, root);
  }
  if (signal.aborted) return;
  entitle();
  if (focus) {
    content.focus({ preventScroll: true });
    scrollTo(0, 0);
  }
}

function navigation(present) {
  PAGES.forEach((page, n) => {
    const link = byId("navigation").children[n];
    if (page === present) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  });
}

let firing = 0;

/** Call the window after the heading, and how much fires. */
function entitle() {
  document.title = `${firing ? `(${firing}) ` : ""}${document.querySelector("h1")?.textContent ?? "…"} · kailash_monitor`;
}

// -- who looks at it --

/** Sign in by the code of a link such as `#sign-in=…`; the code leaves the address, and the history, before anything else. */
async function signInByLink() {
  const code = /^#sign-in=(.+)$/.exec(location.hash)?.[1];
  if (!code) return;
  history.replaceState(null, "", "#/overview");
  try {
    await session.signIn({ code: decodeURIComponent(code) });
    announce("Signed in.");
  } catch (error) {
    announce(`Not signed in: ${error.message}`);
  }
}

async function signIn() {
  const body = [
    field("Your name", { name: "name", autocomplete: "username", maxlength: "100" }, { hint: "Others see it beside what you do." }),
    field("Token", { name: "token", type: "password", autocomplete: "current-password" }, { hint: "The one that the program was started with." }),
  ];
  const act = async (data) => (await session.signIn(Object.fromEntries(data)), announce("Signed in."));
  await ask({ title: "Sign in", confirm: "Sign in", body, act });
}

function whoIsIt() {
  const box = byId("session");
  if (session.signedIn) replace(box, h("span.who", session.name || "signed in"), press("Sign out", async () => (await session.signOut(), "Signed out.")));
  else if (session.canSignIn) replace(box, h("button", { onclick: signIn }, "Sign in"));
  else replace(box, !session.canChange && h("span.muted", { title: "The program has no token: nothing can be changed from here." }, "Read only"));
}

// -- what happens meanwhile --

const rows = new Rows("alerts", "alerts");
let heard = null; // incidents that fire and were known at the last look

async function watch(signal) {
  if (!session.known) await session.load();
  const { rows: alerts, envelope } = await rows.poll({ state: "firing", limit: WATCHED }, signal);
  const fresh = heard ? alerts.filter((alert) => !heard.has(incident(alert))) : [];
  heard = new Set(alerts.map(incident));
  if (fresh.length > SPOKEN) announce(`${fresh.length} new alerts are firing.`);
  else if (fresh.length) announce(fresh.map((alert) => `New alert, ${alert.severity}: ${alert.title}`).join(". "));
  firing = envelope.counts.firing;
  byId("firing").textContent = firing;
  byId("firing").hidden = !firing;
  entitle();
}

const incident = (alert) => `${alert.incident} ${alert.id}`;

function banner() {
  const box = byId("banner");
  const { lost } = connection;
  box.hidden = !lost;
  if (!lost) return replace(box);
  const what = lost.error.status ? `The program answers: ${lost.error.message.slice(0, TOLD)}.` : "No connection to the program.";
  if (box.firstChild?.textContent === what) return; // it is read out once
  replace(box, h("strong", what), ` What you see is from ${clockTime(lost.since)}. It is tried again by itself. `, h("button", { onclick: () => connection.lost?.again() }, "Try now"));
}

// -- the beginning --

async function begin() {
  const badge = h("span", { id: "firing", class: "count", hidden: true });
  replace(byId("navigation"), PAGES.map((page) => h("a", { href: `#/${page}` }, name(page), page === "alerts" && badge)));
  byId("skip").addEventListener("click", (event) => {
    event.preventDefault(); // the fragment names a page here
    byId("content").focus();
  });
  connection.addEventListener("change", banner);
  addEventListener("hashchange", async () => {
    await signInByLink();
    show({ focus: true });
  });
  setInterval(tick, 1000);
  await session.load().catch(() => null); // the watch asks again
  await signInByLink();
  session.addEventListener("change", () => {
    whoIsIt();
    show();
  });
  whoIsIt();
  show();
  poll(watch, WATCH, new AbortController().signal);
}

begin();
