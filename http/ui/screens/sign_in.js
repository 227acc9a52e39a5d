// Asking for the key.

import { fill, h } from "../dom.js";
import { failure } from "../parts.js";
import { signIn } from "../session.js";

export function signInScreen(whenIn) {
  const input = h("input", {
    class: "input", id: "key", name: "key", type: "password", autocomplete: "current-password",
    required: true, maxlength: 2048, spellcheck: "false", "aria-describedby": "key-help",
  });
  const button = h("button", { class: "button main", type: "submit" }, "Sign in");
  const trouble = h("div", {});
  const form = h("form", { class: "sign-in card", onsubmit: submit },
    h("img", { src: document.querySelector('link[rel="icon"]').getAttribute("href"), alt: "", width: 36, height: 36 }),
    h("h1", { tabindex: -1 }, "Sign in"),
    h("p", { class: "muted" }, "This server asks for an API key. It is kept in a cookie that no script can read, until you sign out or close the browser."),
    h("input", { type: "text", name: "username", autocomplete: "username", value: "Cortex tasks", hidden: true, readonly: true }),
    h("label", { class: "field", for: "key" }, "API key", input),
    trouble,
    button,
    h("details", { class: "small muted", id: "key-help" }, h("summary", {}, "I have no key"),
      h("p", {}, "A server that starts for the first time prints one. Whoever may use its data folder makes more:"),
      h("p", {}, h("code", {}, "cortex-tasks keys create --name NAME --permissions read,manage"))));

  async function submit(event) {
    event.preventDefault();
    button.disabled = true;
    fill(trouble);
    try {
      await signIn(input.value);
      await whenIn();
      input.value = "";
    } catch (error) {
      const words = error.status === 401 ? new Error("The server does not know this key. Check that all of it was pasted, and that it was not revoked.") : error;
      fill(trouble, failure(words));
      input.select();
      input.focus();
    } finally {
      button.disabled = false;
    }
  }

  return h("main", { class: "alone" }, form);
}
