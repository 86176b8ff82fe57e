/** Dialogs: questions that the page asks before it goes on. */

import { h, replace } from "./dom.js";

/**
 * Ask, and give what `act` gave, without one the FormData; null where people cancel. `body` are the fields, `confirm` is the
 * button's text, `danger` has it look so. `act(data)` is done while the dialog is open: what it raises is shown there, to be
 * mended. The focus goes back to where it was.
 */
export function ask({ title, body = [], confirm, danger = false, act = (data) => data }) {
  const opener = document.activeElement;
  const heading = h("h2", { id: "dialog-title" }, title);
  const refusal = h("p.refusal", { role: "alert" });
  const confirmed = h("button", { type: "submit", class: danger ? "danger" : "primary" }, confirm);
  const form = h("form", { novalidate: true }, heading, h("div.dialog-body", body), refusal);
  form.append(h("div.dialog-buttons", h("button", { onclick: () => dialog.close() }, "Cancel"), confirmed));
  const dialog = h("dialog", { "aria-labelledby": "dialog-title" }, form);

  return new Promise((resolve) => {
    let result = null;
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      if (confirmed.classList.contains("busy")) return;
      confirmed.classList.add("busy");
      for (const field of form.querySelectorAll("[aria-invalid]")) field.removeAttribute("aria-invalid");
      replace(refusal);
      try {
        result = await act(new FormData(form));
        dialog.close();
      } catch (error) {
        replace(refusal, error.message);
        const field = form.querySelector(`[name="${error.field}"]`);
        field?.setAttribute("aria-invalid", "true");
        field?.focus();
      } finally {
        confirmed.classList.remove("busy");
      }
    });
    dialog.addEventListener("close", () => {
      dialog.remove();
      (opener.isConnected ? opener : document.getElementById("content")).focus();
      resolve(result);
    });
    document.body.append(dialog);
    dialog.showModal();
    (form.querySelector("[autofocus]") ?? form.querySelector("input, select, textarea") ?? confirmed).focus();
  });
}

/** Give a field with its label above and, if there is one, a hint below; `attributes` are the input's. */
export function field(label, attributes, { hint = null, options = null } = {}) {
  const id = `field-${attributes.name}`;
  const given = { id, "aria-describedby": hint && `${id}-hint`, ...attributes };
  const input = options
    ? h("select", given, options.map(([value, text]) => h("option", { value, selected: value === attributes.value }, text)))
    : h("input", { type: "text", autocomplete: "off", ...given });
  return h("div.field", h("label", { for: id }, label), input, hint && h("small", { id: `${id}-hint` }, hint));
}
