// Drawing a graph of thousands on a canvas: a colour for each community, labels where there is room, and a pointer.

import { h } from "./dom.js";

const GOLDEN = 137.508;
const LABELS = 70; // at once
const NEAR = 14; // pixels within which a pointer meets an entity

export const hueOf = (index) => (index * GOLDEN + 235) % 360;
const isDark = () => getComputedStyle(document.documentElement).colorScheme === "dark";
export const colourOf = (index, dark = isDark()) => (index < 0 ? (dark ? "#5c6878" : "#a3adbb") : `hsl(${hueOf(index).toFixed(0)} ${dark ? 60 : 58}% ${dark ? 64 : 46}%)`);

export class GraphCanvas extends EventTarget {
  #canvas = h("canvas", { role: "img", tabindex: -1 });
  #context = this.#canvas.getContext("2d");
  #nodes = [];
  #edges = [];
  #groups = []; // the indices of the nodes of each community, those of none last
  #places = new Float32Array(0);
  #view = { x: 0, y: 0, scale: 1 };
  #touched = false; // by a person: then the view stays where it was put
  #drawing = 0;
  #hovered = -1;
  #target = {}; // what is brought into sight as the places move
  #group = null; // the community that is shown, if one is
  #node = -1;
  #neighbours = new Map();

