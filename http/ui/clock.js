// Times that move: one tick a second for all of them, and none while nobody looks.

import { ago, moment } from "./format.js";
import { h, say } from "./dom.js";

/** Write how long ago that was; it is kept up to date for as long as it is shown. */
export function timeAgo(text) {
  if (!text) return h("span", { class: "muted" }, "–");
  const element = h("time", { datetime: text, title: moment(text) }, ago(text));
  element.moving = () => ago(text);
  return element;
}

/** Write what `text()` gives, anew each second. */
export function moving(element, text) {
  element.moving = text;
  element.dataset.moves = "";
  say(element, text());
  return element;
}

/** Have `draw` draw the element anew each second. */
export function ticking(element, draw) {
  element.tick = draw;
  element.dataset.moves = "";
  draw();
  return element;
}

setInterval(() => {
  if (document.hidden) return;
  for (const element of document.querySelectorAll("time, [data-moves]")) {
    if (element.moving) say(element, element.moving());
    element.tick?.();
  }
}, 1000);
