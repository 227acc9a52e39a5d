// One task: how far it is, what became of it, what it was asked and what it gave.

import { get } from "../api.js";
import { copy } from "../clipboard.js";
import { moving, timeAgo } from "../clock.js";
import { cancelling, isUnderWay, underWay } from "../confirmed.js";
import { toast } from "../dialogs.js";
import { fill, h, icon, reconcile, say, setHidden } from "../dom.js";
import { clock, count, isPutOff, plural, roughly, since, title } from "../format.js";
import { readable, tree, written } from "../json_view.js";
import { badge, button, card, isAble, isFinal, progressBar, setAble, taskLink, timeLeftOf } from "../parts.js";
import { go } from "../router.js";
import { quoted } from "../search.js";
import { mayManage } from "../session.js";
import { cancelOne, retryOne } from "../steering.js";
import { cancelStages, timeline } from "../timeline.js";

const LOOK_AT_LOG = 2_000;
const LOOK_AT_TYPE = 5_000; // whether it is paused, while the task waits
const ASK_AGAIN = 5_000; // what was not answered
const CALM = 1_000; // milliseconds between two looks at the chain, however often its tasks tell of themselves

export async function task({ root, parts, signal, on, keys, title: name }) {
  const id = parts[1];
  const path = `api/tasks/${encodeURIComponent(id)}`;
  let seen;
  try {
    seen = await get(path, { signal });
  } catch (error) {
    if (error.status !== 404) throw error;
    name("No such task");
    fill(root, h("div", { class: "empty" }, icon("tasks"), h("h1", { tabindex: -1 }, "No such task"), h("p", { class: "anywhere" }, error.message), h("p", {}, h("a", { href: "#/tasks" }, "Show all tasks"))));
    return;
  }
  name(title(seen.task_type));
  const view = makeView(root, () => seen);
  const log = makeLog(path, signal);
  view.place("log", log.box);
  view.draw();

  let drawing = 0;
  const draw = () => {
    if (drawing) return;
    drawing = requestAnimationFrame(() => {
      drawing = 0;
      view.draw();
    });
  };
  let known = seen.seq; // of the newest answer that had all of it: events are without the result
  let news = {}; // the newest event
  let asked = 0;
  let answered = 0;
  async function look() {
    const number = ++asked;
    const whole = await get(path, { signal });
    if (number < answered) return; // what was asked later has overtaken it
    answered = number;
    known = whole.seq;
    seen = news.seq > known ? { ...whole, ...news } : whole;
    draw();
    log.look();
    await drawChain(view, seen, signal);
  }
  /** See first whether anything is new: a result may be large. */
  async function compare() {
    const [found] = (await get("api/tasks", { query: { q: `id:${quoted(id)}`, limit: 1 }, signal })).tasks;
    view.setGone(!found);
    if (!found) return;
    if (found.seq !== known) await look();
    else await drawChain(view, seen, signal);
  }
  const complain = (error) => signal.aborted || error.status === 0 || toast(error.message, "failed"); // of a lost connection the frame tells
  let questions = 0;
  let owed = 0; // the newest that was not answered: it is asked again, as perhaps nothing else will make us ask
  async function surely(question, { all = true } = {}) {
    const number = ++questions;
    try {
      await question();
      if (all && number > owed) owed = 0;
    } catch (error) {
      if (!owed) complain(error);
      owed = Math.max(owed, number);
    }
  }
  let again = false;
  async function askAgain() {
    if (!owed || again || document.hidden) return;
    again = true;
    await surely(compare);
    again = false;
  }
  const quietly = () => surely(look);
  underWay.addEventListener("change", draw, { signal });
  let due = 0;
  const chainSoon = () => {
    due ||= setTimeout(() => {
      due = 0;
      surely(() => drawChain(view, seen, signal), { all: false });
    }, CALM);
  };
  signal.addEventListener("abort", () => clearTimeout(due));
  on("task", (told) => {
    if (told.task_id === id) {
      const more = isFinal(told.status) || told.status !== seen.status || told.attempt !== seen.attempt || told.next_task_id !== seen.next_task_id;
      news = told;
      seen = { ...seen, ...told };
      draw();
      if (more) quietly();
    } else if (view.chained.has(told.task_id)) {
      chainSoon();
    }
  });
  on("removed", (gone) => gone.task_id === id && view.setGone(true));
  on("refresh", () => {
    news = {}; // its number may be one of a state that is lost
    surely(compare);
  });
  /** No event tells of a pause. */
  async function lookAtType() {
    if (seen.status !== "pending") return;
    const { task_types: types } = await get("api/task-types", { signal });
    view.paused = types.find((type) => type.name === seen.task_type)?.paused ?? false;
    draw();
  }
  const timers = [
    setInterval(() => !document.hidden && seen.status === "running" && log.look(), LOOK_AT_LOG),
    setInterval(() => document.hidden || lookAtType().catch(() => {}), LOOK_AT_TYPE),
    setInterval(askAgain, ASK_AGAIN),
  ];
  signal.addEventListener("abort", () => timers.forEach(clearInterval));
  log.look();
  keys({
    ...(mayManage() && {
      c: ["Cancel the task", () => !view.gone && !isFinal(seen.status) && !seen.cancel_requested_at && cancelOne(seen)],
      r: ["Retry the task", () => !view.gone && canRetry(seen) && retryOne(seen)],
    }),
    u: ["Back to all tasks", () => go("#/tasks")],
    ".": ["Look again", quietly],
  });
  await Promise.all([surely(() => drawChain(view, seen, signal)), lookAtType().catch(() => {})]);
}

