// How it stands: what is counted, what runs, and how the server is.

import { get, post } from "../api.js";
import { makeChart, legend } from "../chart.js";
import { moving, timeAgo } from "../clock.js";
import { toast } from "../dialogs.js";
import { fill, h, reconcile, say } from "../dom.js";
import { brief, count, duration, learnServerTime, plural, roughly, since, timeLeft, title } from "../format.js";
import { STATUSES, badge, button, card, empty, isFinal, progressBar, taskLink } from "../parts.js";
import { quoted } from "../search.js";
import { mayManage } from "../session.js";

const CALM = 1_500; // milliseconds between two looks, however much happens
const ANYWAY = 10_000; // and when nothing does: the loop's lag, the age of the oldest

export async function overview({ root, signal, on, shell, keys }) {
  const tiles = makeTiles();
  const chart = makeChart();
  const running = makeRunning();
  const types = makeTypes(() => look());
  const health = h("dl", { class: "facts health" });
  const state = h("span", { class: "badge" });
  const ended = h("span", { class: "muted small" });

  fill(root,
    h("div", { class: "head" }, h("div", { class: "titles" }, h("h1", { tabindex: -1 }, "Overview"))),
    tiles.box,
    h("div", { class: "two even" },
      card(h("div", { class: "head-line" }, h("h2", {}, "The last hour"), ended), {}, h("div", { class: "inside" }, chart.box, legend())),
      card(h("div", { class: "head-line" }, h("h2", {}, "Server"), state), {}, h("div", { class: "inside" }, health))),
    running.box,
    types.box);

  let timer = 0;
  let busy = false;
  let again = false;
  async function look() {
    if (busy) {
      again = true;
      return;
    }
    busy = true;
    clearTimeout(timer);
    try {
      const [seen, rows] = await Promise.all([get("api/overview", { signal }), get("api/task-types", { signal })]);
      learnServerTime(seen.now);
      tiles.update(seen.counts);
      shell.count(seen.counts.running ?? 0);
      chart.update(seen.series.points);
      say(ended, `${plural(seen.series.points.reduce((sum, each) => sum + each.completed + each.failed + each.cancelled, 0), "task")} ended`);
      running.update(seen.running, seen.counts);
      types.update(rows.task_types);
      showHealth(health, state, seen);
    } finally {
      busy = false;
      if (!signal.aborted) timer = setTimeout(() => look().catch(() => {}), again ? CALM : ANYWAY);
      again = false;
    }
  }

  let due = 0;
  const soon = () => {
    if (due) return;
    due = setTimeout(() => {
      due = 0;
      look().catch(() => {});
    }, CALM);
  };
  signal.addEventListener("abort", () => {
    clearTimeout(timer);
    clearTimeout(due);
  });
  on("task", (task) => {
    running.hear(task);
    soon();
  });
  on("removed", soon);
  on("refresh", () => look().catch(() => {}));
  keys({ ".": ["Look again", () => look().catch(() => {})] });
  await look();
}

function makeTiles() {
  const figures = new Map();
  const box = h("div", { class: "tiles" }, STATUSES.map((status) => {
    const figure = h("div", { class: "figure" }, "–");
    figures.set(status, figure);
    return h("a", { class: `card tile is-${status}`, href: `#/tasks?q=${encodeURIComponent(`status:${status}`)}` }, h("span", { class: "label" }, title(status)), figure);
  }));
  return {
    box,
    update(counts) {
      for (const [status, figure] of figures) {
        const n = counts[status] ?? 0;
        say(figure, brief(n));
        figure.title = count(n);
      }
    },
  };
}

function makeRunning() {
  const list = h("ul", { class: "now-list" });
  const more = h("span", { class: "muted small" });
  const nothing = h("div", {});
  const box = card(h("div", { class: "head-line" }, h("h2", {}, "Running now"), more), { class: "card spaced" }, list, nothing);
  let shown = [];

  const draw = () => reconcile(list, shown, (task) => task.task_id, makeRow, (row, task) => row.update(task));
  return {
    box,
    update(tasks, counts) {
      shown = tasks;
      draw();
      const all = counts.running ?? 0;
      say(more, all > tasks.length ? `${tasks.length} of ${count(all)}` : "");
      fill(nothing, tasks.length === 0 && idle(counts));
    },
    hear(task) {
      const index = shown.findIndex((each) => each.task_id === task.task_id);
      if (index < 0) return;
      if (isFinal(task.status)) shown = shown.filter((each) => each.task_id !== task.task_id);
      else shown = shown.with(index, task);
      draw();
    },
  };
}

function idle(counts) {
  const ever = Object.values(counts).some((n) => n > 0);
  if (ever) return empty("check", "Nothing runs at the moment", h("p", {}, "What begins to run appears here by itself."));
  return empty("play", "No task has been started yet",
    h("p", {}, "Upload documents in the ", h("a", { href: "#/library" }, "library"), ", or submit a task from a program or a terminal:"),
    h("p", {}, h("code", {}, "cortex-tasks upload FOLDER")));
}

