"""The shipped assistant, walked in text through the router that answers calls, with the real embedding model."""

from __future__ import annotations

from collections.abc import Callable

import anyio
import pytest
from paths import REPO, with_prepared_vectors

from kamerton.cache.memory_store import MemoryStore
from kamerton.config.assistant_folder import Assistant, load_assistant
from kamerton.config.brain import open_brain
from kamerton.config.settings import AnswerSettings, Settings, load_settings
from kamerton.domain.dialogue import END_CALL, TRANSFER, FlowResult
from kamerton.orchestrator.decision import Decision
from kamerton.orchestrator.router import Router
from kamerton.orchestrator.workers import InlineWorker

pytestmark = pytest.mark.engine

QUOTED = ("сто пятьдесят", "два", "двадцать пять")
"""Answers that lead to the confirmation."""
WAYS = {
    "greeting": (),
    "ask_power": ("алло",),
    "power_limits": ("пять тысяч",),
    "power_help": ("не знаю",),
    "hold_power": ("подождите минуту",),
    "ask_drivers": QUOTED[:1],
    "drivers_limits": (*QUOTED[:1], "двадцать"),
    "drivers_help": (*QUOTED[:1], "не знаю"),
    "hold_drivers": (*QUOTED[:1], "подождите"),
    "ask_age": QUOTED[:2],
    "age_limits": (*QUOTED[:2], "пять"),
    "age_help": (*QUOTED[:2], "не помню"),
    "hold_age": (*QUOTED[:2], "секундочку, пожалуйста"),
    "confirm": QUOTED,
    "hold_confirm": (*QUOTED, "подождите минуту"),
    "what_to_correct": (*QUOTED, "нет, неверно"),
    "explain_price": (*QUOTED, "почему так дорого"),
    "new_quote": (*QUOTED, "посчитайте заново"),
    "saved": (*QUOTED, "да, всё верно"),
    "anything_else": (*QUOTED, "да", "ага, понятно"),
    "apply": (*QUOTED, "да", "хочу оформить полис"),
    "listening": (*QUOTED, "да", "да"),
    "thanks": (*QUOTED, "да", "спасибо"),
    "hold_after": (*QUOTED, "да", "подождите минуту"),
    "question": ("у меня вопрос",),
    "explain_midway": ("как вы это посчитали",),
    "operator": ("позовите оператора",),
    "offer_continue": ("позовите оператора", "повторите"),
}
"""How a caller gets into every state but the last."""


class Caller:
    """Somebody on the line: says things and remembers the session."""

    def __init__(self, router: Router) -> None:
        self._router = router
        self.last = router.begin("call-1")

    def say(self, *readings: str) -> Decision:
        """Say something; further readings are what the recogniser also made of it."""
        self.last = anyio.run(self._router.decide, self.last.session, readings)
        return self.last

    @property
    def state(self) -> str:
        return self.last.session.current_state_id

    @property
    def reply(self) -> str:
        return " ".join(item.text for item in self.last.playlist)

    def value(self, name: str) -> object:
        return self.last.session.variables.get(name)


Call = Callable[..., Caller]


@pytest.fixture(scope="module")
def assistant() -> Assistant:
    return load_assistant(REPO / "assistants" / "insurance")


@pytest.fixture(scope="module")
def router(assistant: Assistant, tmp_path_factory: pytest.TempPathFactory) -> Router:
    patient = AnswerSettings(budget_ms=2000)
    settings = load_settings(data_dir=with_prepared_vectors(tmp_path_factory.mktemp("data")), answers=patient)
    return anyio.run(_opened, assistant, settings)


async def _opened(assistant: Assistant, settings: Settings) -> Router:
    async with open_brain(assistant, settings, MemoryStore(1_000_000), InlineWorker()) as brain:
        return brain.router


@pytest.fixture
def call(router: Router) -> Call:
    def made(*said: str) -> Caller:
        caller = Caller(router)
        for text in said:
            caller.say(text)
        return caller

    return made


def test_the_greeting_gives_notice_and_asks_at_once(call: Call) -> None:
    caller = call()
    assert "автоматический помощник" in caller.reply
    assert caller.reply.endswith("Сколько лошадиных сил у вашего автомобиля?")
    assert caller.last.path == "greeting"