const canRetry = (seen) => seen.status === "failed" || seen.status === "cancelled";

function makeView(root, current) {
  const first = current();
  const places = Object.fromEntries(["state", "gone", "progress", "error", "result", "params", "log", "timeline", "chain"].map((place) => [place, h("div", { class: "place" })]));
  const heading = h("h1", { tabindex: -1 }, title(first.task_type));
  const acts = makeActions(current, heading);
  const bar = progressBar();
  const share = h("span", { class: "share" });
  const message = h("span", { class: "muted anywhere" });
  const progress = card(null, { class: "card plain" }, h("div", { class: "inside" },
    h("div", { class: "progress-line" }, share, timeLeftOf(current)), h("div", { class: "big-bar" }, bar), message));
  fill(root,
    h("nav", { class: "crumbs", "aria-label": "Where this is" }, h("a", { href: "#/tasks" }, "Tasks"), "›", h("span", { class: "mono clip" }, first.task_id)),
    h("div", { class: "head" },
      h("div", { class: "titles" }, heading, places.state),
      acts.box),
    places.gone,
    h("div", { class: "two" },
      h("div", { class: "stack" }, places.progress, places.error, places.result, places.log, places.params),
      h("div", { class: "stack" }, card("Timeline", {}, h("div", { class: "inside" }, places.timeline)), places.chain)));

  const drawn = {};
  const once = (place, key, make) => {
    // What has not changed is left alone: a reader may have opened or selected something there.
    if (drawn[place] === key) return;
    drawn[place] = key;
    fill(places[place], make());
  };
  const view = {
    chained: new Set(),
    paused: false, // its type, as far as is known
    place: (place, element) => fill(places[place], element),
    gone: false,
    setGone(gone) {
      if (gone === view.gone) return;
      view.gone = gone;
      fill(places.gone, gone && h("p", { class: "notice is-pending", role: "status" }, "This task has been cleaned up. What you see is the last that was known of it."));
      if (!gone) drawn.timeline = null;
      view.draw();
      if (gone) for (const each of root.querySelectorAll("[data-moves]")) delete each.dataset.moves; // nothing is known to go on
    },
    draw() {
      const seen = current();
      once("state", [seen.status, seen.run_at, seen.cancel_requested_at, seen.attempt, seen.priority].join(), () => stateLine(seen));
      acts.update(seen, view.gone);
      const goesOn = !isFinal(seen.status) && !view.gone;
      once("progress", goesOn ? "on" : "ended", () => goesOn && progress);
      bar.update(seen);
      say(share, seen.status === "running" ? `${seen.progress_percent} %` : "Waiting");
      say(message, [steps(seen), seen.message].filter(Boolean).join(" · "));
      once("error", [seen.status, seen.error, seen.message].join(), () => ending(seen));
      once("result", seen.status === "completed" ? String(seen.seq ?? seen.updated_at) + (seen.result !== null) : "", () => seen.status === "completed" && seen.result !== null && seen.result !== undefined && resultCard(seen));
      once("params", seen.params !== undefined, () => seen.params !== undefined && card("Parameters", {}, h("div", { class: "inside" }, emptyObject(seen.params) ? h("p", { class: "muted" }, "It was submitted without any.") : tree(seen.params, true))));
      once("timeline", [seen.status, seen.attempt, seen.started_at, seen.completed_at, seen.cancel_requested_at, seen.run_at, seen.ready_at, seen.attempts?.at(-1)?.number, view.paused].join(), () => [timeline(seen, view.paused), cancelStages(seen)]);
    },
  };
  view.chainPlace = places.chain;
  return view;
}

