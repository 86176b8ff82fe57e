/** Reasons: why a channel is told of an alert or is not, in words. */

const WORDS = {
  fired: "told: it fires",
  raised: "told: it is graver now",
  escalated: "told: nobody acknowledged it for long",
  repeat_due: "told again: it still fires",
  kept_alive: "told again, since it forgets",
  resolved: "told: it is over",
  rule_removed: "told: it is over, since its rule was removed or disabled",
  series_removed: "told: it is over, since its series were removed",
  stale_store: "told: it is over, since nobody could judge it for a day",
  rerouted: "told: it is over, since no route leads there any more",
  missed: "told: it came and went while it could not be told",
  flapping: "told: it goes on and off, and no more until it is stable",
  stable: "told: it is stable",
  already_told: "told already",
  never_told: "not told: it is over, and its beginning was not told either",
  not_firing: "not told: it has not fired",
  not_routed: "not told: no route leads there",
  not_escalated: "not told: its turn has not come",
  silenced: "not told: it is silenced",
  muted: "not told: a mute time is in force",
  inhibited: "not told: another alert that fires explains it",
  acknowledged: "not told again: somebody is on it",
  unsettled: "not told: it goes on and off, and it knows",
  undeliverable: "not told: it refused the message, or was out of reach too long",
};

/** Give a reason in words that follow the name of a channel. */
export const reason = (name) => WORDS[name] ?? name.replaceAll("_", " ");
