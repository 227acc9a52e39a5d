// The search line is the one place that says which tasks are meant; chips and menus write into it.

const TERM = (name) => new RegExp(`(^|\\s)${name}:(?:"[^"]*"|[^\\s"])+`, "gi");

/** What a qualifier of the search names; an empty list where it is not there. */
export function valuesOf(q, name) {
  const found = q.match(TERM(name))?.[0].trim() ?? "";
  const values = found.slice(name.length + 1).match(/(?:"[^"]*"|[^",])+/g) ?? [];
  const plain = values.map((value) => value.replaceAll('"', ""));
  return name === "status" ? plain.map((value) => value.toLowerCase()) : plain;
}

/** The search with a qualifier that names these values, or without it. */
export function withValues(q, name, values) {
  const rest = q.replace(TERM(name), " ").replace(/\s+/g, " ").trim();
  if (values.length === 0) return rest;
  return `${name}:${values.map(quoted).join(",")}${rest ? ` ${rest}` : ""}`;
}

export const quoted = (text) => (/[\s,:"]/.test(text) ? `"${text.replaceAll('"', "")}"` : text);

/** Whether nothing is looked for but statuses and types, which a page can tell by itself. */
export const isPlain = (q) => withValues(withValues(q, "status", []), "type", []) === "";

/** Whether a task may be one of those looked for, as far as a page can tell. */
export function mayMatch(q, task) {
  const statuses = valuesOf(q, "status");
  const types = valuesOf(q, "type");
  return (statuses.length === 0 || statuses.includes(task.status)) && (types.length === 0 || types.includes(task.task_type));
}
