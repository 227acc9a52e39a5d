// Asking the server. Paths are relative to the page, so that all of it works under a prefix.

import { learnServerTime, now } from "./format.js";

const SILENCE = 20_000; // milliseconds without a byte after which a question is given up
const SILENCE_AFTER_A_FILE = 60_000; // the server writes it down before it answers
export const SILENCE_WHILE_STOPPING = 120_000; // of a change that is answered once tasks have stopped

/**
 * Changes that are answered only once something has stopped, some at a time. Browsers open six connections to a server:
 * if all of them waited, no question would be answered.
 */
class Lane {
  #free;
  #next = [];
  constructor(most) {
    this.#free = most;
  }
  get free() {
    return this.#free > 0;
  }
  async enter() {
    if (this.#free > 0) this.#free -= 1;
    else await new Promise((resolve) => this.#next.push(resolve));
  }
  leave() {
    if (this.#next.length > 0) this.#next.shift()();
    else this.#free += 1;
  }
}
export const CANCELS = new Lane(2);
export const MANY = new Lane(1); // of these each may take long

const UNREACHABLE = "The server cannot be reached.";
const UNHEARD = "The server does not answer. Whether it has heard that is not known: look again.";

/** What the server, or the way to it, answered instead: `status` 0 where nobody answered. */
export class Refused extends Error {
  constructor(status, detail, problem = {}) {
    super(detail);
    this.status = status;
    this.problem = problem;
  }
  get missing() {
    return this.status === 404 || this.status === 405;
  }
  /** Whether nobody told what became of it: a proxy, too, says only that it heard nothing. */
  get unheard() {
    return this.status === 0 || this.status === 502 || this.status === 504;
  }
}

const watchers = { unauthorised: () => {}, unreachable: () => {}, state: () => null, answered: () => {} };
export function watch(handlers) {
  Object.assign(watchers, handlers);
}

/** `onTurn` is called when it is sent, and may raise: then it is not. */
export async function ask(method, path, { lane, onTurn, ...options } = {}) {
  await lane?.enter();
  try {
    onTurn?.();
    return await askNow(method, path, options);
  } finally {
    lane?.leave();
  }
}

/** `changes`: whether anything may have come of what nobody answered. */
async function askNow(method, path, { query, body, signal, headers, silence = SILENCE, changes = method !== "GET" }) {
  const url = query ? `${path}?${new URLSearchParams(clean(query))}` : path;
  const words = changes ? UNHEARD : UNREACHABLE;
  const state = watchers.state(); // as it is sent
  const patience = patienceWith(words, silence, signal);
  const options = { method, headers: { Accept: "application/json", ...headers }, credentials: "same-origin", cache: "no-store" };
  if (body !== undefined) {
    options.body = JSON.stringify(body);
    options.headers["Content-Type"] = "application/json";
  }
  const { response, text } = await answered(url, options, patience, words);
  const date = response.headers.get("date");
  if (date && Math.abs(Date.parse(date) - now()) > 5000) learnServerTime(date);
  const answer = read(text);
  if (response.ok) {
    watchers.answered(state);
    return answer;
  }
  if (response.status === 401 && path !== "api/session") watchers.unauthorised();
  throw new Refused(response.status, answer?.detail ?? `The server answered ${response.status}.`, answer ?? {});
}

/** The text of one of the page's own files; the browser keeps it, so that whoever wants it next asks nobody. */
export async function textOfFile(url) {
  const { response, text } = await answered(url, {}, patienceWith(UNREACHABLE, SILENCE), UNREACHABLE);
  if (!response.ok) throw new Refused(response.status, `The server answered ${response.status}.`);
  return text;
}

/** What was answered, once all of it is there. Of a connection that fails nobody knows whether it had carried the question there. */
async function answered(url, options, patience, words) {
  try {
    const response = await fetch(url, { ...options, signal: patience.signal });
    return { response, text: await textOf(response, patience.heard) };
  } catch (error) {
    if (error.name === "AbortError") throw error;
    watchers.unreachable();
    throw error instanceof Refused ? error : new Refused(0, words);
  } finally {
    patience.end();
  }
}

export const get = (path, options) => ask("GET", path, options);
export const post = (path, body, options) => ask("POST", path, { ...options, body });
export const remove = (path, options) => ask("DELETE", path, options);

const clean = (query) => Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== "");

const patient = new Set(); // what gives up each question that may go unanswered for longer

/** The connection is known to be dead: what waits longer than others for an answer does not have to wait for that. */
export function connectionLost() {
  for (const giveUp of patient) giveUp();
}

/**
 * Gives a question up once nothing has been heard for a while, and says so in these words: over a connection that was
 * cut off on its way it is neither answered nor refused.
 */
function patienceWith(words, silence, signal) {
  const late = new AbortController();
  const giveUp = () => late.abort(new Refused(0, words));
  if (silence > SILENCE) patient.add(giveUp);
  let timer = 0;
  const heard = () => {
    clearTimeout(timer);
    timer = setTimeout(giveUp, silence);
  };
  const end = () => {
    clearTimeout(timer);
    patient.delete(giveUp);
  };
  heard();
  return { signal: signal ? AbortSignal.any([signal, late.signal]) : late.signal, heard, end };
}

async function textOf(response, heard) {
  if (response.body === null) return "";
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  let text = "";
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    heard();
    text += decoder.decode(part.value, { stream: true });
  }
  return text + decoder.decode();
}

/** A number that JavaScript cannot hold, as it was written. */
export class Exact {
  constructor(source) {
    this.source = source;
  }
}

// Where a number may begin; within a text it does no harm to find one.
const LONG_NUMBER = /(?:^|[[:,\s])-?\d{16}/;

/** Read JSON; a number that would lose digits keeps them, in browsers that let us see its text. */
function read(text) {
  if (!text) return null;
  try {
    // Looking at each value takes five times as long, in which the page stands still: with 20 MB, for seconds.
    return LONG_NUMBER.test(text) ? JSON.parse(text, keepDigits) : JSON.parse(text);
  } catch {
    return null;
  }
}

function keepDigits(_key, value, context) {
  const whole = typeof value === "number" && /^-?\d{16,}$/.test(context?.source ?? "");
  return whole && !Number.isSafeInteger(value) ? new Exact(context.source) : value;
}

/** Send a file, telling how far it is; gives the answer or raises Refused, also once nothing has moved for a while. */
export function upload(file, fields, onShare) {
  return new Promise((resolve, reject) => {
    const form = new FormData();
    for (const [name, value] of Object.entries(fields)) form.append(name, value);
    form.append("file", file);
    const request = new XMLHttpRequest();
    const moved = giveUpWhenSilent(request);
    request.open("POST", "api/upload");
    request.upload.addEventListener("progress", (event) => {
      moved(event.loaded < event.total ? SILENCE : SILENCE_AFTER_A_FILE);
      if (event.lengthComputable) onShare(event.loaded / event.total);
    });
    const unheard = () => {
      watchers.unreachable();
      reject(new Refused(0, UNREACHABLE));
    };
    request.addEventListener("error", unheard);
    request.addEventListener("abort", unheard);
    request.addEventListener("load", () => {
      const answer = read(request.responseText);
      if (request.status < 300) resolve(answer);
      else {
        if (request.status === 401) watchers.unauthorised();
        reject(new Refused(request.status, answer?.detail ?? `The server answered ${request.status}.`));
      }
    });
    request.send(form);
    moved(SILENCE);
  });
}

/** What to call whenever something has moved, with how long it may take until the next time. */
function giveUpWhenSilent(request) {
  let timer = 0;
  request.addEventListener("loadend", () => clearTimeout(timer));
  return (patience) => {
    clearTimeout(timer);
    timer = setTimeout(() => request.abort(), patience);
  };
}
