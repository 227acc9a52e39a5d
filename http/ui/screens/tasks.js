// All tasks, newest first: found by what one types, kept up to date without moving under the pointer.

import { get } from "../api.js";
import { underWay } from "../confirmed.js";
import { fill } from "../dom.js";
import { STATUSES } from "../parts.js";
import { go, note, noted } from "../router.js";
import { isByAge, isPlain, mayMatch } from "../search.js";
import { mayManage } from "../session.js";
import { isCounting, steerMany } from "../steering.js";
import { makeView, PAGE } from "./tasks_view.js";

const CALM = 1_200; // milliseconds between two looks
const TYPING = 250;
const DEEPER = 500; // tasks that are looked through for those that newer ones have pushed off the page
const WAY_BACK = 200; // pages that are remembered
const NOTHING_NEW = { newer: 0, more: false, changed: false }; // newer tasks, or more than those; others that begin to fit

export async function tasks({ root, query, signal, on, keys }) {
  const state = {
    q: query.get("q") ?? "",
    page: Math.min(1e9, Math.max(0, (Number.parseInt(query.get("page"), 10) || 1) - 1)),
    from: query.get("cursor") || null, // where the page begins, wherever that is by now: after the last task of the one before it
    next: null, // and where the one after it does
    back: noted("pages") ?? [], // where those before it began, null for one that was counted off from the newest task
    rows: [], before: 0, total: 0, shown: null, ...NOTHING_NEW, picked: new Set(), all: false, cursor: -1,
  };
  const view = makeView(state, { search, turn, look, steer, pick, stand });
  fill(root, view.box);

  const wanted = () => `${state.page} ${state.from} ${state.q}`;
  let asked = 0;
  let answered = 0;
  let eager = false; // someone asked to see it as it is, and waits for that
  let took = 0; // milliseconds that the newest answer took

  /** What the server has; null where something else is looked for by then, or a later answer is there already. */
  async function ask(limit = PAGE) {
    const mine = ++asked;
    const place = wanted();
    const began = performance.now();
    const begins = state.from === null ? { cursor: "start", offset: state.page * PAGE || null } : { cursor: state.from };
    const list = await get("api/tasks", { query: { q: state.q, limit, ...begins }, signal });
    took = performance.now() - began;
    if (place !== wanted() || mine < answered) return null;
    answered = mine;
    return list;
  }

  async function look() {
    const place = wanted();
    eager = true;
    try {
      const list = await ask();
      if (list) take(list);
    } catch (error) {
      eager = false;
      if (signal.aborted || place !== wanted()) return;
      if (error.status === 0 && state.shown === place) return; // what was seen last stays to be read
      if (error.status === 422 && state.from !== null) {
        await goTo(state.page); // the address holds no cursor, or not all of it
        return;
      }
      state.shown = null;
      view.trouble(error);
    }
  }

  function take(list) {
    const here = state.rows[state.cursor]?.task.task_id;
    eager = false;
    state.shown = wanted();
    state.rows = list.tasks.map((task) => ({ task, past: false, gone: false }));
    state.next = list.next;
    Object.assign(state, { total: list.total, before: list.newer }, NOTHING_NEW);
    if (state.rows.length === 0 && state.total > 0 && state.page > 0) {
      goTo(Math.ceil(state.total / PAGE) - 1);
      return;
    }
    // It stays on its task, or on none: never on another, which the next key would be about.
    state.cursor = state.rows.findIndex((row) => row.task.task_id === here);
    view.draw();
  }

  let typing = 0;
  function search(q, { now = false } = {}) {
    state.q = q;
    Object.assign(state, { page: 0, from: null, next: null, back: [] });
    state.picked.clear();
    state.all = false;
    remember();
    clearTimeout(typing);
    view.drawFilters();
    typing = setTimeout(look, now ? 0 : TYPING);
  }

  /** Go on right after the last task that is shown, or back the way one came: whatever has been submitted meanwhile. */
  function turn(by) {
    if (by < 0 && state.page === 0 && state.from === null) return; // pressed again before the first page came
    if (by > 0) {
      if (state.next !== null) goTo(state.page + 1, state.next, [...state.back, state.from].slice(-WAY_BACK));
      return;
    }
    const came = state.back.at(-1);
    if (came) goTo(state.page - 1, came, state.back.slice(0, -1));
    else if (state.page === 1 && came === null) goTo(0);
    else goTo(Math.max(0, Math.ceil(state.before / PAGE) - 1)); // it was come here by a bookmark
  }

  /** Show a page: one that begins there, or else counted off from the newest task. */
  function goTo(page, from = null, back = []) {
    Object.assign(state, { page, from, back, next: null });
    state.cursor = -1;
    remember();
    scrollTo({ top: 0 });
    return look();
  }

  function remember() {
    const said = new URLSearchParams();
    if (state.q) said.set("q", state.q);
    if (state.page) said.set("page", state.page + 1);
    if (state.from !== null) said.set("cursor", state.from);
    note(`#/tasks${said.size ? `?${said}` : ""}`, { pages: state.back });
  }

  let due = 0;
  function stale() {
    if (due) return;
    due = setTimeout(() => {
      due = 0;
      follow().catch(() => {});
    }, Math.max(CALM, 10 * took)); // a search that is hard to answer is asked more seldom
  }
  signal.addEventListener("abort", () => {
    clearTimeout(due);
    clearTimeout(typing);
  });

  // Which tasks fit, and how many, only the server knows: also of one that is not shown.
  on("task", (task) => {
    const row = state.rows.find((each) => each.task.task_id === task.task_id);
    if (!row) {
      if (!isCounted(task)) stale();
      return;
    }
    const same = row.task.status === task.status && isPlain(state.q);
    row.task = task;
    row.past = !mayMatch(state.q, task) || (row.past && !isPlain(state.q));
    view.drawRow(row);
    if (!same) stale();
  });
  /** In the list of all tasks, one that lies further back stays there whatever becomes of it. */
  const isCounted = (task) => state.q.trim() === "" && state.page === 0 && state.rows.length === PAGE && !isNewer(task);
  const isNewer = (task) => state.rows.length === 0 || submitted(task) >= submitted(state.rows[0].task);
  on("removed", (gone) => {
    const row = state.rows.find((each) => each.task.task_id === gone.task_id);
    if (row) {
      row.gone = true;
      view.drawRow(row);
    }
    // Chosen on another page, too: what is done then is done to those that are said to be chosen.
    if (state.picked.delete(gone.task_id)) view.drawPicked();
    stale();
  });
  on("refresh", () => {
    for (const row of state.rows) row.task = { ...row.task, seq: 0 }; // its number may be one of a state that is lost
    if (state.shown === null) look();
    else follow().catch(() => {});
  });

  /** Look again; nothing moves away from under somebody who points at it, has chosen it or is reading further down. */
  async function follow() {
    const list = await ask();
    if (list === null) return;
    if (eager || state.shown !== wanted() || state.rows.length === 0 || view.calm()) {
      take(list);
      return;
    }
    const deeper = reaches(list) ? list : await ask(DEEPER);
    if (deeper && eager) await look();
    else if (deeper && state.rows.length > 0) compare(deeper);
  }

  const isWhole = (list) => list.next === null;
  const hasLast = (list) => list.tasks.some((task) => task.task_id === state.rows.at(-1).task.task_id);
  const reaches = (list) => isWhole(list) || hasLast(list) || submitted(list.tasks.at(-1)) < submitted(state.rows.at(-1).task);

  /** Bring what is shown up to date where it stands, and count what is not shown. */
  function compare(list) {
    const found = new Map(list.tasks.map((task) => [task.task_id, task]));
    const [first, last] = [list.tasks[0], list.tasks.at(-1)].map((task) => task && submitted(task));
    // One that was pushed off the page is not told of: it may fit as before.
    const isCovered = (task) => (state.page === 0 || state.from !== null || submitted(task) < first) && (isWhole(list) || submitted(task) > last);
    for (const row of state.rows) {
      const task = found.get(row.task.task_id);
      found.delete(row.task.task_id);
      if (task === undefined) row.past ||= isCovered(row.task);
      else if (task.seq >= row.task.seq) Object.assign(row, { task, past: false });
      view.drawRow(row);
    }
    const end = submitted(state.rows.at(-1).task);
    const unseen = [...found.values()].filter((task) => state.rows.length < PAGE || submitted(task) >= end);
    state.newer = state.page === 0 ? unseen.filter(isNewer).length : 0;
    state.more = !reaches(list);
    state.changed = unseen.length > state.newer;
    Object.assign(state, { total: list.total, before: list.newer });
    if (list.tasks.at(-1)?.task_id === state.rows.at(-1).task.task_id) state.next = list.next; // what is older may begin to fit, or cease to
    view.drawNewer();
    view.drawPages();
    view.drawPicked(); // how many all are that fit
  }

  function pick(ids, chosen) {
    state.all = false;
    for (const id of ids) {
      if (chosen) state.picked.add(id);
      else state.picked.delete(id);
    }
    view.drawPicked();
  }

  async function steer(verb) {
    const here = state.rows[state.cursor]?.task;
    if (!mayManage() || (!state.all && state.picked.size === 0 && !here)) return;
    const which = state.all ? whole(state.q) : { ids: state.picked.size ? [...state.picked] : [here.task_id] };
    const only = which.ids?.length === 1 && (state.rows.find((row) => row.task.task_id === which.ids[0])?.task ?? { task_id: which.ids[0] });
    const left = await steerMany(verb, which, signal, only || null);
    if (left === null || signal.aborted) return;
    choose(which.ids, left);
    look();
  }

  /** What is left of those that something was done to stays chosen, and whatever was chosen meanwhile. */
  function choose(ids, left) {
    if (ids) for (const id of ids) state.picked.delete(id);
    else if (state.all) state.picked.clear();
    else return;
    for (const id of left) state.picked.add(id);
    if (!ids) state.all = false;
  }

  underWay.addEventListener("change", () => view.drawSteering(isCounting()), { signal });

  function stand(index) {
    state.cursor = index;
    view.drawCursor();
  }
  const step = (by) => {
    if (state.rows.length === 0) return;
    stand(Math.max(0, Math.min(state.rows.length - 1, state.cursor + by)));
    view.focusCursor();
  };
  keys({
    "/": ["Search", () => view.focusSearch()],
    j: ["Next task", () => step(1)],
    k: ["Task before", () => step(-1)],
    Enter: ["Open the task", (event) => openAt(event)],
    o: ["", (event) => openAt(event)],
    ...(mayManage() && {
      x: ["Choose the task", () => { const row = state.rows[state.cursor]; if (row) pick([row.task.task_id], !state.picked.has(row.task.task_id)); }],
      c: ["Cancel what is chosen", () => steer("cancel")],
      r: ["Retry what is chosen", () => steer("retry")],
    }),
    n: ["Next page", () => turn(1)],
    p: ["Page before", () => state.before > 0 && turn(-1)],
    ".": ["Look again", () => look()],
  });
  function openAt(event) {
    if (event.target.closest?.("a, button, input")) event.target.click();
    else if (state.rows[state.cursor]) go(`#/tasks/${encodeURIComponent(state.rows[state.cursor].task.task_id)}`);
  }

  get("api/task-types", { signal }).then((known) => view.drawTypes(known.task_types.map((type) => type.name)), () => {});
  const counting = () => get("api/overview", { signal }).then((seen) => view.drawCounts(seen), () => {});
  counting();
  const timer = setInterval(() => {
    if (document.hidden) return;
    counting();
    if (isByAge(state.q)) stale();
  }, 5_000);
  signal.addEventListener("abort", () => clearInterval(timer));
  await look();
}

/** When a task was submitted, in milliseconds and thousandths of them: several are submitted in one. */
function submitted({ created_at: text }) {
  const beyond = text.match(/\.\d{3}(\d{1,3})/)?.[1] ?? "";
  return Date.parse(text) + Number(beyond.padEnd(3, "0")) / 1000;
}

/** A search for everything needs a filter all the same: all that there can be. */
const whole = (q) => ({ q: q.trim() || `status:${STATUSES.join(",")}` });
