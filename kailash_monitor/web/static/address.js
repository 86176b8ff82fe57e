/** The address: which page is shown, and its filters, so that a link or a reload shows the same. */

/** Read `#/alerts/<id>?state=firing` as {page, path: [id], parameters}; segments are decoded. */
export function read(hash = location.hash) {
  const [whole, search = ""] = hash.replace(/^#\/?/, "").split(/\?(.*)/s);
  const [page, ...path] = whole.split("/").map(decoded);
  return { page: page || "overview", path: path.filter((segment) => segment !== ""), parameters: new URLSearchParams(search) };
}

function decoded(segment) {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment; // typed by hand
  }
}

/** Give the address of a page: `href(["alerts", id], {state: "firing"})`. What is null or "" is left out. */
export function href(segments, parameters = {}) {
  const given = parameters instanceof URLSearchParams ? [...parameters] : Object.entries(parameters);
  const search = new URLSearchParams(given.filter(([, value]) => (value ?? "") !== ""));
  const path = [segments].flat().map(encodeURIComponent).join("/");
  return `#/${path}${search.size ? `?${search}` : ""}`;
}

/** Keep the filters of the present page in the address, without showing the page anew. */
export function remember(parameters) {
  const { page, path } = read();
  history.replaceState(null, "", href([page, ...path], parameters));
}
