// What became of a task, in the order of time: submitted, waited, ran (each attempt), ended.

import { h, reconcile } from "./dom.js";
import { between, clock, duration, isPutOff, moment, now, plural, ran, roughly, since, title } from "./format.js";
import { moving, ticking } from "./clock.js";

/** The attempts that began, the newest last; `unseen`: a crash ended it. Of those long ago only the last 20 are kept, or fewer. */
function attemptsOf(task) {
  const past = (task.attempts ?? []).map((one) => ({ number: one.number, due: one.ready_at, revived: one.revived, from: one.started_at, to: one.ended_at, unseen: one.found_over, error: one.error, ...howEnded(one.error) }));
  const last = task.started_at && (past.length === 0 || past.at(-1).number < task.attempt);
  if (!last) return past;
  const tint = task.status === "pending" ? "failed" : task.status;
  return [...past, { number: task.attempt, due: task.ready_at, revived: task.revived, from: task.started_at, to: task.completed_at, unseen: Boolean(task.completed_at) && task.run_seconds === null, error: null, tint }];
}

/** From when one waits that has not begun, where it was put off or asked for again. */
function dueNext(task) {
  const began = (task.attempts?.at(-1)?.number ?? 0) < task.attempt;
  return began ? null : (task.run_at ?? task.ready_at);
}

/** What is kept of an attempt says in words how it ended; what a body raised begins with the name of its type. */
function howEnded(error) {
  if (error.startsWith("Task cancelled")) return { tint: "cancelled", word: "was cancelled" };
  if (error.startsWith("interrupted by ")) return { tint: "pending", word: "was interrupted" };
  return { tint: "failed", word: "failed" };
}

export function timeline(task, paused = false) {
  return h("div", {}, stretch(task), h("ol", { class: "moments" }, moments(task, paused)));
}

/** One bar from submit to end: grey while it waited, coloured while it ran; what goes on grows. */
function stretch(task) {
  const bar = h("div", { class: "stretch", "aria-hidden": "true" });
  return ticking(bar, () => {
    const parts = partsOf(task);
    const all = parts.reduce((sum, { length }) => sum + length, 0) || 1;
    reconcile(bar, parts, ({ key }) => key, () => h("span", {}), (span, { look, length, words }) => {
      span.className = look;
      if (span.title !== words) span.title = words;
      span.style.setProperty("--grow", (length / all) * 1000);
    });
  });
}

function partsOf(task) {
  const parts = [];
  const add = (look, length, words) => parts.push({ key: parts.length, look, length, words });
  const addWait = (from, { due, revived }, to, say) => {
    const ready = Math.min(to, Math.max(from, Date.parse(due) || from));
    if (ready > from) add("undue", ready - from, `${revived ? "Until it was asked for again:" : "Not due for"} ${duration((ready - from) / 1000)}`);
    if (to > ready) add("waiting", to - ready, say((to - ready) / 1000));
  };
  const waited = (seconds) => `Waited ${duration(seconds)}`;
  let at = Date.parse(task.created_at);
  const end = task.completed_at ? Date.parse(task.completed_at) : now();
  const attempts = attemptsOf(task);
  const unkept = notKept(attempts);
  for (const one of attempts) {
    const from = Date.parse(one.from);
    const goesOn = !one.to && !task.completed_at;
    const to = one.to ? Date.parse(one.to) : end;
    if (parts.length === 0 && unkept) add("unkept", Math.max(0, from - at), unkept); // when those ran is not known, and so not how long it waited
    else addWait(at, one, from, waited);
    const lasted = goesOn ? `${roughly((to - from) / 1000)} so far` : one.unseen ? "until a crash, found later" : duration((to - from) / 1000);
    add(`is-${one.tint}`, Math.max(0, to - from), `Attempt ${one.number}: ${lasted}`);
    at = to;
  }
  if (task.status !== "running") addWait(at, { due: dueNext(task), revived: task.revived }, end, task.completed_at ? waited : (seconds) => `Waits for ${roughly(seconds)}`);
  return parts;
}

/** Which attempts there were before those that are kept, in words. */
const notKept = (attempts) => (attempts.length > 0 && attempts[0].number > 1 ? `${plural(attempts[0].number - 1, "earlier attempt")}, no longer kept` : "");

