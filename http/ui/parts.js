// Small things that several screens show.

import { moving } from "./clock.js";
import { toast } from "./dialogs.js";
import { fill, h, icon, say, setHidden } from "./dom.js";
import { count, isPutOff, plural, roughly, timeLeft, title } from "./format.js";

export const STATUSES = ["pending", "running", "completed", "failed", "cancelled"];
export const isFinal = (status) => status === "completed" || status === "failed" || status === "cancelled";

/** What a task is doing, in one word more than its status: a running one may be stopping. */
export function stateOf(task) {
  if (task.status === "running" && task.cancel_requested_at) return ["cancelled", "Stopping"];
  if (isPutOff(task)) return ["pending", task.attempt ? "Retrying" : "Scheduled"];
  return [task.status, title(task.status)];
}

export function badge(task) {
  const [tint] = stateOf(task);
  return moving(h("span", { class: `badge is-${tint}` }), () => stateOf(task)[1]);
}

/** A bar with what it says in words; `update(task)` moves it. */
export function progressBar() {
  const inner = h("span", {});
  const bar = h("div", { class: "bar", role: "progressbar", "aria-valuemin": 0, "aria-valuemax": 100 }, inner);
  bar.update = (task) => {
    const unknown = task.status === "running" && task.progress_percent === 0;
    bar.className = `bar is-${stateOf(task)[0]}${unknown ? " unknown" : ""}`;
    bar.setAttribute("aria-label", `Progress of ${task.task_id}`);
    if (unknown) bar.removeAttribute("aria-valuenow");
    else bar.setAttribute("aria-valuenow", task.progress_percent);
    bar.style.setProperty("--share", unknown ? "" : `${task.progress_percent}%`);
    if (unknown) bar.style.removeProperty("--share");
  };
  return bar;
}

/** How long it will go on, as far as that can be told. */
export function timeLeftOf(current, before = "") {
  return moving(h("span", { class: "muted small figures" }), () => {
    const left = timeLeft(current());
    return left === null ? "" : `${before}about ${roughly(left)} left`;
  });
}

export const addressOf = (id) => `#/tasks/${encodeURIComponent(id)}`;
export const taskLink = (id, text = id, attributes = {}) => h("a", { href: addressOf(id), ...attributes }, text);

export function empty(name, heading, ...rest) {
  return h("div", { class: "empty" }, icon(name), h("h2", {}, heading), ...rest);
}

export function failure(error) {
  return h("p", { class: "notice is-failed", role: "alert" }, error.message);
}

export function card(heading, attributes, ...children) {
  return h("section", { class: "card", ...attributes }, heading && h("header", {}, typeof heading === "string" ? h("h2", {}, heading) : heading), ...children);
}

export function button(text, name, onclick, attributes = {}) {
  return h("button", { class: "button", type: "button", ...attributes, onclick }, name && icon(name), text);
}

/** Whether it can be pressed. It is never `disabled`: that would take the focus from it. */
export function setAble(one, able) {
  if (able) one.removeAttribute("aria-disabled");
  else one.setAttribute("aria-disabled", "true");
}
export const isAble = (one) => !one.hasAttribute("aria-disabled");

/** A button for what takes a while, and is not to be asked for again meanwhile. */
export function patientButton(text, name, act, attributes) {
  const one = button(text, name, async () => {
    if (!isAble(one)) return;
    setAble(one, false);
    try {
      await act();
    } finally {
      setAble(one, true);
    }
  }, attributes);
  return one;
}

/** The foot of a list of which some are shown at a time, hidden until that has come; its buttons stay while the list changes. */
export function makePager(turn, noun) {
  const where = h("span", { class: "muted small figures" });
  const newer = button("Newer", "left", () => isAble(newer) && turn(-1), { class: "button tiny" });
  const older = button("Older", "right", () => isAble(older) && turn(1), { class: "button tiny" });
  return {
    box: h("div", { class: "pager", hidden: true }, where, h("div", { class: "line" }, newer, older)),
    /** `before` are there before those that are shown, the first of which is number `first`, where that is known. */
    update(before, shown, total, hasOlder = before + shown < total, first = before + 1) {
      const which = first === null || shown === 0 ? count(shown) : `${count(first)}–${count(first + shown - 1)}`;
      say(where, `${which} of ${plural(total, noun)}`);
      setAble(newer, before > 0);
      setAble(older, hasOlder);
    },
  };
}

/** What one types to upload documents to this very server, wherever it is. */
export const uploadCommand = (...more) => ["cortex-tasks upload FOLDER", ...more, `--url ${new URL(".", location.href).href.replace(/\/$/, "")}`].join(" ");

export function setCount(element, n, text) {
  say(element, text);
  element.hidden = !n;
}

/** The first of many things, and a button for more of them, `size` at a time. */
export function byAndBy(place, all, size, make) {
  return h("div", {}, growing(place, all.slice(0, size), all.length, make, (shown) => all.slice(shown, shown + size)));
}

/**
 * Fill a place with the first of many things, and give with it a button for more of them: those that `next(shown)` gives,
 * or promises. The button stays while there are more; the focus is on the first that came last, once there are none.
 */
export function growing(place, first, total, make, next) {
  let shown = 0;
  const show = (things) => {
    const made = things.flatMap(make);
    place.append(...made);
    shown += things.length;
    const left = things.length > 0 ? total - shown : 0; // fewer came than were counted: there are no more
    say(more, `Show more (${count(left)} left)`);
    setHidden(foot, left <= 0, made.map(focusable).find(Boolean) ?? made[0]);
  };
  const more = patientButton("", "", async () => {
    try {
      show(await next(shown));
    } catch (error) {
      if (error.name !== "AbortError") toast(error.message, "failed");
    }
  }, { class: "button tiny" });
  const foot = h("div", { class: "more-of-it" }, more);
  show(first);
  return [place, foot];
}

const focusable = (element) => (element.matches?.("a, button, summary") ? element : element.querySelector?.("a, button, summary"));
