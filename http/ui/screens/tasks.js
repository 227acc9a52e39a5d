// All tasks, newest first: found by what one types, kept up to date without moving under the pointer.

import { get } from "../api.js";
import { moving, timeAgo } from "../clock.js";
import { fill, h, icon, reconcile, say } from "../dom.js";
import { brief, count, duration, plural, ran, title } from "../format.js";
import { badge, button, empty, failure, progressBar, STATUSES, taskLink, timeLeftOf, uploadCommand } from "../parts.js";
import { go, note } from "../router.js";
import { isPlain, mayMatch, valuesOf, withValues } from "../search.js";
import { mayManage } from "../session.js";
import { steerMany } from "../steering.js";

const PAGE = 50;
const CALM = 1_200; // milliseconds between two looks
const TYPING = 250;

export async function tasks({ root, query, signal, on, keys }) {
  const state = {
    q: query.get("q") ?? "",
    page: Math.min(1e9, Math.max(0, (Number.parseInt(query.get("page"), 10) || 1) - 1)),
    rows: [], total: 0, shown: null, newer: new Set(), picked: new Set(), all: false, cursor: -1,
  };
  const view = makeView(state, { search, turn, look, steer, pick });
  fill(root, view.box);

  const wanted = () => `${state.page} ${state.q}`;
  let asked = 0;
  async function look() {
    const mine = ++asked;
    let list;
    try {
      list = await get("api/tasks", { query: { q: state.q, limit: PAGE, offset: state.page * PAGE }, signal });
    } catch (error) {
      if (signal.aborted || mine !== asked) return;
      if (error.status === 0 && state.shown === wanted()) return; // what was seen last stays to be read
      state.shown = null;
      view.trouble(error);
      return;
    }
    if (mine !== asked) return;
    state.shown = wanted();
    state.rows = list.tasks.map((task) => ({ task, past: false, gone: false }));
    state.total = list.total;
    state.newer.clear();
    if (state.rows.length === 0 && state.total > 0 && state.page > 0) {
      turn(Math.ceil(state.total / PAGE) - 1 - state.page);
      return;
    }
    state.cursor = Math.min(state.cursor, state.rows.length - 1);
    view.draw();
  }

  let typing = 0;
  function search(q, { now = false } = {}) {
    state.q = q;
    state.page = 0;
    state.picked.clear();
    state.all = false;
    remember();
    clearTimeout(typing);
    view.drawFilters();
    typing = setTimeout(look, now ? 0 : TYPING);
  }

  function turn(pages) {
    state.page = Math.max(0, state.page + pages);
    state.cursor = -1;
    remember();
    look();
    scrollTo({ top: 0 });
  }

  function remember() {
    const said = new URLSearchParams();
    if (state.q) said.set("q", state.q);
    if (state.page) said.set("page", state.page + 1);
    note(`#/tasks${said.size ? `?${said}` : ""}`);
  }

  let due = 0;
  function stale() {
    if (due) return;
    due = setTimeout(() => {
      due = 0;
      // Nothing moves away from under somebody who points at it, has chosen it or is reading further down.
      if (view.calm()) look();
      else if (isPlain(state.q)) view.drawNewer();
      else compare().catch(() => {}); // only the server knows what fits
    }, CALM);
  }
  signal.addEventListener("abort", () => {
    clearTimeout(due);
    clearTimeout(typing);
  });

  on("task", (task) => {
    const row = state.rows.find((each) => each.task.task_id === task.task_id);
    if (row) {
      row.task = task;
      row.past = !mayMatch(state.q, task);
      view.drawRow(row);
      if (row.past) stale();
    } else if (state.page === 0 && mayMatch(state.q, task) && isNewer(task)) {
      if (isPlain(state.q)) state.newer.add(task.task_id);
      stale();
    }
  });
  const isNewer = (task) => state.rows.length < PAGE || Date.parse(task.created_at) >= Date.parse(state.rows[0].task.created_at);
  on("removed", (gone) => {
    const row = state.rows.find((each) => each.task.task_id === gone.task_id);
    if (!row) return;
    row.gone = true;
    state.picked.delete(gone.task_id);
    view.drawRow(row);
    stale();
  });
  on("refresh", () => (view.calm() || state.shown === null ? look() : compare().catch(() => {})));

  /** Look again without moving anything: what is shown is brought up to date, what is newer is counted. */
  async function compare() {
    const place = wanted();
    const list = await get("api/tasks", { query: { q: state.q, limit: PAGE, offset: state.page * PAGE }, signal });
    if (place !== state.shown) return;
    const found = new Map(list.tasks.map((task) => [task.task_id, task]));
    for (const row of state.rows) {
      const task = found.get(row.task.task_id);
      row.past = task === undefined;
      if (task) row.task = task;
      view.drawRow(row);
      found.delete(row.task.task_id);
    }
    if (state.page === 0) for (const task of found.values()) if (isNewer(task)) state.newer.add(task.task_id);
    view.drawNewer();
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
    if (await steerMany(verb, which)) {
      state.picked.clear();
      state.all = false;
      look();
    }
  }

  const step = (by) => {
    if (state.rows.length === 0) return;
    state.cursor = Math.max(0, Math.min(state.rows.length - 1, state.cursor + by));
    view.drawCursor();
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
    n: ["Next page", () => (state.page + 1) * PAGE < state.total && turn(1)],
    p: ["Page before", () => state.page > 0 && turn(-1)],
    ".": ["Look again", () => look()],
  });
  function openAt(event) {
    if (event.target.closest?.("a, button, input")) event.target.click();
    else if (state.rows[state.cursor]) go(`#/tasks/${encodeURIComponent(state.rows[state.cursor].task.task_id)}`);
  }

  get("api/task-types", { signal }).then((known) => view.drawTypes(known.task_types.map((type) => type.name)), () => {});
  const counting = () => get("api/overview", { signal }).then((seen) => view.drawCounts(seen), () => {});
  counting();
  const timer = setInterval(() => !document.hidden && counting(), 5_000);
  signal.addEventListener("abort", () => clearInterval(timer));
  await look();
}

