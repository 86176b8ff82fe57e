/** The program's API: what is asked of it, and what is changed. */

import { serverTime } from "./format.js";

const TIMEOUT = 20_000; // milliseconds: a day of many series takes a while, what hangs does not end

/** What the program refused, or that it cannot be reached (`status` 0). `field` names what to mend, where it is known. */
export class ApiError extends Error {
  name = "ApiError";

  constructor(status, message, field = null) {
    super(message);
    Object.assign(this, { status, field });
  }
}

/** Give what is at `path` below `api/`, such as "alerts", with the `parameters` that are neither null nor "". Raises ApiError. */
export const get = (path, parameters = {}, signal = null) => send("GET", path + query(parameters), { signal });

/** Make a change, and give what the program says of it. Raises ApiError. */
export async function change(method, path, body = {}) {
  const headers = { "Content-Type": "application/json" };
  if (session.csrf) headers["X-CSRF-Token"] = session.csrf;
  try {
    return await send(method, path, { headers, body: JSON.stringify(body) });
  } catch (error) {
    if (error.status === 401 || error.status === 403) await session.load().catch(() => null); // it may have run out
    throw error;
  }
}

/** Give a path below `api/` whose segments may hold anything: `at("alerts", id, "explain")`. */
export const at = (...segments) => segments.map(encodeURIComponent).join("/");

function query(parameters) {
  const given = Object.entries(parameters).filter(([, value]) => (value ?? "") !== "");
  return given.length ? `?${new URLSearchParams(given)}` : "";
}

async function send(method, path, options) {
  const signal = AbortSignal.any([AbortSignal.timeout(TIMEOUT), options.signal].filter(Boolean));
  let response;
  let answer;
  try {
    response = await fetch(new URL(`api/${path}`, document.baseURI), { method, cache: "no-store", ...options, signal });
    answer = await response.json();
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new ApiError(response?.ok === false ? response.status : 0, unreachable(error, response));
  }
  if (!response.ok) throw new ApiError(response.status, answer.error ?? response.statusText, answer.field);
  if (answer.at) serverTime(answer.at);
  return answer;
}

function unreachable(error, response) {
  if (error.name === "TimeoutError") return `no answer within ${TIMEOUT / 1000} s`;
  return response ? `an answer that is not the program's (status ${response.status})` : "the program does not answer";
}

/** Who looks at the page. Says "change" when that is another, or may do other things than before. */
class Session extends EventTarget {
  known = false;
  canChange = false;
  signedIn = false;
  canSignIn = false; // a token is set
  name = "";
  csrf = null;

  /** Ask the program who it takes us for. */
  async load() {
    this.#take(await get("session"));
  }

  /** Sign in by `{token, name}` or by the `{code}` of a link. Raises ApiError. */
  async signIn(by) {
    this.#take(await change("POST", "session", by));
  }

  /** Sign out. */
  async signOut() {
    await change("DELETE", "session");
    await this.load();
  }

  #take({ can_change: canChange, signed_in: signedIn, sign_in: canSignIn, name, csrf }) {
    const before = JSON.stringify(this);
    Object.assign(this, { known: true, canChange, signedIn, canSignIn, name, csrf });
    if (before !== JSON.stringify(this)) this.dispatchEvent(new Event("change"));
  }
}

export const session = new Session();

/**
 * One page of a list at `path`, whose rows the API calls `name`, kept up to date by asking for what changed. A row that did not
 * is the same object as before, so that `keyed` leaves its element alone.
 */
export class Rows {
  #asked = "";
  #cursor = null;
  #rows = new Map();

  constructor(path, name) {
    this.path = path;
    this.name = name;
  }

  /** Give `{rows, total, envelope}` as they are now. Raises ApiError. */
  async poll(parameters = {}, signal = null) {
    const asked = query(parameters);
    const since = asked === this.#asked ? this.#cursor : null;
    let envelope = await get(this.path, { ...parameters, since }, signal);
    let rows = this.#merged(envelope);
    if (rows.includes(undefined)) {
      envelope = await get(this.path, parameters, signal); // one came to this page that did not change
      rows = this.#merged(envelope);
    }
    this.#rows = new Map(rows.map((row, n) => [envelope.keys[n], row]));
    [this.#asked, this.#cursor] = [asked, envelope.cursor];
    return { rows, total: envelope.total, envelope };
  }

  #merged(envelope) {
    const fresh = new Map(envelope[this.name].map((row) => [row.id ?? row.name, row]));
    return envelope.keys.map((key) => fresh.get(key) ?? (envelope.delta ? this.#rows.get(key) : undefined));
  }
}
