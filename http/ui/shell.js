// The frame around every screen: where one can go, whether the server is there, and who one is.

import { moving } from "./clock.js";
import { h, icon, say } from "./dom.js";
import { count } from "./format.js";
import { help } from "./keys.js";
import { live } from "./live.js";
import { session } from "./session.js";

const PLACES = [
  ["#/", "overview", "Overview"],
  ["#/tasks", "tasks", "Tasks"],
  ["#/library", "library", "Library"],
  ["#/graph", "graph", "Graph"],
];
const WORDS = { off: "Not connected", connecting: "Connecting…", live: "Live", polling: "Looking every 3 s", lost: "Connection lost" };

export function makeShell({ library, onSignOut }) {
  const links = new Map();
  const running = h("span", { class: "count" });
  const nav = h("nav", { class: "nav", "aria-label": "Screens" },
    PLACES.filter(([, name]) => library || (name !== "library" && name !== "graph")).map(([href, name, word]) => {
      const link = h("a", { href }, icon(name), word, name === "tasks" && running);
      links.set(name, link);
      return link;
    }));
  const main = h("main", { class: "page", id: "main", tabindex: -1 });
  const frame = h("div", { class: "frame" },
    h("a", { class: "skip", href: "#main", onclick: (event) => { event.preventDefault(); main.focus(); } }, "Skip to content"),
    h("header", { class: "side" },
      h("a", { class: "brand", href: "#/" }, mark(), h("span", {}, "Cortex tasks")),
      nav,
      h("div", { class: "rest" }, connection(), tools(), who(onSignOut))),
    h("div", { class: "stage" }, lostBar, main));
  return {
    frame,
    main,
    mark(place) {
      for (const [name, link] of links) {
        if (name === place) link.setAttribute("aria-current", "page");
        else link.removeAttribute("aria-current");
      }
      main.classList.toggle("wide", place === "graph");
    },
    count(n) {
      say(running, n ? count(n) : "");
      if (n) running.setAttribute("aria-label", `${n} running`);
    },
  };
}

function mark() {
  const link = document.querySelector('link[rel="icon"]');
  return h("img", { src: link.getAttribute("href"), alt: "", width: 24, height: 24 });
}

function connection() {
  const dot = h("span", { class: "dot" });
  const word = h("span", {});
  const show = () => {
    dot.className = `dot ${live.state}`;
    say(word, WORDS[live.state]);
  };
  live.addEventListener("state", show);
  show();
  return h("p", { class: "connection", role: "status" }, dot, word);
}

function makeLostBar() {
  // An alert is read out whenever its text changes: the seconds are for the eye.
  const wait = moving(h("span", { class: "figures", "aria-hidden": "true" }), () => {
    const left = Math.ceil((live.retryAt - Date.now()) / 1000);
    return left > 0 ? `in ${left} s` : "";
  });
  const bar = h("div", { class: "lost-bar", hidden: true }, h("p", {}, h("span", { role: "alert" }, "Connection lost, retrying"), " ", wait),
    h("button", { class: "button tiny", type: "button", onclick: () => live.retry() }, "Retry now"));
  live.addEventListener("state", () => {
    bar.hidden = live.state !== "lost";
    say(wait, wait.moving());
  });
  return bar;
}

/** There is one, also where there is no frame yet. */
export const lostBar = makeLostBar();

function tools() {
  return h("div", { class: "tools" },
    h("button", { class: "button bare", type: "button", "aria-label": "Change between light and dark", title: "Light or dark", onclick: turn }, icon("theme")),
    h("button", { class: "button bare", type: "button", "aria-label": "Show the keys", title: "Keys (?)", onclick: help }, icon("keyboard")));
}

function turn() {
  const root = document.documentElement;
  const dark = (root.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  root.dataset.theme = dark ? "light" : "dark";
  try {
    localStorage.setItem("cortex-tasks.theme", root.dataset.theme);
  } catch {
    // It holds for this page alone then.
  }
  dispatchEvent(new Event("themechange"));
}

function who(onSignOut) {
  if (session.name === null) return null;
  const may = session.permissions.includes("manage") ? "may do everything" : "may look, not change";
  return h("div", { class: "who" },
    h("div", { class: "name" }, h("span", { class: "clip", title: session.name }, session.name), h("span", { class: "muted small" }, may)),
    h("button", { class: "button bare", type: "button", "aria-label": "Sign out", title: "Sign out", onclick: onSignOut }, icon("leave")));
}