const emptyObject = (value) => value === null || (typeof value === "object" && Object.keys(value).length === 0);
const steps = (seen) => (seen.progress_total ? `${count(seen.progress_current)} of ${count(seen.progress_total)}` : "");

function stateLine(seen) {
  return h("div", { class: "under" }, badge(seen),
    h("span", {}, "submitted ", timeAgo(seen.created_at)),
    seen.attempt > 1 && h("span", {}, `attempt ${count(seen.attempt)}`),
    seen.priority !== 0 && seen.priority !== undefined && h("span", {}, `priority ${count(seen.priority)}`),
    moving(h("span", {}), () => (isPutOff(seen) ? `begins in ${roughly(-since(seen.run_at))}` : "")));
}

/** What can be done with the task. Where a button goes that has the focus, the one that comes for it takes that. */
function makeActions(current, heading) {
  const { task_id: id } = current();
  const result = h("a", { class: "button", href: `api/tasks/${encodeURIComponent(id)}/result`, download: `${id}.json` }, "Download result");
  const again = h("span", {}, "Retry");
  const retry = button(again, "again", () => isAble(retry) && retryOne(current()), { class: "button main", hidden: true });
  const words = h("span", {}, "Cancel");
  const cancel = button(words, "stop", () => isAble(cancel) && cancelOne(current()), { class: "button danger", hidden: true });
  return {
    box: h("div", { class: "actions" }, button("Copy id", "", () => copy(id)), result, retry, cancel),
    update(seen, gone) {
      const may = mayManage() && !gone;
      const [mayRetry, mayCancel] = [may && canRetry(seen), may && !isFinal(seen.status)];
      setHidden(result, seen.status !== "completed" || gone, heading);
      if (mayRetry) retry.hidden = false; // before the other goes
      setHidden(cancel, !mayCancel, mayRetry ? retry : heading);
      setHidden(retry, !mayRetry, mayCancel ? cancel : heading);
      say(words, cancelling(seen) ?? "Cancel");
      setAble(cancel, !cancelling(seen));
      say(again, isUnderWay("retry", id) ? "Retry is under way" : "Retry");
      setAble(retry, !isUnderWay("retry", id));
    },
  };
}

function ending(seen) {
  if (seen.status === "failed") return h("section", { class: "notice is-failed" }, h("h2", {}, "Why it failed"), h("p", { class: "anywhere" }, seen.error ?? seen.message));
  if (seen.status === "cancelled") return h("section", { class: "notice is-cancelled" }, h("h2", {}, "It was cancelled"), h("p", { class: "anywhere" }, seen.message || "None of its code runs any more."));
  return seen.status === "completed" && seen.message ? h("section", { class: "notice is-completed" }, h("p", { class: "anywhere" }, seen.message)) : null;
}

function resultCard(seen) {
  const place = h("div", {});
  const forms = [["Readable", () => readable(seen.result)], ["JSON", () => h("div", { class: "result-part" }, tree(seen.result, true))]];
  const chips = forms.map(([word, make], index) => {
    const chip = h("button", { class: "chip", type: "button", "aria-pressed": String(index === 0), onclick: () => {
      for (const each of chips) each.setAttribute("aria-pressed", String(each === chip));
      fill(place, make());
    } }, word);
    return chip;
  });
  fill(place, forms[0][1]());
  return card([h("h2", {}, "Result"), h("div", { class: "chips", role: "group", "aria-label": "How to show it" }, chips)], {}, place);
}

// -- its log ------------------------------------------------------------------------------------

