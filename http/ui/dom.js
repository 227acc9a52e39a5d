// Making elements. All text goes in as text: nothing that a document, a task or a person wrote is ever read as markup.

const SVG = "http://www.w3.org/2000/svg";

/** Make an element. `on…` are listeners, `vars` CSS variables; null and false are left out. */
export function h(tag, attributes, ...children) {
  const element = document.createElement(tag);
  decorate(element, attributes);
  add(element, children);
  return element;
}

export function svg(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  decorate(element, attributes);
  add(element, children);
  return element;
}

function decorate(element, attributes) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "vars") for (const [key, one] of Object.entries(value)) element.style.setProperty(key, one);
    else if (name === "data") Object.assign(element.dataset, value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
}

function add(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : String(child));
  }
}

export function fill(element, ...children) {
  element.replaceChildren();
  add(element, children);
  return element;
}

/** Change text only where it differs, so that what a reader has selected stays. */
export function say(element, text) {
  const wanted = String(text);
  if (element.textContent !== wanted) element.textContent = wanted;
}

/** Show or hide something; the focus, where hiding takes it away, goes to another place and not to none. */
export function setHidden(element, hidden, instead) {
  const held = element.contains(document.activeElement);
  element.hidden = hidden;
  if (!hidden || !held || !instead) return;
  if (instead.tabIndex < 0) instead.tabIndex = -1; // what nobody comes to by Tab can have it all the same
  instead.focus({ preventScroll: true });
}

/** Bring a list's children in line with items, reusing those of the same key; whatever has the focus keeps it. */
export function reconcile(parent, items, keyOf, make, update) {
  const keys = items.map((item) => String(keyOf(item)));
  const wanted = new Set(keys);
  const old = new Map();
  for (const child of [...parent.children]) {
    if (wanted.has(child.dataset.key)) old.set(child.dataset.key, child);
    else child.remove(); // first of all, or those after it would be moved, and what is moved loses the focus
  }
  let at = parent.firstElementChild;
  items.forEach((item, index) => {
    const known = old.get(keys[index]);
    old.delete(keys[index]); // a key that comes twice is made twice
    const child = known ?? make(item);
    child.dataset.key = keys[index];
    update?.(child, item);
    if (child === at) at = at.nextElementSibling;
    else if (known && parent.moveBefore) parent.moveBefore(child, at);
    else parent.insertBefore(child, at);
  });
}

const PATHS = {
  overview: "M2.5 13.5h11M4 11V7.5M8 11V3M12 11V5.5",
  tasks: "M5.5 4h8M5.5 8h8M5.5 12h8M2.4 4h.2M2.4 8h.2M2.4 12h.2",
  library: "M3 2.5h3v11H3zM6 2.5h3v11H6zM9.6 3.3l2.7-.7 2.4 10.3-2.8.7z",
  graph: "M4 5.5 8 8l4-3.5M8 8v4M4 7a1.6 1.6 0 1 0 0-3.2A1.6 1.6 0 0 0 4 7zM12 6a1.6 1.6 0 1 0 0-3.2A1.6 1.6 0 0 0 12 6zM8 14.2a1.6 1.6 0 1 0 0-3.2 1.6 1.6 0 0 0 0 3.2z",
  search: "M7 11.5a4.5 4.5 0 1 0 0-9 4.5 4.5 0 0 0 0 9zM10.4 10.4l3.1 3.1",
  theme: "M8 13.5a5.5 5.5 0 1 0 0-11 5.5 5.5 0 0 0 0 11zM8 2.5v11a5.5 5.5 0 0 0 0-11z",
  keyboard: "M2 4.5h12v7H2zM4.5 7h.1M7 7h.1M9.5 7h.1M12 7h.1M5 9.4h6",
  leave: "M6.5 2.5h-4v11h4M10 5l3 3-3 3M13 8H6.5",
  stop: "M4 4h8v8H4z",
  again: "M13 4v3.5H9.5M12.6 7.2A5 5 0 1 0 13 9.5",
  pause: "M5.5 3.5v9M10.5 3.5v9",
  play: "M5 3.2v9.6l7.5-4.8z",
  down: "M8 2.5v8M4.8 7.5 8 10.7l3.2-3.2M3 13.5h10",
  up: "M8 10.5v-8M4.8 5.5 8 2.3l3.2 3.2M3 13.5h10",
  left: "M9.8 3.5 5.3 8l4.5 4.5",
  right: "M6.2 3.5 10.7 8l-4.5 4.5",
  close: "M4 4l8 8M12 4l-8 8",
  check: "M3 8.5l3.3 3.3L13 5",
  trash: "M3 4.5h10M6.5 4.5v-2h3v2M4.5 4.5l.6 9h5.8l.6-9",
  clock: "M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12zM8 4.8V8l2.2 1.5",
  health: "M1.5 8.5h3l1.7-4.5 3.1 8 1.7-3.5h3.5",
};

export function icon(name) {
  return svg("svg", { class: "icon", viewBox: "0 0 16 16", "aria-hidden": "true" }, svg("path", { d: PATHS[name] }));
}

/** Tell a screen reader what a sighted person sees happen. */
export function announce(text) {
  const place = document.getElementById("announcer");
  if (place) place.textContent = text;
}