function makeRow(first) {
  let task = first;
  const bar = progressBar();
  const state = h("span", {});
  const message = h("span", { class: "clip muted small" });
  const share = h("span", { class: "figures" });
  const row = h("li", {},
    h("div", { class: "clip" }, h("div", { class: "top" }, taskLink(task.task_id, title(task.task_type), { class: "name-link clip" }), state), h("div", { class: "clip" }, message)),
    bar,
    share,
    moving(h("span", { class: "when figures" }), () => howLong(task)));
  row.update = (next) => {
    task = next;
    bar.update(task);
    say(share, `${task.progress_percent} %`);
    say(message, task.message || task.task_id);
    message.title = task.message;
    fill(state, task.cancel_requested_at ? badge(task) : null);
  };
  return row;
}

function howLong(task) {
  const left = timeLeft(task);
  const soFar = `for ${roughly(since(task.started_at) ?? 0)}`;
  return left === null ? soFar : `${soFar}, about ${roughly(left)} left`;
}

function showHealth(list, state, seen) {
  const well = seen.health.status === "healthy";
  state.className = `badge is-${well ? "completed" : "failed"}`;
  say(state, well ? "Healthy" : "Degraded");
  const oldest = seen.oldest_pending;
  const lag = seen.loop_lag_seconds;
  const fact = (name, ...value) => [h("dt", {}, name), h("dd", {}, ...value)];
  fill(list,
    seen.health.reason && fact("What ails it", h("span", { class: "is-failed anywhere" }, seen.health.reason)),
    fact("Storage", well ? "reachable" : "see above"),
    fact("Event loop lag", h("span", { class: `figures${lag > 0.2 ? " warn" : ""}` }, lag === null || lag === undefined ? "not measured yet" : duration(lag))),
    fact("Oldest pending", oldest ? taskLink(oldest.task_id, title(oldest.task_type)) : "none", oldest && [h("br"), h("span", { class: "small muted" }, "waits since ", timeAgo(oldest.created_at))]),
    fact("Up for", moving(h("span", { class: "figures" }), uptime(seen))),
    fact("Version", seen.version),
    fact("API", h("a", { href: "docs" }, "described here")));
}

function uptime(seen) {
  const began = Date.now() - seen.uptime_seconds * 1000;
  return () => duration(Math.floor((Date.now() - began) / 1000));
}

function makeTypes(look) {
  const body = h("tbody", {});
  const nothing = h("div", {});
  const heads = [["Type"], ["Running", 1], ["Pending", 1], ["Oldest pending"], ["Completed", 1], ["Failed", 1], ["Run time, half / 95 % / 99 %", 1], [""]];
  const table = h("table", { class: "rows type-table" },
    h("thead", {}, h("tr", {}, heads.map(([word, number]) => h("th", { scope: "col", class: number ? "number" : null }, word || h("span", { class: "unseen" }, "Steering"))))),
    body);
  const box = card("Task types", {}, h("div", { class: "scrolls", tabindex: 0, role: "region", "aria-label": "Task types" }, table), nothing);
  return {
    box,
    update(types) {
      reconcile(body, types, (type) => type.name, () => h("tr", {}), (row, type) => {
        const text = JSON.stringify(type);
        if (row.shown === text) return; // nothing under a pointer or a focus is made anew for nothing
        row.shown = text;
        fill(row, ...cells(type, look));
      });
      fill(nothing, types.length === 0 && empty("tasks", "This server runs no task type"));
    },
  };
}

function cells(type, look) {
  const times = ["p50", "p95", "p99"].map((name) => type.run_seconds[name]);
  const search = (status) => `#/tasks?q=${encodeURIComponent(`type:${quoted(type.name)} status:${status}`)}`;
  const figure = (n, status) => h("td", { class: "number" }, n ? h("a", { href: search(status) }, count(n)) : h("span", { class: "muted" }, "0"));
  return [
    h("th", { scope: "row" }, h("a", { class: "name-link", href: `#/tasks?q=${encodeURIComponent(`type:${quoted(type.name)}`)}`, title: type.name }, title(type.name)), " ", type.paused && h("span", { class: "badge is-pending" }, "Paused")),
    h("td", { class: "number" }, type.running ? h("a", { href: search("running") }, `${count(type.running)} of ${count(type.concurrency)}`) : h("span", { class: "muted" }, `0 of ${count(type.concurrency)}`)),
    h("td", { class: "number" }, type.pending ? h("a", { href: search("pending") }, count(type.pending)) : h("span", { class: "muted" }, "0"), type.delayed > 0 && h("span", { class: "muted small" }, ` ${count(type.delayed)} later`)),
    h("td", {}, timeAgo(type.oldest_pending_at)),
    figure(type.completed, "completed"),
    figure(type.failed, "failed"),
    h("td", { class: "number" }, type.run_seconds.count ? times.map(duration).join(" / ") : h("span", { class: "muted" }, "–")),
    h("td", { class: "number" }, mayManage() && type.paused !== undefined && pauseButton(type, look)),
  ];
}

function pauseButton(type, look) {
  const [word, verb, name] = type.paused ? ["Resume", "resume", "play"] : ["Pause", "pause", "pause"];
  return button(word, name, async (event) => {
    event.target.disabled = true;
    try {
      await post(`api/task-types/${encodeURIComponent(type.name)}/${verb}`);
      toast(type.paused ? `${title(type.name)} goes on.` : `${title(type.name)} is paused: what runs ends, nothing new begins.`);
      await look();
    } catch (error) {
      event.target.disabled = false;
      toast(error.message, "failed");
    }
  }, { class: "button tiny", "aria-label": `${word} ${title(type.name)}` });
}

