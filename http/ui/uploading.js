// Files on their way into the library: dropped or chosen, a few at a time, whatever screen is shown meanwhile.

import { get, upload } from "./api.js";
import { toast } from "./dialogs.js";
import { announce, h, icon, reconcile, say } from "./dom.js";
import { bytes, count, plural } from "./format.js";
import { live } from "./live.js";

const AT_ONCE = 3;
const SHOWN = 200;
const TRIES = 3; // of a file that the server, though it is there, does not get
const PAUSE = 3_000;

const queue = new EventTarget(); // tells `change`, and `taken` once the server has another document
let uploads = [];
let number = 0;

const tell = (name) => queue.dispatchEvent(new Event(name));

function add(files, together) {
  for (const file of files) uploads.push({ key: ++number, file, together, share: 0, tries: 0, state: "waiting", words: "waits", over: false });
  tell("change");
  work();
}

function work() {
  const under = uploads.filter((each) => each.state === "sending").length;
  for (const each of uploads.filter((one) => one.state === "waiting").slice(0, AT_ONCE - under)) send(each);
}

async function send(each) {
  each.state = "sending";
  each.words = "";
  tell("change");
  try {
    await readable(each.file);
    const answer = await upload(each.file, { start_processing: each.together }, (share) => { each.share = share; tell("change"); });
    Object.assign(each, { state: "done", share: 1, words: answer.task_id ? "taken in, being processed" : "taken in", over: true });
    tell("taken");
  } catch (error) {
    if (error.status === 0 && (await mayTryAgain(each))) {
      Object.assign(each, { state: "waiting", share: 0, words: "waits for the server" });
      tell("change");
      setTimeout(work, PAUSE);
      return;
    }
    Object.assign(each, { state: error.status === 409 ? "there" : "failed", words: error.message, over: true });
  }
  tell("change");
  work();
  if (uploads.every((one) => one.over)) announce(`Uploaded: ${summary()}.`);
}

const those = (state) => uploads.filter((each) => each.state === state);

/** How many have arrived, and what became of the others: nobody has to look for those in the list. */
function summary() {
  const [arrived, there, failed] = ["done", "there", "failed"].map((state) => those(state).length);
  return [`${count(arrived)} of ${count(uploads.length)}`, there > 0 && `${count(there)} there already`, failed > 0 && `${count(failed)} failed`].filter(Boolean).join(", ");
}

/** Those that failed first, however many came after them; then the newest of the others. */
function shownFirst() {
  const failed = those("failed").slice(0, SHOWN);
  return [...failed, ...uploads.filter((each) => each.state !== "failed").slice(-SHOWN)];
}

/** While the server is away they all wait for it. It is asked, as a page that nobody looks at does not follow it. */
async function mayTryAgain(each) {
  const away = await get("api/session").then(() => false, (error) => error.status === 0);
  if (!away) each.tries += 1;
  return each.tries < TRIES;
}

/** What cannot be read is told from what cannot be sent: a browser says the same of both. */
async function readable(file) {
  try {
    await file.slice(0, 1).arrayBuffer();
  } catch {
    throw new Error("The browser cannot read this. Is it a file, still there, and the same as when it was chosen?");
  }
}

addEventListener("beforeunload", (event) => uploads.some((each) => !each.over) && event.preventDefault());
live.addEventListener("state", () => {
  if (live.state !== "off") return;
  const cut = uploads.filter((each) => !each.over).length;
  uploads = []; // whoever signs in next sees nothing of them
  if (cut > 0) toast(`${plural(cut, "upload")} had not ended when you were signed out. Not all may have arrived.`, "failed");
});

