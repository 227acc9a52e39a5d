// The search line is the one place that says which tasks are meant; chips and menus write into it.

// The terms as the server reads them (engine/search.py): a qualifier with its values, a phrase in quotes, a word.
const TERM = /[a-z_][\w-]*:(?:"[^"]*"|[^\s",])+(?:,(?:"[^"]*"|[^\s",])+)*(?=\s|$)|"[^"]*"(?=\s|$)|\S+/gi;

// What the server calls these types itself, in what it answers (http/wire.py).
const MEANT = new Map([
  ["batch_processing", "document_processing"],
  ["reprocess_batch", "document_processing"],
  ["summarization", "community_summarization"],
]);

const termsOf = (q) => q.match(TERM) ?? [];
const names = (term, name) => term.toLowerCase().startsWith(`${name}:`);

/** What a qualifier of the search names; an empty list where it is not there. */
export function valuesOf(q, name) {
  const found = termsOf(q).find((term) => names(term, name)) ?? "";
  const values = found.slice(name.length + 1).match(/(?:"[^"]*"|[^",])+/g) ?? [];
  const plain = values.map((value) => value.replaceAll('"', ""));
  if (name === "status") return plain.map((value) => value.toLowerCase());
  return name === "type" ? plain.map((value) => MEANT.get(value) ?? value) : plain;
}

/** The search with a qualifier that names these values, or without it. */
export function withValues(q, name, values) {
  const rest = termsOf(q).filter((term) => !names(term, name));
  const said = values.length === 0 ? [] : [`${name}:${values.map(quoted).join(",")}`];
  return [...said, ...rest].join(" ");
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

/** Whether it is looked for by age: then what fits changes though no task does. */
export const isByAge = (q) => termsOf(q).some((term) => names(term, "older") || names(term, "newer"));
