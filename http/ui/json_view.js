// Showing a value: tables for lists of objects, facts for plain fields, and a tree that opens level by level.

import { Exact } from "./api.js";
import { h, say, setHidden } from "./dom.js";
import { count, plural, title } from "./format.js";
import { button, byAndBy, growing } from "./parts.js";

const ROWS = 25; // of a table, and lines of a tree, before one asks for more
const MORE = 200; // that come then
const COLUMNS = 8;
const LONG = 2_000; // characters of a text before one asks for more
const MORE_TEXT = 100_000; // of which there are so many each time: a browser stands still over millions
const FIELDS = 100; // of an object that are shown before one asks for more
const PARTS = 20; // those of its fields that are objects themselves
const LOOKED_THROUGH = 10_000; // rows of a table, for its columns

const isScalar = (value) => value === null || typeof value !== "object" || value instanceof Exact;
const fieldOf = (row, name) => (Object.hasOwn(row, name) ? row[name] : undefined); // not what every object inherits: constructor, toString
const isBlank = (value) => typeof value === "string" && value.length <= LONG && value.trim() === ""; // and would be seen as nothing at all
const isTable = (value) => Array.isArray(value) && value.length > 0 && value.every((each) => !isScalar(each) && !Array.isArray(each));

/** As a person would like to read it. */
export function readable(value) {
  if (isTable(value)) return [part(null, plural(value.length, "row"), table(value))];
  if (isScalar(value)) return [part(null, null, h("div", { class: "anywhere" }, isBlank(value) ? h("code", {}, JSON.stringify(value)) : scalar(value)))];
  if (Array.isArray(value)) return [part(null, null, tree(value, true))];
  const entries = Object.entries(value);
  if (entries.length === 0) return [part(null, null, h("p", { class: "muted" }, "The task completed and had nothing to say."))];
  const plain = entries.filter(([, each]) => isScalar(each));
  const deep = entries.filter(([, each]) => !isScalar(each));
  return [
    plain.length > 0 && part(null, null, byAndBy(h("dl", { class: "facts" }), plain, FIELDS, ([name, each]) => [h("dt", {}, title(name)), h("dd", {}, scalar(each))])),
    deep.length > 0 && byAndBy(h("div", {}), deep, PARTS, ([name, each]) => [part(title(name), howMany(each), isTable(each) ? table(each) : tree(each, true))]),
  ];
}

const part = (name, more, content) => h("div", { class: "result-part" }, name && h("h3", {}, h("span", {}, name), more && h("span", { class: "muted small" }, more)), content);
const howMany = (value) => (Array.isArray(value) ? plural(value.length, "item") : plural(Object.keys(value).length, "field"));

function scalar(value) {
  if (value === null) return h("span", { class: "muted" }, "none");
  if (value instanceof Exact) return h("span", { class: "figures" }, value.source);
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value === "number") return h("span", { class: "figures" }, Number.isInteger(value) ? count(value) : String(value));
  return longText(String(value));
}

function longText(text) {
  if (text.length <= LONG) return h("span", {}, text);
  const shown = h("span", {}, text.slice(0, LONG));
  let end = LONG;
  const more = button("", "", () => {
    shown.append(text.slice(end, end + MORE_TEXT));
    end += MORE_TEXT;
    offer();
  }, { class: "button tiny" });
  const rest = h("span", {}, "… ", more);
  const offer = () => {
    const left = text.length - end;
    say(more, left <= MORE_TEXT ? `Show all ${count(text.length)} characters` : `Show more (${count(left)} characters left)`);
    setHidden(rest, left <= 0, shown);
  };
  offer();
  return h("span", {}, shown, rest);
}

function table(rows) {
  const names = [...new Set(rows.slice(0, LOOKED_THROUGH).flatMap(Object.keys))];
  const columns = names.slice(0, COLUMNS);
  const [body, more] = growing(h("tbody", {}), rows.slice(0, ROWS), rows.length, (row) => h("tr", {}, columns.map((name) => cell(fieldOf(row, name)))), (shown) => rows.slice(shown, shown + MORE));
  const isNumber = (name) => rows.slice(0, 50).every((row) => ["number", "undefined"].includes(typeof (fieldOf(row, name) ?? undefined)));
  return h("div", {}, h("div", { class: "scrolls", tabindex: 0, role: "region", "aria-label": "Table" },
    h("table", { class: "data" }, h("thead", {}, h("tr", {}, columns.map((name) => h("th", { scope: "col", class: isNumber(name) ? "number" : null }, title(name))))), body)),
    names.length > columns.length && h("p", { class: "muted small" }, `Further fields, seen as JSON: ${names.slice(COLUMNS, COLUMNS + FIELDS).join(", ")}${names.length > COLUMNS + FIELDS ? `, and ${count(names.length - COLUMNS - FIELDS)} more` : ""}`), more);
}

function cell(value) {
  if (value === undefined) return h("td", {});
  if (isScalar(value)) return h("td", { class: typeof value === "number" ? "number" : null }, scalar(value));
  return h("td", {}, tree(value, false));
}

/** A value as JSON in one line, with all digits of its numbers. */
export function written(value) {
  if (value instanceof Exact) return value.source;
  if (isScalar(value)) return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(written).join(",")}]`;
  return `{${Object.entries(value).map(([name, each]) => `${JSON.stringify(name)}:${written(each)}`).join(",")}}`;
}

/** A value as JSON, each level folded; what is folded is not made before it is opened. */
export function tree(value, open = false) {
  return h("div", { class: "tree" }, node(value, open));
}

function node(value, open) {
  if (value === null) return h("span", { class: "word" }, "null");
  if (value instanceof Exact) return h("span", { class: "figure" }, value.source);
  if (typeof value === "string") return h("span", { class: "string" }, longText(JSON.stringify(value)));
  if (typeof value === "number") return h("span", { class: "figure" }, String(value));
  if (typeof value === "boolean") return h("span", { class: "word" }, String(value));
  const list = Array.isArray(value);
  const entries = list ? value.map((each, index) => [index, each]) : Object.entries(value);
  if (entries.length === 0) return h("span", {}, list ? "[]" : "{}");
  const details = h("details", {}, h("summary", {}, list ? `[ ${plural(entries.length, "item")} ]` : `{ ${plural(entries.length, "field")} }`));
  const unfold = () => {
    if (details.childElementCount > 1) return;
    const line = ([name, each]) => h("li", {}, h("span", { class: list ? "muted" : "name" }, list ? `${name}: ` : `${JSON.stringify(name)}: `), node(each, false));
    details.append(...growing(h("ul", {}), entries.slice(0, ROWS * 2), entries.length, line, (shown) => entries.slice(shown, shown + MORE)));
  };
  details.addEventListener("toggle", () => details.open && unfold());
  if (open) {
    details.open = true;
    unfold();
  }
  return details;
}
