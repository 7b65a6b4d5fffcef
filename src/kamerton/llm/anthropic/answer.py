"""Reads a streamed message: the API's events in, text, tool calls and the end out. Pure.

The shape of the events is that of the SDK's types (`RawMessageStreamEvent`). Events and blocks of unknown types are
skipped, as the API's versioning rules ask of clients.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from kamerton.domain.language_model import (
    EndReason,
    GenerationEnded,
    ModelEvent,
    TextDelta,
    ToolCall,
    ToolCallBegun,
)

_REASONS: Final[dict[str, EndReason]] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "pause_turn": "length",
    "refusal": "refused",
}
"""A reason that is not known yet counts as `stop`: the API adds to them."""
_COUNTS: Final = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "output_tokens")
_THOUGHTS: Final = ("thinking", "redacted_thinking")
MAX_ARGUMENTS: Final = 1_000_000
"""Characters of a tool call's arguments; more is no tool call."""


class NoMessage(Exception):
    """What came is no streamed message; the text says what is wrong with it."""


class ErrorEvent(Exception):
    """The stream carries an error.

    Args:
        body: as the API sent it.
    """

    def __init__(self, body: Mapping[str, Any]) -> None:
        super().__init__("error event")
        self.body = body


@dataclass(slots=True)
class _Block:
    """A content block that is being written."""

    kind: str
    id: str = ""
    name: str = ""
    arguments: str = ""
    given: dict[str, Any] = field(default_factory=dict)
    """As it began; thoughts are kept in it as they come."""


