"""One answer of Anthropic's Messages API as a stream of events."""

from __future__ import annotations

from typing import Any, Final

from kamerton.testing.model_server.dialect import event
from kamerton.testing.model_server.records import ServedRequest
from kamerton.testing.model_server.script import FinishName, Quirk, Reply, ScriptedCall

STOP_REASONS: Final[dict[FinishName, str]] = {
    "stop": "end_turn",
    "tool_calls": "tool_use",
    "length": "max_tokens",
    "content_filter": "refusal",
    "refusal": "refusal",
}
_TAG: Final = "<think>"


class MessageWriter:
    """Writes a message block by block. Thoughts come as blocks of their own, with a signature.

    Args:
        record: the request.
        reply: how it is answered.
    """

    def __init__(self, record: ServedRequest, reply: Reply) -> None:
        self._record = record
        self._reply = reply
        self._index = -1
        self._open = ""
        self._thinking_left = 0 if reply.thoughts is None else len(f"{_TAG}{reply.thoughts}</think>\n\n")

    def opening(self) -> str:
        """The head of the message, with what was read so far."""
        counts = usage_of(self._record, self._reply) | {"output_tokens": 1}
        head = message_head(self._record) | {"content": [], "stop_reason": None, "usage": counts}
        return _event("message_start", {"message": head}) + _event("ping", {})

    def text(self, piece: str) -> str:
        """A piece of the text, or of the thoughts before it."""
        thoughts = self._reply.thoughts or ""
        begin = len(_TAG) + len(thoughts) + len("</think>\n\n") - self._thinking_left
        thought, said = piece[: self._thinking_left], piece[self._thinking_left :]
        self._thinking_left -= len(thought)
        out = ""
        if thought:
            out += self._block("thinking", {"type": "thinking", "thinking": "", "signature": ""})
            shown = thoughts[max(0, begin - len(_TAG)) : max(0, begin - len(_TAG) + len(thought))]
            out += self._delta({"type": "thinking_delta", "thinking": shown}) if shown else ""
        if said:
            out += self._block("text", {"type": "text", "text": ""})
            out += self._delta({"type": "text_delta", "text": said})
        return out

    def refusal(self, piece: str) -> str:
        """A refusal has no words in the stream, only a reason at its end."""
        return _event("ping", {})

    def call(self, index: int, call: ScriptedCall, part: str, *, first: bool) -> str:
        """A part of a tool call's arguments; the first one is empty, as the vendor's is."""
        out = ""
        if first:
            given = {"type": "tool_use", "id": call.id or f"toolu_{index}", "name": call.name, "input": {}}
            out += self._block(f"tool {index}", given) + self._delta({"type": "input_json_delta", "partial_json": ""})
        return out + (self._delta({"type": "input_json_delta", "partial_json": part}) if part else "")

    def quirk(self, name: Quirk) -> str:
        """What may come between two pieces: pings, comments, and what a later version of the API may add."""
        return {
            "ping": _event("ping", {}),
            "comments": f"id: {self._record.number}\n: still here\n\n",
            "empty_data": "data:\n\n",
            "no_choices": _event("message_mood", {"mood": "cheerful"}),
            "null_choices": self._delta({"type": "mood_delta", "mood": None}) if self._open else "",
        }.get(name, "")

    def ending(self, finish: FinishName) -> str:
        """The end of the last block, why the answer ends, the counts, and the end of the message."""
        delta: dict[str, Any] = {"stop_reason": STOP_REASONS[finish], "stop_sequence": None}
        if STOP_REASONS[finish] == "refusal":
            category = "general_harms" if finish == "content_filter" else None
            delta["stop_details"] = {"type": "refusal", "category": category, "explanation": self._reply.refusal}
        told = {"delta": delta, "usage": usage_of(self._record, self._reply)}
        end = _event("message_delta", told) + _event("message_stop", {})
        return self._close() + (end * 2 if "repeated_end" in self._reply.quirks else end)

    def error(self, remark: str) -> str:
        """An error after the stream had begun well."""
        return _event("error", {"error": {"type": "overloaded_error", "message": remark}, "request_id": "req_stand_in"})

    def _block(self, name: str, given: dict[str, Any]) -> str:
        """Begin a block, unless it is the one that is open."""
        if self._open == name:
            return ""
        out = self._close()
        self._open, self._index = name, self._index + 1
        return out + _event("content_block_start", {"index": self._index, "content_block": given})

    def _close(self) -> str:
        if not self._open:
            return ""
        signed = self._delta({"type": "signature_delta", "signature": "c2lnbmVk"}) if self._open == "thinking" else ""
        self._open = ""
        return signed + _event("content_block_stop", {"index": self._index})

    def _delta(self, delta: dict[str, Any]) -> str:
        return _event("content_block_delta", {"index": self._index, "delta": delta})


def message_head(record: ServedRequest) -> dict[str, Any]:
    """What every message begins with."""
    named = {"id": f"msg_{record.number}", "type": "message", "role": "assistant", "model": record.model}
    return named | {"stop_reason": None, "stop_sequence": None}


def usage_of(record: ServedRequest, reply: Reply) -> dict[str, int]:
    """The counts: what came from the cache is not among the `input_tokens`."""
    cached = min(reply.cached_tokens, record.prompt_tokens)
    return {
        "input_tokens": record.prompt_tokens - cached,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": cached,
        "output_tokens": record.completion_tokens,
    }


def _event(kind: str, fields: dict[str, Any]) -> str:
    return event({"type": kind} | fields, kind)
