// How figures, times and names are written.

let ahead = 0; // milliseconds by which the server's clock is ahead of ours

export function learnServerTime(text) {
  const at = Date.parse(text ?? "");
  if (!Number.isNaN(at)) ahead = at - Date.now();
}

export const now = () => Date.now() + ahead;

const plain = new Intl.NumberFormat("en");
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

/** 12,345 in full; 1.2M where there is no room for more. */
export const count = (n) => (n === null || n === undefined ? "–" : plain.format(n));
export const brief = (n) => (n === null || n === undefined ? "–" : n < 100_000 ? plain.format(n) : short.format(n));
export const plural = (n, one, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;

export function bytes(n) {
  if (n === null || n === undefined) return "–";
  let value = n;
  for (const unit of ["bytes", "KiB", "MiB", "GiB", "TiB"]) {
    if (value < 1024 || unit === "TiB") return unit === "bytes" ? plural(n, "byte") : `${value.toFixed(value < 10 ? 1 : 0)} ${unit}`;
    value /= 1024;
  }
  return "";
}

/** 0.4 ms, 320 ms, 4.2 s, 3 min 20 s, 5 h 2 min, 3 d 4 h. */
export function duration(seconds) {
  if (seconds === null || seconds === undefined || Number.isNaN(seconds)) return "–";
  const s = Math.max(0, seconds);
  if (s === 0) return "0 s";
  if (s < 0.01) return `${(s * 1000).toFixed(1)} ms`;
  if (s < 0.9995) return `${Math.round(s * 1000)} ms`;
  if (s < 9.95) return `${s.toFixed(1)} s`;
  if (s < 59.5) return `${Math.round(s)} s`;
  const whole = Math.round(s);
  if (whole < 3600) return `${Math.floor(whole / 60)} min${whole % 60 ? ` ${whole % 60} s` : ""}`;
  const minutes = Math.round(whole / 60);
  if (minutes < 1440) return `${Math.floor(minutes / 60)} h${minutes % 60 ? ` ${minutes % 60} min` : ""}`;
  const hours = Math.round(minutes / 60);
  return `${Math.floor(hours / 24)} d${hours % 24 ? ` ${hours % 24} h` : ""}`;
}

/** The same with one unit, for what moves: 12 s, 3 min, 2 h. */
export function roughly(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3570) return `${Math.round(s / 60)} min`;
  if (s < 84_600) return `${Math.round(s / 3600)} h`;
  return `${Math.round(s / 86_400)} d`;
}

export const between = (from, to) => (from && to ? (Date.parse(to) - Date.parse(from)) / 1000 : null);
export const since = (from) => (from ? (now() - Date.parse(from)) / 1000 : null);

export function ago(text) {
  const s = since(text);
  if (s === null) return "–";
  if (s < -1) return `in ${roughly(-s)}`;
  return s < 5 ? "just now" : `${roughly(s)} ago`;
}

const day = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const hour = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
const minute = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hour12: false });
export const moment = (text) => (text ? day.format(new Date(text)) : "–");
const dayAndHour = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
/** The time of day; with the day, where that is not today. */
export function clock(text) {
  if (!text) return "–";
  const at = new Date(text);
  return (at.toDateString() === new Date(now()).toDateString() ? hour : dayAndHour).format(at);
}
export const minuteOf = (text) => minute.format(new Date(text));

/** document_processing → Document processing */
export function title(name) {
  const words = String(name).replaceAll("_", " ").trim();
  return words ? words[0].toUpperCase() + words.slice(1) : String(name);
}

/** How much longer a running task will take if it goes on as it did; null where nothing can be said. */
export function timeLeft(task) {
  const done = task.progress_percent;
  if (task.status !== "running" || done < 2 || done > 99 || !task.started_at) return null;
  const spent = since(task.started_at);
  return spent < 1 ? null : (spent * (100 - done)) / done;
}

/** How long the newest attempt of a task ran, or has run so far; null where it did not, or nobody knows for how long. */
export const ran = (task) => (task.status === "running" ? since(task.started_at) : task.run_seconds);

/** Whether a task is put off until a moment that is still to come. */
export const isPutOff = (task) => task.status === "pending" && since(task.run_at) < 0;