function makeLog(path, signal) {
  const list = h("ol", { class: "log", tabindex: 0, "aria-label": "Log lines" });
  const more = h("span", { class: "muted small" });
  const box = card([h("h2", {}, "Log"), more], { hidden: true }, list);
  let offered = true;
  let first = 0; // the number of the first line that is shown
  let next = 0; // and that of the first that is not there yet
  let asked = 0;
  let answered = 0;

  /** Write what is new and take away what is no longer kept; what one reads or has selected stays where it is. */
  function show({ lines, dropped }) {
    const follow = list.scrollTop + list.clientHeight >= list.scrollHeight - 8;
    const at = list.scrollTop;
    if (dropped < first || dropped + lines.length < next) {
      list.replaceChildren(); // it is another log
      first = next = dropped;
    }
    const gone = [...list.children].slice(0, dropped - first);
    const kept = list.children[gone.length];
    const above = kept?.offsetTop;
    for (const each of gone) each.remove();
    list.append(...lines.slice(Math.max(0, next - dropped)).map(line));
    first = dropped;
    next = dropped + lines.length;
    list.scrollTop = follow ? list.scrollHeight : kept ? at - (above - kept.offsetTop) : 0;
  }
  return {
    box,
    async look() {
      if (!offered) return;
      const mine = ++asked;
      let log;
      try {
        log = await get(`${path}/log`, { signal });
      } catch (error) {
        offered = !error.missing;
        return;
      }
      if (mine < answered) return;
      answered = mine;
      const total = log.dropped + log.lines.length;
      if (total === next) return;
      box.hidden = total === 0;
      say(more, log.dropped ? `${plural(log.dropped, "earlier line")} not kept` : "");
      show(log);
    },
  };
}

function line(each) {
  const fields = Object.entries(each.fields ?? {}).map(([name, value]) => `${name}=${typeof value === "string" ? value : written(value)}`).join(" ");
  return h("li", { class: `level-${each.level}` },
    h("time", { class: "muted", datetime: each.at }, clock(each.at)), h("span", { class: "level" }, each.level),
    h("span", { class: "anywhere" }, h("span", {}, each.message), fields && h("span", { class: "muted" }, ` ${fields}`)));
}

// -- its chain ----------------------------------------------------------------------------------

const LONGEST_CHAIN = 20;

/** Leaves what was drawn where a question is not answered: of that task nothing is known, least of all that it is gone. */
async function drawChain(view, seen, signal) {
  const one = async (id) => (await get("api/tasks", { query: { q: `id:${id}`, limit: 1 }, signal })).tasks[0];
  const walk = async (from, direction) => {
    const found = [];
    let next = from[direction];
    while (next && found.length < LONGEST_CHAIN) {
      const task = await one(next);
      found.push(task ?? { task_id: next, gone: true });
      next = task?.[direction];
    }
    return found;
  };
  const [before, after] = await Promise.all([walk(seen, "previous_task_id"), walk(seen, "next_task_id")]);
  if (signal.aborted) return;
  const first = before.at(-1) ?? seen;
  const last = after.at(-1) ?? seen; // it is this one's end that what is ahead waits for
  const ahead = last.next_task_id ? [] : last.chain ?? []; // of a longer chain those have begun that are not shown
  view.chained = new Set([...before, ...after].map((each) => each.task_id));
  if (before.length + after.length + ahead.length === 0) {
    fill(view.chainPlace);
    return;
  }
  const others = (id, words) => (id ? [{ key: words, content: taskLink(id, words, { class: "step" }) }] : []);
  const step = (task) => {
    const content = task.gone ? h("span", { class: "step ahead" }, "cleaned up")
      : task.task_id === seen.task_id ? h("span", { class: "step here" }, title(task.task_type), badge(task))
      : taskLink(task.task_id, [title(task.task_type), badge(task)], { class: "step" });
    return { key: task.task_id, content, here: task.task_id === seen.task_id };
  };
  const coming = (type, index) => ({ key: `ahead ${index}`, content: h("span", { class: "step ahead" }, title(type), h("span", { class: "small" }, canRetry(last) ? "will not begin" : "follows")) });
  const steps = [
    ...others(first.previous_task_id, "earlier steps"), ...[...before.reverse(), seen, ...after].map(step),
    ...others(last.next_task_id, `and ${count(last.chain?.length)} more`), ...ahead.map(coming),
  ];
  if (!view.chainPlace.hasChildNodes()) fill(view.chainPlace, card("Chain", {}, h("div", { class: "inside" }, h("ol", { class: "chain" }))));
  reconcile(view.chainPlace.querySelector("ol"), steps, (one) => one.key, (one) => h("li", { "aria-current": one.here && "step" }), putStep);
}

/** Write a step anew only where it has changed, and of a link what is in it: who has the focus on it, or presses it, keeps it. */
function putStep(item, { content }) {
  const old = item.firstElementChild;
  if (old?.isEqualNode(content)) return;
  if (old?.href && old.href === content.href) fill(old, [...content.childNodes]);
  else fill(item, content);
}
