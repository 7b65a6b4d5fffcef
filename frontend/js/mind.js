/** The strip that shows what the assistant is doing right now. */

import { byId, make } from "./dom.js";
import { ENDINGS } from "./turns.js";

const STATES = {
  IDLE: ["Ожидание", "Ассистент ждёт звонка"],
  LISTENING: ["Слушает", "Ассистент слушает вас"],
  ANALYZING_SPEECH: ["Разбирает речь", "Распознаёт сказанное и понимает, закончена ли фраза"],
  CHECKING_CACHE: ["Ищет ответ", "Смотрит сценарий, вопросы и ответы, готовый звук"],
  ROUTING_TO_LLM: ["Спрашивает модель", "Готового ответа нет, вопрос передан языковой модели"],
  GENERATING_SPEECH: ["Готовит голос", "Превращает текст ответа в речь"],
  SPEAKING: ["Говорит", "Ассистент отвечает"],
};

/** What is being said, where the server tells it by a word. */
const SPOKEN = {
  greeting: "Здоровается",
  reply: "Отвечает на сказанное",
  filler: "Занимает паузу, пока готовится ответ",
  prompt: "Обращается к вам",
};

/** What the details of a state are, where they are words that somebody says. */
const QUOTED = { ROUTING_TO_LLM: "Готового ответа нет, модель отвечает на вопрос", GENERATING_SPEECH: "Озвучивает" };

export class MindStrip {
  constructor() {
    this.steps = new Map();
    for (const [state, [label]] of Object.entries(STATES)) {
      const step = make("li", { dataset: { state } }, make("i", { ariaHidden: "true" }), make("span", {}, label));
      this.steps.set(state, step);
      byId("mind").append(step);
    }
    this.show("IDLE", "");
  }

  /** @param {string} state @param {string} details a known word, or text to show; ours stands in when there is none */
  show(state, details) {
    this.state = state;
    for (const [name, step] of this.steps) {
      if (name === state) step.setAttribute("aria-current", "step");
      else if (step.hasAttribute("aria-current")) {
        step.removeAttribute("aria-current");
        step.getAnimations({ subtree: true }).forEach((animation) => animation.cancel());
        step.classList.remove("past");
        void step.offsetWidth;
        step.classList.add("past");
      }
    }
    byId("mind").dataset.state = state;
    byId("mind-details").textContent = inWords(state, details) || STATES[state]?.[1] || state;
  }
}

function inWords(state, details) {
  if (details && state in QUOTED) return `${QUOTED[state]}: «${details}»`;
  if (details in ENDINGS) return `Ход закончен: ${ENDINGS[details]}`;
  return SPOKEN[details] ?? details;
}
