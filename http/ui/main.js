// The start: who we are, the frame, and one screen after another in it.

import { connectionLost, get, watch } from "./api.js";
import { closeDialogs, toast } from "./dialogs.js";
import { fill, h } from "./dom.js";
import { listen, screenKeys } from "./keys.js";
import { live } from "./live.js";
import { brought, Outdated } from "./loading.js";
import { button, failure } from "./parts.js";
import { stepped, where } from "./router.js";
import * as sessions from "./session.js";
import { lostBar, makeShell } from "./shell.js";
import { overview } from "./screens/overview.js";
import { signInScreen } from "./screens/sign_in.js";
import { task } from "./screens/task.js";
import { tasks } from "./screens/tasks.js";

const CALM = 3_000; // milliseconds between two looks at how many tasks run
const ANYWAY = 15_000; // after which a screen that did not come is asked for again, whatever is heard of the server

const NOT_KEPT = "The server knows this key, but your browser did not keep the cookie that says so. Allow cookies for this site, or, where it was opened by HTTPS before, open it by HTTPS; then sign in again.";

const app = document.getElementById("app");
let shell = null;
let leave = () => {}; // what ends the screen that is shown
let waiting = false; // for a server that was away when we wanted to start
let shown = false; // whether one was, since the frame is there

const SCREENS = new Map([
  ["", () => ["overview", "Overview", overview]],
  ["tasks", (parts) => (parts.length > 1 ? ["tasks", parts[1], task] : ["tasks", "Tasks", tasks])],
  ["library", () => ["library", "Library", later("library")]],
  ["graph", () => ["graph", "Graph", later("graph")]],
]);

/** A screen whose files are brought first; whoever has left it by then is not to get its keys. */
function later(name) {
  return async (context) => {
    const files = await brought(`./screens/${name}.js`);
    context.signal.throwIfAborted();
    await files[name](context);
  };
}

async function start({ signedIn = false } = {}) {
  waiting = false;
  try {
    await sessions.load();
  } catch (error) {
    if (error.status === 401 && signedIn) throw new Error(NOT_KEPT);
    if (error.status === 401) askForKey();
    else startLater(error);
    return;
  }
  const [library, runs] = await Promise.all([get("api/stats").then(() => true, (error) => !error.missing), whatRuns().catch(() => null)]);
  shell = makeShell({ library, onSignOut: signOut });
  fill(app, shell.frame);
  if (runs) {
    live.seen(runs.seq); // before any screen looks: what changes from here on, it hears
    shell.count(runs.total);
  }
  live.start();
  await route();
}

/** The server is away: the bar says so as anywhere else, and once it is back, we start. */
function startLater(error) {
  waiting = true;
  fill(app, lostBar, h("main", { class: "alone" }, h("div", { class: "empty" }, h("h1", {}, "Cortex tasks"), h("p", { class: "anywhere" }, error.message))));
  live.startLater(error);
}

/** In another tab somebody has signed in with another key: what it does not allow is not to be offered. */
async function beginAnew() {
  leave();
  live.stop(); // which ends uploads, too
  shell = null;
  shown = false;
  await start();
  if (shell && sessions.session.name !== null) toast(`You are signed in as ${sessions.session.name} by now.`);
}

async function signOut() {
  try {
    await sessions.signOut();
  } catch (error) {
    toast(`You may still be signed in. ${error.message}`, "failed");
    return;
  }
  askForKey();
}

const whatRuns = () => get("api/tasks", { query: { status: "running", limit: 1 } });

let counting = 0;
function countSoon() {
  if (counting) return;
  counting = setTimeout(() => {
    counting = 0;
    if (shell) whatRuns().then((list) => shell?.count(list.total), () => {});
  }, CALM);
}

function askForKey() {
  closeDialogs();
  leave();
  leave = () => {};
  live.stop();
  shell = null;
  waiting = false;
  shown = false;
  document.title = "Sign in · Cortex tasks";
  fill(app, signInScreen(() => start({ signedIn: true })));
  app.querySelector("#key")?.focus();
}

/** Show what the address names. `byItself`: nobody has just asked for that, and the focus may be somewhere else. */
async function route({ byItself = false } = {}) {
  if (shell === null) return;
  const has = document.activeElement;
  const elsewhere = byItself && has !== document.body && !shell.main.contains(has);
  const { parts, query } = where();
  const [place, title, show] = (SCREENS.get(parts[0] ?? "") ?? (() => ["", "Nothing here", nothing]))(parts);
  const height = stepped();
  leave();
  closeDialogs(); // what is asked there is about what was shown
  const ending = new AbortController();
  leave = () => ending.abort();
  shell.mark(place);
  document.title = `${title} · Cortex tasks`;
  screenKeys({});
  const root = h("div", {});
  fill(shell.main, root);
  shell.main.setAttribute("aria-busy", "true");
  scrollTo(0, 0);
  const first = !shown;
  shown = true;
  const context = {
    root, parts, query, shell,
    signal: ending.signal,
    on: (event, act) => live.addEventListener(event, (heard) => act(heard.detail), { signal: ending.signal }),
    keys: screenKeys,
    title: (text) => { document.title = `${text} · Cortex tasks`; },
  };
  try {
    await show(context);
  } catch (error) {
    if (error.name === "AbortError" || ending.signal.aborted) return;
    notShown(root, title, error);
    if (error.status === undefined && !(error instanceof Outdated)) throw error; // one of ours
    const again = () => route({ byItself: true });
    live.addEventListener("refresh", again, { signal: ending.signal, once: true });
    const timer = setInterval(() => document.hidden || again(), ANYWAY);
    ending.signal.addEventListener("abort", () => clearInterval(timer));
  }
  if (!ending.signal.aborted) shell?.main.setAttribute("aria-busy", "false");
  if (height > 0 && !ending.signal.aborted) scrollTo(0, height);
  const now = document.activeElement; // somewhere new, where somebody did not wait for the screen: in its search, say
  if (!first && !elsewhere && !ending.signal.aborted && (now === document.body || now === has)) shell?.main.querySelector("h1")?.focus({ preventScroll: true });
}

function notShown(root, title, error) {
  const [notice, act] = error instanceof Outdated
    ? [h("p", { class: "notice is-pending", role: "alert" }, error.message), button("Reload", null, () => location.reload())]
    : [failure(error), button("Try again", null, () => route())];
  fill(root,
    h("div", { class: "head" }, h("div", { class: "titles" }, h("h1", { class: "anywhere", tabindex: -1 }, title))),
    notice,
    h("div", { class: "more-of-it" }, act));
}

function nothing({ root }) {
  fill(root, h("div", { class: "empty" }, h("h1", { tabindex: -1 }, "Nothing here"), h("a", { href: "#/" }, "Go to the overview")));
}

watch({
  unauthorised: () => shell && askForKey(),
  unreachable: () => live.suspect(),
  state: () => live.state,
  answered: (before) => before === "lost" && live.found(), // what was sent before that may have got through just so
});
live.addEventListener("state", ({ detail }) => detail === "lost" && connectionLost());
live.addEventListener("state", ({ detail }) => waiting && (detail === "live" || detail === "polling") && start());
live.addEventListener("unauthorised", () => askForKey());
live.addEventListener("session", ({ detail }) => shell && sessions.isOther(detail) && beginAnew());
for (const event of ["task", "removed", "refresh"]) live.addEventListener(event, countSoon);
addEventListener("hashchange", () => route());
listen();
start();
