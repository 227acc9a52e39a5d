// Which screen is shown: the part of the address after #, which browsers never send to a server.

export function where() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  return { parts: path.split("/").filter(Boolean).map(decode), query: new URLSearchParams(query) };
}

function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

export function go(hash) {
  location.hash = hash;
}

/** Change what the address says of this screen, without a step in the history; what else is to be known there is `kept` with it. */
export function note(hash, kept = {}) {
  history.replaceState({ ...history.state, ...kept }, "", hash);
}

/** What was kept with this step of the history, which outlives a reload. */
export const noted = (name) => history.state?.[name];

// How far down one was, for each step of the history: a browser would go back there before the screen has its rows.
history.scrollRestoration = "manual";
const KEPT = "cortex-tasks.heights";
const heights = new Map(kept());
let step = begun();

/** The step that is shown, which is given a number the first time. */
function begun() {
  if (history.state?.step === undefined) history.replaceState({ step: crypto.getRandomValues(new Uint32Array(1))[0] }, "");
  return history.state.step;
}

/** Leave a step of the history for the one that the address is at by now; gives how far down one was there. */
export function stepped() {
  const before = step;
  step = begun();
  if (step !== before) heights.set(before, scrollY);
  return heights.get(step) ?? 0;
}

// For when the page is loaded anew.
addEventListener("pagehide", () => {
  heights.set(step, scrollY);
  try {
    sessionStorage.setItem(KEPT, JSON.stringify([...heights]));
  } catch {
    // It begins at the top then.
  }
});

function kept() {
  try {
    return JSON.parse(sessionStorage.getItem(KEPT)) ?? [];
  } catch {
    return [];
  }
}
