// What stands over the page: questions, and short messages.

import { announce, h, icon } from "./dom.js";

/** Ask before something is done; gives whether to. Escape and the backdrop mean no. */
export function confirm({ heading, body, yes, danger = false }) {
  return new Promise((resolve) => {
    const id = "dialog-heading";
    const ok = h("button", { class: `button ${danger ? "solid" : "main"}`, type: "submit", value: "yes" }, yes);
    const dialog = h(
      "dialog", { "aria-labelledby": id },
      h("form", { method: "dialog" },
        h("div", { class: "inside" }, h("h2", { id }, heading), ...[body].flat()),
        h("footer", {}, h("button", { class: "button", type: "submit", value: "no" }, "Keep as it is"), ok)),
    );
    open(dialog, () => resolve(dialog.returnValue === "yes"));
    ok.focus();
  });
}

/** Show something to read. */
export function show(heading, ...children) {
  const id = "dialog-heading";
  const dialog = h(
    "dialog", { "aria-labelledby": id },
    h("form", { method: "dialog" },
      h("div", { class: "inside", tabindex: 0 }, h("h2", { id }, heading), ...children),
      h("footer", {}, h("button", { class: "button", type: "submit" }, "Close"))),
  );
  open(dialog, () => {});
  dialog.querySelector("footer button").focus();
}

/** Take away what is asked or shown: nobody answered. */
export function closeDialogs() {
  for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close("no");
}

function open(dialog, whenClosed) {
  const before = document.activeElement;
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close("no"));
  dialog.addEventListener("close", () => {
    dialog.remove();
    before?.focus?.();
    // What was pressed may have gone meanwhile.
    if (before !== document.body && document.activeElement === document.body) document.querySelector("main h1")?.focus({ preventScroll: true });
    whenClosed();
  });
  document.body.append(dialog);
  dialog.showModal();
}

/** Say briefly what came of something; a failure stays until it is closed. */
export function toast(text, tint = "completed") {
  let place = document.querySelector(".toasts");
  if (!place) document.body.append((place = h("div", { class: "toasts", role: "region", "aria-label": "Messages" })));
  const close = h("button", { class: "button bare tiny", type: "button", "aria-label": "Close message", onclick: () => message.remove() }, icon("close"));
  const message = h("div", { class: `toast is-${tint}` }, h("span", {}, text), close);
  place.append(message);
  while (place.children.length > 4) place.firstElementChild.remove();
  announce(text);
  if (tint !== "failed") setTimeout(() => message.remove(), 6000);
}