def test_the_whole_way_to_a_quote_and_good_bye(call: Call) -> None:
    caller = call("Сто пятьдесят.", "Два.", "Двадцать пять.")
    assert caller.state == "confirm"
    assert caller.reply == (
        "Проверим: 150 лошадиных сил, 2 водителя, самому молодому 25 лет. Стоимость полиса на год: 13 200 ₽. Всё верно?"
    )
    caller.say("Да, всё верно.")
    assert "Расчёт сохранён под номером этого звонка" in caller.reply
    caller.say("Нет, спасибо.")
    assert (caller.state, caller.last.action) == ("goodbye", END_CALL)


@pytest.mark.parametrize(
    ("power", "drivers", "age", "base", "price"),
    [
        ("сто", "один", "сорок", 12_000, 12_000),
        ("двести", "один", "сорок", 12_000, 12_000),
        ("двести одна", "один", "сорок", 15_000, 15_000),
        ("двести пятьдесят", "два", "тридцать", 15_000, 16_500),
        ("сто пятьдесят", "один", "двадцать один", 12_000, 14_400),
        ("сто пятьдесят", "один", "двадцать два", 12_000, 12_000),
        ("триста", "четыре", "восемнадцать", 15_000, 22_500),
        ("две тысячи", "десять", "девятнадцать", 15_000, 31_500),
    ],
)
def test_the_tariff(call: Call, power: str, drivers: str, age: str, base: int, price: int) -> None:
    caller = call(power, drivers, age)
    assert caller.state == "confirm"
    assert (caller.value("base_tariff"), caller.value("final_price")) == (base, price)


@pytest.mark.parametrize(
    ("said", "power"),
    [
        ("150", 150),
        ("Сто 50.", 150),
        ("100-25", 125),
        ("сток двадцать пять", 125),
        ("Сурок.", 40),
        ("здравствуйте, сто пятьдесят лошадиных сил", 150),
        ("ну где-то сто двадцать", 120),
    ],
)
def test_power_is_understood_as_it_comes_from_the_recogniser(call: Call, said: str, power: int) -> None:
    caller = call(said)
    assert (caller.state, caller.value("engine_power")) == ("ask_drivers", power)


def test_another_reading_may_hold_the_answer(call: Call) -> None:
    caller = call(*QUOTED[:2])
    caller.say("девя носток", "девяносто")
    assert caller.value("youngest_age") == 90


@pytest.mark.parametrize(("said", "drivers"), [("двое", 2), ("только я", 1), ("мы с женой", 2), ("Один.", 1)])
def test_drivers_are_counted_as_people_say_it(call: Call, said: str, drivers: int) -> None:
    caller = call("сто пятьдесят", said)
    assert (caller.state, caller.value("drivers")) == ("ask_age", drivers)


@pytest.mark.parametrize(
    ("said", "limits"),
    [
        (("пять тысяч",), "от двадцати до двух тысяч"),
        (("один",), "от двадцати до двух тысяч"),
        (("сто", "пятнадцать"), "от одного до десяти"),
        (("сто", "один", "семнадцать"), "от восемнадцати до девяноста девяти"),
    ],
)
def test_values_out_of_range_are_answered_with_the_limits(call: Call, said: tuple[str, ...], limits: str) -> None:
    caller = call(*said)
    assert limits in caller.reply
    assert caller.reply.endswith("?")


@pytest.mark.parametrize("said", ["здравствуйте", "алло", "Алло?", "добрый день", "угу"])
def test_a_greeting_is_answered_with_the_question_alone(call: Call, said: str) -> None:
    caller = call(said)
    assert caller.reply == "Сколько лошадиных сил у вашего автомобиля?"


@pytest.mark.parametrize(
    ("said", "name", "value", "price"),
    [
        ("Нет, двести пятьдесят лошадиных сил.", "engine_power", 250, 16_500),
        ("не сто пятьдесят, а двести десять", "engine_power", 210, 16_500),
        ("водителей трое", "drivers", 3, 14_400),
        ("нет, возраст двадцать лет", "youngest_age", 20, 15_600),
        ("да, но мощность двести двадцать", "engine_power", 220, 16_500),
    ],
)
def test_corrections_with_a_value_recompute_the_price(call: Call, said: str, name: str, value: int, price: int) -> None:
    caller = call(*QUOTED, said)
    assert caller.state == "confirm"
    assert (caller.value(name), caller.value("final_price")) == (value, price)


def test_a_correction_without_a_value_clears_what_depends_on_it_and_keeps_the_rest(call: Call) -> None:
    caller = call(*QUOTED, "мощность неправильная")
    assert caller.state == "ask_power"
    assert [caller.value(name) for name in ("engine_power", "base_tariff", "final_price")] == [None] * 3
    assert (caller.value("drivers"), caller.value("youngest_age")) == (2, 25)
    caller.say("двести пятьдесят")
    assert (caller.state, caller.value("final_price")) == ("confirm", 16_500)


