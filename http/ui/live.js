// Following the server: one stream of changes for the whole page, resumed where it broke off.
//
// Where streams do not come through (an older server, a proxy that holds them back), the screens are told to look again
// every few seconds instead. A page that nobody looks at, also one that nobody has looked at yet, has no stream and asks
// for nothing: browsers open six connections to a server and no more, and other pages of it want some too.

import { get, Refused } from "./api.js";

const PATIENCE = 20_000; // milliseconds after which a stream that said nothing is taken for held back
const SILENCE = 40_000; // after which a stream that is open is taken for dead: the server says something every 15 seconds
const LOOK_AGAIN = 3_000;
const LONGEST_PAUSE = 15_000;
const LOOK_AFTER = 15_000; // a connection that is cut off somewhere on its way stays open, and silent
const ANSWERS_WITHIN = 10_000;

class Live extends EventTarget {
  state = "off"; // off, connecting, live, polling, lost
  retryAt = 0;
  #source = null;
  #seq = null;
  #tries = 0;
  #timer = 0;
  #patience = 0;
  #wanted = false;
  #rounds = 0; // looks without a stream
  #probing = false;
  #turn = 0; // goes on with each new beginning: what was asked before it is without consequence
  #heard = 0; // when the server last answered
  #streamed = 0; // when anything last came over the stream that is open

