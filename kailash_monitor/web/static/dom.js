/** Elements: how the page is built. Text stays text, whatever it contains: nothing here parses HTML. */

/**
 * Give an element: `h("p.muted", { title }, "text", child)`. Attributes may be left out; `on<event>` is a function, `style` an
 * object of properties; an attribute that is true has no value. Children are nodes, arrays, and anything else as text. What is
 * null, undefined or false is left out.
 */
export function h(tag, ...children) {
  const [kind, ...classes] = tag.split(".");
  const element = document.createElement(kind);
  const attributes = children[0]?.constructor === Object ? children.shift() : {};
  if (kind === "button") element.type = "button"; // not "submit", as HTML has it
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || (value ?? null) === null) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [property, text] of Object.entries(value)) element.style.setProperty(property, text);
    else if (name === "value" && kind === "input") element.value = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.classList.add(...classes);
  append(element, children);
  return element;
}

/** Give `parent` these children in place of those it has. */
export function replace(parent, ...children) {
  parent.replaceChildren();
  append(parent, children);
  return parent;
}

function append(parent, children) {
  parent.append(...children.flat(Infinity).filter((child) => child !== false && (child ?? null) !== null));
}

/**
 * Show `rows` as the children of `parent`: `make(row)` gives the element of a new key, `update(element, row)` has one show another
 * row. What stays keeps its element, so that polling moves nothing and takes the focus from nobody.
 */
export function keyed(parent, rows, keyOf, make, update) {
  const before = parent.shown ?? new Map();
  const focused = document.activeElement;
  parent.shown = new Map();
  for (const row of rows) {
    const known = before.get(keyOf(row));
    if (known && known.row !== row) update(known.element, row);
    parent.shown.set(keyOf(row), { row, element: known?.element ?? make(row) });
  }
  const elements = [...parent.shown.values()].map(({ element }) => element);
  for (const child of [...parent.childNodes]) if (!elements.includes(child)) child.remove();
  elements.forEach((element, n) => element === parent.childNodes[n] || parent.insertBefore(element, parent.childNodes[n] ?? null));
  if (focused !== document.activeElement && parent.contains(focused)) focused.focus({ preventScroll: true });
}

/**
 * Have `element` show what `fresh` shows. What is the same, or the same but for words and attributes, keeps its element, and
 * the focus; a button that is another is replaced, since it does something else.
 */
export function refresh(element, fresh) {
  const old = [...element.childNodes];
  const now = [...fresh.childNodes];
  now.forEach((node, n) => {
    const kept = old[n];
    if (!kept) element.append(node);
    else if (kept.isEqualNode(node)) return;
    else if (kept.nodeName !== node.nodeName || node.nodeName === "BUTTON") kept.replaceWith(node);
    else if (node.nodeType === Node.TEXT_NODE) kept.data = node.data;
    else {
      for (const name of kept.getAttributeNames()) if (name !== "open" && !node.hasAttribute(name)) kept.removeAttribute(name);
      for (const { name, value } of node.attributes) kept.setAttribute(name, value);
      refresh(kept, node);
    }
  });
  for (const node of old.slice(now.length)) node.remove();
}

/** Give a link to a page elsewhere; what is not http or https is shown as it is, since it could be a script. */
export function webLink(url, text = url) {
  if (!/^https?:\/\//i.test(url)) return h("span", url);
  return h("a.outward", { href: url, rel: "noopener noreferrer", target: "_blank" }, text);
}
