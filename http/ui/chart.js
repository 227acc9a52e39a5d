// The last hour: how many tasks ended each minute and how, and how long they ran. A minute is chosen by pointing at it, or
// by the arrows as on a slider, which is what a screen reader takes the chart for.

import { fill, h, svg } from "./dom.js";
import { brief, count, duration, minuteOf, plural } from "./format.js";

const HEIGHT = 190;
const TOP = 14;
const BOTTOM = 20;
const BESIDE = 6; // between a figure and the plot
const SPARE = 2; // beyond it: a browser draws letters a little wider than it measures them
const LEAST = 20; // at each side: half of the time of day below the first minute and the last
const OUTCOMES = ["completed", "failed", "cancelled"];

export function makeChart() {
  const drawing = svg("svg", { "aria-hidden": "true", preserveAspectRatio: "none" });
  const tip = h("div", { class: "tip", hidden: true });
  const words = h("p", { class: "unseen" });
  const slider = h("div", { class: "minutes", role: "slider", tabindex: 0, "aria-label": "Minute of the last hour", "aria-valuemin": 1 }, drawing);
  const box = h("div", { class: "chart" }, slider, tip, words);
  let points = [];
  let chosen = null; // the minute that is read, by its time
  let cursor = null;
  let plot = null; // where the figures leave room for it

  const draw = () => {
    const width = Math.max(280, box.clientWidth);
    drawing.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    plot = { width, floor: HEIGHT - BOTTOM };
    plot.most = nice(Math.max(4, ...points.map(total)));
    plot.longest = niceSeconds(Math.max(0, ...points.map((point) => point.mean_run_seconds ?? 0)));
    const figures = grid(plot);
    fill(drawing, figures.map((one) => [one.many, one.long]));
    makeRoom(figures);
    cursor = svg("rect", { class: "cursor", y: TOP, height: plot.floor - TOP, width: plot.step, visibility: "hidden" });
    fill(drawing, figures.map((one) => [one.rule, one.many, one.long]), points.map((point, index) => column(plot, point, index)), line(plot), cursor);
    say();
    mark();
  };

  /** As much at the sides as the widest figure there takes: one that is cut off reads as another. */
  const makeRoom = (figures) => {
    const room = (name) => Math.max(LEAST, BESIDE + SPARE + Math.ceil(Math.max(...figures.map((one) => one[name]?.getComputedTextLength() ?? 0))));
    plot.left = room("many");
    plot.right = plot.width - room("long");
    plot.step = (plot.right - plot.left) / Math.max(1, points.length);
    for (const { rule, many, long } of figures) {
      rule.setAttribute("x1", plot.left);
      rule.setAttribute("x2", plot.right);
      many.setAttribute("x", plot.left - BESIDE);
      long?.setAttribute("x", plot.right + BESIDE);
    }
  };

  const say = () => {
    const sum = (name) => points.reduce((all, point) => all + point[name], 0);
    words.textContent = `In the last ${points.length} minutes: ${OUTCOMES.map((name) => `${count(sum(name))} ${name}`).join(", ")}.`;
  };

  const grid = ({ floor, most, longest }) => [0, 0.5, 1].map((share) => {
    const y = floor - (floor - TOP) * share;
    return {
      rule: svg("line", { class: "grid", y1: y, y2: y }),
      many: svg("text", { y: y + 4, "text-anchor": "end" }, brief(most * share)),
      long: longest > 0 ? svg("text", { y: y + 4 }, duration(longest * share)) : null,
    };
  });

  const column = ({ left, step, floor, most }, point, index) => {
    const x = left + index * step;
    let y = floor;
    const parts = OUTCOMES.map((name) => {
      const height = ((floor - TOP) * point[name]) / most;
      y -= height;
      return height > 0 && svg("rect", { class: name, x: x + step * 0.14, width: Math.max(1, step * 0.72), y, height: Math.max(1, height), rx: Math.min(2, step / 5) });
    });
    const label = index % 15 === 14 || index === 0;
    const text = label && svg("text", { x: x + step / 2, y: HEIGHT - 4, "text-anchor": "middle" }, minuteOf(point.at));
    return svg("g", {}, parts, text);
  };

  const line = ({ left, step, floor, longest }) => {
    if (!longest) return [];
    const path = [];
    const dots = [];
    let joined = false;
    points.forEach((point, index) => {
      if (point.mean_run_seconds === null || point.mean_run_seconds === undefined) {
        joined = false;
        return;
      }
      const x = left + (index + 0.5) * step;
      const y = floor - ((floor - TOP) * point.mean_run_seconds) / longest;
      path.push(`${joined ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`);
      dots.push(svg("circle", { class: "mean-dot", cx: x, cy: y, r: 2 }));
      joined = true;
    });
    return [svg("path", { class: "mean", d: path.join("") }), dots];
  };

  const place = () => points.findIndex((point) => point.at === chosen);

  /** Show what is chosen; a chart that is drawn anew keeps it, while it is of the last hour. */
  const mark = () => {
    const index = place();
    const point = points[index];
    const read = point ?? points.at(-1);
    slider.setAttribute("aria-valuemax", Math.max(1, points.length));
    slider.setAttribute("aria-valuenow", point ? index + 1 : Math.max(1, points.length));
    slider.setAttribute("aria-valuetext", read ? `${minuteOf(read.at)}: ${facts(read).join(", ")}` : "nothing is known yet");
    tip.hidden = !point;
    cursor?.setAttribute("visibility", point ? "visible" : "hidden");
    if (!point || plot === null) return;
    const { left, width, step } = plot;
    cursor.setAttribute("x", left + index * step);
    fill(tip, h("b", {}, minuteOf(point.at)), facts(point).map((fact) => h("div", {}, fact)));
    const at = left + (index + 1) * step + 8;
    tip.style.setProperty("--at", `${at + tip.offsetWidth > width ? left + index * step - tip.offsetWidth - 8 : at}px`);
  };
  const choose = (index) => {
    chosen = points[index]?.at ?? null;
    mark();
  };

  box.addEventListener("pointermove", (event) => {
    if (plot !== null) choose(Math.floor((event.clientX - box.getBoundingClientRect().left - plot.left) / plot.step));
  });
  box.addEventListener("pointerleave", () => choose(-1));
  slider.addEventListener("focus", () => slider.matches(":focus-visible") && choose(points.length - 1));
  slider.addEventListener("blur", () => choose(-1));
  slider.addEventListener("keydown", (event) => {
    const here = place() < 0 ? points.length - 1 : place();
    const to = { ArrowLeft: here - 1, ArrowDown: here - 1, ArrowRight: here + 1, ArrowUp: here + 1, PageDown: here - 10, PageUp: here + 10, Home: 0, End: points.length - 1 }[event.key];
    if (to === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    choose(Math.max(0, Math.min(points.length - 1, to)));
  });
  new ResizeObserver(draw).observe(box);

  return { box, update: (series) => { points = series; draw(); }, describe: () => plural(points.length, "minute") };
}

export function legend() {
  return h("div", { class: "legend", "aria-hidden": "true" },
    OUTCOMES.map((name) => h("span", { class: `is-${name}` }, h("i", {}), name)),
    h("span", {}, h("i", { class: "line" }), "mean run time"));
}

const facts = (point) => [...OUTCOMES.map((name) => `${count(point[name])} ${name}`),
  ...(point.mean_run_seconds === null ? [] : [`ran ${duration(point.mean_run_seconds)} on average`])];

const total = (point) => OUTCOMES.reduce((sum, name) => sum + point[name], 0);

function nice(most) {
  const power = 10 ** Math.floor(Math.log10(most));
  return [1, 2, 4, 6, 8, 10].map((n) => n * power).find((n) => n >= most && n % 2 === 0) ?? most;
}

function niceSeconds(longest) {
  if (!longest) return 0;
  const power = 10 ** Math.floor(Math.log10(longest));
  return [1, 2, 5, 10].map((n) => n * power).find((n) => n >= longest);
}