/** A search for everything needs a filter all the same: all that there can be. */
const whole = (q) => ({ q: q.trim() || `status:${STATUSES.join(",")}` });

function makeView(state, { search, turn, look, steer, pick }) {
  const input = h("input", { class: "input", type: "search", id: "search", placeholder: "type:community_detection status:failed older:1h words", "aria-label": "Search tasks", autocomplete: "off", spellcheck: "false", maxlength: 1000, oninput: () => search(input.value.trim()) });
  input.value = state.q;
  const chips = new Map();
  const chip = (status, word) => {
    const figure = h("span", { class: "figures" });
    const one = h("button", { class: `chip${status ? ` is-${status}` : ""}`, type: "button", onclick: () => write(withValues(state.q, "status", status ? [status] : [])) }, word, figure);
    one.figure = figure;
    chips.set(status, one);
    return one;
  };
  const write = (q) => {
    input.value = q;
    search(q, { now: true });
  };
  const types = h("select", { class: "select", "aria-label": "Task type", onchange: () => write(withValues(state.q, "type", types.value ? [types.value] : [])) }, h("option", { value: "" }, "All types"));
  const newer = h("button", { class: "newer", type: "button", hidden: true, onclick: () => look() });
  const body = h("tbody", {});
  const everything = h("input", { type: "checkbox", "aria-label": "Choose all on this page", onchange: () => pick(state.rows.map((row) => row.task.task_id), everything.checked) });
  const may = mayManage();
  const table = h("table", { class: "rows task-table", "aria-label": "Tasks" },
    h("thead", {}, h("tr", {},
      may && h("th", { class: "c-check", scope: "col" }, everything),
      h("th", { class: "c-status", scope: "col" }, "Status"), h("th", { scope: "col" }, "Task"), h("th", { class: "c-id", scope: "col" }, "Id"),
      h("th", { class: "c-age number", scope: "col" }, "Submitted"), h("th", { class: "c-ran number", scope: "col" }, "Ran"))),
    body);
  const nothing = h("div", {});
  const pages = h("div", { class: "pager" });
  const bulk = h("div", { class: "bulk", role: "region", "aria-label": "Chosen tasks", hidden: true });
  const shell = h("section", { class: "card", "aria-label": "Tasks" },
    h("div", { class: "toolbar" },
      h("div", { class: "line" }, h("div", { class: "search" }, icon("search"), input, h("kbd", { "aria-hidden": "true" }, "/")), types),
      h("div", { class: "line" }, h("div", { class: "chips", role: "group", "aria-label": "Status" }, chip("", "All"), STATUSES.map((status) => chip(status, title(status)))))),
    newer, table, nothing, pages);
  const box = h("div", {}, h("div", { class: "head" }, h("div", { class: "titles" }, h("h1", { tabindex: -1 }, "Tasks"))), shell, bulk);

  const view = {
    box,
    focusSearch: () => input.focus(),
    calm: () => state.page === 0 && state.picked.size === 0 && scrollY < 200 && !table.matches(":hover") && !table.contains(document.activeElement) && state.cursor < 0,
    trouble(error) {
      table.hidden = pages.hidden = true;
      fill(nothing, h("div", { class: "result-part" }, failure(error)));
    },
    draw() {
      view.drawFilters();
      table.hidden = state.rows.length === 0;
      reconcile(body, state.rows, (row) => row.task.task_id, (row) => makeRow(row.task, may && pick), (element, row) => element.update(row));
      fill(nothing, state.rows.length === 0 && (state.q ? noneFits(() => write("")) : noneYet()));
      view.drawPages();
      view.drawPicked();
      view.drawCursor();
      view.drawNewer();
    },
    drawRow(row) {
      [...body.children].find((element) => element.dataset.key === row.task.task_id)?.update(row);
    },
    drawFilters() {
      const chosen = valuesOf(state.q, "status");
      for (const [status, one] of chips) one.setAttribute("aria-pressed", status ? chosen.includes(status) : chosen.length === 0);
      types.value = valuesOf(state.q, "type").length === 1 ? valuesOf(state.q, "type")[0] : "";
      if (types.selectedIndex < 0) types.value = "";
    },
    drawTypes(names) {
      fill(types, h("option", { value: "" }, "All types"), names.map((name) => h("option", { value: name }, title(name))));
      view.drawFilters();
    },
    drawCounts(seen) {
      const chosen = valuesOf(state.q, "type");
      const of = (status) => (chosen.length ? chosen.reduce((sum, name) => sum + (seen.by_type[name]?.[status] ?? 0), 0) : (seen.counts[status] ?? 0));
      for (const [status, one] of chips) if (status) say(one.figure, of(status) ? brief(of(status)) : "");
    },
    drawNewer() {
      const n = state.newer.size;
      newer.hidden = n === 0;
      if (n) say(newer, `Show ${plural(n, "newer task")}`);
    },
    drawPages() {
      const first = state.page * PAGE;
      const last = first + state.rows.length;
      pages.hidden = state.rows.length === 0;
      fill(pages,
        h("span", { class: "muted small figures" }, `${count(first + 1)}–${count(last)} of ${plural(state.total, "task")}`),
        h("div", { class: "line" },
          button("Newer", "left", () => turn(-1), { class: "button tiny", disabled: state.page === 0 }),
          button("Older", "right", () => turn(1), { class: "button tiny", disabled: last >= state.total })));
    },
    drawPicked() {
      for (const row of body.children) {
        const chosen = state.all || state.picked.has(row.dataset.key);
        row.classList.toggle("picked", chosen);
        if (row.box) row.box.checked = chosen;
      }
      const onPage = state.rows.filter((row) => state.picked.has(row.task.task_id)).length;
      everything.checked = onPage > 0 && onPage === state.rows.length;
      everything.indeterminate = onPage > 0 && onPage < state.rows.length;
      const n = state.all ? state.total : state.picked.size;
      bulk.hidden = n === 0;
      if (n === 0) return;
      fill(bulk, h("b", { class: "figures" }, `${plural(n, "task")} chosen`),
        !state.all && everything.checked && state.total > state.rows.length && button(`Choose all ${count(state.total)} that fit`, "", () => { state.all = true; view.drawPicked(); }, { class: "button tiny bare" }),
        button("Cancel…", "stop", () => steer("cancel"), { class: "button tiny danger" }),
        button("Retry…", "again", () => steer("retry"), { class: "button tiny" }),
        button("Choose none", "close", () => { state.all = false; state.picked.clear(); view.drawPicked(); }, { class: "button tiny bare" }));
    },
    drawCursor() {
      [...body.children].forEach((row, index) => {
        row.classList.toggle("cursor", index === state.cursor);
        if (index === state.cursor) row.scrollIntoView({ block: "nearest" });
      });
    },
  };
  return view;
}

