// The four jobs on the library: what each does, how its newest task stands, and its button.

import { get, MANY, post, SILENCE_WHILE_STOPPING } from "./api.js";
import { timeAgo } from "./clock.js";
import { confirm, toast } from "./dialogs.js";
import { fill, h, setHidden } from "./dom.js";
import { plural } from "./format.js";
import { addressOf, badge, button, isFinal, patientButton, progressBar } from "./parts.js";
import { mayManage } from "./session.js";

const CHAIN = ["relationship_analysis", "community_detection", "community_summarization"];

const JOBS = [
  { type: "document_processing", name: "Process documents", path: "api/documents/process-pending", verb: "Process",
    does: "Reads the documents that wait, and takes entities and relationships out of them.",
    option: { name: "concurrency", word: "at a time", kind: "number", min: 1, max: 50, value: 2 } },
  { type: "relationship_analysis", name: "Find relationships", path: "api/graph/relationships/analyze", verb: "Analyse",
    does: "Looks for entities of different documents that belong together.",
    option: { name: "rebuild", word: "from the beginning", kind: "checkbox" } },
  { type: "community_detection", name: "Detect communities", path: "api/graph/communities/detect", verb: "Detect",
    does: "Divides the graph into groups of entities that have much to do with each other.",
    option: { name: "min_size", word: "members at least", kind: "number", min: 2, max: 20, value: 3 } },
  { type: "community_summarization", name: "Summarise communities", path: "api/graph/communities/summarize", verb: "Summarise",
    does: "Gives each community a name and a summary.",
    option: { name: "force_regenerate", word: "also those that have one", kind: "checkbox" } },
];

export const LIBRARY_TYPES = JOBS.map((job) => job.type);

export function makeOperations(signal) {
  const cards = new Map(JOBS.map((job) => [job.type, makeCard(job)]));
  const stop = mayManage() && button("Stop all", "stop", abort, { class: "button danger", hidden: true });
  const chain = mayManage() && patientButton("Run the whole chain", "play", wholeChain, { class: "button main" });
  const shows = (id) => [...cards.values()].some((each) => each.task?.task_id === id);
  let asked = 0;
  const told = new Set(); // the types of which something was told since it was asked: an answer is older than that
  const showStop = () => stop && setHidden(stop, ![...cards.values()].some((each) => each.task && !isFinal(each.task.status)), chain);
  const hear = (task) => {
    const one = cards.get(task.task_type);
    if (!one || (one.task && one.task.task_id !== task.task_id && Date.parse(one.task.created_at) > Date.parse(task.created_at))) return;
    one.show(task);
    showStop();
  };
  return {
    box: h("section", { class: "operations", "aria-label": "Operations" }, [...cards.values()].map((one) => one.box)),
    buttons: [stop, chain],
    hear(task) {
      told.add(task.task_type);
      hear(task);
    },
    shows,
    async look() {
      const mine = ++asked;
      told.clear();
      const newest = await Promise.all(LIBRARY_TYPES.map((type) => get("api/tasks", { query: { task_type: type, limit: 1 }, signal })));
      if (mine !== asked) return;
      LIBRARY_TYPES.forEach((type, index) => {
        const [task = null] = newest[index].tasks;
        if (!told.has(type)) cards.get(type).show(task);
        else if (task && !shows(task.task_id)) hear(task); // what was told may be of an older one
      });
      showStop();
    },
  };
}

function makeCard(job) {
  const state = h("div", { class: "state" });
  const option = mayManage() && makeOption(job.option);
  const start = mayManage() && patientButton(job.verb, "play", () => begin(job.path, option.value()), { class: "button tiny" });
  const bar = progressBar();
  const mark = h("span", {});
  const link = h("a", {});
  const line = h("span", { class: "under-line" }, mark, " ", link);
  const below = h("div", {});
  const one = {
    task: null,
    box: h("section", { class: "card operation", "aria-label": job.name }, h("h2", {}, job.name), h("p", { class: "does" }, job.does), state, option && option.box, start && h("div", {}, start)),
    show(task) {
      one.task = task;
      if (task === null) {
        fill(state, h("span", { class: "muted" }, "Not run yet"));
        return;
      }
      bar.update(task);
      if (!line.isConnected) fill(state, line, below);
      fill(mark, badge(task));
      link.setAttribute("href", addressOf(task.task_id));
      fill(link, isFinal(task.status) ? timeAgo(task.completed_at) : `${task.progress_percent} %`);
      fill(below, isFinal(task.status) ? h("span", { class: `block clip${task.error ? " wrong" : " muted"}`, title: task.error ?? task.message }, task.error ?? task.message) : bar);
    },
  };
  one.show(null);
  return one;
}

function makeOption(option) {
  const input = h("input", { type: option.kind, class: option.kind === "number" ? "input" : null, min: option.min, max: option.max, value: option.value });
  return {
    box: h("label", { class: "option" }, input, option.word),
    value: () => ({ [option.name]: option.kind === "number" ? Number(input.value || option.value) : input.checked }),
  };
}

async function begin(path, body) {
  try {
    const answer = await post(path, body);
    toast(answer.message ?? "Started.", answer.task_id ? "completed" : "pending");
    return answer;
  } catch (error) {
    toast(error.message, "failed");
    return null;
  }
}

/** From what there is: documents that wait, or else the graph as it stands. */
async function wholeChain() {
  const started = await begin("api/documents/process-pending", { chain: CHAIN.join(",") });
  if (started && !started.task_id) await begin("api/graph/relationships/analyze", { chain: CHAIN.slice(1).join(",") });
}

async function abort() {
  const yes = await confirm({ heading: "Stop all four operations?", body: h("p", {}, "What runs is stopped and what waits is cancelled. Documents that were under way wait again."), yes: "Stop all", danger: true });
  if (!yes) return;
  try {
    const answer = await post("api/graph/generation/abort", undefined, { silence: SILENCE_WHILE_STOPPING, lane: MANY });
    toast(`${plural(answer.tasks_cancelled.length, "task")} cancelled.`, "completed");
  } catch (error) {
    toast(error.message, "failed");
  }
}
