// The documents, how far each is, and what can be done with all of them.

import { get, remove } from "../api.js";
import { timeAgo } from "../clock.js";
import { confirm, toast } from "../dialogs.js";
import { fill, h, icon, reconcile, say } from "../dom.js";
import { brief, bytes, count, plural, title } from "../format.js";
import { LIBRARY_TYPES, makeOperations } from "../operations.js";
import { button, empty, makePager, uploadCommand } from "../parts.js";
import { note } from "../router.js";
import { mayManage } from "../session.js";
import { makeUploads } from "../uploading.js";

const PAGE = 50;
const CALM = 1_200;
const ANYWAY = 10_000; // what others upload without processing it is told of by no task
const TINTS = { pending: "pending", processing: "running", extracting: "running", completed: "completed", failed: "failed" };

export async function library({ root, query, signal, on, keys }) {
  const state = { status: query.get("status") ?? "", page: Math.min(1e9, Math.max(0, (Number.parseInt(query.get("page"), 10) || 1) - 1)) };
  const operations = makeOperations(signal);
  const figures = h("p", { class: "figures-line" });
  const uploads = mayManage() && makeUploads(() => soon(), signal);
  const documents = makeDocuments(state, quietly, remember);
  fill(root,
    h("div", { class: "head" },
      h("div", { class: "titles" }, h("h1", { tabindex: -1 }, "Library"), figures),
      h("div", { class: "actions" }, h("a", { class: "button", href: "#/graph" }, icon("graph"), "Show the graph"), operations.buttons)),
    operations.box, uploads && [uploads.drop, uploads.box], documents.box);

  function remember() {
    const said = new URLSearchParams();
    if (state.status) said.set("status", state.status);
    if (state.page) said.set("page", state.page + 1);
    note(`#/library${said.size ? `?${said}` : ""}`);
  }

  let asked = 0;
  async function look() {
    const mine = ++asked;
    const [stats, page] = await Promise.all([
      get("api/stats", { signal }),
      get("api/documents", { query: { status: state.status, limit: PAGE, offset: state.page * PAGE }, signal }),
    ]);
    if (mine !== asked) return;
    const last = Math.max(0, Math.ceil(page.total / PAGE) - 1);
    if (state.page > last) {
      state.page = last;
      remember();
      await look();
      return;
    }
    const part = (n, one, many) => h("span", { title: count(n) }, h("b", {}, brief(n)), ` ${n === 1 ? one : many}`);
    fill(figures,
      part(stats.document_count, "document", "documents"), h("span", {}, bytes(stats.total_size)),
      part(stats.entity_count, "entity", "entities"), part(stats.relationship_count, "relationship", "relationships"),
      part(stats.community_count, "community", "communities"));
    documents.draw(page, stats);
  }

  function quietly() {
    return look().catch((error) => signal.aborted || error.status === 0 || toast(error.message, "failed")); // of a lost connection the frame tells
  }

  let due = 0;
  function soon() {
    if (due) return;
    due = setTimeout(() => {
      due = 0;
      look().catch(() => {});
    }, CALM);
  }
  const timer = setInterval(() => !document.hidden && soon(), ANYWAY);
  signal.addEventListener("abort", () => {
    clearTimeout(due);
    clearInterval(timer);
  });
  on("task", (task) => {
    if (!LIBRARY_TYPES.includes(task.task_type)) return;
    operations.hear(task);
    soon();
  });
  on("removed", (gone) => operations.shows(gone.task_id) && operations.look().catch(() => {}));
  on("refresh", () => {
    soon();
    operations.look().catch(() => {});
  });
  keys({ ".": ["Look again", quietly] });
  await Promise.all([look(), operations.look()]);
}

