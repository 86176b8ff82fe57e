/** Silences: the dialog that asks for one, and shows what it would cover while it is typed. */

import { change, get } from "./api.js";
import { severity } from "./badge.js";
import { ask, field } from "./dialog.js";
import { h, replace } from "./dom.js";
import { absolute, count } from "./format.js";

const PAUSE = 250; // milliseconds after the last key
const NAMED = 20; // alerts whose titles the preview shows
const DURATIONS = ["15m", "1h", "4h", "1d"];

/** Ask for a silence of `alert`, or of the alerts with some labels; give what to say of it, null where people cancel. */
export function silence({ alert = null, matchers = "" } = {}) {
  const preview = h("div.preview", { "aria-live": "polite" });
  const labels = field(
    "Labels",
    { name: "matchers", value: alert ? matching(alert) : matchers, spellcheck: "false", class: "mono", autofocus: !alert, oninput: soon },
    { hint: 'Such as team="db", env=~"prod|stage", instance!="a".' },
  );
  const hint = `Such as 30m, 2h or 1d${alert ? "; left empty, until this alert is resolved" : ""}.`;
  const duration = field("Duration", { name: "duration", value: "1h", autofocus: Boolean(alert) }, { hint });
  const input = duration.querySelector("input");
  const quick = DURATIONS.map((text) => h("button", { class: "small", "aria-label": `For ${text}`, onclick: () => (input.value = text) }, text));
  const choice = (value, text, checked) => h("label", h("input", { type: "radio", name: "covers", value, checked, onchange: look }), ` ${text}`);
  const choices = [choice("alert", "Only this alert", true), choice("labels", "Every alert with these labels", false)];
  const covers = alert && h("fieldset.choices", h("legend", "Covers"), choices);
  const byLabels = () => !alert || covers.querySelector("input:checked").value === "labels";
  let timer = 0;
  let asked = 0;

  function soon() {
    clearTimeout(timer);
    timer = setTimeout(look, PAUSE);
  }

  async function look() {
    clearTimeout(timer);
    labels.hidden = !byLabels();
    const turn = ++asked;
    if (!byLabels()) return show([alert], 1);
    const match = labels.querySelector("input").value.trim();
    if (!match) return replace(preview, h("span.muted", "Give at least one label."));
    try {
      const answer = await get("silences/preview", { match });
      if (turn === asked) show(answer.alerts, answer.total);
    } catch (error) {
      if (turn === asked) replace(preview, h("span.bad", error.message));
    }
  }

  function show(alerts, total) {
    const named = alerts.slice(0, NAMED).map((one) => h("li", severity(one.severity), h("span", one.title)));
    const rest = total > named.length ? h("li.muted", `and ${total - named.length} more`) : null;
    const later = total ? null : h("p.muted", "None fires now; it covers those that come while it lasts.");
    replace(preview, h("strong", `Covers ${count(total, "alert")}`), later, h("ul", named, rest));
  }

  look();
  return ask({
    title: "Silence",
    confirm: "Silence",
    body: [
      h("p.muted", "While it lasts, nobody is told that these alerts fire."),
      covers,
      labels,
      h("div", duration, h("div.buttons.quick", quick)),
      field("Reason", { name: "reason", maxlength: "500", placeholder: "Deployment, known issue, …" }),
      preview,
    ],
    act: async (data) => {
      const { matchers, duration, reason } = Object.fromEntries([...data].map(([name, text]) => [name, text.trim()]));
      const what = byLabels() ? { matchers, reason } : { alert_id: alert.id, reason };
      const { silence } = await change("POST", "silences", duration ? { ...what, duration } : what);
      return silence.until_resolved ? "Silenced until it is resolved." : `Silenced until ${absolute(silence.ends_at)}.`;
    },
  });
}

/** The labels of an alert as the text of matchers. */
function matching(alert) {
  const quoted = (text) => `"${text.replace(/["\\]/g, "\\$&").replaceAll("\n", "\\n")}"`;
  return Object.entries({ alertname: alert.rule_name, ...alert.labels }).map(([name, value]) => `${name}=${quoted(value)}`).join(", ");
}
