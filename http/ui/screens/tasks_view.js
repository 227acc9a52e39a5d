// How the list of all tasks looks; what it shows is for tasks.js.

import { moving, timeAgo } from "../clock.js";
import { fill, h, icon, reconcile, say, setHidden } from "../dom.js";
import { brief, count, duration, plural, ran, title } from "../format.js";
import { badge, button, empty, failure, makePager, progressBar, setAble, STATUSES, taskLink, timeLeftOf, uploadCommand } from "../parts.js";
import { valuesOf, withValues } from "../search.js";
import { mayManage } from "../session.js";

export const PAGE = 50; // tasks

export function makeView(state, { search, turn, look, steer, pick, stand }) {
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
  const newer = button("", "", () => look(), { class: "button tiny main", hidden: true });
  const body = h("tbody", {});
  const everything = h("input", { type: "checkbox", "aria-label": "Choose all on this page", onchange: () => pick(state.rows.map((row) => row.task.task_id), everything.checked) });
  const may = mayManage();
  const table = h("table", { class: "rows task-table", "aria-label": "Tasks", hidden: true },
    h("thead", {}, h("tr", {},
      may && h("th", { class: "c-check", scope: "col" }, everything),
      h("th", { class: "c-status", scope: "col" }, "Status"), h("th", { scope: "col" }, "Task"), h("th", { class: "c-id", scope: "col" }, "Id"),
      h("th", { class: "c-age number", scope: "col" }, "Submitted"), h("th", { class: "c-ran number", scope: "col" }, "Ran"))),
    body);
  body.addEventListener("focusin", (event) => {
    if (event.target.matches(":focus-visible")) stand([...body.children].indexOf(event.target.closest("tr")));
  });
  const nothing = h("div", {});
  const pages = makePager(turn, "task");
  const heading = h("h1", { tabindex: -1 }, "Tasks");
  const chosen = h("b", { class: "figures" });
  const allThatFit = button("", "", () => { state.all = true; view.drawPicked(); }, { class: "button tiny bare" });
  const none = button("Choose none", "close", () => { state.all = false; state.picked.clear(); view.drawPicked(); }, { class: "button tiny bare" });
  const steers = [
    button("Cancel…", "stop", () => steer("cancel"), { class: "button tiny danger" }),
    button("Retry…", "again", () => steer("retry"), { class: "button tiny" }),
  ];
  const bulk = h("div", { class: "bulk", role: "region", "aria-label": "Chosen tasks", hidden: true }, chosen, allThatFit,
    steers, none);
  const shell = h("section", { class: "card", "aria-label": "Tasks" },
    h("div", { class: "toolbar" },
      h("div", { class: "line" }, h("div", { class: "search" }, icon("search"), input, h("kbd", { "aria-hidden": "true" }, "/")), types),
      h("div", { class: "line" }, h("div", { class: "chips", role: "group", "aria-label": "Status" }, chip("", "All"), STATUSES.map((status) => chip(status, title(status)))))),
    table, nothing, pages.box);
  const box = h("div", {}, h("div", { class: "head" }, h("div", { class: "titles" }, h("div", { class: "head-line" }, heading, newer))), shell, bulk);

  const view = {
    box,
    focusSearch: () => input.focus(),
    calm: () => state.page === 0 && state.picked.size === 0 && scrollY < 200 && !table.matches(":hover") && !table.contains(document.activeElement) && state.cursor < 0,
    trouble(error) {
      table.hidden = pages.box.hidden = true;
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
      const changed = state.changed || (state.newer === 0 && state.rows.some((row) => row.past || row.gone));
      setHidden(newer, state.newer === 0 && !changed, heading);
      if (changed) say(newer, "Show the list as it is now");
      else if (state.newer > 0) say(newer, `Show ${state.more ? "more than " : ""}${plural(state.newer, "newer task")}`);
    },
    drawPages() {
      pages.box.hidden = state.rows.length === 0;
      const fitting = state.rows.filter((row) => !row.past && !row.gone).length;
      const before = state.page > 0 || state.from !== null ? state.before : state.newer; // none, or as many as wait to be shown
      pages.update(state.before, fitting, state.total, state.next !== null, state.more ? null : before + 1);
    },
    /** While many are counted, about which it is asked then, nothing else is. */
    drawSteering(counting) {
      for (const each of steers) setAble(each, !counting);
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
      setHidden(bulk, n === 0, heading);
      if (n === 0) return;
      say(chosen, `${plural(n, "task")} chosen`);
      say(allThatFit, `Choose all ${count(state.total)} that fit`);
      setHidden(allThatFit, state.all || !everything.checked || state.total <= state.rows.length, none);
    },
    drawCursor() {
      [...body.children].forEach((row, index) => {
        row.classList.toggle("cursor", index === state.cursor);
        if (index === state.cursor) row.scrollIntoView({ block: "nearest" });
      });
    },
    /** With the focus on it, a screen reader tells of the task, and Tab goes on from there. */
    focusCursor() {
      body.children[state.cursor]?.querySelector(".name-link").focus({ preventScroll: true });
    },
  };
  return view;
}

function makeRow(first, pick) {
  let task = first;
  const state = h("td", { id: `status-${task.task_id}` });
  const below = h("div", { class: "clip", id: `words-${task.task_id}` });
  const name = taskLink(task.task_id, title(task.task_type), { class: "name-link clip", "aria-describedby": `${state.id} ${below.id}` });
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

/** How long it ran; of one that runs, how long so far, without tenths that only flicker. */
function ranFor(task) {
  const seconds = ran(task);
  if (seconds === null || task.status !== "running") return duration(seconds);
  return duration(seconds < 10 ? Math.round(seconds * 10) / 10 : Math.round(seconds));
}

const noneFits = (forget) => empty("search", "No task fits this search",
  h("p", {}, "You can search by ", h("code", {}, "type:"), " ", h("code", {}, "status:"), " ", h("code", {}, "id:"), " ", h("code", {}, "older:1h"), " ", h("code", {}, "newer:2d"), " and by words of the message or the error."),
  button("Show all tasks", "", forget));

const noneYet = () => empty("tasks", "No task yet",
  h("p", {}, "Each task that a program, a terminal or the library submits appears here by itself. To see some, with documents of yours:"),
  h("p", {}, h("code", {}, uploadCommand())));
