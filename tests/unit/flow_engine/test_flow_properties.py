"""Whatever callers say: no exception, no change after a failure, the same output for the same input."""

from __future__ import annotations

import copy
from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kamerton.domain.dialogue import Entities, FlowResult, IntentResult, TurnState, UserTurn
from kamerton.flow_engine import DialogueMap, FlowEngine

INTENTS = st.sampled_from(
    [None, "yes", "no", "answer", "out_of_range", "correct", "back", "repeat", "operator", "goodbye", "restart", "?"]
)
TEXTS = st.sampled_from(
    ["", "мощность", "водителей", "вік", "лошадиных сил", "нет, не сто", "телефон", "a\0b"]
) | st.text(max_size=20)
NUMBERS = st.lists(
    st.sampled_from([0.0, 1.0, 2.0, 2.5, 18.0, 30.0, 100.0, 150.0, 5000.0, -1.0]) | st.floats(), max_size=3
).map(tuple)
TURNS = st.builds(
    lambda intent, text, entities: UserTurn(text, IntentResult(intent, 0.5, leader=intent), entities),
    INTENTS,
    TEXTS,
    st.builds(
        Entities,
        numbers=NUMBERS,
        number_unit=st.sampled_from([None, "лет", "сил", "?"]),
        yes_no=st.sampled_from([None, True, False]),
        phone=st.sampled_from([None, "+79990000000"]),
        negated_numbers=NUMBERS,
    ),
)
SETTINGS = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@SETTINGS
@given(turns=st.lists(TURNS, max_size=25))
def test_any_conversation_holds_together(engine: FlowEngine, sample_map: DialogueMap, turns: list[UserTurn]) -> None:
    session = engine.begin("c").session
    for turn in turns:
        before = copy.deepcopy(session)
        step = engine.step(session, turn)
        assert session == before
        assert engine.step(session, turn) == step
        if step.result is FlowResult.EXECUTION_ERROR:
            assert step.session == before
            assert step.detail
        after = step.session
        state = sample_map.states[after.current_state_id]
        assert step.playlist
        assert all(item.text for item in step.playlist)
        assert after.turn_state is TurnState.BOT_TURN
        assert after.call_id == "c"
        assert len(after.state_history) <= 50
        assert set(after.state_history) <= set(sample_map.states)
        if step.matched:
            assert after.misses == 0 or after == before
        if after != before and after.misses == 0:
            assert step.action == state.action
        assert engine.expectation(after).entity == (state.expects.entity if state.expects else None)
        engine.reprompt(after)
        session = after


@SETTINGS
@given(turns=st.lists(TURNS, max_size=15))
def test_computed_values_are_never_stale(engine: FlowEngine, turns: list[UserTurn]) -> None:
    session = engine.begin("c").session
    for turn in turns:
        session = engine.step(session, turn).session
        values = session.variables
        if "base_tariff" in values:
            assert values["base_tariff"] == (15000 if values["engine_power"] > 200 else 12000)
        if "final_price" in values:
            again = engine.step(replace(session, current_state_id="ask_age"), _age(values["youngest_age"]))
            assert again.session.variables["final_price"] == values["final_price"]


def _age(value: float) -> UserTurn:
    return UserTurn("", IntentResult("answer", 1.0), Entities(numbers=(value,)))