  constructor(box, signal) {
    super();
    box.prepend(this.#canvas);
    this.#listen(signal);
    const observer = new ResizeObserver(() => this.#resize());
    observer.observe(box);
    signal.addEventListener("abort", () => observer.disconnect());
    addEventListener("themechange", () => this.draw(), { signal });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw(), { signal });
  }

  /** nodes: {label, group, size}; edges: {source, target, weight} by index; both are kept, not copied. */
  show(nodes, edges) {
    this.#nodes = nodes;
    this.#edges = edges;
    this.#touched = false;
    this.#target = {};
    this.#hovered = this.#node = -1;
    const groups = new Map();
    nodes.forEach((node, index) => groups.set(node.group, [...(groups.get(node.group) ?? []), index]));
    this.#groups = [...groups].sort((one, other) => one[0] - other[0]);
    this.#places = new Float32Array(0);
    this.#neighbours = new Map();
    for (const { source, target } of edges) {
      for (const [from, to] of [[source, target], [target, source]]) this.#neighbours.set(from, (this.#neighbours.get(from) ?? new Set()).add(to));
    }
    this.draw();
  }

  /** What it shows, for whom it is not to be seen. */
  name(words) {
    this.#canvas.setAttribute("aria-label", words);
  }

  move(places) {
    this.#places = places;
    if (!this.#touched) this.fit(this.#target);
    this.draw();
  }

  select(group, node = -1) {
    this.#group = group;
    this.#node = node;
    this.draw();
  }

  /** Bring everything into sight, or one community, or one entity. */
  fit({ group = null, node = -1 } = {}) {
    this.#target = { group, node };
    this.#touched = false;
    const wanted = node >= 0 ? [node] : group === null ? this.#nodes.map((_, index) => index) : (this.#groups.find(([each]) => each === group)?.[1] ?? []);
    if (wanted.length === 0 || this.#places.length === 0) return;
    const spread = (offset) => {
      const values = wanted.map((index) => this.#places[2 * index + offset]).sort((one, other) => one - other);
      const cut = group === null && node < 0 ? Math.floor(values.length * 0.005) : 0;
      return [values[cut], values[values.length - 1 - cut]];
    };
    const [left, right] = spread(0);
    const [top, bottom] = spread(1);
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    const most = group === null && node < 0 ? 2 : 2.6;
    const scale = Math.min(most, (width - 60) / Math.max(1, right - left), (height - 90) / Math.max(1, bottom - top));
    this.#view = { scale, x: width / 2 - (scale * (left + right)) / 2, y: height / 2 + 14 - (scale * (top + bottom)) / 2 };
    this.draw();
  }

  zoom(by, at = { x: this.#canvas.clientWidth / 2, y: this.#canvas.clientHeight / 2 }) {
    const scale = Math.min(12, Math.max(0.03, this.#view.scale * by));
    const share = scale / this.#view.scale;
    this.#view = { scale, x: at.x - (at.x - this.#view.x) * share, y: at.y - (at.y - this.#view.y) * share };
    this.#touched = true;
    this.draw();
  }

  pan(x, y) {
    this.#view.x += x;
    this.#view.y += y;
    this.#touched = true;
    this.draw();
  }

  draw() {
    if (this.#drawing) return;
    this.#drawing = requestAnimationFrame(() => {
      this.#drawing = 0;
      this.#paint();
    });
  }

  #resize() {
    const ratio = Math.min(2, devicePixelRatio || 1);
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    this.#canvas.width = Math.round(width * ratio);
    this.#canvas.height = Math.round(height * ratio);
    if (!this.#touched) this.fit(this.#target);
    this.draw();
  }

  #paint() {
    const context = this.#context;
    const began = performance.now();
    const ratio = this.#canvas.width / Math.max(1, this.#canvas.clientWidth);
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.#canvas.width, this.#canvas.height);
    if (this.#places.length === 0) return;
    const { scale, x, y } = this.#view;
    context.setTransform(ratio * scale, 0, 0, ratio * scale, ratio * x, ratio * y);
    const dark = isDark();
    this.#paintEdges(context, dark);
    this.#paintNodes(context, dark);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.#paintLabels(context, dark);
    this.lastPaint = performance.now() - began;
  }

  /** Each community's own edges in its colour, and those between communities faintly, a path for each colour. */
  #paintEdges(context, dark) {
    const paths = new Map();
    const places = this.#places;
    for (const { source, target } of this.#edges) {
      const own = this.#nodes[source].group === this.#nodes[target].group ? this.#nodes[source].group : null;
      let path = paths.get(own);
      if (!path) paths.set(own, (path = new Path2D()));
      path.moveTo(places[2 * source], places[2 * source + 1]);
      path.lineTo(places[2 * target], places[2 * target + 1]);
    }
    context.lineWidth = Math.min(1, 0.7 / this.#view.scale + 0.1);
    for (const [group, path] of paths) {
      context.strokeStyle = group === null ? (dark ? "#8f9bb0" : "#6c788c") : colourOf(group, dark);
      context.globalAlpha = this.#group === null ? (group === null ? 0.07 : 0.22) : group === this.#group ? 0.5 : 0.03;
      context.stroke(path);
    }
    if (this.#focus() >= 0) this.#paintNeighbourhood(context, dark);
    context.globalAlpha = 1;
  }

  #focus() {
    return this.#hovered >= 0 ? this.#hovered : this.#node;
  }

  #paintNeighbourhood(context, dark) {
    const focus = this.#focus();
    const path = new Path2D();
    for (const other of this.#neighbours.get(focus) ?? []) {
      path.moveTo(this.#places[2 * focus], this.#places[2 * focus + 1]);
      path.lineTo(this.#places[2 * other], this.#places[2 * other + 1]);
    }
    context.globalAlpha = 0.85;
    context.lineWidth = 1.4 / this.#view.scale;
    context.strokeStyle = dark ? "#e5e9f0" : "#1a2130";
    context.stroke(path);
  }

  #paintNodes(context, dark) {
    const grow = this.#view.scale < 0.7 ? 0.7 / this.#view.scale : 1; // seen from afar they do not vanish
    const near = this.#neighbours.get(this.#focus());
    for (const [group, indices] of this.#groups) {
      const path = new Path2D();
      for (const index of indices) {
        const radius = this.#nodes[index].size * Math.min(grow, 3);
        const [x, y] = [this.#places[2 * index], this.#places[2 * index + 1]];
        path.moveTo(x + radius, y);
        path.arc(x, y, radius, 0, 2 * Math.PI);
      }
      context.globalAlpha = this.#group === null || this.#group === group ? 1 : 0.13;
      context.fillStyle = colourOf(group, dark);
      context.fill(path);
    }
    context.globalAlpha = 1;
    for (const index of [this.#focus(), ...(near ?? [])].filter((each) => each >= 0)) {
      const radius = this.#nodes[index].size * Math.min(grow, 3) + (index === this.#focus() ? 2.5 / this.#view.scale : 0);
      context.beginPath();
      context.arc(this.#places[2 * index], this.#places[2 * index + 1], radius, 0, 2 * Math.PI);
      context.fillStyle = colourOf(this.#nodes[index].group, dark);
      context.fill();
      context.lineWidth = 1.5 / this.#view.scale;
      context.strokeStyle = dark ? "#e5e9f0" : "#1a2130";
      context.stroke();
    }
  }

  /** The largest first, each where it covers no other. */
  #paintLabels(context, dark) {
    const { scale, x, y } = this.#view;
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    const taken = [];
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.lineJoin = "round";
    const focus = this.#focus();
    const near = this.#neighbours.get(focus) ?? new Set();
    const first = [focus, ...near].filter((index) => index >= 0).slice(0, 25);
    let written = 0;
    for (const index of [...first, ...this.#nodes.keys()]) {
      if (written >= LABELS + first.length) break;
      const node = this.#nodes[index];
      const named = index === focus || near.has(index);
      if (!named && this.#group !== null && node.group !== this.#group) continue;
      const [at, down] = [this.#places[2 * index] * scale + x, this.#places[2 * index + 1] * scale + y];
      if (at < 0 || down < 0 || at > width || down > height) continue;
      const size = named ? 12.5 : Math.min(15, 10.5 + node.size * 0.45);
      const text = node.label.length > 34 ? `${node.label.slice(0, 33)}…` : node.label;
      const half = (text.length * size * 0.56) / 2 + 4;
      const top = Math.max(down - node.size * scale - size, size); // not cut off, either
      const middle = Math.min(Math.max(at, half + 4), width - half - 4); // all of it in sight
      const box = [middle - half, top - size * 0.8, middle + half, top + size * 0.8];
      if (taken.some((other) => box[0] < other[2] && box[2] > other[0] && box[1] < other[3] && box[3] > other[1])) continue;
      taken.push(box);
      written += 1;
      context.font = `${named ? 640 : 540} ${size}px Inter, system-ui, sans-serif`;
      context.lineWidth = 3.5;
      context.strokeStyle = dark ? "#161b24" : "#ffffff";
      context.strokeText(text, middle, top);
      context.fillStyle = dark ? "#e5e9f0" : "#1a2130";
      context.fillText(text, middle, top);
    }
  }

  #at(event) {
    const box = this.#canvas.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  #nearest({ x, y }) {
    const { scale } = this.#view;
    let best = -1;
    let least = (NEAR / scale) ** 2;
    const [at, down] = [(x - this.#view.x) / scale, (y - this.#view.y) / scale];
    for (let index = 0; index < this.#places.length / 2; index += 1) {
      const far = (this.#places[2 * index] - at) ** 2 + (this.#places[2 * index + 1] - down) ** 2;
      if (far < least) {
        least = far;
        best = index;
      }
    }
    return best;
  }

  #listen(signal) {
    const canvas = this.#canvas;
    const pointers = new Map();
    let moved = 0;
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0016)), this.#at(event));
    }, { passive: false, signal });
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      pointers.set(event.pointerId, this.#at(event));
      moved = 0;
    }, { signal });
    canvas.addEventListener("pointermove", (event) => {
      const at = this.#at(event);
      const before = pointers.get(event.pointerId);
      if (!before) {
        this.#hover(this.#nearest(at));
        return;
      }
      const others = [...pointers].filter(([id]) => id !== event.pointerId).map(([, place]) => place);
      if (others.length === 1) {
        const reach = (one) => Math.hypot(one.x - others[0].x, one.y - others[0].y);
        this.zoom(reach(at) / Math.max(1, reach(before)), others[0]);
      } else {
        this.pan(at.x - before.x, at.y - before.y);
      }
      moved += Math.abs(at.x - before.x) + Math.abs(at.y - before.y);
      pointers.set(event.pointerId, at);
      canvas.classList.add("dragging");
    }, { signal });
    const release = (event) => {
      if (pointers.delete(event.pointerId) && event.type === "pointerup" && moved < 5) {
        this.dispatchEvent(new CustomEvent("pick", { detail: this.#nearest(this.#at(event)) }));
      }
      canvas.classList.remove("dragging");
    };
    canvas.addEventListener("pointerup", release, { signal });
    canvas.addEventListener("pointercancel", release, { signal });
    canvas.addEventListener("pointerleave", () => this.#hover(-1), { signal });
  }

  #hover(index) {
    if (index === this.#hovered) return;
    this.#hovered = index;
    this.#canvas.classList.toggle("pointing", index >= 0);
    this.draw();
  }
}
