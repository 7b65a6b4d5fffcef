"""Scenarios that fail in the middle of a call: nothing changes, the caller hears something, the report says where."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from kamerton.domain.dialogue import Entities, FlowResult, FlowStep, IntentResult, SessionState, TurnState, UserTurn
from kamerton.flow_engine import DialogueMap, FlowEngine, Surroundings, load_dialogue_map


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


Build = Callable[[dict[str, Any]], FlowEngine]


@pytest.fixture
def build(surroundings: Surroundings, folder_contents: dict[str, Any]) -> Build:
    def make(data: dict[str, Any]) -> FlowEngine:
        dialogue_map = load_dialogue_map(json.dumps(data), "insurance", surroundings)
        return FlowEngine(dialogue_map, folder_contents["phrases"], folder_contents["fillers"], "insurance")

    return make


def broken_code(sample: dict[str, Any], source: str) -> dict[str, Any]:
    data = copy.deepcopy(sample)
    data["states"]["ask_power"]["transitions"]["answer"]["execute_code"] = source
    return data


def test_code_that_fails_changes_nothing(sample: dict[str, Any], build: Build) -> None:
    talk = Talk(build(broken_code(sample, "x = 0\ny = 1 / x")))
    talk.hears("yes")
    before = talk.step.session
    step = talk.numbers(100)
    assert step.result is FlowResult.EXECUTION_ERROR
    assert step.session is before
    assert step.detail == "states.ask_power.transitions.answer.execute_code, line 2: division by zero"
    assert said(step) == "Простите, у меня что-то сломалось. Сколько лошадиных сил?"


def test_on_enter_that_fails_changes_nothing(sample: dict[str, Any], build: Build) -> None:
    sample["states"]["ask_drivers"]["on_enter"] = "x = 1000000000\nx = 'a' * x"
    talk = Talk(build(sample))
    talk.hears("yes")
    before = talk.step.session
    step = talk.numbers(100)
    assert (step.result, step.session) == (FlowResult.EXECUTION_ERROR, before)
    assert "states.ask_drivers.on_enter, line 2" in step.detail


def test_code_that_needs_a_missing_value_asks_for_it(sample: dict[str, Any], build: Build) -> None:
    talk = Talk(build(broken_code(sample, "x = youngest_age + 1")))
    talk.hears("yes")
    talk.hears("answer", numbers=(100.0,))
    assert (talk.step.result, talk.state) == (FlowResult.MISSING_ENTITY, "ask_drivers")
    assert "youngest_age" in talk.step.detail


def test_code_that_needs_an_absent_entity_stays(sample: dict[str, Any], build: Build) -> None:
    talk = Talk(build(broken_code(sample, "x = entities['phone']")))
    talk.hears("yes")
    before = talk.step.session
    step = talk.numbers(100)
    assert (step.result, step.session) == (FlowResult.MISSING_ENTITY, before)


def test_on_enter_that_lacks_a_value_nobody_asks_for_stays(sample: dict[str, Any], build: Build) -> None:
    sample["states"]["ask_drivers"]["on_enter"] = "x = final_price"
    talk = Talk(build(sample))
    talk.hears("yes")
    step = talk.numbers(100)
    assert (step.result, talk.state) == (FlowResult.MISSING_ENTITY, "ask_power")


def test_a_template_that_fails_changes_nothing(sample: dict[str, Any], build: Build) -> None:
    playlist = [{"type": "tts", "text_template": "{{ 1 / (engine_power - 100) }}"}]
    sample["states"]["ask_drivers"]["system_response"]["playlist"] = playlist
    talk = Talk(build(sample))
    talk.hears("yes")
    step = talk.numbers(100)
    assert (step.result, talk.state) == (FlowResult.EXECUTION_ERROR, "ask_power")
    assert "division by zero" in step.detail
    sample["states"]["ask_power"]["no_match"]["playlist"] = playlist
    talk = Talk(build(sample))
    talk.hears("yes")
    step = talk.hears(None)
    assert (step.result, step.matched) == (FlowResult.EXECUTION_ERROR, False)
    assert "states.ask_power.no_match.playlist" in step.detail


def test_an_unset_list_item_is_an_error_not_a_question(sample: dict[str, Any], build: Build) -> None:
    sample["states"]["ask_drivers"]["on_enter"] = "items = [1]"
    sample["states"]["ask_drivers"]["system_response"]["playlist"] = [
        {"type": "tts", "text_template": "{{ items[4] }}"}
    ]
    talk = Talk(build(sample))
    talk.hears("yes")
    assert talk.numbers(100).result is FlowResult.EXECUTION_ERROR


def test_going_in_circles_ends(sample: dict[str, Any], build: Build) -> None:
    sample["states"]["ask_power"]["on_enter"] = "x = drivers"
    sample["states"]["ask_drivers"]["on_enter"] = "y = engine_power"
    talk = Talk(build(sample))
    step = talk.hears("yes")
    assert (step.result, talk.state) == (FlowResult.EXECUTION_ERROR, "greeting")
    assert "goes round" in step.detail


def test_a_begin_that_fails_tells_so(sample: dict[str, Any], build: Build) -> None:
    sample["states"]["greeting"]["on_enter"] = "x = 0\nx = 1 / x"
    step = build(sample).begin("c")
    assert step.result is FlowResult.EXECUTION_ERROR
    assert "Простите" in said(step)


def test_a_session_of_another_scenario(engine: FlowEngine) -> None:
    session = SessionState("c", "insurance", "gone")
    step = engine.step(session, turn("yes"))
    assert (step.result, step.session) == (FlowResult.EXECUTION_ERROR, session)
    assert "'gone'" in step.detail


def test_a_map_that_was_not_validated_does_not_break_a_call(sample_map: DialogueMap) -> None:
    moves = {**sample_map.states["greeting"].transitions}
    moves["yes"] = replace(moves["yes"], next_state="nowhere")
    states = {**sample_map.states, "greeting": replace(sample_map.states["greeting"], transitions=moves)}
    engine = FlowEngine(replace(sample_map, states=states), {}, {}, "insurance")
    step = engine.begin("c")
    assert (step.playlist, step.session.turn_state) == ((), TurnState.USER_TURN)
    after = engine.step(step.session, turn("yes"))
    assert (after.result, after.session) == (FlowResult.EXECUTION_ERROR, step.session)
    assert "'nowhere'" in after.detail
