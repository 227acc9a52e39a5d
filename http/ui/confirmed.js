// What somebody has confirmed and is under way: it is theirs alone, and lost with the page for as long as it is not sent.

import { toast } from "./dialogs.js";
import { plural } from "./format.js";
import { live } from "./live.js";

let visit = new AbortController(); // of whoever is signed in
const changes = new Set();
export const underWay = new EventTarget(); // tells `change`

/** Aborted once whoever is signed in is so no more: what came of what they asked for is told to nobody after them. */
export const visitor = () => visit.signal;

const told = () => underWay.dispatchEvent(new Event("change"));

/** To be sent, when its turn comes, to `send`, which refuses that once who confirmed it has left; and to `end` in any case. */
export function confirmed(verb = null, id = null) {
  const { signal } = visit;
  const change = {
    verb, // "cancel" or "retry", where it is about one task alone
    id,
    sent: false,
    signal,
    send() {
      signal.throwIfAborted();
      change.sent = true;
      told();
    },
    end() {
      changes.delete(change);
      told();
    },
  };
  changes.add(change);
  told();
  return change;
}

const changeOf = (verb, id) => [...changes].find((each) => each.verb === verb && each.id === id);

/** How far the cancel of a task is, in words; null where there is none. */
export function cancelling({ task_id: id, cancel_requested_at: asked }) {
  const change = changeOf("cancel", id);
  if (!asked && change && !change.sent) return "Cancel waits to be sent";
  return asked || change ? "Cancel is under way" : null;
}

/** Whether somebody has confirmed that already, and it is not over: once is enough. */
export const isUnderWay = (verb, id) => changeOf(verb, id) !== undefined;

const unsent = () => [...changes].filter((each) => !each.sent).length;

addEventListener("beforeunload", (event) => unsent() > 0 && event.preventDefault());
live.addEventListener("state", () => {
  if (live.state !== "off") return;
  const lost = unsent();
  changes.clear();
  visit.abort();
  visit = new AbortController();
  if (lost > 0) toast(`${plural(lost, "change")} had not been sent, or not all of it, when you were signed out.`, "failed");
});