@pytest.mark.parametrize(
    ("said", "asked"), [("мощность", "ask_power"), ("число водителей", "ask_drivers"), ("возраст", "ask_age")]
)
def test_what_to_correct_is_asked_and_taken(call: Call, said: str, asked: str) -> None:
    caller = call(*QUOTED, "нет")
    assert caller.reply == "Что поправить: мощность, число водителей или возраст?"
    caller.say(said)
    assert caller.state == asked


def test_a_changed_mind_about_correcting_repeats_the_check(call: Call) -> None:
    caller = call(*QUOTED, "нет", "ничего, всё верно")
    assert caller.state == "confirm"
    assert "13 200 ₽" in caller.reply


def test_earlier_answers_can_be_corrected_on_the_way(call: Call) -> None:
    caller = call("сто", "нет, мощность сто шестьдесят")
    assert (caller.state, caller.value("engine_power")) == ("ask_drivers", 160)


def test_back_returns_to_the_question_before(call: Call) -> None:
    caller = call(*QUOTED, "назад")
    assert (caller.state, caller.value("youngest_age"), caller.value("final_price")) == ("ask_age", None, None)
    caller.say("назад")
    assert (caller.state, caller.value("drivers")) == ("ask_drivers", None)
    caller.say("назад")
    assert (caller.state, caller.value("engine_power")) == ("ask_power", None)


def test_back_skips_asides(call: Call) -> None:
    caller = call("сто пятьдесят", "подождите минуту", "два", "шаг назад")
    assert (caller.state, caller.value("drivers"), caller.value("engine_power")) == ("ask_drivers", None, 150)


def test_starting_over_forgets_everything(call: Call) -> None:
    caller = call(*QUOTED, "давайте сначала")
    assert caller.state == "new_quote"
    assert not caller.last.session.variables


@pytest.mark.parametrize(
    ("said", "faq_id"),
    [
        ("Такие нужны документы для оформления полиса?", "documents"),
        ("Можно ли оплатить с карты?", "card_payment"),
        ("а если я в аварию попаду", "accident"),
        ("Вы робот?", "robot"),
        ("где вы находитесь", "office"),
    ],
)
@pytest.mark.parametrize("state", ["greeting", "ask_age", "confirm", "saved"])
def test_a_question_in_the_middle_is_answered_and_the_talk_goes_on(
    call: Call, state: str, said: str, faq_id: str
) -> None:
    caller = call(*WAYS[state])
    before = caller.last.session.variables
    caller.say(said)
    assert caller.last.path == "faq"
    assert caller.last.faq is not None
    assert caller.last.faq.faq_id == faq_id
    assert (caller.state, caller.last.session.variables) == (state, before)
    assert caller.reply.endswith("?")


@pytest.mark.parametrize(
    "said", ["Какая сегодня погода в Москве?", "Какая столица Франции?", "расскажите анекдот про кота"]
)
@pytest.mark.parametrize("state", ["greeting", "ask_drivers", "confirm", "saved"])
def test_what_is_out_of_scope_gets_an_honest_offer(call: Call, assistant: Assistant, state: str, said: str) -> None:
    caller = call(*WAYS[state], said)
    assert (caller.last.path, caller.state) == ("fallback", state)
    assert caller.reply.startswith(assistant.phrases["offer"])
    assert caller.reply.endswith("?")


@pytest.mark.parametrize("state", ["greeting", "ask_drivers", "ask_age", "confirm"])
def test_an_operator_is_tried_and_the_talk_resumes_where_it_was(call: Call, state: str) -> None:
    caller = call(*WAYS[state], "Переключите меня на живого человека.")
    assert (caller.state, caller.last.action) == ("operator", TRANSFER)
    kept = dict(caller.last.session.variables)
    caller.say("Да, продолжим.")
    assert caller.state == {"greeting": "ask_power"}.get(state, state)
    assert caller.last.result in (FlowResult.SUCCESS, FlowResult.MISSING_ENTITY)
    assert {name: caller.value(name) for name in kept} == kept


def test_an_operator_asked_for_twice_is_not_promised_again(call: Call, assistant: Assistant) -> None:
    caller = call("оператор", "позовите оператора")
    assert caller.last.action is None
    assert caller.reply == assistant.phrases["operator_unavailable"]