function moments(task, paused) {
  const attempts = attemptsOf(task);
  const list = [instant(task.created_at, "Submitted", null)];
  const unkept = notKept(attempts);
  let before = unkept ? null : task.created_at; // since when it waited
  if (unkept) list.push(h("li", {}, h("span", { class: "muted" }, unkept)));
  const addDue = ({ due, revived, number }) => {
    if (!due || Date.parse(due) <= Date.parse(before)) return;
    const line = instant(due, revived ? "Asked for again" : number > 1 ? "Due again" : "Due", null);
    list.push(ticking(line, () => { line.hidden = Date.parse(due) > now(); }));
    before = due;
  };
  for (const one of attempts) {
    addDue(one);
    const waited = between(before, one.from);
    const name = attempts.length > 1 || one.number > 1 ? `Attempt ${one.number} began` : "Began";
    list.push(instant(one.from, name, waited !== null && (waited < 0.001 ? "at once" : `after waiting ${duration(waited)}`), "running"));
    if (one.error) list.push(instant(one.to, `Attempt ${one.number} ${one.word}`, [one.unseen ? "found then: " : `after ${duration(between(one.from, one.to))}: `, h("span", { class: "anywhere" }, one.error)], one.tint));
    before = one.to ?? before;
  }
  const due = dueNext(task);
  if (!(Date.parse(due) > Date.parse(task.completed_at))) addDue({ due, revived: task.revived, number: task.attempt + 1 });
  if (task.completed_at) return [...list, ended(task, attempts.at(-1))];
  return [...list, goingOn(task, paused, before)];
}

function ended(task, newest) {
  const spent = ran(task);
  const more = spent !== null ? `ran ${duration(spent)}` : newest?.unseen && !newest.error && "found then, after a crash";
  return instant(task.completed_at, endedAs(task), more, task.status);
}

function goingOn(task, paused, before) {
  if (task.status === "running") return ahead(() => `Runs for ${roughly(since(task.started_at) ?? 0)}`);
  return ahead(() => waitsFor(task, paused, before));
}

/** Whether a cancelled task was not running then: one that runs takes a moment to stop, and this one took none. */
const endedWaiting = (task) => task.status === "cancelled" && (!task.started_at || task.completed_at === task.cancel_requested_at);

function endedAs(task) {
  if (task.status !== "cancelled") return task.status === "failed" ? "Failed" : "Completed";
  if (!endedWaiting(task)) return "Stopped, and cancelled";
  return task.attempt > 0 ? "Cancelled while it waited" : "Cancelled before it began";
}

function waitsFor(task, paused, before) {
  const type = `until ${title(task.task_type)} is resumed`;
  if (isPutOff(task)) return `Begins in ${roughly(-since(task.run_at))}, at ${clock(task.run_at)}${paused ? `, but not ${type}` : ""}`;
  if (paused) return `Its type is paused: it waits ${type}`;
  return `Waits for a free place for ${roughly(since(task.run_at ?? before) ?? 0)}`;
}

const ahead = (text) => h("li", {}, moving(h("span", { class: "ahead" }), text));

function instant(at, what, more, tint = "") {
  return h("li", { class: tint && `is-${tint}` },
    h("span", { class: "what" }, what),
    moving(h("time", { class: "muted small", datetime: at, title: moment(at) }), () => clock(at)), // with the day, once it is another
    more && h("span", { class: "more muted small" }, more));
}

/** The three stages of a cancel; nothing where none was asked for, or nothing ran. */
export function cancelStages(task) {
  if (!task.cancel_requested_at || endedWaiting(task)) return null;
  const stopped = task.status === "cancelled";
  const finished = task.completed_at && !stopped;
  const took = task.run_seconds === null ? "until a crash" : `took ${duration(between(task.cancel_requested_at, task.completed_at))}`;
  const stage = (look, word, more) => h("li", { class: look, "aria-current": look === "now" ? "step" : null }, h("b", {}, word), more);
  return h("ol", { class: "stages", "aria-label": "Stages of the cancel" },
    stage("done", "Asked", clock(task.cancel_requested_at)),
    stage(task.completed_at ? "done" : "now", "Stopping", task.completed_at ? took : "its code is ending"),
    stage(stopped ? "done" : "", "Stopped", stopped ? clock(task.completed_at) : finished ? `it ${task.status} first` : "not yet"));
}