@dataclass(slots=True)
class AnswerReader:
    """One answer. `push` takes the events as they come.

    Args:
        answer_tool: name of the tool whose input is the answer itself, where JSON is asked for through a tool.
    """

    answer_tool: str = ""
    begun: bool = False
    """The message has begun."""
    writing: bool = False
    """Text or a tool call has begun."""
    over: bool = False
    """The message has ended; nothing more is to come."""
    reason: EndReason | None = None
    category: str = ""
    """Of a refusal: the vendor's word for what the answer would have broken."""
    response_id: str = ""
    thoughts: list[dict[str, Any]] = field(default_factory=list)
    """Blocks of thought, which go back to the model together with the results of the tools."""
    first_call_id: str = ""
    _blocks: dict[int, _Block] = field(default_factory=dict)
    _finished: ToolCall | None = None
    _counts: dict[str, int] = field(default_factory=dict)

    def push(self, event: Mapping[str, Any]) -> list[ModelEvent]:
        """Take an event; return what it completes.

        Raises:
            ErrorEvent: it is an error.
            NoMessage: it makes no sense.
        """
        kind = event.get("type")
        if kind == "error":
            raise ErrorEvent(event)
        if self.over:
            return []
        if kind == "message_start":
            return self._start(event)
        if kind == "content_block_start":
            return self._start_block(event)
        if kind == "content_block_delta":
            return self._delta(event)
        if kind == "content_block_stop":
            self._stop_block(event)
        elif kind == "message_delta":
            return self._message_delta(event)
        elif kind == "message_stop":
            self.over = True
        return []

    @property
    def ended(self) -> GenerationEnded | None:
        """The end, or None when the message was cut off: its reason comes behind all that was written."""
        if self.reason is None:
            return None
        return GenerationEnded(
            self.reason,
            self.prompt_tokens,
            self._counts.get("output_tokens"),
            self.cached_tokens,
            self.response_id,
        )

    @property
    def prompt_tokens(self) -> int | None:
        """All that was read: the API counts what was read from the cache, or written to it, apart."""
        if "input_tokens" not in self._counts:
            return None
        return sum(self._counts.get(name, 0) for name in _COUNTS[:3])

    @property
    def cached_tokens(self) -> int | None:
        """Of `prompt_tokens` those that were read from the cache."""
        return self._counts.get("cache_read_input_tokens")

    def _start(self, event: Mapping[str, Any]) -> list[ModelEvent]:
        message = _mapping(event, "message")
        self.begun = True
        self.response_id = _text(message, "id") or self.response_id
        self._count(message.get("usage"))
        return []

    def _start_block(self, event: Mapping[str, Any]) -> list[ModelEvent]:
        given = _mapping(event, "content_block")
        block = _Block(_text(given, "type"), _text(given, "id"), _text(given, "name"), given=dict(given))
        events = self._let_go()
        self._blocks[_index(event)] = block
        if block.kind == "text":
            events += self._written(_text(given, "text"))
        elif block.kind == "tool_use" and block.name != self.answer_tool:
            if not block.id or not block.name:
                raise NoMessage("a tool call has no id or no name")
            self.writing = True
            self.first_call_id = self.first_call_id or block.id
            events.append(ToolCallBegun(block.id, block.name))
        return events

    def _delta(self, event: Mapping[str, Any]) -> list[ModelEvent]:
        block, delta = self._blocks.get(_index(event)), _mapping(event, "delta")
        if block is None:
            raise NoMessage("a piece belongs to no block")
        if block.kind == "text" and delta.get("type") == "text_delta":
            return self._written(_text(delta, "text"))
        if block.kind == "tool_use" and delta.get("type") == "input_json_delta":
            part = _text(delta, "partial_json")
            if block.name == self.answer_tool:
                return self._written(part)
            block.arguments += part
            if len(block.arguments) > MAX_ARGUMENTS:
                raise NoMessage("the arguments of a tool call have no end")
        elif block.kind == "thinking":
            name = {"thinking_delta": "thinking", "signature_delta": "signature"}.get(str(delta.get("type")))
            if name is not None:
                block.given[name] = _text(block.given, name) + _text(delta, name)
        return []

    def _stop_block(self, event: Mapping[str, Any]) -> None:
        block = self._blocks.pop(_index(event), None)
        if block is None:
            return
        if block.kind in _THOUGHTS:
            self.thoughts.append(block.given)
        elif block.kind == "tool_use" and block.name != self.answer_tool:
            self._finished = ToolCall(block.id, block.name, block.arguments or "{}")

    def _message_delta(self, event: Mapping[str, Any]) -> list[ModelEvent]:
        delta = _mapping(event, "delta")
        self._count(event.get("usage"))
        told = delta.get("stop_reason")
        if told is None or self.reason is not None:
            return []
        reason = _REASONS.get(str(told), "stop")
        if reason == "tool_calls" and not self.first_call_id:
            reason = "stop"
        self.reason = reason
        details = delta.get("stop_details")
        self.category = _text(details, "category") if isinstance(details, Mapping) else ""
        if reason in ("length", "refused"):
            self._finished = None
        return self._let_go()

    def _let_go(self) -> list[ModelEvent]:
        """The call that was written to its end. The last one may have been cut off: only what follows it tells."""
        finished, self._finished = self._finished, None
        return [finished] if finished is not None else []

    def _written(self, text: str) -> list[ModelEvent]:
        self.writing = self.writing or bool(text)
        return [TextDelta(text)] if text else []

    def _count(self, usage: object) -> None:
        """Take over what is told; counts are cumulative, and those that are not told anew still hold."""
        if not isinstance(usage, Mapping):
            return
        for name in _COUNTS:
            count = usage.get(name)
            if isinstance(count, int) and count >= 0:
                self._counts[name] = count


def _mapping(event: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = event.get(name)
    if not isinstance(found, Mapping):
        raise NoMessage(f"an event has no {name}")
    return found


def _text(found: Mapping[str, Any], name: str) -> str:
    text = found.get(name)
    if text is None:
        return ""
    if not isinstance(text, str):
        raise NoMessage(f"{name} is no text")
    return text


def _index(event: Mapping[str, Any]) -> int:
    index = event.get("index")
    if not isinstance(index, int):
        raise NoMessage("a block has no index")
    return index