def test_waiting_is_granted_and_the_answer_still_taken(call: Call) -> None:
    caller = call("Подождите минуту.")
    assert caller.reply == "Хорошо, я подожду."
    caller.say("сто двадцать")
    assert (caller.state, caller.value("engine_power")) == ("ask_drivers", 120)


@pytest.mark.parametrize("state", ["ask_drivers", "confirm", "saved", "what_to_correct"])
def test_repeat_says_the_same_again(call: Call, state: str) -> None:
    caller = call(*WAYS[state])
    said = caller.reply
    caller.say("Повторите, пожалуйста.")
    assert (caller.state, caller.reply) == (state, said)


@pytest.mark.parametrize("state", ["ask_drivers", "confirm"])
def test_three_turns_not_heard_lead_to_the_operator(call: Call, state: str) -> None:
    caller = call(*WAYS[state])
    for _ in range(2):
        caller.say("пшшш")
        assert (caller.state, caller.last.path) == (state, "fallback")
        assert caller.reply.startswith(("Извините", "Простите"))
    caller.say("")
    assert (caller.state, caller.last.action) == ("operator", TRANSFER)


def test_one_understood_turn_forgives_the_misses_before(call: Call) -> None:
    caller = call("пшшш", "пшшш", "сто пятьдесят", "пшшш", "пшшш")
    assert caller.state == "ask_drivers"


@pytest.mark.parametrize("state", WAYS)
def test_every_state_can_be_reached_and_left_with_a_good_bye(call: Call, state: str) -> None:
    caller = call(*WAYS[state])
    assert caller.state == state
    caller.say("До свидания.")
    assert (caller.state, caller.last.action) == ("goodbye", END_CALL)
    assert not caller.last.interruptible


def test_the_ways_cover_the_whole_scenario(assistant: Assistant) -> None:
    assert {*WAYS, "goodbye"} == set(assistant.flow.states)


NOT_AGREED = (
    "конечно, нет",
    "не оформляйте",
    "мы не согласны",
    "не всё верно",
    "да ладно!",
    "да, но дорого",
    "хорошо, а дешевле нельзя?",
    "отлично, но мощность не та",
    "нет, всё верно",
    "пока не надо",
    "не беру",
    "верно?",
    "так",
)


@pytest.mark.parametrize("said", NOT_AGREED)
def test_no_sale_is_confirmed_by_less_than_a_yes(call: Call, said: str) -> None:
    caller = call(*QUOTED, said)
    assert caller.state not in {"saved", "apply"}


def test_one_reading_that_agrees_is_no_consent_when_the_other_refuses(call: Call) -> None:
    caller = call(*QUOTED)
    caller.say("Не все верно.", "Все верно.")
    assert caller.state != "saved"
    caller = call(*QUOTED)
    caller.say("Да, всё верно.", "Да ладно.")
    assert caller.state == "confirm"


@pytest.mark.parametrize("said", ["да, всё верно", "не против", "да нет, всё верно", "нет проблем, давайте", "годится"])
def test_a_plain_yes_confirms(call: Call, said: str) -> None:
    assert call(*QUOTED, said).state == "saved"


@pytest.mark.parametrize(
    "said",
    [
        "Всем пока!",
        "До новых встреч!",
        "Спасибо за просмотр!",
        "пока что",
        "пока думаю",
        "подождите, пока я найду",
        "вы перезвоните?",
        "не надо прощаться",
        "не переключайте меня",
        "не надо оператора",
        "оператор не нужен",
        "неправильно",
        "не всё",
        "не так быстро",
    ],
)
@pytest.mark.parametrize("state", ["ask_power", "confirm", "saved"])
def test_nothing_but_a_wish_to_leave_ends_or_moves_the_call(call: Call, state: str, said: str) -> None:
    caller = call(*WAYS[state], said)
    assert caller.last.action is None


@pytest.mark.parametrize("said", ["Пока.", "ну всё, пока", "Спасибо, пока-пока!", "мне ничего не надо, до свидания"])
def test_a_good_bye_is_one(call: Call, said: str) -> None:
    assert call(*QUOTED, "да", said).last.action == END_CALL


@pytest.mark.parametrize("said", ["1111 2222 3333 4444", "8 912 345 67 89", "номер карты 1111", "45 08 123456"])
def test_digits_of_a_card_or_a_phone_are_no_engine_power(call: Call, said: str) -> None:
    caller = call(said)
    assert (caller.value("engine_power"), caller.state) == (None, "greeting")