function makeRow(first, pick) {
  let task = first;
  const state = h("td", {});
  const name = taskLink(task.task_id, title(task.task_type), { class: "name-link clip" });
  const below = h("div", { class: "clip" });
  const bar = progressBar();
  const box = pick && h("input", { type: "checkbox", "aria-label": `Choose ${task.task_id}`, onchange: (event) => pick([task.task_id], event.target.checked) });
  const onPhone = h("div", { class: "on-phone quiet" }, timeAgo(task.created_at), moving(h("span", {}), () => (ran(task) === null ? "" : `, ran ${ranFor(task)}`)));
  const row = h("tr", {},
    box && h("td", { class: "c-check" }, box),
    state,
    h("td", {}, h("div", { class: "what" }, name, below, onPhone, bar)),
    h("td", { class: "c-id" }, h("div", { class: "clip mono muted", title: task.task_id }, task.task_id)),
    h("td", { class: "c-age number quiet" }, timeAgo(task.created_at)),
    h("td", { class: "c-ran number quiet" }, moving(h("span", {}), () => ranFor(task))));
  row.box = box;
  const left = timeLeftOf(() => task, " · ");
  row.update = ({ task: next, past, gone }) => {
    task = next;
    fill(state, badge(task));
    row.classList.toggle("past", past);
    row.classList.toggle("gone", gone);
    const words = task.error ?? (task.message === title(task.status) ? "" : task.message); // not what the badge says already
    below.className = `clip ${task.error ? "error" : "quiet"}`;
    below.title = words ?? "";
    fill(below, task.status === "running" ? [h("span", { class: "figures" }, `${task.progress_percent} %`), words && [" · ", h("span", {}, words)], left] : words || " ");
    bar.hidden = task.status !== "running";
    bar.update(task);
  };
  return row;
}

/** How long it ran or has run, without tenths that only flicker. */
function ranFor(task) {
  const seconds = ran(task);
  if (seconds === null) return duration(null);
  return duration(seconds < 10 ? Math.round(seconds * 10) / 10 : Math.round(seconds));
}

const noneFits = (forget) => empty("search", "No task fits this search",
  h("p", {}, "You can search by ", h("code", {}, "type:"), " ", h("code", {}, "status:"), " ", h("code", {}, "id:"), " ", h("code", {}, "older:1h"), " ", h("code", {}, "newer:2d"), " and by words of the message or the error."),
  button("Show all tasks", "", forget));

const noneYet = () => empty("tasks", "No task yet",
  h("p", {}, "Each task that a program, a terminal or the library submits appears here by itself. To see some, with documents of yours:"),
  h("p", {}, h("code", {}, uploadCommand())));