  constructor() {
    super();
    document.addEventListener("visibilitychange", () => this.#onVisibility());
    addEventListener("online", () => this.retry());
    addEventListener("offline", () => this.suspect());
    addEventListener("pagehide", () => this.#rest());
    addEventListener("pageshow", (event) => event.persisted && this.retry());
    let seen = Date.now();
    setInterval(() => {
      // A machine that slept has a dead connection, and nobody told it.
      if (Date.now() - seen > 30_000) this.retry();
      // That others get through says nothing of the stream's own.
      else if (this.#streamed && Date.now() - this.#streamed > SILENCE) this.suspect();
      else if (Date.now() - this.#heard > LOOK_AFTER) this.#check();
      seen = Date.now();
    }, 5_000);
  }

  start() {
    if (this.#wanted) return;
    this.#wanted = true;
    this.#tries = 0;
    this.#connect();
  }

  /** This was the answer before anything was followed: start once there is a better one. */
  startLater(error) {
    this.#wanted = true;
    this.#failed(error);
  }

  stop() {
    this.#wanted = false;
    this.#let_go();
    this.#become("off");
  }

  /** Connect now rather than when the pause is over. */
  retry() {
    if (this.#wanted) this.#again();
  }

  /** Someone asked and nobody answered: find out at once. */
  suspect() {
    if (this.#wanted && this.state === "live" && !this.#probing) this.#broken();
  }

  /** Someone has asked since it was lost, and was answered: it is there again. */
  found() {
    if (this.#wanted && this.state === "lost" && !this.#probing) this.#again();
  }

  /** Start following after this change, where nothing newer is known. */
  seen(seq) {
    if (Number.isFinite(seq) && this.#seq === null) this.#seq = seq;
  }

  #onVisibility() {
    if (!this.#wanted) return;
    if (document.hidden) this.#rest();
    else this.#again(); // in another tab somebody else may have signed in meanwhile
  }

  /** Follow anew, where nothing was followed for a while: does anyone answer? Then what was missed is looked at. */
  async #again() {
    this.#rest();
    if (document.hidden) return; // until somebody looks
    if (!(await this.#answers())) return;
    this.#tries = 0;
    if (this.state === "lost") this.#become("connecting"); // whoever answers is there, whatever becomes of a stream
    this.#tell("refresh", {});
    this.#connect();
  }

  /** Follow nothing for a while: what is shown is of before, until a stream has come through anew. */
  #rest() {
    this.#let_go();
    if (this.state === "live") this.#become("connecting");
  }

  #let_go() {
    this.#turn += 1;
    clearTimeout(this.#timer);
    this.#close();
  }

  #close() {
    clearTimeout(this.#patience);
    this.#source?.close();
    this.#source = null;
    this.#streamed = 0;
  }

  #connect() {
    this.#let_go();
    const first = this.state === "off"; // the screens have just been asked for
    if (first) this.#become("connecting");
    if (document.hidden) return; // until somebody looks: a page may begin in the background
    if (!first) this.#lookSoon(); // until a stream has come through
    const from = this.#seq === null ? "" : `?last_event_id=${this.#seq}`;
    const source = new EventSource(`api/tasks/events${from}`);
    this.#source = source;
    this.#patience = setTimeout(() => this.#heldBack(), PATIENCE);
    const hear = (name, act) => source.addEventListener(name, (event) => {
      this.#streamed = Date.now();
      if (event.lastEventId) this.#seq = Number(event.lastEventId);
      act(JSON.parse(event.data));
    });
    hear("ready", () => {
      clearTimeout(this.#patience);
      clearTimeout(this.#timer); // no need to look any more
      this.#turn += 1;
      this.#heard = Date.now();
      this.#tries = 0;
      this.#become("live");
      if (!from) this.#tell("refresh", {}); // something may have been missed
    });
    hear("task", (task) => this.#tell("task", task));
    hear("ping", () => {});
    hear("removed", (gone) => this.#tell("removed", gone));
    hear("reset", (reset) => {
      this.#seq = reset.seq;
      this.#tell("refresh", reset);
    });
    source.addEventListener("error", () => (this.state === "polling" ? this.#close() : this.#broken({ over: true })));
  }

  /** Whether the server still answers, and us: also a key may have been revoked under a stream that goes on. */
  async #check() {
    if (this.state === "live" && !this.#probing && !document.hidden) await this.#answers();
  }

  async #answer() {
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(), ANSWERS_WITHIN);
    try {
      const seen = await get("api/session", { signal: late.signal });
      this.#heard = Date.now();
      this.#tell("session", seen);
    } finally {
      clearTimeout(timer);
    }
  }

  /** The stream is over, or was refused. If the server, being there, goes on refusing, it has none, or somebody holds it back. */
  async #broken({ over = false } = {}) {
    this.#let_go();
    if (document.hidden || !this.#wanted) return;
    if (!(await this.#answers())) return;
    // Whoever answers by now may know another state, from which a stream goes on all the same. Where it was only suspected
    // nothing is asked: that question, failing again, would be the next suspicion.
    if (over) this.#tell("refresh", {});
    this.#tries += 1;
    if (this.#tries >= 3 || this.state === "polling") this.#poll();
    else this.#timer = setTimeout(() => this.#connect(), 300 * this.#tries);
  }

  /** No stream came through; perhaps nothing does. */
  async #heldBack() {
    if (this.state === "polling") {
      this.#close();
      return;
    }
    this.#let_go();
    if (await this.#answers()) this.#poll();
  }

  /** Whether there is an answer, which is still what we wait for: meanwhile somebody may have left, or begun anew. */
  async #answers() {
    const turn = this.#turn;
    this.#probing = true;
    try {
      await this.#answer();
    } catch (error) {
      // All connections may be in use. Over the stream, which is one of them, the server has been heard.
      const full = error.name === "AbortError" && Date.now() - this.#streamed < PATIENCE;
      if (turn === this.#turn && !full) this.#failed(error);
      return false;
    } finally {
      this.#probing = false;
    }
    return turn === this.#turn;
  }

  #failed(error) {
    this.#let_go();
    if (!this.#wanted) return;
    if (error instanceof Refused && error.status === 401) {
      this.#tell("unauthorised", {});
      return;
    }
    this.#tries += 1;
    const pause = Math.min(LONGEST_PAUSE, 1000 * 2 ** Math.min(this.#tries - 1, 5));
    this.retryAt = Date.now() + pause;
    this.#become("lost");
    this.#timer = setTimeout(() => this.#again(), pause);
  }

  #poll() {
    this.#let_go();
    this.#rounds = 0;
    this.#become("polling");
    this.#tell("refresh", {});
    this.#lookSoon();
  }

  #lookSoon() {
    this.#timer = setTimeout(() => this.#look(), LOOK_AGAIN);
  }

  async #look() {
    if (document.hidden) return;
    const turn = this.#turn;
    try {
      await this.#answer();
    } catch {
      if (turn === this.#turn) this.#broken();
      return;
    }
    if (turn !== this.#turn) return;
    this.#become("polling");
    this.#tell("refresh", {});
    this.#rounds += 1;
    if (this.#rounds % 20 === 0) this.#connect(); // perhaps streams come through by now
    else this.#lookSoon();
  }

  #become(state) {
    if (this.state === state && state !== "lost") return;
    this.state = state;
    this.#tell("state", state);
  }

  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}

export const live = new Live();
