/** The page: one call at a time, from the button to the last word. */

import { CallAudio, openMicrophone } from "./audio.js";
import { CallConnection } from "./connection.js";
import { Dialogue } from "./dialogue.js";
import { byId, make } from "./dom.js";
import { loudness } from "./dsp.js";
import { MindStrip } from "./mind.js";
import { Floor, PhraseBook } from "./phrases.js";
import { asTrouble, Trouble } from "./troubles.js";
import { TurnTable } from "./turns.js";

const ENDED_BY = {
  caller: "Вы завершили звонок",
  bot: "Ассистент завершил звонок",
  error: "Звонок прерван из-за ошибки",
  shutdown: "Сервер остановлен, звонок завершён",
};
const STATUS = { idle: "Можно звонить", connecting: "Соединяем…", active: "Идёт разговор", ending: "Прощаемся…" };
const REPORT_EVERY_FIGURES = 3;
const LAST_WORDS_MS = 3000;

/** Names the assistant in the header; without an answer the page's own words stay. */
async function showAssistant() {
  try {
    const answer = await fetch(new URL("./api/v1/assistants", document.baseURI));
    const [assistant] = answer.ok ? await answer.json() : [];
    if (assistant !== undefined) byId("assistant").textContent = assistant.title;
  } catch {
    byId("assistant").textContent = "голосовой ассистент";
  }
}

class Stand {
  constructor() {
    this.mind = new MindStrip();
    this.dialogue = new Dialogue();
    this.turns = new TurnTable();
    this.floor = new Floor();
    this.phrases = new PhraseBook(this, this.floor);
    this.audio = null;
    this.connection = null;
    this.levels = { caller: 0, bot: 0 };
    this.#become("idle");
    byId("call-microphone").addEventListener("click", () => this.#begin(true));
    byId("call-samples").addEventListener("click", () => this.#begin(false));
    byId("interrupt").addEventListener("click", () => this.connection?.interrupt());
    byId("hang-up").addEventListener("click", () => this.#hangUp());
    this.phrases.load().catch((error) => this.tell(error));
    showAssistant();
    this.#drawLevels();
  }

  inCall() {
    return this.state === "active";
  }

  /** The sound of the running call, after starting one without a microphone if need be; null when that failed. */
  async ensureCall() {
    if (this.state === "idle") await this.#begin(false);
    if (this.state === "connecting") await this.answered;
    return this.inCall() ? this.audio : null;
  }

  /** Shows a failure until the next call. */
  tell(error) {
    const { code, title, advice } = asTrouble(error);
    byId("troubles").querySelector(`[data-code="${code}"]`)?.remove();
    const close = make("button", { type: "button", className: "close", ariaLabel: "Скрыть сообщение" }, "×");
    const note = make("div", { className: "trouble", dataset: { code } });
    note.append(make("div", {}, make("strong", {}, title), make("p", {}, advice)), close);
    close.addEventListener("click", () => note.remove());
    byId("troubles").append(note);
  }

  async #begin(withMicrophone) {
    if (this.state !== "idle") return;
    this.#become("connecting");
    byId("troubles").replaceChildren();
    this.answered = new Promise((resolve) => {
      this.settleAnswer = resolve;
    });
    let microphone = null;
    try {
      microphone = withMicrophone ? await openMicrophone() : null;
      this.#clearSheet();
      this.audio = await CallAudio.open(microphone, {
        onFrame: (frame) => this.#sendFrame(frame),
        onPlayer: (message) => this.#onPlayer(message),
      });
      microphone?.getAudioTracks()[0]?.addEventListener("ended", () => this.tell(new Trouble("microphone-lost")));
      this.#connect();
      await this.answered;
    } catch (error) {
      microphone?.getTracks().forEach((track) => track.stop());
      await this.#finish(error, STATUS.idle);
    }
  }

  #clearSheet() {
    this.dialogue.reset();
    this.turns.reset();
    this.floor.turn("IDLE");
    this.floor.renew();
    this.goodbye = null;
    this.figures = { sent: 0, clears: 0, told: 0 };
  }

  #connect() {
    const url = new URL("./api/v1/call", document.baseURI);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    const connection = new CallConnection(url, { user_name: byId("user-name").value.trim() }, {
      onMessage: (type, payload) => this.connection === connection && this.#onMessage(type, payload),
      onAudio: (pcm) => this.connection === connection && this.audio.play(pcm),
      onClosed: (trouble) => this.connection === connection && this.#onClosed(trouble),
    });
    this.connection = connection;
  }

