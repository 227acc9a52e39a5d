// Copying text, also over plain HTTP: there a browser has no navigator.clipboard, except on this machine.

import { toast } from "./dialogs.js";
import { h } from "./dom.js";

export async function copy(text) {
  const copied = navigator.clipboard ? await navigator.clipboard.writeText(text).then(() => true, () => false) : copySelected(text);
  if (copied) toast("Copied.");
  else toast(`The browser does not let the page copy: ${text}`, "pending");
}

/** What an older browser copies is what is selected: so for a moment this is. */
function copySelected(text) {
  const focused = document.activeElement;
  const field = h("textarea", { class: "unseen", "aria-hidden": "true", tabindex: -1 });
  field.value = text;
  document.body.append(field);
  field.select();
  const copied = document.execCommand("copy");
  field.remove();
  focused?.focus({ preventScroll: true });
  return copied;
}
