"""Reads the chunks of a chat completion: text, tool calls put together, how it ended and what it took. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from kamerton.domain.language_model import (
    EndReason,
    GenerationEnded,
    ModelEvent,
    TextDelta,
    ToolCall,
    ToolCallBegun,
)
from kamerton.llm.openai.event_stream import ServerEvent
from kamerton.llm.thoughts import ThoughtFilter

_REASONS: Final[dict[str, EndReason]] = {
    "stop": "stop",
    "length": "length",
    "content_filter": "filtered",
    "tool_calls": "tool_calls",
}


class NotACompletion(Exception):
    """An event is no chunk of a chat completion."""


class FailedMidway(Exception):
    """The server says inside the stream that it failed.

    Args:
        error: its own account of it, as it came.
    """

    def __init__(self, error: object) -> None:
        super().__init__()
        self.error = error


@dataclass(slots=True)
class _OpenCall:
    """A tool call whose arguments are still being written."""

    index: object
    id: str
    name: str = ""
    arguments: str = ""
    told: bool = False


class ChunkReader:
    """One answer, chunk by chunk. What a reasoning model thinks before its answer is left out."""

    def __init__(self) -> None:
        self.begun = False
        """Text or a tool call has come."""
        self.done = False
        """The server said that nothing more follows; only the end of the response may."""
        self.understood = False
        """At least one chunk of a chat completion has come."""
        self.reason: EndReason | None = None
        """Why the model ended; None while it has not."""
        self.written: list[str] = []
        """All that was written, thoughts and arguments included."""
        self._thoughts = ThoughtFilter()
        self._calls: list[_OpenCall] = []
        self._refused = False
        self._counts: dict[str, int] = {}
        self._response_id = ""

    def read(self, event: ServerEvent) -> list[ModelEvent]:
        """Take an event of the stream; return what it yields. What is no chunk of a completion («ping») is skipped.

        Raises:
            NotACompletion: it makes no sense.
            FailedMidway: see there.
        """
        self.done = self.done or event.data.startswith("[DONE]")
        if self.done:
            return []
        try:
            chunk = json.loads(event.data)
        except (ValueError, RecursionError):
            raise NotACompletion from None
        if not isinstance(chunk, dict):
            raise NotACompletion
        if chunk.get("error") or event.kind == "error":
            raise FailedMidway(chunk.get("error") or chunk)
        return self._read_chunk(chunk)

    def finish(self) -> list[ModelEvent]:
        """What waits until the answer is over: its last text, the whole tool calls, and the end.

        Only when `reason` is known. Calls that were cut off are left out.
        """
        assert self.reason is not None
        rest = self._thoughts.finish()
        whole = [ToolCall(call.id, call.name, call.arguments or "{}") for call in self._calls if call.name]
        reason = self.reason
        if reason in ("length", "filtered"):
            whole = [call for call in whole if _is_object(call.arguments)]
        if self._refused and reason == "stop":
            reason = "refused"
        elif whole and reason == "stop":
            reason = "tool_calls"
        ended = GenerationEnded(
            reason,
            self._counts.get("prompt_tokens"),
            self._counts.get("completion_tokens"),
            self._counts.get("cached_tokens"),
            self._response_id,
        )
        return [*([TextDelta(rest)] if rest else []), *whole, ended]

    def _read_chunk(self, chunk: dict[str, Any]) -> list[ModelEvent]:
        self._count(chunk.get("usage"))
        if isinstance(chunk.get("id"), str):
            self._response_id = self._response_id or chunk["id"]
        choices = chunk.get("choices")
        if not choices:
            return []
        if not isinstance(choices, list) or not isinstance(choices[0], dict):
            raise NotACompletion
        self.understood = True
        reason, delta = choices[0].get("finish_reason"), choices[0].get("delta")
        if isinstance(reason, str) and reason and self.reason is None:
            self.reason = _REASONS.get(reason, "stop")
        return self._read_delta(delta if isinstance(delta, dict) else {})

    def _read_delta(self, delta: dict[str, Any]) -> list[ModelEvent]:
        text, refusal = delta.get("content"), delta.get("refusal")
        if text is not None and not isinstance(text, str):
            raise NotACompletion
        self._refused = self._refused or bool(refusal)
        self.begun = self.begun or bool(text or refusal)
        self.written += [part for part in (text, refusal) if isinstance(part, str)]
        events: list[ModelEvent] = []
        if shown := self._thoughts.push(text or ""):
            events.append(TextDelta(shown))
        calls = delta.get("tool_calls")
        if calls is not None and not isinstance(calls, list):
            raise NotACompletion
        for call in calls or ():
            events += self._read_call(call)
        return events

    def _read_call(self, part: object) -> list[ModelEvent]:
        """A part of a tool call. Some servers repeat the id, number every call 0, or send no id or number at all."""
        function = part.get("function") if isinstance(part, dict) else None
        if not isinstance(part, dict) or not isinstance(function, dict):
            raise NotACompletion
        call = self._call_of(part.get("index"), part.get("id"))
        self.begun = True
        name, arguments = function.get("name"), function.get("arguments")
        if isinstance(arguments, dict):
            arguments = json.dumps(arguments, ensure_ascii=False)
        if isinstance(name, str) and not call.name:
            call.name = name
        if isinstance(arguments, str):
            call.arguments += arguments
            self.written.append(arguments)
        if call.name and not call.told:
            call.told = True
            return [ToolCallBegun(call.id, call.name)]
        return []

    def _call_of(self, index: object, call_id: object) -> _OpenCall:
        named = call_id if isinstance(call_id, str) else ""
        same = [call for call in self._calls if index is None or call.index == index]
        if same and (not named or named == same[-1].id):
            return same[-1]
        opened = _OpenCall(index, named or f"call_{len(self._calls)}")
        self._calls.append(opened)
        return opened

    def _count(self, usage: object) -> None:
        if not isinstance(usage, dict):
            return
        details = usage.get("prompt_tokens_details")
        cached = details.get("cached_tokens") if isinstance(details, dict) else None
        told = {name: usage.get(name) for name in ("prompt_tokens", "completion_tokens")} | {"cached_tokens": cached}
        self._counts |= {name: count for name, count in told.items() if isinstance(count, int) and count >= 0}


def _is_object(arguments: str) -> bool:
    try:
        return isinstance(json.loads(arguments), dict)
    except (ValueError, RecursionError):
        return False
