// The keyboard: one list of keys, which is also what `?` shows.

import { show } from "./dialogs.js";
import { h } from "./dom.js";
import { go } from "./router.js";

const GO = { o: ["#/", "Overview"], t: ["#/tasks", "Tasks"], l: ["#/library", "Library"], g: ["#/graph", "Graph"] };
const GO_PATIENCE = 1200;
const SWITCH = "cortex-tasks.shortcuts";

let ofScreen = {}; // key: [what it does in words, what to call]
let afterG = 0;

export function screenKeys(keys) {
  ofScreen = keys ?? {};
}

const kept = () => {
  try {
    return localStorage.getItem(SWITCH) !== "off";
  } catch {
    return true;
  }
};
let on = kept();

export function listen() {
  addEventListener("keydown", (event) => {
    if (!on || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (document.querySelector("dialog[open]")) return;
    const typing = event.target.closest?.("input:not([type=checkbox]), textarea, select, [contenteditable]");
    if (typing) {
      if (event.key !== "Escape") return;
      event.target.blur();
      event.preventDefault(); // or some browsers empty a search field, and it is left alone
      return;
    }
    if (afterG && Date.now() - afterG < GO_PATIENCE && GO[event.key]) {
      go(GO[event.key][0]);
      event.preventDefault();
      afterG = 0;
      return;
    }
    // What scrolls, and has the focus, is scrolled by the arrows.
    if (event.key.startsWith("Arrow") && event.target.closest?.("[tabindex='0']")) return;
    afterG = event.key === "g" ? Date.now() : 0;
    if (event.key === "?") help();
    else if (ofScreen[event.key]) ofScreen[event.key][1](event);
    else return;
    event.preventDefault();
  });
}

export function help() {
  const row = (keys, words) => [h("dt", {}, ...keys.map((key) => h("kbd", {}, key))), h("dd", {}, words)];
  const list = h("dl", { class: "keys-list" },
    Object.entries(GO).map(([key, [, words]]) => row(["g", key], `Go to ${words}`)),
    Object.entries(ofScreen).map(([key, [words, , shown]]) => (words ? row([shown ?? key], words) : [])),
    row(["?"], "Show these keys"),
    row(["Esc"], "Leave a field, close a dialog"));
  const box = h("input", { type: "checkbox", onchange: (event) => {
    on = event.target.checked;
    try {
      localStorage.setItem(SWITCH, on ? "on" : "off");
    } catch {
      // It holds for this page alone then.
    }
  } });
  box.checked = on;
  show("Keys", list, h("label", { class: "check" }, box, "Single keys do things on this page"));
}
