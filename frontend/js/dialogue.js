/** Both transcripts as one dialogue, and the reply of the moment. */

import { byId, make } from "./dom.js";

const VERDICTS = {
  yielded: "Ассистент услышал вас и уступил",
  resumed: "Ассистент прислушался и продолжил",
  ignored: "Ассистент продолжил: это не было перебиванием",
};
const SPEAKERS = { user: "Вы", bot: "Ассистент" };

export class Dialogue {
  constructor() {
    this.list = byId("dialogue");
    this.reset();
  }

  /** An empty sheet for a new call. */
  reset() {
    this.lines = [];
    this.written = null;
    this.list.replaceChildren(make("li", { className: "empty" }, "Разговор появится здесь, как только вы позвоните"));
    byId("announcer").replaceChildren();
    byId("thought").replaceChildren();
    this.#showReply("");
  }

  /** A `transcript` message: partial words of a side, or the words that stand. */
  hear({ speaker, text, final, turn }) {
    const known = this.lines.findLast((line) => line.speaker === speaker && line.turn === turn && !line.final);
    if (known === undefined && text === "") return;
    const line = known ?? this.#newLine(speaker, turn);
    line.final = final;
    if (final) this.#announce(`${SPEAKERS[speaker]}: ${text}`);
    if (speaker === "bot") this.#hearBot(line, text, final);
    else line.whole = text;
    this.#draw(line);
  }

  #hearBot(line, text, final) {
    const meant = line.whole;
    if (!final) line.whole = this.written?.startsWith(text) ? this.written : text;
    else if (!meant.startsWith(text) || text.trim().length >= meant.trim().length) line.whole = text;
    else line.heard = text;
    this.#showReply(line.whole);
  }

  /** The model is asked: what it wrote before belongs to another reply. */
  awaitReply() {
    this.written = null;
  }

  /** A piece of a reply that is still being written; the line that is being said grows with it. */
  readReply(chunk) {
    const said = this.lines.findLast((line) => line.speaker === "bot" && !line.final);
    const before = this.written ?? "";
    this.written = (before + chunk).trimStart();
    this.#showReply(this.written);
    if (said === undefined || said.whole !== before) return;
    said.whole = this.written;
    this.#draw(said);
  }

  /** A `turn_metrics` message, about the reply settled last: what was understood, and what of the reply was heard. */
  settle(turn) {
    this.written = null;
    const cut = turn.outcome === "cut";
    if (turn.reply_text) this.#showReply((cut && turn.heard_text) || turn.reply_text);
    this.#showThought(turn);
    if (!cut) return;
    const line = this.lines.findLast((known) => known.speaker === "bot" && known.final);
    if (line === undefined) return;
    const voiced = turn.reply_text ?? "";
    if (!line.whole.startsWith(voiced)) line.whole = voiced;
    line.heard = turn.heard_text ?? "";
    this.#draw(line);
  }

  /** A `barge_in` message: the caller spoke into the assistant's speech, and what came of it. */
  noteBargeIn({ verdict, onset_at_s: onset, silenced_at_s: silenced }) {
    const known = Number.isFinite(onset) && Number.isFinite(silenced);
    const delay = known ? ` через ${Math.round((silenced - onset) * 1000)} мс` : "";
    this.list.append(make("li", { className: "note" }, `${VERDICTS[verdict] ?? verdict}${delay}`));
    this.list.scrollTop = this.list.scrollHeight;
  }

  /** What the scenario knew when the call ended. @param {object} variables */
  conclude(variables) {
    const facts = Object.entries(variables).filter(([, value]) => value !== null);
    if (facts.length > 0) this.#showFacts(facts);
  }

  /** Words that nobody finished will not be finished any more. */
  close() {
    for (const line of this.lines) {
      if (!line.final) line.element.classList.remove("partial");
    }
  }

  #newLine(speaker, turn) {
    if (this.lines.length === 0) this.list.querySelector(".empty")?.remove();
    this.#forgetSuperseded(speaker);
    const words = make("p");
    const element = make("li", { className: `${speaker} partial`, dataset: { speaker, turn } });
    element.append(make("span", { className: "speaker" }, SPEAKERS[speaker]), words);
    this.list.append(element);
    const line = { speaker, turn, element, words, whole: "", heard: null, final: false };
    this.lines.push(line);
    return line;
  }

  /** The caller's unfinished words, when more words of the caller follow at once: those repeat or replace them. */
  #forgetSuperseded(speaker) {
    const last = this.lines.at(-1);
    if (speaker !== "user" || last?.speaker !== "user" || last.final) return;
    last.element.remove();
    this.lines.pop();
  }

  #draw(line) {
    const atEnd = this.list.scrollHeight - this.list.scrollTop - this.list.clientHeight < 80;
    const cut = line.heard !== null && line.heard.length < line.whole.length;
    line.element.classList.toggle("partial", !line.final);
    line.element.classList.toggle("cut", cut);
    if (cut) {
      const rest = line.whole.startsWith(line.heard) ? line.whole.slice(line.heard.length) : "";
      line.words.replaceChildren(
        make("span", {}, line.heard),
        make("del", {}, rest),
        make("em", { className: "cut-mark" }, "ассистента перебили"),
      );
    } else line.words.textContent = line.whole;
    if (atEnd) this.list.scrollTop = this.list.scrollHeight;
  }

  #announce(text) {
    byId("announcer").replaceChildren(make("p", {}, text));
  }

  #showReply(text) {
    byId("reply").textContent = text || "Здесь появится текст ответа";
    byId("reply").classList.toggle("faint", text === "");
  }

  #showThought({ intent, confidence, entities, state_before: before, state_after: after }) {
    const facts = [];
    if (intent) facts.push(["Намерение", confidence ? `${intent}, ${Math.round(confidence * 100)} %` : intent]);
    for (const [name, value] of Object.entries(entities ?? {})) facts.push([name, value]);
    if (after) facts.push(["Состояние", before && before !== after ? `${before} → ${after}` : after]);
    this.#showFacts(facts);
  }

  #showFacts(facts) {
    byId("thought").replaceChildren(
      ...facts.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, String(value)))),
    );
  }
}
