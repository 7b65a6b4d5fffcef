"""OpenAI's chat completions: the request as it comes, the answer as it goes out, in chunks or in one piece."""

from __future__ import annotations

import json
from typing import Any, Final, Literal

from kamerton.domain.errors import ConfigurationError
from kamerton.domain.language_model import (
    AnswerSchema,
    ChatMessage,
    Message,
    ToolCall,
    ToolDefinition,
    ToolResult,
)
from kamerton.testing.model_server import wire
from kamerton.testing.model_server.dialect import AnswerWriter, ChatRequest, event
from kamerton.testing.model_server.http_connection import BadRequestError
from kamerton.testing.model_server.records import ServedRequest
from kamerton.testing.model_server.script import FinishName, Quirk, Reply, ScriptedCall

DONE: Final = "data: [DONE]\n\n"
CREATED: Final = 1_700_000_000
"""The `created` of every response: a stand-in needs no calendar."""
SKEWED: Final = -62_135_596_800
"""`created` of a server whose clock stands at the year one."""

_ERRORS: Final = {
    401: ("Incorrect API key provided.", "invalid_request_error", "invalid_api_key"),
    404: ("The model does not exist or you do not have access to it.", "invalid_request_error", "model_not_found"),
    429: ("Rate limit reached for requests.", "requests", "rate_limit_exceeded"),
}
_ANY_ERROR: Final = ("The server had an error.", "server_error", "server_error")
_FINISH: Final[dict[FinishName, str]] = {
    "stop": "stop",
    "tool_calls": "tool_calls",
    "length": "length",
    "content_filter": "content_filter",
    "refusal": "stop",
}
_ROLES: Final[dict[str, Literal["system", "user", "assistant"]]] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
}


class OpenAIDialect:
    """`/chat/completions`."""

    @property
    def path(self) -> str:
        """Where answers are asked for."""
        return "/chat/completions"

    def parse(self, body: bytes) -> ChatRequest:
        """Read a request.

        Raises:
            BadRequestError: it is not what the protocol asks for; the message says what is wrong.
        """
        try:
            fields = json.loads(body)
        except ValueError as error:
            raise BadRequestError(f"the request is not JSON: {error}") from error
        if not isinstance(fields, dict):
            raise BadRequestError("the request must be a JSON object")
        model = fields.get("model")
        if not isinstance(model, str) or not model:
            raise BadRequestError("you must provide a model")
        limit = fields.get("max_completion_tokens", fields.get("max_tokens"))
        if limit is not None and (not isinstance(limit, int) or limit < 1):
            raise BadRequestError("max_tokens must be a whole number above 0")
        messages, tools, wanted = _messages(fields.get("messages")), _tools(fields), _object(fields, "response_format")
        return ChatRequest(
            model=model,
            messages=messages,
            streamed=bool(fields.get("stream")),
            with_usage=bool(_object(fields, "stream_options").get("include_usage")),
            json_answer=wanted.get("type", "text") != "text",
            max_tokens=limit,
            prompt_tokens=wire.prompt_tokens(messages, tools),
            answer_schema=_answer_schema(wanted),
            tools=tools,
            tool_choice=_tool_choice(fields, tools),
        )

    def writer(self, record: ServedRequest, asked: ChatRequest, reply: Reply) -> AnswerWriter:
        """Who writes the answer to this request as a stream."""
        return _ChunkWriter(record, asked, reply)

    def whole(self, record: ServedRequest, text: str, reply: Reply, finish: FinishName) -> dict[str, Any]:
        """A whole answer in one JSON document."""
        message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": reply.refusal}
        if reply.tool_calls and finish == "tool_calls":
            message["tool_calls"] = [_call(number, call) for number, call in enumerate(reply.tool_calls)]
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _FINISH[finish]}
        return _head(record, "chat.completion") | {"choices": [choice], "usage": _usage(record, reply)}

    def refused(self, status: int, remark: str | None, code: str | None) -> dict[str, Any]:
        """The JSON that goes with an HTTP error."""
        message, kind, usual_code = _ERRORS.get(status, _ANY_ERROR)
        return _error(remark or message, kind, code or usual_code)


