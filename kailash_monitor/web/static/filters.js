/** Filters: what a list is narrowed by, kept in the address. */

import { remember } from "./address.js";
import { h, replace } from "./dom.js";
import { anew } from "./poll.js";

const PAUSE = 250; // milliseconds after the last key: a word is asked for once

/**
 * Give a row of fields over `parameters`, the address's, which follow them; a change asks anew, for the first page.
 *
 * A field is `{name, label, options, any, placeholder}`: with `options` (texts, or pairs of value and text) a select, whose empty
 * first one is `any` (null for none), else a text. `element.asked()` gives what they say, `element.refuse(field, message)` shows
 * which is wrong and why, `element.offer(name, options)` has a select offer others, and `element.nothing(noun, otherwise)` is what
 * to say of an empty list.
 */
export function filters(fields, parameters) {
  let timer = 0;
  const note = h("p.refusal", { role: "alert" });
  const inputs = new Map();
  const apply = () => {
    clearTimeout(timer);
    for (const [name, input] of inputs) input.value ? parameters.set(name, input.value) : parameters.delete(name);
    parameters.delete("offset");
    remember(parameters);
    anew();
  };
  const soon = () => {
    clearTimeout(timer);
    timer = setTimeout(apply, PAUSE);
  };
  const made = fields.map(({ name, label, options, any, placeholder }) => {
    const id = `filter-${name}`;
    const given = parameters.get(name) ?? "";
    const input = options
      ? h("select", { id, name, onchange: apply }, pairs(options, any).map(([value, text]) => h("option", { value, selected: value === given }, text)))
      : h("input", { id, name, type: "text", value: given, placeholder, autocomplete: "off", spellcheck: "false", oninput: soon });
    inputs.set(name, input);
    return h("div", { class: `field${options ? "" : " text"}` }, h("label", { for: id }, label), input);
  });
  const element = h("form.filters", { role: "search", onsubmit: (event) => (event.preventDefault(), apply()) }, made, note);
  element.asked = () => Object.fromEntries([...inputs].map(([name, input]) => [name, input.value]));
  element.refuse = (name, message = "") => {
    if (note.textContent !== message) note.textContent = message; // what is said again is read out again
    for (const input of inputs.values()) input.removeAttribute("aria-invalid");
    inputs.get(name)?.setAttribute("aria-invalid", "true");
  };
  element.offer = (name, options) => {
    const select = inputs.get(name);
    const chosen = select.value;
    const known = [...select.options].map((option) => option.value);
    const offered = pairs(options.includes(chosen) || !chosen ? options : [...options, chosen]);
    if (offered.map(([value]) => value).join("\n") === known.join("\n")) return;
    replace(select, offered.map(([value, text]) => h("option", { value, selected: value === chosen }, text)));
  };
  element.nothing = (noun, otherwise) => {
    if (![...inputs.values()].some((input) => input.value)) return otherwise;
    return [h("p", `No ${noun} is like this.`), h("p", h("button", { onclick: element.clear }, "Clear the filters"))];
  };
  element.clear = () => {
    for (const input of inputs.values()) input.value = "";
    apply();
  };
  return element;
}

function pairs(options, any = "Any") {
  const pairs = options.map((option) => (Array.isArray(option) ? option : [option, option]));
  return any === null ? pairs : [["", any], ...pairs];
}