  #onMessage(type, payload) {
    if (type === "demo_call_started") this.#onStarted();
    if (type === "bot_mind_state_update") {
      if (payload.state === "ROUTING_TO_LLM") this.dialogue.awaitReply();
      this.mind.show(payload.state, payload.details);
      this.floor.turn(payload.state);
    }
    if (type === "transcript") this.dialogue.hear(payload);
    if (type === "llm_text_chunk") this.dialogue.readReply(payload.chunk);
    if (type === "clear_audio") this.audio.clear(payload.next_sample);
    if (type === "barge_in") this.dialogue.noteBargeIn(payload);
    if (type === "error_occurred") {
      this.tell(this.connection.busy ? new Trouble("lines-busy") : new Trouble("call-error", payload.message));
    }
    if (type === "turn_metrics") {
      this.turns.add(payload);
      this.dialogue.settle(payload);
    }
    if (type === "call_ended") {
      this.goodbye = ENDED_BY[payload.ended_by] ?? ENDED_BY.error;
      this.dialogue.conclude(payload.variables ?? {});
      this.#onEnded();
    }
  }

  #onStarted() {
    this.startedAt = performance.now();
    this.#become("active");
    this.settleAnswer();
  }

  /** The last words may still wait in the buffer: they are played out, then the line is closed. */
  #onEnded() {
    this.#become("ending");
    this.phrases.stop();
    this.audio.flush();
    this.farewell = setTimeout(() => this.#farewell(), LAST_WORDS_MS);
  }

  #hangUp() {
    this.phrases.stop();
    this.audio?.mute();
    this.goodbye = ENDED_BY.caller;
    if (this.inCall()) this.connection.hangUp();
    else this.connection?.close();
  }

  #onClosed(trouble) {
    if (this.state !== "ending") this.#finish(trouble, this.goodbye ?? STATUS.idle);
  }

  async #finish(trouble, words) {
    clearTimeout(this.farewell);
    const { audio } = this;
    this.audio = null;
    this.connection = null;
    this.phrases.stop();
    this.dialogue.close();
    this.mind.show("IDLE", "");
    this.levels = { caller: 0, bot: 0 };
    this.#become("idle");
    byId("status-text").textContent = trouble === null ? words : asTrouble(trouble).title;
    if (trouble !== null) this.tell(trouble);
    this.settleAnswer();
    await audio?.close();
  }

  #sendFrame(frame) {
    if (!this.inCall()) return;
    this.connection.sendFrame(frame);
    this.levels.caller = loudness(new Int16Array(frame)) / 32768;
    this.figures.sent += 1;
  }

  #onPlayer(message) {
    if (this.audio === null) return;
    if (message.type === "cleared") this.connection?.reportPlayback(message.reachedSamples);
    if (message.type === "silent") this.#onSilent(message);
    if (message.type === "figures") this.#onFigures(message);
  }

  #onSilent({ thrownMs, silentAfterMs }) {
    const { dataset } = document.body;
    this.figures.clears += 1;
    dataset.clears = String(this.figures.clears);
    dataset.thrownMs = thrownMs.toFixed(1);
    dataset.silentAfterMs = silentAfterMs.toFixed(1);
  }

  #onFigures(message) {
    this.levels.bot = message.level;
    this.floor.hear(message.level);
    this.figures.told += 1;
    if (this.figures.told % REPORT_EVERY_FIGURES === 0) this.connection?.reportPlayback(message.playedSamples);
    this.#showTime();
    const { dataset } = document.body;
    dataset.playedSamples = String(message.playedSamples);
    dataset.bufferedMs = String(message.bufferedMs);
    dataset.underruns = String(message.underruns);
    dataset.framesSent = String(this.figures.sent);
    dataset.framesDropped = String(this.connection?.droppedFrames ?? 0);
    if (this.state === "ending" && message.bufferedMs === 0) this.#farewell();
  }

  #farewell() {
    const { connection } = this;
    this.#finish(connection?.busy ? new Trouble("lines-busy") : null, this.goodbye);
    connection?.close();
  }

  #become(state) {
    this.state = state;
    document.body.dataset.call = state;
    const busy = state !== "idle";
    for (const id of ["call-microphone", "call-samples"]) byId(id).hidden = busy;
    byId("user-name").disabled = busy;
    byId("interrupt").hidden = state !== "active";
    byId("hang-up").hidden = !busy;
    byId("status-text").textContent = STATUS[state];
    byId("timer").hidden = state !== "active" && state !== "ending";
  }

  #showTime() {
    const seconds = Math.floor((performance.now() - this.startedAt) / 1000);
    if (this.inCall()) byId("timer").textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
  }

  #drawLevels() {
    for (const who of ["caller", "bot"]) {
      const meter = byId(`${who}-meter`);
      const part = this.levels[who] <= 0.001 ? 0 : Math.min(1, 1 + Math.log10(this.levels[who] * 3) / 2.5);
      meter.firstElementChild.style.transform = `scaleX(${Math.max(0, part).toFixed(3)})`;
      meter.ariaValueNow = String(Math.round(Math.max(0, part) * 100));
    }
    requestAnimationFrame(() => this.#drawLevels());
  }
}

new Stand();
