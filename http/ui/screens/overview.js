// How it stands: what is counted, what runs, and how the server is.

import { get, post } from "../api.js";
import { makeChart, legend } from "../chart.js";
import { moving, timeAgo } from "../clock.js";
import { toast } from "../dialogs.js";
import { fill, h, icon, reconcile, say } from "../dom.js";
import { brief, count, duration, learnServerTime, plural, roughly, since, timeLeft, title } from "../format.js";
import { STATUSES, addressOf, badge, card, empty, isFinal, patientButton, progressBar, taskLink } from "../parts.js";
import { quoted } from "../search.js";
import { mayManage } from "../session.js";

const CALM = 1_500; // milliseconds between two looks, however much happens
const ANYWAY = 10_000; // and when nothing does: the loop's lag, the age of the oldest

export async function overview({ root, signal, on, shell, keys }) {
  const tiles = makeTiles();
  const chart = makeChart();
  const running = makeRunning();
  const types = makeTypes(() => look());
  const health = makeHealth();
  const ended = h("span", { class: "muted small" });

  fill(root,
    h("div", { class: "head" }, h("div", { class: "titles" }, h("h1", { tabindex: -1 }, "Overview"))),
    tiles.box,
    h("div", { class: "two even" },
      card(h("div", { class: "head-line" }, h("h2", {}, "The last hour"), ended), {}, h("div", { class: "inside" }, chart.box, legend())),
      card(h("div", { class: "head-line" }, h("h2", {}, "Server"), health.state), {}, h("div", { class: "inside" }, health.list))),
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
      health.update(seen, rows.task_types);
    } finally {
      busy = false;
      if (!signal.aborted) timer = setTimeout(() => document.hidden || look().catch(() => {}), again ? CALM : ANYWAY);
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
  let why = ""; // nothing is shown

  const draw = () => reconcile(list, shown, (task) => task.task_id, makeRow, (row, task) => row.update(task));
  return {
    box,
    update(tasks, counts) {
      shown = tasks;
      draw();
      const all = counts.running ?? 0;
      say(more, all > tasks.length ? `${tasks.length} of ${count(all)}` : "");
      const ever = Object.values(counts).some((n) => n > 0);
      const reason = tasks.length > 0 ? "" : ever ? "idle" : "new";
      if (reason !== why) fill(nothing, reason && idle(ever));
      why = reason;
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

function idle(ever) {
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

/** How the server is: made once and written into, so that a link keeps the focus and can be pressed. */
function makeHealth() {
  const fact = (name, ...value) => [h("dt", {}, name), h("dd", {}, ...value)];
  const state = h("span", { class: "badge" });
  const ailment = h("span", { class: "is-failed anywhere" });
  const ails = fact("What ails it", ailment);
  const storage = h("span", {});
  const lag = h("span", {});
  const oldest = makeOldest();
  const upFor = h("span", { class: "figures" });
  const version = h("span", {});
  const list = h("dl", { class: "facts health" }, ails, fact("Storage", storage), fact("Event loop lag", lag), fact("Oldest pending", oldest.box),
    fact("Up for", upFor), fact("Version", version), fact("API", h("a", { href: "docs" }, "described here")));
  return {
    list,
    state,
    update(seen, types) {
      const well = seen.health.status === "healthy";
      state.className = `badge is-${well ? "completed" : "failed"}`;
      say(state, well ? "Healthy" : "Degraded");
      for (const part of ails) part.hidden = !seen.health.reason;
      say(ailment, seen.health.reason ?? "");
      say(storage, well ? "reachable" : "see above");
      const seconds = seen.loop_lag_seconds;
      lag.className = `figures${seconds > 0.2 ? " warn" : ""}`;
      say(lag, seconds === null || seconds === undefined ? "not measured yet" : duration(seconds));
      oldest.update(seen.oldest_pending, types);
      moving(upFor, uptime(seen));
      say(version, seen.version);
    },
  };
}

function makeOldest() {
  const none = h("span", {}, "none");
  const link = h("a", {});
  const waits = h("span", { class: "small muted" });
  const one = h("div", {}, link, h("br"), waits);
  let shown;
  return {
    box: [none, one],
    update(task, types) {
      none.hidden = Boolean(task);
      one.hidden = !task;
      if (!task) return;
      const since = types.find((type) => type.name === task.task_type)?.oldest_pending_at; // it is the oldest of its type
      if (shown === `${task.task_id} ${since}`) return;
      shown = `${task.task_id} ${since}`;
      link.setAttribute("href", addressOf(task.task_id));
      say(link, title(task.task_type));
      fill(waits, "waits since ", timeAgo(since));
    },
  };
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
      reconcile(body, types, (type) => type.name, (type) => makeType(type, look), (row, type) => row.update(type));
      fill(nothing, types.length === 0 && empty("tasks", "This server runs no task type"));
    },
  };
}

/** A type's row: made once and written into, as whoever points at something there or has the focus on it stays there. */
function makeType({ name }, look) {
  const about = (more) => `#/tasks?q=${encodeURIComponent(`type:${quoted(name)}${more}`)}`;
  const link = (status) => h("a", { href: about(` status:${status}`) });
  const [running, pending, completed, failed] = ["running", "pending", "completed", "failed"].map(link);
  const paused = h("span", { class: "badge is-pending", hidden: true }, "Paused");
  const later = h("span", { class: "muted small" });
  const oldest = h("td", {});
  const times = h("span", {});
  const steering = mayManage() ? pauseButton(look) : null;
  const number = (...inside) => h("td", { class: "number" }, inside);
  const row = h("tr", {},
    h("th", { scope: "row" }, h("a", { class: "name-link", href: about(""), title: name }, title(name)), " ", paused),
    number(running), number(pending, later), oldest, number(completed), number(failed), number(times), number(steering));
  let waitsSince = "";
  row.update = (type) => {
    const figure = (place, n, words = count(n)) => {
      say(place, words);
      place.className = n ? "" : "muted";
    };
    paused.hidden = !type.paused;
    figure(running, type.running, `${count(type.running)} of ${count(type.concurrency)}`);
    figure(pending, type.pending);
    say(later, type.delayed > 0 ? ` ${count(type.delayed)} later` : "");
    if (type.oldest_pending_at !== waitsSince) fill(oldest, timeAgo(type.oldest_pending_at));
    waitsSince = type.oldest_pending_at;
    figure(completed, type.completed);
    figure(failed, type.failed);
    figure(times, type.run_seconds.count, type.run_seconds.count ? ["p50", "p95", "p99"].map((each) => duration(type.run_seconds[each])).join(" / ") : "–");
    steering?.update(type);
  };
  return row;
}

function pauseButton(look) {
  let type;
  let shown; // whether it is that of a paused type
  const press = async () => {
    const { name, paused } = type;
    try {
      await post(`api/task-types/${encodeURIComponent(name)}/${paused ? "resume" : "pause"}`);
      toast(paused ? `${title(name)} goes on.` : `${title(name)} is paused: what runs ends, nothing new begins.`);
      await look();
    } catch (error) {
      toast(error.message, "failed");
    }
  };
  const one = patientButton("", "", press, { class: "button tiny" });
  one.update = (next) => {
    type = next;
    one.hidden = type.paused === undefined;
    if (type.paused === shown) return;
    shown = type.paused;
    const [word, name] = shown ? ["Resume", "play"] : ["Pause", "pause"];
    fill(one, icon(name), word);
    one.setAttribute("aria-label", `${word} ${title(type.name)}`);
  };
  return one;
}
