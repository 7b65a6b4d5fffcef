"""A scenario's faults are all found at once, each with its place and, where it helps, a suggestion."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kamerton.domain.errors import AssistantError
from kamerton.flow_engine import Surroundings, load_dialogue_map

Data = dict[str, Any]
Break = Callable[[Data], object]


def problems_of(text: str, surroundings: Surroundings) -> tuple[str, ...]:
    with pytest.raises(AssistantError) as error:
        load_dialogue_map(text, "insurance", surroundings)
    assert error.value.assistant == "insurance"
    return error.value.problems


def put(path: str, value: object) -> Break:
    def change(data: Data) -> None:
        *parents, last = path.split("/")
        target: Any = data
        for name in parents:
            target = target[int(name)] if isinstance(target, list) else target[name]
        if isinstance(target, list):
            target[int(last)] = value
        else:
            target[last] = value

    return change


def drop(path: str) -> Break:
    def change(data: Data) -> None:
        *parents, last = path.split("/")
        target: Any = data
        for name in parents:
            target = target[name]
        del target[last]

    return change


SAY = {"playlist": [{"type": "cache", "key": "ready"}]}
ITEM = "states/quote/system_response/playlist/0"

ONE_FAULT: list[tuple[Break, str]] = [
    (put("start_state", "greting"), "start_state: there is no state 'greting'; did you mean 'greeting'?"),
    (
        put("states/ask_power/transitions/answer/next_state", "ask_driver"),
        "states.ask_power.transitions.answer.next_state: there is no state 'ask_driver'; did you mean 'ask_drivers'?",
    ),
    (
        put("global_transitions/back/next_state", "@bak"),
        "global_transitions.back.next_state: there is no state '@bak'; did you mean '@back'?",
    ),
    (
        put("states/ask_power/no_match/next_state", "@repeat"),
        "states.ask_power.no_match.next_state: there is no state '@repeat'",
    ),
    (put("states/ask_power/no_match/limit", 0), "states.ask_power.no_match.limit: must be 1 or more"),
    (drop("states/ask_drivers/no_match/next_state"), ""),
    (
        drop("states/ask_power/no_match/next_state"),
        "states.ask_power.no_match.limit: does nothing without 'next_state'",
    ),
    (put("variables/drivers/asked_in", "ask_driver"), "variables.drivers.asked_in: there is no state 'ask_driver'"),
    (
        put("variables/drivers/asked_in", "ask_age"),
        "variables.drivers.asked_in: the state 'ask_age' does not expect the variable 'drivers'",
    ),
    (
        put("variables/drivers/clears", ["final_prise"]),
        "variables.drivers.clears[0]: there is no variable 'final_prise' in 'variables'; did you mean 'final_price'?",
    ),
    (put("variables/drivers/clears", ["drivers"]), "variables.drivers.clears[0]: a variable cannot clear itself"),
    (
        put("variables/final_price/clears", ["base_tariff"]),
        "variables.base_tariff.clears[0]: goes in a circle: clearing 'final_price' clears 'base_tariff' again",
    ),
    (
        put("variables/drivers/minimum", 11),
        "variables.drivers.minimum: 11 is greater than the maximum 10",
    ),
    (
        put("states/ask_drivers/expects/minimum", 11),
        "states.ask_drivers.expects.minimum: 11 is greater than the maximum 10",
    ),
    (
        put("states/ask_drivers/expects", {"entity": "number", "minimum": 2, "maximum": 1}),
        "states.ask_drivers.expects.minimum: 2 is greater than the maximum 1",
    ),
    (put("variables/callback_phone/integer", True), "variables.callback_phone.integer: does nothing for a variable"),
    (put("variables/callback_phone/units", ["x"]), "variables.callback_phone.units: does nothing for a variable"),
    (put("variables/final_price/names", ["цена"]), "variables.final_price.names: does nothing for a computed variable"),
    (
        put("variables/drivers", {"computed": True}),
        "states.ask_drivers.expects.variable: 'drivers' is declared as computed",
    ),
    (put("variables/bad-name", {}), "variables.bad-name: is no fit name"),
    (put("variables/max", {}), "variables.max: the name 'max' is taken by scenario code"),
    (put("states/ask_drivers/expects/variable", "_x"), "states.ask_drivers.expects.variable: is no fit name"),
    (put("variables/unused", {}), "variables.unused: nothing sets it"),
    (
        put("states/ask_drivers/expects/variable", "callback_phone"),
        "states.ask_drivers.expects.variable: 'callback_phone' is of type 'text'; number gives a number",
    ),
    (
        put("states/greeting/expects/minimum", 1),
        "states.greeting.expects.minimum: does nothing for the entity 'yes_no'",
    ),
    (
        put("states/what_is_wrong/expects", {"variable": "drivers"}),
        "states.what_is_wrong.expects.variable: does nothing without 'entity'",
    ),
    (
        drop("states/ask_drivers/transitions/answer"),
        "states.ask_drivers.transitions: 'answer' is missing: the state expects a number answer",
    ),
    (drop("states/ask_phone/transitions/answer"), "states.ask_phone.transitions: 'answer' is missing"),
    (drop("states/quote/transitions/no"), "states.quote.transitions: 'no' is missing"),
    (put("states/goodbye/transitions", {"yes": {"next_state": "quote"}}), "states.goodbye.transitions: does nothing"),
    (put("states/goodbye/expects", {"entity": "yes_no"}), "states.goodbye.expects: does nothing in a state that ends"),
    (put("states/lonely", {"system_response": SAY}), "states.lonely: cannot be reached from the start"),
    (
        put("states/quote/transitions/maybe", {"next_state": "done"}),
        "states.quote.transitions.maybe: intents.json has no intent 'maybe'",
    ),
    (
        put("global_transitions/repet", {"next_state": "@repeat"}),
        "global_transitions.repet: intents.json has no intent 'repet'; did you mean 'repeat'?",
    ),
    (
        put("states/quote/transitions/restart/clears", ["driver"]),
        "states.quote.transitions.restart.clears[0]: there is no variable 'driver'; did you mean 'drivers'?",
    ),
    (
        put("states/ask_power/system_response/playlist/1/key", "ask_powr"),
        "states.ask_power.system_response.playlist[1].key: phrases.json has no phrase 'ask_powr'; did you mean",
    ),
    (
        put("states/quote/fillers/0/key", "thinkin"),
        "states.quote.fillers[0].key: phrases.json has no group of fillers 'thinkin'; did you mean 'thinking'?",
    ),
    (
        put("states/ask_power/no_match/playlist/0/key", "nothing_like"),
        "states.ask_power.no_match.playlist[0].key: phrases.json has no phrase 'nothing_like'",
    ),
    (put(f"{ITEM}/text_template", "{{ final_price"), "playlist[0].text_template: line 1: unexpected end of template"),
    (
        put(f"{ITEM}/text_template", "{{ finl_price }}"),
        "playlist[0].text_template: uses 'finl_price', which nothing sets; did you mean 'final_price'?",
    ),
    (put(f"{ITEM}/text_template", "{% include 'x' %}"), "playlist[0].text_template: line 1: Include is not allowed"),
    (put(f"{ITEM}/text_template", ""), "playlist[0].text_template: is empty"),
    (put("states/quote/system_response/playlist", []), "states.quote.system_response.playlist: is empty"),
    (put("states/ask_age/on_enter", "import os"), "states.ask_age.on_enter: line 1: import is not allowed"),
    (put("states/ask_age/on_enter", "x ="), "states.ask_age.on_enter: line 1: invalid syntax"),
    (
        put("states/ask_age/on_enter", "x = driver + 1"),
        "states.ask_age.on_enter: reads 'driver', which nothing sets; did you mean 'drivers'?",
    ),
    (
        put("global_transitions/repeat/execute_code", "x = entities['nmber']"),
        "global_transitions.repeat.execute_code: there is no entity 'nmber'; did you mean 'number'?",
    ),
    (
        put("global_transitions/repeat/execute_code", "x = entities['zzz']"),
        "there is no entity 'zzz'; there are negated_numbers, number,",
    ),
    (
        put("states/ask_age/on_enter", "for drivers in range(2):\n    x = 1"),
        "states.ask_age.on_enter: the loop's name 'drivers' is also a variable",
    ),
    (put("states/quote/colour", 1), "states.quote.colour: is not a known field"),
    (
        put("states/quote/on_entr", "x = 1"),
        "states.quote.on_entr: is not a known field; did you mean 'on_enter'?",
    ),
    (put("version", 1), "version: must be 2, not 1"),
    (put("version", "2"), "version: must be a whole number, not a text"),
    (put("states", []), "states: must be an object, not a list"),
    (put("states/quote", None), "states.quote: must be an object, not null"),
    (put("states/quote/fillers", {}), "states.quote.fillers: must be a list, not an object"),
    (put("states/quote/on_enter", 1), "states.quote.on_enter: must be a text, not a number"),
    (put("variables/drivers/maximum", True), "variables.drivers.maximum: must be a number, not true or false"),
    (put("variables/drivers/names/0", 5), "variables.drivers.names[0]: must be a text, not a number"),
    (
        put("states/quote/system_response/interruptible", "no"),
        "states.quote.system_response.interruptible: must be true or false, not a text",
    ),
    (
        put("states/quote/expects/entity", "yesno"),
        "states.quote.expects.entity: must be one of number, yes_no, phone, not 'yesno'; did you mean 'yes_no'?",
    ),
    (put("states/operator/action", "TRANSFERR"), "states.operator.action: must be one of END_CALL, TRANSFER, not"),
    (put(f"{ITEM}/type", "ttss"), "playlist[0].type: must be one of cache, filler, tts, not 'ttss'; did you mean"),
    (put(ITEM, {"key": "ready"}), "states.quote.system_response.playlist[0].type: is missing"),
    (put(ITEM, {"type": "cache"}), "playlist[0].key: is missing; an item of type 'cache' needs it"),
    (put(ITEM, {"type": "tts", "text_template": "a", "key": "ready"}), "playlist[0].key: does nothing in an item"),
    (drop("start_state"), "start_state: is missing"),
    (
        drop("states/quote/transitions/yes/next_state"),
        "states.quote.transitions.yes.next_state: is missing",
    ),
]


@pytest.mark.parametrize(("change", "expected"), ONE_FAULT, ids=[expected[:60] for _, expected in ONE_FAULT])
def test_each_fault_is_told_with_its_place(
    sample: Data, surroundings: Surroundings, change: Break, expected: str
) -> None:
    change(sample)
    if not expected:
        load_dialogue_map(json.dumps(sample), "insurance", surroundings)
        return
    found = problems_of(json.dumps(sample), surroundings)
    assert any(expected in problem for problem in found), found
    assert all(problem.startswith("dialogue_map.json: ") for problem in found)


def test_all_faults_are_told_together(sample: Data, surroundings: Surroundings) -> None:
    changes = [
        put("states/ask_power/transitions/answer/next_state", "ask_driver"),
        put("states/quote/on_enter", "final_price = a.b"),
        put("states/quote/system_response/playlist/0/text_template", "{{ x.y }}"),
        put("states/ask_age/colour", 1),
        put("states/ask_power/system_response/playlist/1/key", "nothing"),
        put("variables/drivers/maximum", 0),
        put("global_transitions/hm", {"next_state": "quote"}),
    ]
    for change in changes:
        change(sample)
    text = "\n".join(problems_of(json.dumps(sample), surroundings))
    for place in (
        "states.ask_power.transitions.answer.next_state",
        "states.quote.on_enter",
        "states.quote.system_response.playlist[0].text_template",
        "states.ask_age.colour",
        "states.ask_power.system_response.playlist[1].key",
        "variables.drivers.minimum",
        "global_transitions.hm",
    ):
        assert f"dialogue_map.json: {place}: " in text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{\n  "version": 2,\n  "states": }', "dialogue_map.json: line 3, column 13: not valid JSON"),
        ("", "line 1, column 1: not valid JSON"),
        ("[]", "dialogue_map.json: must be an object, not a list"),
        ("null", "must be an object, not null"),
        ('{"version": NaN}', "NaN is no number"),
        ("[" * 100_000, "not valid JSON"),
        ('{"version": ' + "1" * 5000 + "}", "not valid JSON"),
        ('{"variables": {"a": {"maximum": 1e999}}}', "variables.a.maximum: the number is too large"),
        (" " * 2_000_001, "longer than 2000000 characters"),
    ],
    ids=lambda text: text[:30],
)
def test_text_that_is_no_map(text: str, expected: str, surroundings: Surroundings) -> None:
    assert any(expected in problem for problem in problems_of(text, surroundings))


def test_a_key_given_twice(flows_folder: Path, surroundings: Surroundings) -> None:
    text = (flows_folder / "insurance.json").read_text(encoding="utf-8")
    text = text.replace('"ask_age": {', '"done": {', 1).replace('"version": 2', '"version": 2, "version": 2', 1)
    found = problems_of(text, surroundings)
    assert "dialogue_map.json: states.done: is given twice; only one can count" in found
    assert "dialogue_map.json: version: is given twice; only one can count" in found


def stuck_map(**changes: object) -> str:
    say = {"playlist": [{"type": "tts", "text_template": "А?"}]}
    states: Data = {
        "a": {"system_response": say, "transitions": {"repeat": {"next_state": "b"}}},
        "b": {"system_response": say, "transitions": {"repeat": {"next_state": "a"}}},
    }
    states.update(changes)
    return json.dumps({"version": 2, "start_state": "a", "states": states})


def test_states_without_a_way_out(surroundings: Surroundings) -> None:
    found = problems_of(stuck_map(), surroundings)
    assert "dialogue_map.json: states.a: no way leads from here to a state with an action" in found[0]
    assert len(found) == 2
    found = problems_of(stuck_map(b={"system_response": {}}), surroundings)
    assert any("states.b: has no transitions and no action: the call would be stuck here" in p for p in found)


def test_a_byte_order_mark_is_fine(flows_folder: Path, surroundings: Surroundings) -> None:
    text = (flows_folder / "minimal.json").read_text(encoding="utf-8")
    assert load_dialogue_map("\ufeff" + text, "minimal", surroundings).start_state == "hello"


def test_a_question_reached_only_for_a_missing_value_counts_as_reached(
    sample: Data, surroundings: Surroundings
) -> None:
    sample["states"]["ask_power"]["transitions"]["answer"]["next_state"] = "quote"
    load_dialogue_map(json.dumps(sample), "insurance", surroundings)


def test_the_map_is_frozen(flows_folder: Path, surroundings: Surroundings) -> None:
    read = load_dialogue_map((flows_folder / "insurance.json").read_text("utf-8"), "insurance", surroundings)
    with pytest.raises(TypeError):
        read.states["new"] = read.states["quote"]  # type: ignore[index]
    assert read.dependents("engine_power") == ("base_tariff", "final_price")
    assert read.asked_in("engine_power") == "ask_power"
    assert read.asked_in("final_price") is None
    assert read.variable("stranger").clears == ()
