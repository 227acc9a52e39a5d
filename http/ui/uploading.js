// Files on their way into the library: dropped or chosen, a few at a time.

import { upload } from "./api.js";
import { h, icon, reconcile, say } from "./dom.js";
import { bytes, plural } from "./format.js";
import { announce } from "./dom.js";

const AT_ONCE = 3;
const SHOWN = 200;

export function makeUploads(whenOne, signal) {
  const list = h("ul", {});
  const summary = h("span", { class: "muted small" });
  const close = h("button", { class: "button bare tiny", type: "button", onclick: () => { uploads = uploads.filter((each) => !each.over); draw(); } }, "Clear");
  const box = h("section", { class: "card uploads", hidden: true, "aria-label": "Uploads" }, h("header", {}, h("h2", {}, "Uploads"), summary, close), list);
  const together = h("input", { type: "checkbox" });
  together.checked = true;
  const input = h("input", { type: "file", multiple: true, class: "unseen", tabindex: -1, "aria-hidden": "true", onchange: () => { take(input.files); input.value = ""; } });
  const drop = h("div", { class: "drop" }, icon("up"), h("span", {}, "Drop documents here, or"),
    h("button", { class: "button", type: "button", onclick: () => input.click() }, "Choose files"), input,
    h("label", { class: "check" }, together, "Process them at once"));
  let uploads = [];
  let number = 0;
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
    take(event.dataTransfer.files);
  });

  function take(files) {
    for (const file of files) uploads.push({ key: ++number, file, share: 0, state: "waiting", words: "waits", over: false });
    draw();
    work();
  }

  function work() {
    const under = uploads.filter((each) => each.state === "sending").length;
    for (const each of uploads.filter((one) => one.state === "waiting").slice(0, AT_ONCE - under)) send(each);
  }

  async function send(each) {
    each.state = "sending";
    each.words = "";
    draw();
    try {
      const answer = await upload(each.file, { start_processing: together.checked }, (share) => { each.share = share; draw(); });
      Object.assign(each, { state: "done", share: 1, words: answer.task_id ? "taken in, being processed" : "taken in", over: true });
      whenOne(answer);
    } catch (error) {
      Object.assign(each, { state: error.status === 409 ? "there" : "failed", words: error.message, over: true });
    }
    draw();
    work();
    if (uploads.every((one) => one.over)) announce(`${plural(uploads.filter((one) => one.state === "done").length, "document")} uploaded.`);
  }

  const TINTS = { waiting: "pending", sending: "running", done: "completed", there: "cancelled", failed: "failed" };
  function draw() {
    box.hidden = uploads.length === 0;
    const done = uploads.filter((each) => each.over).length;
    say(summary, `${done} of ${uploads.length}`);
    reconcile(list, uploads.slice(-SHOWN), (each) => each.key, makeItem, (item, each) => item.update(each));
  }

  function makeItem(first) {
    const inner = h("span", {});
    const bar = h("div", { class: "bar", role: "progressbar", "aria-valuemin": 0, "aria-valuemax": 100, "aria-label": `Upload of ${first.file.name}` }, inner);
    const words = h("span", { class: "small anywhere" });
    const item = h("li", {}, h("span", { class: "clip", title: first.file.name }, first.file.name, " ", h("span", { class: "muted small" }, bytes(first.file.size))), bar, words);
    item.update = (each) => {
      item.className = `is-${TINTS[each.state]}`;
      bar.style.setProperty("--share", `${Math.round(each.share * 100)}%`);
      bar.setAttribute("aria-valuenow", Math.round(each.share * 100));
      say(words, each.words);
      words.className = `small anywhere${each.state === "failed" ? " wrong" : " muted"}`;
    };
    return item;
  }

  return { box, drop };
}
