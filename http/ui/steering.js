// Cancelling and retrying, one task or many: always asked first, always told how it went.

import { CANCELS, get, MANY, post, remove, SILENCE_WHILE_STOPPING } from "./api.js";
import { confirmed, isUnderWay, underWay, visitor } from "./confirmed.js";
import { confirm, toast } from "./dialogs.js";
import { h } from "./dom.js";
import { plural, title } from "./format.js";
import { live } from "./live.js";
import { isFinal } from "./parts.js";
import { quoted } from "./search.js";

const AT_ONCE = 10_000; // ids in one request
const LOST = "The connection was lost";
const ASKED = "The task was asked to stop. Whether it has stopped is not known: look again.";
const WAITS = "That waits to be sent, until others have been heard. Keep this page open.";
const STOPS_SOON = 2_000; // milliseconds after which it is no more waited for that one stops, once it was asked to

const VERBS = {
  cancel: { word: "Cancel", done: "cancelled", body: "What runs is stopped; that cannot be undone. A cancelled task can be retried.", danger: true, left: "not cancelled so far" },
  retry: { word: "Retry", done: "waiting again", body: "Each gets a new attempt under the same id.", danger: false, left: "failed or cancelled, as before or again" },
};

let counting = false;
/** Whether many are being counted, to be asked about then: one question at a time. */
export const isCounting = () => counting;

/**
 * Do it to all that fit, once they were counted and confirmed, and to no others; nothing is asked once the screen has
 * been left, whose signal `screen` is. Gives the ids of those that it was not done to, as far as is known, and null where it
 * was done to none. Where it is about one task alone, that is `only`, and is named.
 */
export async function steerMany(verb, which, screen, only = null) {
  const { word, body, danger } = VERBS[verb];
  const signal = visitor();
  if (counting) return null;
  setCounting(true);
  let counted;
  try {
    counted = await count(verb, which, screen);
  } catch (error) {
    if (!screen.aborted) tell(signal, error.message, "failed");
    return null;
  } finally {
    setCounting(false);
  }
  const can = verb === "cancel" ? "cancelled" : "retried";
  if (counted.matched === 0) {
    tell(signal, `None of these tasks can be ${can}.`, "pending");
    return null;
  }
  const others = counted.refused.length;
  const yes = await confirm({
    heading: `${word} ${plural(counted.matched, "task")}?`,
    body: [only && named(only), h("p", {}, body), others > 0 && h("p", { class: "muted" }, `${plural(others, "other task")} that you chose cannot be ${can}, and stay as they are.`)],
    yes: `${word} ${plural(counted.matched, "task")}`,
    danger,
  });
  if (!yes) return null;
  const change = confirmed();
  try {
    return await carryOut(verb, counted.task_ids, change);
  } finally {
    change.end();
  }
}

function setCounting(now) {
  counting = now;
  underWay.dispatchEvent(new Event("change"));
}

/** Do it, so many at a time; tells how it went, and gives which are left, or null where it was done to none, as far as is known. */
async function carryOut(verb, all, change) {
  const { signal } = change;
  if (!MANY.free) tell(signal, WAITS, "pending");
  let affected = 0;
  const failed = [];
  const told = () => `${plural(affected, "task")} ${VERBS[verb].done}.${failed.length ? ` ${plural(failed.length, "task")} not: ${failed[0].detail}` : ""}`;
  for (let at = 0; at < all.length; at += AT_ONCE) {
    const ids = all.slice(at, at + AT_ONCE);
    const beyond = all.slice(at + AT_ONCE);
    const after = beyond.length;
    const onTurn = () => (after > 0 ? signal.throwIfAborted() : change.send());
    try {
      const answer = await post(`api/tasks/bulk/${verb}`, { ids, dry_run: false }, { silence: SILENCE_WHILE_STOPPING, lane: MANY, onTurn });
      affected += answer.affected;
      failed.push(...answer.refused);
    } catch (error) {
      if (signal.aborted) return null;
      const why = error.unheard ? LOST : error.message.replace(/\.$/, "");
      const found = await became(verb, ids);
      if (found === null) {
        tell(signal, [affected > 0 && told(), `${why}: what became of ${plural(ids.length, "task")} is not known.`, after > 0 && `${plural(after, "task")} were not reached.`, "Look again."].filter(Boolean).join(" "), "failed");
        return affected > 0 ? [...ids, ...beyond] : null;
      }
      affected += found.done;
      const left = found.left.length + after;
      if (left === 0) tell(signal, `${told()} The answer was lost.`, failed.length ? "pending" : "completed");
      else tell(signal, `${told()} ${why}: ${plural(left, "task")} ${left === 1 ? "is" : "are"} ${VERBS[verb].left}.`, "failed");
      return affected > 0 ? [...found.left, ...beyond] : null;
    }
  }
  tell(signal, told(), failed.length ? "pending" : "completed");
  return [];
}

const tell = (signal, ...message) => signal.aborted || toast(...message);

const count = (verb, which, signal) => post(`api/tasks/bulk/${verb}`, { ...which, dry_run: true }, { changes: false, signal });

