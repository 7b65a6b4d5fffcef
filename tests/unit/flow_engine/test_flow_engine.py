"""Conversations with the sample scenario, turn by turn."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from kamerton.domain.dialogue import (
    Entities,
    EntityKind,
    FlowResult,
    FlowStep,
    IntentResult,
    SessionState,
    TurnState,
    UserTurn,
)
from kamerton.flow_engine import FlowEngine, Surroundings, load_dialogue_map


def turn(intent: str | None, text: str = "", leader: str | None = None, **entities: Any) -> UserTurn:
    return UserTurn(text, IntentResult(intent, 0.9, leader=leader or intent), Entities(**entities))


def said(step: FlowStep) -> str:
    return " ".join(item.text for item in step.playlist)


class Talk:
    """A call in progress: every turn goes on from the last session."""

    def __init__(self, engine: FlowEngine) -> None:
        self.engine = engine
        self.step = engine.begin("call-1")

    def hears(self, intent: str | None, text: str = "", **entities: Any) -> FlowStep:
        self.step = self.engine.step(self.step.session, turn(intent, text, **entities))
        return self.step

    def numbers(self, *numbers: float) -> FlowStep:
        for number in numbers:
            self.hears("answer", numbers=(number,))
        return self.step

    @property
    def state(self) -> str:
        return self.step.session.current_state_id

    @property
    def values(self) -> dict[str, Any]:
        return dict(self.step.session.variables)


@pytest.fixture
def talk(engine: FlowEngine) -> Talk:
    return Talk(engine)


@pytest.fixture
def at_quote(talk: Talk) -> Talk:
    talk.hears("yes", yes_no=True)
    talk.numbers(100, 2, 30)
    assert talk.state == "quote"
    return talk


Build = Callable[[dict[str, Any]], FlowEngine]


@pytest.fixture
def build(surroundings: Surroundings, folder_contents: dict[str, Any]) -> Build:
    def make(data: dict[str, Any]) -> FlowEngine:
        dialogue_map = load_dialogue_map(json.dumps(data), "insurance", surroundings)
        return FlowEngine(dialogue_map, folder_contents["phrases"], folder_contents["fillers"], "insurance")

    return make


def test_begin_greets(engine: FlowEngine) -> None:
    step = engine.begin("call-7")
    assert step.result is FlowResult.SUCCESS
    assert (step.session.call_id, step.session.assistant) == ("call-7", "insurance")
    assert (step.session.current_state_id, step.session.state_history) == ("greeting", ())
    assert step.session.turn_state is TurnState.BOT_TURN
    assert [(item.type, item.key) for item in step.playlist] == [("cache", "legal_notice"), ("cache", "ready")]
    assert not step.interruptible
    assert step.matched


def test_the_way_to_a_quote(talk: Talk) -> None:
    talk.hears("yes", leader="yes", yes_no=True)
    assert (talk.state, talk.step.session.previous_intent_leader) == ("ask_power", "yes")
    talk.numbers(250)
    assert talk.values == {"engine_power": 250}
    assert isinstance(talk.values["engine_power"], int)
    talk.numbers(2)
    assert said(talk.step) == "2 водителя. Сколько лет младшему?"
    step = talk.numbers(21)
    assert (talk.values["base_tariff"], talk.values["final_price"]) == (15000, 19800)
    assert said(step) == "Полис стоит 19 800 ₽. Оформляем?"
    assert [item.type for item in step.fillers] == ["filler", "tts"]
    assert step.session.state_history == ("greeting", "ask_power", "ask_drivers", "ask_age")
    talk.hears("yes", yes_no=True)
    talk.hears("answer", phone="+79991234567")
    assert talk.values["contact"] == "+79991234567 (19,800)"
    assert talk.hears("goodbye").action == "END_CALL"


def test_out_of_range_has_its_own_way(talk: Talk) -> None:
    talk.hears("yes")
    assert talk.hears("out_of_range", numbers=(5000.0,)).matched
    assert talk.state == "power_out_of_range"
    talk.numbers(150)
    assert talk.state == "ask_drivers"


@pytest.mark.parametrize("numbers", [(), (5000.0,), (150.5,), (float("nan"),), (float("inf"),)])
def test_an_answer_that_does_not_fit_is_out_of_range(talk: Talk, numbers: tuple[float, ...]) -> None:
    talk.hears("yes")
    talk.hears("answer", numbers=numbers)
    assert talk.state == "power_out_of_range"
    assert talk.values == {}


def test_out_of_range_without_a_way_is_a_miss(talk: Talk) -> None:
    talk.hears("yes")
    talk.numbers(100)
    step = talk.numbers(50)
    assert (step.matched, talk.state, step.session.misses) == (False, "ask_drivers", 1)


def test_the_last_number_that_fits_and_was_not_rejected_counts(talk: Talk) -> None:
    talk.hears("yes")
    talk.hears("answer", numbers=(150.0, 100.0, 3.0), negated_numbers=(100.0,))
    assert talk.values == {"engine_power": 150}


def test_misses_are_counted_up_to_the_limit(talk: Talk) -> None:
    talk.hears("yes")
    first = talk.hears(None, "шум", leader="repeat")
    assert (first.matched, first.session.misses, said(first)) == (False, 1, "Простите, не расслышал.")
    assert first.session.previous_intent_leader == "repeat"
    assert first.session.turn_state is TurnState.BOT_TURN
    second = talk.hears("restart")
    assert (second.matched, talk.state, second.action, second.session.misses) == (False, "operator", "TRANSFER", 0)


def test_a_match_forgets_misses(talk: Talk) -> None:
    talk.hears("yes")
    talk.hears(None)
    talk.hears("repeat")
    assert talk.step.session.misses == 0
    talk.hears(None)
    assert talk.state == "ask_power"


def test_without_words_of_its_own_a_state_says_not_heard_and_asks_again(at_quote: Talk) -> None:
    step = at_quote.hears(None)
    assert said(step) == "Простите, не расслышал. Оформляем?"
    for _ in range(10):
        at_quote.hears(None)
    assert (at_quote.state, at_quote.step.session.misses) == ("quote", 11)


def test_repeat_says_the_same_and_changes_nothing(at_quote: Talk) -> None:
    before = at_quote.step
    after = at_quote.hears("repeat")
    assert said(after) == said(before)
    assert after.session == replace(before.session, previous_intent_leader="repeat")


def test_back_asks_the_question_before_anew(at_quote: Talk) -> None:
    at_quote.hears("back")
    assert (at_quote.state, at_quote.step.session.state_history) == (
        "ask_age",
        ("greeting", "ask_power", "ask_drivers"),
    )
    assert "youngest_age" not in at_quote.values
    assert "final_price" not in at_quote.values
    assert at_quote.values["base_tariff"] == 12000
    at_quote.hears("back")
    assert (at_quote.state, "drivers" in at_quote.values) == ("ask_drivers", False)
    at_quote.numbers(3)
    assert at_quote.state == "ask_age"
    at_quote.numbers(40)
    assert at_quote.values["final_price"] == 14400


def test_back_with_no_question_before_repeats(talk: Talk) -> None:
    talk.hears("yes")
    before = talk.step.session
    talk.hears("back")
    assert talk.step.session == replace(before, previous_intent_leader="back")


@pytest.mark.parametrize(
    ("text", "entities", "values"),
    [
        (
            "нет, не сто, а двести пятьдесят",
            {"numbers": (250.0,), "negated_numbers": (100.0,)},
            {"engine_power": 250, "base_tariff": 15000, "final_price": 16500},
        ),
        ("нет, двести пятьдесят лошадиных сил", {"numbers": (250.0,)}, {"engine_power": 250, "final_price": 16500}),
        ("водителей трое", {"numbers": (3.0,)}, {"drivers": 3, "final_price": 14400}),
        ("ні, двадцять років", {"numbers": (20.0,), "number_unit": "років"}, {"youngest_age": 20}),
    ],
)
def test_corrections_at_the_confirmation(
    at_quote: Talk, text: str, entities: dict[str, Any], values: dict[str, Any]
) -> None:
    step = at_quote.hears("correct", text, yes_no=False, **entities)
    assert (step.result, at_quote.state, step.matched) == (FlowResult.SUCCESS, "quote", True)
    assert {name: at_quote.values[name] for name in values} == values
    assert "Полис стоит" in said(step)


def test_a_correction_without_a_value_asks_and_then_skips_what_is_known(at_quote: Talk) -> None:
    at_quote.hears("correct", "мощность неправильная", yes_no=False)
    assert at_quote.state == "ask_power"
    assert not {"engine_power", "base_tariff", "final_price"} & set(at_quote.values)
    step = at_quote.numbers(250)
    assert (at_quote.state, at_quote.values["final_price"]) == ("quote", 16500)
    assert said(step) == "Полис стоит 16 500 ₽. Оформляем?"


def test_an_unclear_correction_is_a_no(at_quote: Talk) -> None:
    at_quote.hears("correct", "нет, неправильно", yes_no=False)
    assert at_quote.state == "what_is_wrong"
    assert not at_quote.hears("correct", "всё не так").matched


def test_a_correction_on_the_way_comes_back_to_the_question(talk: Talk) -> None:
    talk.hears("yes")
    talk.numbers(100)
    step = talk.hears("correct", "нет, не сто, а сто пятьдесят", numbers=(150.0,), negated_numbers=(100.0,))
    assert (talk.state, talk.values) == ("ask_drivers", {"engine_power": 150})
    assert step.result is FlowResult.MISSING_ENTITY
    assert "Сколько водителей?" in said(step)
    assert step.session.state_history == ("greeting", "ask_power")


def test_a_correction_that_answers_the_question_is_its_answer(talk: Talk) -> None:
    talk.hears("yes")
    talk.hears("correct", "не сто, а сто пятьдесят", numbers=(150.0,), negated_numbers=(100.0,))
    assert (talk.state, talk.values) == ("ask_drivers", {"engine_power": 150})


def test_correct_with_repeat_computes_anew(sample: dict[str, Any], build: Build) -> None:
    sample["global_transitions"]["correct"] = {"next_state": "@repeat"}
    talk = Talk(build(sample))
    talk.hears("yes")
    talk.numbers(100, 2, 30)
    talk.hears("correct", "нет, двести пятьдесят сил", numbers=(250.0,))
    assert (talk.state, talk.values["final_price"]) == ("quote", 16500)


def test_without_a_correct_transition_it_is_a_no(sample: dict[str, Any], build: Build) -> None:
    del sample["global_transitions"]["correct"]
    talk = Talk(build(sample))
    talk.hears("yes")
    talk.numbers(100, 2, 30)
    talk.hears("correct", "водителей трое", numbers=(3.0,))
    assert (talk.state, talk.values["drivers"]) == ("what_is_wrong", 2)


def test_the_same_value_again_clears_nothing(at_quote: Talk) -> None:
    session = replace(at_quote.step.session, current_state_id="ask_drivers")
    after = at_quote.engine.step(session, turn("answer", numbers=(2.0,)))
    assert after.session.variables["final_price"] == at_quote.values["final_price"]


def test_starting_over_clears_what_it_names(at_quote: Talk) -> None:
    at_quote.hears("restart")
    assert at_quote.state == "ask_power"
    assert set(at_quote.values) == {"price"}
    at_quote.numbers(250)
    assert at_quote.state == "ask_drivers"


def test_a_states_own_transition_overrides_the_global_one(sample: dict[str, Any], build: Build) -> None:
    sample["states"]["ask_power"]["transitions"]["goodbye"] = {"next_state": "operator"}
    talk = Talk(build(sample))
    talk.hears("yes")
    assert talk.hears("goodbye").action == "TRANSFER"


def test_fillers_differ_from_state_to_state(talk: Talk) -> None:
    talk.hears("yes")
    first = talk.step.playlist[0]
    talk.numbers(100)
    second = talk.step.playlist[0]
    assert (first.type, first.key, second.key) == ("filler", "thinking", "thinking")
    assert first.text != second.text


def test_history_is_bounded_and_fillers_still_change(talk: Talk) -> None:
    fillers = []
    talk.hears("yes")
    for _ in range(80):
        talk.numbers(100)
        fillers.append(talk.step.playlist[0].text)
        talk.hears("back")
        fillers.append(talk.step.playlist[0].text)
    assert len(talk.step.session.state_history) <= 50
    session = replace(talk.step.session, state_history=("ask_age",) * 50)
    lengths = []
    for number in range(6):
        session = replace(session, current_state_id="ask_power" if number % 2 else "power_out_of_range")
        session = talk.engine.step(session, turn("answer", numbers=(100.0,))).session
        lengths.append(len(session.state_history))
    assert lengths == [49, 50, 49, 50, 49, 50]


def test_reprompt(at_quote: Talk) -> None:
    engine, session = at_quote.engine, at_quote.step.session
    assert [item.text for item in engine.reprompt(session)] == ["Оформляем?"]
    at_power = replace(session, current_state_id="ask_power")
    assert [item.text for item in engine.reprompt(at_power)] == ["Сколько лошадиных сил?"]
    unset = replace(session, current_state_id="ask_age", variables={})
    assert engine.reprompt(unset) == ()
    assert engine.reprompt(replace(session, current_state_id="gone")) == ()


def test_expectation(at_quote: Talk) -> None:
    engine, session = at_quote.engine, at_quote.step.session
    power = engine.expectation(replace(session, current_state_id="ask_power"))
    assert (power.entity, power.variable) == (EntityKind.NUMBER, "engine_power")
    assert (power.minimum, power.maximum, power.phrases) == (10, 2000, ("сто пятьдесят",))
    assert power.units[0] == "лошадиных сил"
    assert power.intents == ("answer", "out_of_range", "correct", "repeat", "back", "operator", "goodbye")
    drivers = engine.expectation(replace(session, current_state_id="ask_drivers"))
    assert drivers.units == ("водителя", "водителей")
    quote = engine.expectation(session)
    assert (quote.entity, quote.minimum) == (EntityKind.YES_NO, None)
    assert {"лошадиных сил", "водителей", "лет"} <= set(quote.units)
    nothing = engine.expectation(replace(session, current_state_id="what_is_wrong"))
    assert (nothing.entity, nothing.intents[0]) == (None, "restart")
    assert engine.expectation(replace(session, current_state_id="gone")).intents == ()


def test_expectation_of_a_number_without_a_variable(sample: dict[str, Any], build: Build) -> None:
    sample["states"]["what_is_wrong"]["expects"] = {"entity": "number", "minimum": 1, "maximum": 3, "units": ["пункт"]}
    sample["states"]["what_is_wrong"]["transitions"]["answer"] = {
        "next_state": "operator",
        "execute_code": "choice = int(entities['number'])",
    }
    engine = build(sample)
    session = SessionState("c", "insurance", "what_is_wrong")
    expected = engine.expectation(session)
    assert (expected.minimum, expected.maximum, expected.units) == (1, 3, ("пункт",))
    step = engine.step(session, turn("answer", numbers=(2.0,)))
    assert (step.session.variables, step.session.current_state_id) == ({"choice": 2}, "operator")


def test_yes_and_no_fill_a_variable_and_are_skipped_later(sample: dict[str, Any], build: Build) -> None:
    sample["variables"]["garage"] = {"type": "boolean", "names": ["гараж"], "clears": ["final_price"]}
    sample["states"]["ask_garage"] = {
        "system_response": {"playlist": [{"type": "tts", "text_template": "Есть гараж?"}]},
        "expects": {"entity": "yes_no", "variable": "garage"},
        "transitions": {"yes": {"next_state": "quote"}, "no": {"next_state": "quote"}},
    }
    sample["states"]["ask_age"]["transitions"]["answer"]["next_state"] = "ask_garage"
    talk = Talk(build(sample))
    talk.hears("yes")
    talk.numbers(100, 2, 30)
    assert talk.state == "ask_garage"
    talk.hears("no", yes_no=False)
    assert (talk.state, talk.values["garage"]) == ("quote", False)
    talk.hears("correct", "мощность не та", yes_no=False)
    talk.numbers(250)
    assert (talk.state, talk.values["garage"]) == ("quote", False)
    talk.hears("correct", "гараж не так", yes_no=False)
    assert (talk.state, "garage" in talk.values) == ("ask_garage", False)
    talk.hears("yes", yes_no=True)
    assert (talk.state, talk.values["garage"]) == ("quote", True)
    talk.hears("correct", "водителей трое", numbers=(3.0,))
    assert talk.state == "quote"


def test_no_to_a_number_question_is_an_intent_like_others(talk: Talk) -> None:
    talk.hears("yes")
    assert not talk.hears("no", yes_no=False).matched


def test_a_question_that_moves_by_a_sign_is_never_skipped(sample: dict[str, Any], build: Build) -> None:
    sample["states"]["ask_drivers"]["transitions"]["answer"]["next_state"] = "@repeat"
    sample["states"]["ask_drivers"]["transitions"]["yes"] = {"next_state": "ask_age"}
    engine = build(sample)
    session = SessionState("c", "insurance", "ask_power", {"drivers": 2})
    assert engine.step(session, turn("answer", numbers=(100.0,))).session.current_state_id == "ask_drivers"
