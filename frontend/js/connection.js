/** The call's WebSocket: JSON `{type, payload}` and binary 20 ms frames both ways, and what its end means. */

import { Trouble } from "./troubles.js";

const OPENING_MS = 8000;
const SILENT_LINE_MS = 6000;
const WATCH_EVERY_MS = 1000;
const WAITING_LIMIT_BYTES = 640 * 25;
const TRY_AGAIN_LATER = 1013;
const BUSY_PLACE = "admission";

/**
 * One call's connection. The listener's `onMessage(type, payload)` and `onAudio(pcm)` are called as things arrive, and
 * `onClosed(trouble | null)` exactly once, last; `null` when the call ended as calls do.
 */
export class CallConnection {
  /** @param {URL} url @param {{user_name: string}} greeting */
  constructor(url, greeting, listener) {
    this.listener = listener;
    this.started = false;
    this.ended = false;
    this.hungUp = false;
    this.refusal = null;
    this.busy = false;
    this.droppedFrames = 0;
    this.heardAt = performance.now();
    this.socket = new WebSocket(url);
    this.socket.binaryType = "arraybuffer";
    this.socket.onopen = () => this.#send("start_demo_call", greeting);
    this.socket.onmessage = (event) => this.#receive(event.data);
    this.socket.onclose = (event) => this.#finish(event.code, event.reason);
    this.watch = setInterval(() => this.#checkLine(), WATCH_EVERY_MS);
  }

  /** @param {ArrayBuffer} pcm dropped (and counted) when half a second already waits: late speech helps nobody */
  sendFrame(pcm) {
    if (!this.started || this.ended || this.socket.readyState !== WebSocket.OPEN) return;
    if (this.socket.bufferedAmount > WAITING_LIMIT_BYTES) this.droppedFrames += 1;
    else this.socket.send(pcm);
  }

  /** The caller pressed «stop talking». */
  interrupt() {
    this.#send("user_interrupted", {});
  }

  /** @param {number} samples how far into the received stream the caller has heard */
  reportPlayback(samples) {
    if (this.started && !this.ended) this.#send("playback", { played_samples: samples });
  }

  /** Ends the call; the server answers with `call_ended`. Where it cannot, the connection is closed. */
  hangUp() {
    this.hungUp = true;
    this.#send("hang_up", {});
    setTimeout(() => this.socket.close(), 1500);
  }

  /** Closes the connection for good. */
  close() {
    this.hungUp = true;
    this.socket.close();
  }

  #send(type, payload) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify({ type, payload }));
  }

  #receive(data) {
    this.heardAt = performance.now();
    if (data instanceof ArrayBuffer) {
      if (data.byteLength % 2 === 0) this.listener.onAudio(data);
      return;
    }
    const { type, payload } = JSON.parse(data);
    if (type === "demo_call_started") this.started = true;
    if (type === "call_ended") this.ended = true;
    if (type === "error_occurred" && payload.where === BUSY_PLACE) this.busy = true;
    if (type === "error_occurred" && !this.started) this.refusal = payload.message;
    else this.listener.onMessage(type, payload ?? {});
  }

  #checkLine() {
    const silent = performance.now() - this.heardAt;
    if (!this.started && silent > OPENING_MS) this.#giveUp(new Trouble("server-unreachable"));
    else if (this.started && !this.ended && silent > SILENT_LINE_MS) this.#giveUp(new Trouble("line-silent"));
  }

  #giveUp(trouble) {
    this.socket.onclose = null;
    this.socket.close();
    this.#close(trouble);
  }

  async #finish(code, reason) {
    if (this.busy || code === TRY_AGAIN_LATER) this.#close(new Trouble("lines-busy"));
    else if (this.ended || this.hungUp) this.#close(null);
    else if (this.started) this.#close(new Trouble("connection-lost"));
    else if (this.refusal !== null || reason !== "") this.#close(new Trouble("call-refused", this.refusal ?? reason));
    else this.#close(new Trouble((await serverAnswers()) ? "call-refused" : "server-unreachable"));
  }

  #close(trouble) {
    clearInterval(this.watch);
    this.listener.onClosed(trouble);
  }
}

async function serverAnswers() {
  try {
    const answer = await fetch(new URL("./api/v1/samples", document.baseURI), { signal: AbortSignal.timeout(3000) });
    return answer.ok;
  } catch {
    return false;
  }
}