/** Of tasks about which nobody answered: to how many it was done by now, and to which it still can be. Null where that is not answered either. */
async function became(verb, ids) {
  try {
    const { task_ids: left } = await count(verb, { ids });
    const done = verb === "cancel" ? (await count("retry", { ids, status: "cancelled" })).matched : ids.length - left.length;
    return { done, left };
  } catch {
    return null;
  }
}

/** Where no stream tells of it, the screens look at once. */
const lookNow = () => live.state === "polling" && live.dispatchEvent(new CustomEvent("refresh", { detail: {} }));

const named = (task) => h("p", { class: "anywhere" }, task.task_type && h("b", {}, title(task.task_type), " "), h("span", { class: "mono" }, task.task_id));

/** Cancel one; the answer comes when it has stopped, and the stages are seen before. What takes long to stop holds up no connection. */
export async function cancelOne(task) {
  const signal = visitor();
  const { task_id: id } = task;
  if (isUnderWay("cancel", id)) return;
  const yes = await confirm({
    heading: `Cancel this ${title(task.task_type).toLowerCase()}?`,
    body: h("p", {}, task.status === "running" ? "Its work is stopped where it is. It can be retried later." : "It will not begin. It can be retried later."),
    yes: "Cancel the task",
    danger: true,
  });
  if (!yes || isUnderWay("cancel", id)) return; // it can be asked for again before the first question is gone
  const change = confirmed("cancel", id);
  const heard = heardOf(id, signal);
  const onTurn = () => {
    change.send();
    heard.sent();
  };
  if (!CANCELS.free) tell(signal, WAITS, "pending");
  try {
    const answer = await remove(`api/tasks/${encodeURIComponent(id)}`, { lane: CANCELS, signal: heard.longAgo, onTurn });
    tell(signal, answer.message, answer.status === "cancelled" ? "completed" : "pending");
  } catch (error) {
    if (signal.aborted) return;
    tell(signal, ...(error.unheard || heard.longAgo.aborted ? await whetherHeard(id, heard.longAgo.aborted, error) : [error.message, "failed"]));
  } finally {
    heard.over();
    change.end();
    lookNow();
  }
}

/**
 * Find out, from when it is sent, whether the task was asked to stop; `longAgo` is aborted once it was, and some time has
 * gone by. What the stream does not tell is asked: a page may have none.
 */
function heardOf(id, signal) {
  const [end, late] = [new AbortController(), new AbortController()];
  let asked = false;
  let timer = 0;
  live.addEventListener("task", ({ detail }) => {
    if (detail.task_id === id && detail.cancel_requested_at) asked = true;
  }, { signal: end.signal });
  const lookSoon = () => {
    timer = setTimeout(look, STOPS_SOON);
  };
  async function look() {
    const task = asked || signal.aborted ? null : await find(id);
    if (end.signal.aborted) return;
    if (asked || signal.aborted || (task && (task.cancel_requested_at || isFinal(task.status)))) late.abort();
    else lookSoon();
  }
  const over = () => {
    end.abort();
    clearTimeout(timer);
  };
  return { longAgo: late.signal, sent: lookSoon, over };
}

/** What to say of a cancel that was not answered: it may not have been heard, unless that is known, or what runs may not have stopped yet. */
async function whetherHeard(id, known, error) {
  const task = await find(id);
  if (!task) return [known ? ASKED : error.message, "failed"];
  if (isFinal(task.status)) return [`The task is ${task.status}.`, task.status];
  if (known && !task.cancel_requested_at) return [`The task was cancelled. It has been retried since, and is ${task.status}.`, "pending"];
  return task.cancel_requested_at ? ["The task was asked to stop, and has not stopped yet.", "pending"] : ["The server has not heard that: the task goes on.", "failed"];
}

/** How it is with a task; null where nobody answers, or it is gone. */
async function find(id) {
  const list = await get("api/tasks", { query: { q: `id:${quoted(id)}`, limit: 1 } }).catch(() => null);
  return list?.tasks[0] ?? null;
}

export async function retryOne(task) {
  const signal = visitor();
  const { task_id: id } = task;
  if (isUnderWay("retry", id)) return;
  const yes = await confirm({
    heading: `Retry this ${title(task.task_type).toLowerCase()}?`,
    body: h("p", {}, "It gets a new attempt under the same id."),
    yes: "Retry the task",
  });
  if (!yes || isUnderWay("retry", id)) return;
  const change = confirmed("retry", id);
  try {
    await post(`api/tasks/${encodeURIComponent(id)}/retry`, undefined, { onTurn: change.send });
    tell(signal, "It waits for its next attempt.");
  } catch (error) {
    if (signal.aborted) return;
    tell(signal, ...(error.unheard ? await whetherRetried(task, error) : [error.message, "failed"]));
  } finally {
    change.end();
    lookNow();
  }
}

/** What to say of a retry that was not answered. A task that ended at the same moment as before has not been tried again. */
async function whetherRetried(before, error) {
  const task = await find(before.task_id);
  if (!task) return [error.message, "failed"];
  if (!isFinal(task.status)) return [`It was retried, and is ${task.status}.`, "completed"];
  return task.completed_at === before.completed_at ? [`The server has not heard that: the task stays ${task.status}.`, "failed"] : [`It was retried, and is ${task.status}.`, task.status];
}
