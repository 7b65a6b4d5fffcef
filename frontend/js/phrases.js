/** The sample caller: recorded phrases, said at once or each in its turn, and the whole scenario in one go. */

import { byId, make } from "./dom.js";
import { Trouble } from "./troubles.js";

/** The scripted caller of the insurance quote: what each step must say. The first sample that does is taken. */
const SCRIPT = [
  /^(150|сто пятьдесят)$/,
  /^(2|два|двое)$/,
  /^(25|двадцать пять)$/,
  /^да,? вс[её] верно$/,
  /^спасибо,? до свидания$/,
];

const QUIET_LEVEL = 0.004;
const AUDIBLE_LEVEL = 0.012;
const QUIET_MS = 500;
const PATIENCE_MS = 25000;
const LISTENING_STATES = new Set(["LISTENING", "IDLE"]);

/** Knows whether the assistant has answered and gone quiet, from its states and from what the page really plays. */
export class Floor {
  constructor() {
    this.state = "IDLE";
    this.waiting = new Set();
    this.renew();
  }

  /** The caller speaks: the next word is the assistant's. */
  renew() {
    this.answered = false;
    this.quietSince = null;
    this.since = performance.now();
  }

  /** @param {string} state the assistant's mind */
  turn(state) {
    this.state = state;
  }

  /** @param {number} level loudness of what is being played, told every 50 ms */
  hear(level) {
    const now = performance.now();
    if (level > AUDIBLE_LEVEL) this.answered = true;
    if (level > QUIET_LEVEL) this.quietSince = null;
    else this.quietSince ??= now;
    const free = this.answered && LISTENING_STATES.has(this.state) && this.quietSince !== null;
    if (free && now - this.quietSince >= QUIET_MS) this.#release(true);
    else if (now - this.since > PATIENCE_MS) this.#release(false);
  }

  /** @returns {Promise<boolean>} true when the assistant has finished; false when it never answered or the call ended */
  finished() {
    return new Promise((resolve) => this.waiting.add(resolve));
  }

  /** Nobody waits any longer. */
  abandon() {
    this.#release(false);
  }

  #release(finished) {
    const waiting = [...this.waiting];
    this.waiting.clear();
    for (const resolve of waiting) resolve(finished);
  }
}

/**
 * The phrases on the page. `host` gives the call: `ensureCall()` resolves to its `CallAudio` (starting a call without a
 * microphone when there is none) and `tell(trouble)` shows a failure.
 */
export class PhraseBook {
  constructor(host, floor) {
    this.host = host;
    this.floor = floor;
    this.samples = [];
    this.queue = [];
    this.recordings = new Map();
    this.running = false;
    byId("whole-script").addEventListener("click", () => this.#toggleScript());
  }

  /** Fetches the list. @throws {Trouble} */
  async load() {
    let samples;
    try {
      const answer = await fetch(new URL("./api/v1/samples", document.baseURI), { signal: AbortSignal.timeout(8000) });
      if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
      samples = await answer.json();
    } catch {
      throw new Trouble("samples-missing");
    }
    this.samples = samples.map((sample) => ({ ...sample, button: this.#button(sample) }));
    byId("phrases").replaceChildren(...this.samples.map((sample) => make("li", {}, sample.button)));
    this.script = SCRIPT.map((step) => this.samples.find((sample) => step.test(plain(sample.text))));
    byId("whole-script").disabled = this.script.includes(undefined);
  }

  #button(sample) {
    const button = make("button", { type: "button", className: "phrase", dataset: { name: sample.name } }, sample.text);
    button.addEventListener("click", () => {
      const known = this.samples.find(({ name }) => name === sample.name);
      if (byId("wait-turn").checked || !this.host.inCall()) this.#enqueue([known]);
      else this.#sayNow(known);
    });
    return button;
  }

  /** The call is over: nothing waits any more. */
  stop() {
    this.queue = [];
    this.floor.abandon();
    this.#showQueue();
  }

  #toggleScript() {
    if (this.running && this.queue.length > 0) this.stop();
    else this.#enqueue(this.script);
  }

  async #enqueue(samples) {
    this.queue.push(...samples);
    this.#showQueue();
    if (this.running) return;
    this.running = true;
    this.#showQueue();
    try {
      await this.#work();
    } catch (error) {
      this.host.tell(error);
    } finally {
      this.running = false;
      this.stop();
    }
  }

  async #work() {
    if ((await this.host.ensureCall()) === null) return;
    while (this.queue.length > 0) {
      const finished = await this.floor.finished();
      if (!this.host.inCall() || this.queue.length === 0) return;
      if (!finished) throw new Trouble("no-answer");
      const next = this.queue.shift();
      this.#showQueue();
      await this.#say(next);
    }
  }

  async #sayNow(sample) {
    try {
      await this.#say(sample);
    } catch (error) {
      this.host.tell(error);
    }
  }

  async #say(sample) {
    const audio = await this.host.ensureCall();
    if (audio === null) return;
    const recording = await this.#recording(sample, audio);
    this.floor.renew();
    sample.button.classList.add("speaking");
    await audio.say(recording);
    sample.button.classList.remove("speaking");
    this.floor.renew();
  }

  async #recording(sample, audio) {
    if (!this.recordings.has(sample.url)) {
      try {
        const answer = await fetch(new URL(sample.url, document.baseURI), { signal: AbortSignal.timeout(8000) });
        if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
        this.recordings.set(sample.url, await audio.decode(await answer.arrayBuffer()));
      } catch {
        throw new Trouble("phrase-broken");
      }
    }
    return this.recordings.get(sample.url);
  }

  #showQueue() {
    const names = this.queue.map(({ text }) => `«${text}»`).join(", ");
    byId("queue").textContent = names === "" ? "" : `Дальше: ${names}`;
    byId("whole-script").textContent = this.running && this.queue.length > 0 ? "Остановить" : "Весь сценарий";
  }
}

function plain(text) {
  return text.toLowerCase().replace(/[.!?…]/g, "").trim();
}