/** The files of what was dropped; of a folder, all that lie in it. */
async function filesOf(transfer) {
  const entries = [...(transfer.items ?? [])].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.some((entry) => entry.isDirectory)) return [...transfer.files];
  const found = [];
  const walk = (entry) => look(entry).catch(() => found.push(unreadable(entry.name))); // the others are there all the same
  const look = async (entry) => {
    if (entry.isFile) {
      found.push(await new Promise((resolve, reject) => entry.file(resolve, reject)));
      return;
    }
    const reader = entry.createReader();
    const some = () => new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    for (let part = await some(); part.length > 0; part = await some()) for (const each of part) if (!each.name.startsWith(".")) await walk(each);
  };
  for (const entry of entries) await walk(entry);
  return found;
}

/** In place of a file that is not given: it fails with the words for that. */
function unreadable(name) {
  const slice = () => { throw new Error(name); };
  return { name, size: 0, slice };
}

export function makeUploads(whenOne, signal) {
  const list = h("ul", {});
  const figures = h("span", { class: "muted small" });
  const unshown = h("p", { class: "inside muted small" });
  const close = h("button", { class: "button bare tiny", type: "button", onclick: () => { uploads = uploads.filter((each) => !each.over); draw(); } }, "Clear");
  const box = h("section", { class: "card uploads", hidden: true, "aria-label": "Uploads" }, h("header", {}, h("h2", {}, "Uploads"), figures, close), list, unshown);
  const together = h("input", { type: "checkbox" });
  together.checked = true;
  const take = (files) => add(files, together.checked);
  const input = h("input", { type: "file", multiple: true, class: "unseen", tabindex: -1, "aria-hidden": "true", onchange: () => { take(input.files); input.value = ""; } });
  const drop = h("div", { class: "drop" }, icon("up"), h("span", {}, "Drop documents or folders here, or"),
    h("button", { class: "button", type: "button", onclick: () => input.click() }, "Choose files"), input,
    h("label", { class: "check" }, together, "Process them at once"));
  let depth = 0;

  const over = (event) => {
    if (![...(event.dataTransfer?.types ?? [])].includes("Files")) return;
    event.preventDefault();
    drop.classList.add("over");
  };
  // Anywhere on the screen: for a file that is dropped where nobody takes it a browser leaves the page.
  const hear = (name, then) => window.addEventListener(name, then, { signal });
  hear("dragenter", (event) => { depth += 1; over(event); });
  hear("dragover", over);
  hear("dragleave", () => { depth -= 1; if (depth <= 0) drop.classList.remove("over"); });
  hear("drop", (event) => {
    if (!event.dataTransfer?.files.length) return;
    event.preventDefault();
    depth = 0;
    drop.classList.remove("over");
    filesOf(event.dataTransfer).then(take);
  });
  queue.addEventListener("change", draw, { signal });
  queue.addEventListener("taken", whenOne, { signal });

  const TINTS = { waiting: "pending", sending: "running", done: "completed", there: "cancelled", failed: "failed" };
  function draw() {
    box.hidden = uploads.length === 0;
    const shown = shownFirst();
    say(figures, summary());
    unshown.hidden = shown.length === uploads.length;
    say(unshown, `and ${count(uploads.length - shown.length)} more`);
    reconcile(list, shown, (each) => each.key, makeItem, (item, each) => item.update(each));
  }

  function makeItem(first) {
    const inner = h("span", {});
    const bar = h("div", { class: "bar", role: "progressbar", "aria-valuemin": 0, "aria-valuemax": 100, "aria-label": `Upload of ${first.file.name}` }, inner);
    const words = h("span", { class: "small anywhere" });
    const item = h("li", {}, h("span", { class: "clip", title: first.file.name }, h("span", {}, first.file.name), " ", h("span", { class: "muted small" }, bytes(first.file.size))), bar, words);
    item.update = (each) => {
      item.className = `is-${TINTS[each.state]}`;
      bar.style.setProperty("--share", `${Math.round(each.share * 100)}%`);
      bar.setAttribute("aria-valuenow", Math.round(each.share * 100));
      say(words, each.words);
      words.className = `small anywhere${each.state === "failed" ? " wrong" : " muted"}`;
    };
    return item;
  }

  draw();
  return { box, drop };
}
