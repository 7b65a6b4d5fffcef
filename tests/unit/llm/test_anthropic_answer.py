"""Events of the Messages API, as the SDK's own types would write them, and what is made of them."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from anthropic.types import RawMessageStreamEvent
from pydantic import TypeAdapter

from kamerton.domain.language_model import (
    ChatMessage,
    GenerationEnded,
    ModelRequest,
    TextDelta,
    ToolCall,
    ToolCallBegun,
)
from kamerton.llm.anthropic.answer import AnswerReader, ErrorEvent, NoMessage
from kamerton.llm.anthropic.request import KEPT_THOUGHTS, Manner, Thoughts, message_body

VALID: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
USAGE = {"input_tokens": 10, "cache_creation_input_tokens": 200, "cache_read_input_tokens": 3000, "output_tokens": 1}
START = {
    "type": "message_start",
    "message": {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-haiku-5-5",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": USAGE,
    },
}
STOP = {"type": "message_stop"}


def block(index: int, given: dict[str, Any]) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": given}


def delta(index: int, kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **fields}}


def stop(index: int) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


def end(reason: str, tokens: int = 42, **fields: Any) -> dict[str, Any]:
    told = {"stop_reason": reason, "stop_sequence": None, **fields}
    return {"type": "message_delta", "delta": told, "usage": {"output_tokens": tokens}}


def read(*events: dict[str, Any], valid: bool = True) -> tuple[list[Any], AnswerReader]:
    reader = AnswerReader()
    found: list[Any] = []
    for event in events:
        if valid:
            VALID.validate_python(event)
        found += reader.push(event)
    return found, reader


TEXT = (block(0, {"type": "text", "text": ""}), delta(0, "text_delta", text="Да."), stop(0))
TOOL = (
    block(1, {"type": "tool_use", "id": "toolu_1", "name": "find", "input": {}}),
    delta(1, "input_json_delta", partial_json=""),
    delta(1, "input_json_delta", partial_json='{"size":'),
    delta(1, "input_json_delta", partial_json="1}"),
    stop(1),
)


def test_an_answer_is_read_with_its_counts() -> None:
    found, reader = read(START, *TEXT, end("end_turn"), STOP)
    assert found == [TextDelta("Да.")]
    assert reader.ended == GenerationEnded("stop", 3210, 42, 3000, "msg_1")


def test_counts_told_at_the_end_replace_those_of_the_beginning() -> None:
    last = end("end_turn")
    last["usage"] = {"output_tokens": 7, "input_tokens": 11, "cache_read_input_tokens": None}
    _, reader = read(START, *TEXT, last, STOP)
    assert reader.ended == GenerationEnded("stop", 3211, 7, 3000, "msg_1")


def test_a_tool_call_comes_when_it_is_known_to_be_whole() -> None:
    found, reader = read(START, *TEXT, *TOOL)
    assert found == [TextDelta("Да."), ToolCallBegun("toolu_1", "find")], "it may have been cut off"
    assert reader.push(end("tool_use")) == [ToolCall("toolu_1", "find", '{"size":1}')]


def test_a_tool_call_is_whole_when_another_block_follows() -> None:
    second = block(2, {"type": "tool_use", "id": "toolu_2", "name": "transfer", "input": {}})
    found, _ = read(START, *TOOL, second, stop(2), end("max_tokens"), STOP)
    assert [event for event in found if isinstance(event, ToolCall)] == [ToolCall("toolu_1", "find", '{"size":1}')]


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("pause_turn", "length"),
        ("refusal", "refused"),
        ("tool_use", "stop"),
    ],
)
def test_reasons(told: str, reason: str) -> None:
    _, reader = read(START, *TEXT, end(told), STOP)
    assert reader.ended is not None
    assert reader.ended.reason == reason


def test_a_message_without_its_end_has_not_ended() -> None:
    assert read(START, *TEXT)[1].ended is None
    assert read(START, *TEXT, end("end_turn"))[1].ended is not None, "what follows is a formality"
    assert read(START, *TEXT, STOP)[1].ended is None


def test_what_comes_after_the_end_is_not_heard() -> None:
    found, reader = read(START, *TEXT, end("end_turn"), STOP, *TEXT, end("refusal", 99), STOP)
    assert found == [TextDelta("Да.")]
    assert reader.ended == GenerationEnded("stop", 3210, 42, 3000, "msg_1")


def test_thoughts_are_kept_and_not_said() -> None:
    thinking = (
        block(0, {"type": "thinking", "thinking": "", "signature": ""}),
        delta(0, "thinking_delta", thinking="Хм"),
        delta(0, "thinking_delta", thinking="..."),
        delta(0, "signature_delta", signature="abc"),
        stop(0),
        block(5, {"type": "redacted_thinking", "data": "xyz"}),
        stop(5),
    )
    found, reader = read(START, *thinking, *TOOL, end("tool_use"), STOP)
    assert not [event for event in found if isinstance(event, TextDelta)]
    assert reader.thoughts == [
        {"type": "thinking", "thinking": "Хм...", "signature": "abc"},
        {"type": "redacted_thinking", "data": "xyz"},
    ]


def test_what_a_later_version_adds_is_skipped() -> None:
    odd = (
        {"type": "message_mood", "mood": "cheerful"},
        block(3, {"type": "hologram"}),
        delta(3, "hologram_delta", light=1),
        stop(3),
        delta(0, "mood_delta"),
    )
    found, reader = read(START, TEXT[0], *odd, TEXT[1], stop(0), end("tired"), STOP, valid=False)
    assert found == [TextDelta("Да.")]
    assert reader.ended is not None
    assert reader.ended.reason == "stop"


@pytest.mark.parametrize(
    "event",
    [
        {"type": "message_start"},
        {"type": "content_block_start", "content_block": {}},
        {"type": "content_block_start", "index": 0},
        block(0, {"type": "tool_use", "id": "", "name": "find"}),
        delta(7, "text_delta", text="?"),
        {"type": "content_block_stop", "index": "0"},
        {"type": "message_delta"},
    ],
)
def test_nonsense_is_told(event: dict[str, Any]) -> None:
    with pytest.raises(NoMessage):
        read(event, valid=False)


def test_a_text_that_is_none() -> None:
    with pytest.raises(NoMessage, match="text is no text"):
        read(TEXT[0], delta(0, "text_delta", text=5), valid=False)


def test_an_error_event_carries_its_body() -> None:
    with pytest.raises(ErrorEvent) as caught:
        read(START, {"type": "error", "error": {"type": "overloaded_error"}}, valid=False)
    assert caught.value.body["error"] == {"type": "overloaded_error"}


def test_thoughts_do_not_grow_without_end() -> None:
    thoughts = Thoughts()
    for number in range(KEPT_THOUGHTS + 1):
        thoughts.keep(f"toolu_{number}", [{"type": "thinking", "thinking": str(number)}])
    assert thoughts.before((ToolCall("toolu_0", "find", "{}"),)) == []
    assert thoughts.before((ToolCall("toolu_1", "find", "{}"),)) == [{"type": "thinking", "thinking": "1"}]
    assert thoughts.before(()) == []


def test_the_summary_stays_outside_the_stable_part_of_the_cache() -> None:
    messages = (ChatMessage("system", "Правила."), ChatMessage("system", "Конспект."), ChatMessage("user", "да"))
    body = message_body(ModelRequest(messages, 10), Manner("m"), Thoughts())
    assert ["cache_control" in part for part in body["system"]] == [True, False]


@pytest.mark.parametrize(
    ("complaint", "changed"),
    [
        ('"thinking.type.disabled" is not supported for this model. Use "thinking.type.adaptive"', True),
        ("thinking: Extra inputs are not permitted", True),
        ("messages.1: expected a thinking block before tool_use", False),
        ("prompt is too long: 300000 tokens", False),
    ],
)
def test_only_complaints_of_a_setting_change_the_manner(complaint: str, changed: bool) -> None:
    assert (Manner("m").without(complaint) is not None) == changed


def test_reading_the_settings_imports_no_sdk() -> None:
    program = (
        "import sys, kamerton.llm.anthropic.engine; sys.exit('anthropic' in sys.modules or 'httpx2' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
