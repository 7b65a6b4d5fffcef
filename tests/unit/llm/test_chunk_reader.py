"""Chunks of chat completions as servers really write them, put together."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kamerton.domain.language_model import GenerationEnded, ModelEvent, TextDelta, ToolCall, ToolCallBegun
from kamerton.llm.openai.chunk_reader import ChunkReader, FailedMidway, NotACompletion
from kamerton.llm.openai.event_stream import ServerEvent


def chunk(delta: dict[str, Any], reason: str | None = None, **more: Any) -> dict[str, Any]:
    return {"id": "chatcmpl-1", "choices": [{"index": 0, "delta": delta, "finish_reason": reason}], **more}


def part(index: int | None, arguments: Any = None, name: str | None = None, call_id: str | None = None) -> Any:
    call: dict[str, Any] = {"function": {}}
    told = {"name": name, "arguments": arguments}
    call["function"] = {key: value for key, value in told.items() if value is not None}
    return call | {key: value for key, value in {"index": index, "id": call_id}.items() if value is not None}


def calls(*parts: Any) -> dict[str, Any]:
    return chunk({"tool_calls": list(parts)})


def read(*chunks: dict[str, Any]) -> list[ModelEvent]:
    reader = ChunkReader()
    events = [event for one in chunks for event in reader.read(ServerEvent("", json.dumps(one)))]
    return [*events, *reader.finish()]


def whole(*chunks: dict[str, Any]) -> list[tuple[str, str, str]]:
    calls = (event for event in read(*chunks) if isinstance(event, ToolCall))
    return [(call.id, call.name, call.arguments) for call in calls]


ENDED = chunk({}, "tool_calls")
BOTH = [("a", "find", '{"n":1}'), ("b", "tell", "{}")]


def test_parts_of_two_calls_may_be_interleaved() -> None:
    told = (part(0, "", "find", "a"), part(1, "", "tell", "b"), part(0, '{"n"'), part(1, "{}"), part(0, ":1}"))
    assert whole(*(calls(one) for one in told), ENDED) == BOTH
    assert whole(calls(*told), ENDED) == BOTH


def test_a_server_that_numbers_every_call_alike_tells_them_apart_by_id() -> None:
    told = (part(0, '{"n":1}', "find", "a"), part(0, "{}", "tell", "b"))
    assert whole(*(calls(one) for one in told), ENDED) == BOTH


def test_a_server_without_numbers_goes_on_with_the_last_call() -> None:
    told = (part(None, "", "find", "a"), part(None, '{"n":'), part(None, "1}"), part(None, "{}", "tell", "b"))
    assert whole(*(calls(one) for one in told), ENDED) == BOTH


def test_an_id_that_is_repeated_or_missing_makes_no_further_call() -> None:
    assert whole(calls(part(0, '{"n"', "find", "a")), calls(part(0, ":1}", "find", "a")), ENDED) == BOTH[:1]
    assert whole(calls(part(0, "{}", "tell")), calls(part(1, "{}", "tell")), ENDED) == [
        ("call_0", "tell", "{}"),
        ("call_1", "tell", "{}"),
    ]


def test_arguments_as_an_object_and_none_at_all_are_taken() -> None:
    told = (part(0, {"n": 1}, "find", "a"), part(1, None, "tell", "b"))
    assert [name for _, name, _ in whole(calls(*told), ENDED)] == ["find", "tell"]
    assert [json.loads(text) for _, _, text in whole(calls(*told), ENDED)] == [{"n": 1}, {}]


def test_a_server_that_calls_it_a_stop_has_called_tools_all_the_same() -> None:
    events = read(calls(part(0, "{}", "tell", "b")), chunk({}, "stop"))
    assert events == [
        ToolCallBegun("b", "tell"),
        ToolCall("b", "tell", "{}"),
        GenerationEnded("tool_calls", response_id="chatcmpl-1"),
    ]


def test_the_first_reason_counts_and_the_last_counts_do() -> None:
    usage = {"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 4}}
    early = chunk({"content": "да"}, usage={"prompt_tokens": 1, "completion_tokens": 1})
    events = read(early, chunk({}, "length", usage=usage), chunk({}, "stop"))
    assert events == [TextDelta("да"), GenerationEnded("length", 9, 2, 4, "chatcmpl-1")]


@pytest.mark.parametrize(
    "usage", [None, 7, {"prompt_tokens": "9"}, {"prompt_tokens": -1, "prompt_tokens_details": 3}, {"prompt_tokens": {}}]
)
def test_counts_that_are_none_are_unknown(usage: Any) -> None:
    assert read(chunk({"content": "да"}, "stop", usage=usage))[-1] == GenerationEnded("stop", response_id="chatcmpl-1")


def test_a_thought_before_a_call_is_left_out() -> None:
    events = read(chunk({"content": "<think>что делать?"}), calls(part(0, "{}", "tell", "b")), ENDED)
    assert [type(event) for event in events] == [ToolCallBegun, ToolCall, GenerationEnded]


@pytest.mark.parametrize(
    "delta",
    [
        {"tool_calls": 5},
        {"tool_calls": [5]},
        {"tool_calls": [{"index": 0}]},
        {"tool_calls": [{"index": 0, "function": "x"}]},
        {"content": ["да"]},
    ],
)
def test_what_makes_no_sense_is_no_completion(delta: dict[str, Any]) -> None:
    with pytest.raises(NotACompletion):
        read(chunk(delta))


def test_an_error_is_handed_on_as_it_came() -> None:
    with pytest.raises(FailedMidway) as caught:
        read({"error": {"message": "busy", "code": "rate_limit_exceeded"}})
    assert caught.value.error == {"message": "busy", "code": "rate_limit_exceeded"}


KEYS = ("choices", "delta", "tool_calls", "function", "index", "id", "name", "arguments", "content", "usage", "error")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from((*KEYS, "finish_reason")), inner),
    max_leaves=20,
)


@given(JSON)
def test_whatever_a_server_sends_is_read_or_refused(value: Any) -> None:
    reader = ChunkReader()
    try:
        reader.read(ServerEvent("", json.dumps(value)))
        reader.read(ServerEvent("", json.dumps({"choices": [value]})))
    except (NotACompletion, FailedMidway):
        return
    if reader.reason is not None:
        assert isinstance(reader.finish()[-1], GenerationEnded)