class _ChunkWriter:
    """One streamed answer in chunks."""

    def __init__(self, record: ServedRequest, asked: ChatRequest, reply: Reply) -> None:
        self._record = record
        self._asked = asked
        self._reply = reply

    def opening(self) -> str:
        return self._chunk({"role": "assistant", "content": ""}, None)

    def text(self, piece: str) -> str:
        return self._chunk({"content": piece}, self._no_reason)

    def refusal(self, piece: str) -> str:
        return self._chunk({"refusal": piece}, self._no_reason)

    def call(self, index: int, call: ScriptedCall, part: str, *, first: bool) -> str:
        head = ""
        if first:
            begun = _call(index, call) | {"index": index, "function": {"name": call.name, "arguments": ""}}
            head = self._chunk({"tool_calls": [begun]}, self._no_reason)
        if not part:
            return head
        return head + self._chunk({"tool_calls": [{"index": index, "function": {"arguments": part}}]}, self._no_reason)

    def quirk(self, name: Quirk) -> str:
        head = self._head()
        return {
            "null_choices": event(head | {"choices": None}),
            "no_choices": event(head),
            "ping": event({"type": "ping", "at": CREATED}, "ping"),
            "comments": f"id: {self._record.number}\n: still here\n\n",
            "empty_data": "data:\n\n",
        }.get(name, "")

    def ending(self, finish: FinishName) -> str:
        usage = event(self._head() | {"choices": [], "usage": _usage(self._record, self._reply)})
        end = self._chunk({}, _FINISH[finish]) + (usage if self._asked.with_usage else "") + DONE
        return end * 2 if "repeated_end" in self._reply.quirks else end

    def error(self, remark: str) -> str:
        return event(_error(remark, "server_error", None))

    @property
    def _no_reason(self) -> str | None:
        return "" if "empty_reason" in self._reply.quirks else None

    def _head(self) -> dict[str, Any]:
        head = _head(self._record, "chat.completion.chunk")
        return head | {"created": SKEWED} if "skewed_clock" in self._reply.quirks else head

    def _chunk(self, delta: dict[str, Any], finish: str | None) -> str:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return event(self._head() | {"choices": [choice]})


def _head(record: ServedRequest, kind: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{record.number}", "object": kind, "created": CREATED, "model": record.model}


def _usage(record: ServedRequest, reply: Reply) -> dict[str, Any]:
    cached = min(reply.cached_tokens, record.prompt_tokens)
    return {
        "prompt_tokens": record.prompt_tokens,
        "completion_tokens": record.completion_tokens,
        "total_tokens": record.prompt_tokens + record.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": cached, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }


def _call(number: int, call: ScriptedCall) -> dict[str, Any]:
    return {
        "id": call.id or f"call_{number}",
        "type": "function",
        "function": {"name": call.name, "arguments": call.arguments},
    }


def _error(message: str, kind: str, code: str | None) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def _object(fields: dict[str, Any], name: str) -> dict[str, Any]:
    value = fields.get(name) or {}
    if not isinstance(value, dict):
        raise BadRequestError(f"{name} must be a JSON object")
    return value


def _messages(value: Any) -> tuple[Message, ...]:
    if not isinstance(value, list) or not value:
        raise BadRequestError("messages must be a list with at least one message")
    messages = tuple(_message(item) for item in value)
    wire.require_answered_calls(messages)
    return messages


def _message(item: Any) -> Message:
    fields = item if isinstance(item, dict) else {}
    content = fields.get("content")
    if isinstance(content, list):
        content = "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    if fields.get("role") == "tool" and isinstance(fields.get("tool_call_id"), str) and isinstance(content, str):
        return ToolResult(fields["tool_call_id"], content)
    role = _ROLES.get(str(fields.get("role")))
    calls = tuple(_asked_call(call) for call in fields.get("tool_calls") or ())
    if content is None and calls and role == "assistant":
        content = ""
    if role is None or not isinstance(content, str):
        raise BadRequestError("a message needs a role (system, user, assistant, tool) and content")
    return ChatMessage(role, content, calls)


def _asked_call(item: Any) -> ToolCall:
    function = item.get("function") if isinstance(item, dict) else None
    if not isinstance(function, dict) or item.get("type") != "function" or not isinstance(item.get("id"), str):
        raise BadRequestError("a tool call needs an id, the type function, and a function")
    return ToolCall(item["id"], str(function.get("name")), str(function.get("arguments")))


def _tools(fields: dict[str, Any]) -> tuple[ToolDefinition, ...]:
    items = fields.get("tools", [])
    if not isinstance(items, list) or ("tools" in fields and not items):
        raise BadRequestError("tools must be a list with at least one tool")
    return tuple(_tool(item) for item in items)


def _tool(item: Any) -> ToolDefinition:
    function = item.get("function") if isinstance(item, dict) and item.get("type") == "function" else None
    if not isinstance(function, dict):
        raise BadRequestError("a tool needs the type function, and a function")
    try:
        return ToolDefinition(
            str(function.get("name")),
            str(function.get("description", "")),
            _object(function, "parameters"),
            bool(function.get("strict")),
        )
    except ConfigurationError as error:
        raise BadRequestError(str(error)) from error


def _tool_choice(fields: dict[str, Any], tools: tuple[ToolDefinition, ...]) -> str:
    choice = fields.get("tool_choice", "auto")
    if "tool_choice" in fields and not tools:
        raise BadRequestError("tool_choice is only allowed when tools are specified")
    if choice not in ("auto", "none", "required"):
        raise BadRequestError("tool_choice must be auto, none or required")
    return str(choice)


def _answer_schema(wanted: dict[str, Any]) -> AnswerSchema | None:
    if wanted.get("type") != "json_schema":
        return None
    told = _object(wanted, "json_schema")
    try:
        return AnswerSchema(str(told.get("name")), _object(told, "schema"))
    except ConfigurationError as error:
        raise BadRequestError(str(error)) from error
