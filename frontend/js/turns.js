/** The table of turns: marks in milliseconds from the end of the caller's speech, and how long the answer took. */

import { byId, make } from "./dom.js";

const PATHS = {
  greeting: "приветствие",
  scenario: "сценарий",
  cache: "кэш",
  faq: "вопрос-ответ",
  llm: "языковая модель",
  tool: "инструмент",
  fallback: "запасной ответ",
  silence: "молчание",
  error: "ошибка",
};

/** Why a turn of the caller was taken to be over. */
export const ENDINGS = {
  complete: "ответ полный",
  plausible: "похоже на полный",
  open: "не договорено",
  pause: "пауза",
  ceiling: "предел ожидания",
  dtmf: "клавиши",
};

const MARKS = ["t1", "t_eos", "t2", "t3", "t4", "t5", "t6"];
const GOOD_MS = 800;
const FAIR_MS = 2000;
const NONE = "–";

export class TurnTable {
  constructor() {
    this.body = byId("turns");
    this.blank = this.body.firstElementChild;
    this.rows = new Map();
  }

  reset() {
    this.rows.clear();
    this.body.replaceChildren(this.blank);
  }

  /** A `turn_metrics` message; the newest turn stands first. */
  add(turn) {
    const row = this.#row(turn);
    const known = this.rows.get(turn.index);
    if (known !== undefined) known.replaceWith(row);
    else this.body.prepend(row);
    this.blank.remove();
    this.rows.set(turn.index, row);
  }

  #row(turn) {
    const row = make("tr", { dataset: { turn: turn.index } });
    row.append(
      cell("№", "index", String(turn.index)),
      wordsCell(turn),
      cell("Путь", "path", pathMarks(turn)),
      cell("Конец хода", "ending", ENDINGS[turn.ended_because] ?? (turn.ended_because || NONE)),
    );
    for (const [name, value] of relativeMarks(turn.marks ?? {})) row.append(cell(name, "number", value, name));
    const { response_ms: response } = turn;
    const known = response !== null && response !== undefined;
    const verdict = known ? make("strong", { className: grade(response) }, `${Math.round(response)} мс`) : NONE;
    row.append(cell("Отклик", "number response", verdict, "response"));
    return row;
  }
}

function cell(label, className, content, mark = "") {
  return make("td", { className, dataset: mark === "" ? { label } : { label, mark } }, content);
}

/** Where the answer came from, and what came of the work that was done before the caller had finished. */
function pathMarks({ path, speculation }) {
  const tag = make("span", { className: `tag ${path}` }, PATHS[path] ?? path);
  if (!speculation?.started) return tag;
  const saved = Math.round(speculation.saved_ms);
  const words = speculation.hit ? `заранее, −${saved} мс` : "заготовка не подошла";
  const what = speculation.hit ? "ответ готовился ещё до конца хода" : "ответ готовился до конца хода, но слова изменились";
  return make("div", {}, tag, make("span", { className: "ahead", title: what }, words));
}

function wordsCell({ user_text: said, reply_text: replied, outcome }) {
  const words = make("td", { className: "words", dataset: { label: "Реплики" } });
  if (said) words.append(make("span", { className: "said" }, `«${said}»`));
  if (replied) words.append(make("span", { className: "replied", title: replied }, replied));
  if (outcome === "cut") words.append(make("span", { className: "tag cut" }, "перебит"));
  if (outcome === "failed") words.append(make("span", { className: "tag error" }, "не прозвучал"));
  return words;
}

/** Marks (seconds on the server's clock) in milliseconds from t_eos; a turn without speech of the caller (the greeting) has no zero, so no figures. */
function relativeMarks(marks) {
  const ready = [marks.t5, marks.t5_cache, marks.t5_tts].filter(Number.isFinite);
  const named = { ...marks, t5: Math.min(...ready) };
  return MARKS.map((name) => {
    const known = Number.isFinite(named[name]) && Number.isFinite(named.t_eos);
    return [name, known ? signed(Math.round((named[name] - named.t_eos) * 1000)) : NONE];
  });
}

function signed(value) {
  if (value === 0) return "0";
  return value > 0 ? `+${value}` : `−${-value}`;
}

function grade(response) {
  if (response <= GOOD_MS) return "good";
  return response <= FAIR_MS ? "fair" : "poor";
}