function makeDocuments(state, look, remember) {
  const chips = new Map();
  const turnTo = (status) => {
    state.status = status;
    state.page = 0;
    remember();
    look();
  };
  const chip = (status, word) => {
    const figure = h("span", { class: "figures" });
    const one = h("button", { class: `chip${status ? ` is-${TINTS[status]}` : ""}`, type: "button", onclick: () => turnTo(status) }, word, figure);
    one.figure = figure;
    chips.set(status, one);
    return one;
  };
  const body = h("tbody", {});
  const table = h("table", { class: "rows doc-table", "aria-label": "Documents", hidden: true },
    h("thead", {}, h("tr", {}, h("th", { class: "c-name", scope: "col" }, "Document"), h("th", { scope: "col" }, "State"),
      h("th", { class: "number c-wide", scope: "col" }, "Size"), h("th", { class: "number c-wide", scope: "col" }, "Entities"), h("th", { class: "number c-wide", scope: "col" }, "Uploaded"),
      mayManage() && h("th", { class: "number c-delete", scope: "col" }, h("span", { class: "unseen" }, "Delete")))),
    body);
  const nothing = h("div", {});
  const pages = makePager((by) => {
    state.page = Math.max(0, state.page + by); // pressed again before the page came
    remember();
    look();
  }, "document");
  const box = h("section", { class: "card", "aria-label": "Documents" },
    h("header", {}, h("h2", {}, "Documents"), h("div", { class: "chips", role: "group", "aria-label": "State" }, chip("", "All"), ["pending", "processing", "completed", "failed"].map((status) => chip(status, title(status))))),
    table, nothing, pages.box);
  let empties = ""; // why nothing is shown, if so
  return {
    box,
    draw(page, stats) {
      for (const [status, one] of chips) {
        one.setAttribute("aria-pressed", String(status === state.status));
        if (status) say(one.figure, stats[`${status}_count`] ? brief(stats[`${status}_count`]) : "");
      }
      table.hidden = page.documents.length === 0;
      reconcile(body, page.documents, (one) => one.id, (one) => makeRow(one, look), (row, one) => row.update(one));
      const why = page.documents.length === 0 ? `none ${state.status}` : "";
      if (why !== empties) fill(nothing, why && (state.status
        ? empty("search", `No document is ${state.status}`, button("Show all documents", "", () => turnTo("")))
        : empty("library", "The library is empty", h("p", {}, mayManage() ? "Drop documents above: plain text, Markdown, HTML, and what else the server reads. Or from a terminal:" : "Whoever may manage this server can upload documents, here or from a terminal:"), h("p", {}, h("code", {}, uploadCommand())))));
      empties = why;
      pages.box.hidden = page.total <= PAGE;
      pages.update(state.page * PAGE, page.documents.length, page.total);
    },
  };
}

/** A document's row: made once and written into, so that whoever has the focus there keeps it. */
function makeRow(first, look) {
  let one = first;
  const path = `api/documents/${encodeURIComponent(one.id)}`;
  const state = h("span", {});
  const error = h("div", { class: "small wrong anywhere" });
  const entities = h("span", {});
  const row = h("tr", {},
    h("td", {}, h("a", { class: "name-link clip block", href: `${path}/content?download=true`, title: `Download ${one.filename}` }, one.filename), one.collection_id && h("span", { class: "muted small" }, one.collection_id)),
    h("td", {}, state, error),
    h("td", { class: "number c-wide" }, bytes(one.file_size)),
    h("td", { class: "number c-wide" }, entities),
    h("td", { class: "number c-wide muted" }, timeAgo(one.upload_date)),
    mayManage() && h("td", { class: "number c-delete" }, h("button", { class: "button bare tiny", type: "button", "aria-label": `Delete ${one.filename}`, title: "Delete", onclick: () => forget(one, row, path, look) }, icon("trash"))));
  row.update = (next) => {
    one = next;
    state.className = `badge is-${TINTS[one.status]}`;
    say(state, title(one.status));
    say(error, one.error ?? "");
    error.hidden = !one.error;
    entities.className = one.status === "completed" ? "" : "muted";
    say(entities, one.status === "completed" ? count(one.entity_count) : "–");
  };
  return row;
}

async function forget(one, row, path, look) {
  const yes = await confirm({ heading: "Delete this document?", body: [h("p", { class: "anywhere" }, one.filename), h("p", { class: "muted" }, "It goes with all that only it said. That cannot be undone.")], yes: "Delete it", danger: true });
  if (!yes) return;
  try {
    toast((await remove(path)).message);
    const held = row.contains(document.activeElement);
    const beside = row.nextElementSibling ?? row.previousElementSibling;
    await look();
    if (held && !row.isConnected) (beside?.isConnected ? beside.querySelector("button") : document.querySelector("main h1"))?.focus({ preventScroll: true });
  } catch (error) {
    toast(error.message, "failed");
  }
}
