"""Anthropic's Messages API: the request as it comes, the answer as it goes out. Written from the SDK's types.

It is strict where the vendor is: unknown fields, empty texts, a conversation that the assistant begins or ends, tool
calls without results right behind them, more than four ends of a cache, settings that a model does not know.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, Literal

from kamerton.domain.errors import ConfigurationError
from kamerton.domain.language_model import AnswerSchema, ChatMessage, Message, ToolCall, ToolDefinition, ToolResult
from kamerton.testing.model_server import wire
from kamerton.testing.model_server.anthropic_writer import STOP_REASONS, MessageWriter, message_head, usage_of
from kamerton.testing.model_server.dialect import AnswerWriter, ChatRequest
from kamerton.testing.model_server.http_connection import BadRequestError
from kamerton.testing.model_server.records import ServedRequest
from kamerton.testing.model_server.script import FinishName, Reply

Rejected = Literal["disabled", "between_tools", "adaptive", "effort", "format", "forced_tool"]
"""What a model may not know: a type of thinking, efforts, output formats, tools that it has to call."""

_FIELDS: Final = frozenset(
    ("model", "max_tokens", "messages", "stream", "system", "tools", "tool_choice", "thinking", "output_config")
)
_ERRORS: Final = {
    400: ("invalid_request_error", "The request is invalid."),
    401: ("authentication_error", "Invalid bearer token"),
    402: ("billing_error", "Your account has a billing problem."),
    403: ("permission_error", "Your API key does not have permission to use the specified resource."),
    404: ("not_found_error", "model: no-such-model"),
    413: ("request_too_large", "Request exceeds the maximum size"),
    429: ("rate_limit_error", "This request would exceed your organization's rate limit."),
    504: ("timeout_error", "Request timed out"),
    529: ("overloaded_error", "Overloaded"),
}
_ANY_ERROR: Final = ("api_error", "Internal server error")
_MOST_MARKS: Final = 4
UNNAMED: Final = "spoken_answer"
"""Name of every schema here: the protocol gives them none."""
_CHOICES: Final = {"auto": "auto", "any": "required", "tool": "required", "none": "none"}


class AnthropicDialect:
    """`/messages`. It keeps the bodies of all requests, also of those that it rejects.

    Args:
        rejects: what the model does not know.
        key: the only key that may ask for models; None: any.
        models: documents of models by id, beside the usual fields; None: every id is a model.
    """

    def __init__(
        self,
        rejects: tuple[Rejected, ...] = (),
        *,
        key: str | None = None,
        models: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self.bodies: list[dict[str, Any]] = []
        self._rejects = rejects
        self._key = key
        self._models = models

    @property
    def path(self) -> str:
        """Where answers are asked for."""
        return "/messages"

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
        self.bodies.append(fields)
        _check_fields(fields)
        self._check_abilities(fields)
        if body.count(b'"cache_control"') > _MOST_MARKS:
            raise BadRequestError("A maximum of 4 blocks with cache_control may be provided.")
        messages, tools = _messages(fields), _tools(fields)
        schema = _answer_schema(fields)
        return ChatRequest(
            model=fields["model"],
            messages=messages,
            streamed=bool(fields.get("stream")),
            with_usage=True,
            json_answer=schema is not None,
            max_tokens=fields["max_tokens"],
            prompt_tokens=wire.prompt_tokens(messages, tools),
            answer_schema=schema,
            tools=tools,
            tool_choice=_tool_choice(fields, tools),
        )

    def writer(self, record: ServedRequest, asked: ChatRequest, reply: Reply) -> AnswerWriter:
        """Who writes the answer to this request as a stream."""
        return MessageWriter(record, reply)

    def whole(self, record: ServedRequest, text: str, reply: Reply, finish: FinishName) -> dict[str, Any]:
        """A whole answer in one JSON document."""
        content: list[dict[str, Any]] = [{"type": "text", "text": text}] if text else []
        for number, call in enumerate(reply.tool_calls):
            given = json.loads(call.arguments)
            content.append({"type": "tool_use", "id": call.id or f"toolu_{number}", "name": call.name, "input": given})
        end = {"content": content, "stop_reason": STOP_REASONS[finish], "usage": usage_of(record, reply)}
        return message_head(record) | end

    def refused(self, status: int, remark: str | None, code: str | None) -> dict[str, Any]:
        """The JSON that goes with an HTTP error; a code becomes the type, or the `error_code` of the details."""
        kind, message = _ERRORS.get(status, _ANY_ERROR)
        error: dict[str, Any] = {"type": kind, "message": remark or message}
        if code is not None and code.endswith("_error"):
            error["type"] = code
        elif code is not None:
            error["details"] = {"error_code": code}
        return {"type": "error", "error": error, "request_id": "req_stand_in"}

    def described(self, model: str, headers: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
        """What is told of a model, to who has the key."""
        if self._key is not None and headers.get("authorization") != f"Bearer {self._key}":
            return 401, self.refused(401, None, None)
        if self._models is not None and model not in self._models:
            return 404, self.refused(404, f"model: {model}", None)
        abilities = {"structured_outputs": {"supported": "format" not in self._rejects}}
        usual = {"type": "model", "id": model, "display_name": model, "created_at": "2026-09-28T00:00:00Z"}
        told = {"lifecycle": "active", "retires_at": None, "capabilities": abilities}
        return 200, usual | told | dict((self._models or {}).get(model, {}))

    def _check_abilities(self, fields: Mapping[str, Any]) -> None:
        """Complain as the vendor does of what the model does not know."""
        kind = _object(fields, "thinking").get("type")
        if kind in self._rejects:
            rest = "between_tools" if kind == "disabled" and "between_tools" not in self._rejects else "adaptive"
            raise BadRequestError(
                f'"thinking.type.{kind}" is not supported for this model. Use "thinking.type.{rest}" and '
                '"output_config.effort" to control thinking behavior.'
            )
        config = _object(fields, "output_config")
        if "effort" in config and "effort" in self._rejects:
            raise BadRequestError("This model does not support the effort parameter.")
        if "format" in config and "format" in self._rejects:
            raise BadRequestError("output_config.format: this model does not support output formats")
        if _object(fields, "tool_choice").get("type") in ("any", "tool") and "forced_tool" in self._rejects:
            raise BadRequestError("tool_choice: forced tool use is not supported for this model")


def _check_fields(fields: Mapping[str, Any]) -> None:
    unknown = sorted(set(fields) - _FIELDS)
    if unknown:
        raise BadRequestError(f"{unknown[0]}: Extra inputs are not permitted")
    if not isinstance(fields.get("model"), str) or not fields["model"]:
        raise BadRequestError("model: Field required")
    limit = fields.get("max_tokens")
    if not isinstance(limit, int) or limit < 1:
        raise BadRequestError("max_tokens: must be a whole number above 0")


def _object(fields: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = fields.get(name) or {}
    if not isinstance(value, dict):
        raise BadRequestError(f"{name} must be a JSON object")
    return value


def _messages(fields: Mapping[str, Any]) -> tuple[Message, ...]:
    turns = fields.get("messages")
    if not isinstance(turns, list) or not turns:
        raise BadRequestError("messages: at least one message is required")
    roles = [turn.get("role") if isinstance(turn, dict) else None for turn in turns]
    if roles[0] != "user":
        raise BadRequestError('messages: first message must use the "user" role')
    if roles[-1] != "user":
        raise BadRequestError("This model does not support assistant message prefill.")
    messages = [*_system(fields), *(message for turn in turns for message in _turn(turn))]
    wire.require_answered_calls(messages)
    return tuple(messages)


def _system(fields: Mapping[str, Any]) -> list[Message]:
    told = fields.get("system", [])
    blocks = [{"type": "text", "text": told}] if isinstance(told, str) else told
    if not isinstance(blocks, list):
        raise BadRequestError("system: must be a text or a list of texts")
    return [ChatMessage("system", _text(block)) for block in blocks]


def _turn(turn: Mapping[str, Any]) -> list[Message]:
    content = turn.get("content")
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    if not isinstance(blocks, list) or not blocks:
        raise BadRequestError("messages: content must not be empty")
    if turn["role"] == "user":
        return _user_turn(blocks)
    if turn["role"] != "assistant":
        raise BadRequestError("messages: role must be user or assistant")
    kinds = [block.get("type") for block in blocks]
    text = "".join(_text(block) for block in blocks if block.get("type") == "text")
    calls = tuple(_call(block) for block in blocks if block.get("type") == "tool_use")
    if set(kinds) - {"text", "tool_use", "thinking", "redacted_thinking"}:
        raise BadRequestError("messages: a block of the assistant is of no known type")
    return [ChatMessage("assistant", text, calls)]


def _user_turn(blocks: list[dict[str, Any]]) -> list[Message]:
    messages: list[Message] = []
    for block in blocks:
        if block.get("type") == "tool_result":
            if messages and isinstance(messages[-1], ChatMessage):
                raise BadRequestError("tool_result blocks must come first in the content of a user message")
            failed = bool(block.get("is_error"))
            messages.append(ToolResult(str(block.get("tool_use_id")), str(block.get("content", "")), failed))
        else:
            messages.append(ChatMessage("user", _text(block)))
    return messages


def _text(block: Mapping[str, Any]) -> str:
    text = block.get("text")
    if block.get("type") != "text" or not isinstance(text, str):
        raise BadRequestError("messages: a block is neither text nor a tool's")
    if not text.strip():
        raise BadRequestError("messages: text content blocks must be non-empty")
    return text


def _call(block: Mapping[str, Any]) -> ToolCall:
    given = block.get("input")
    if not isinstance(given, dict) or not isinstance(block.get("id"), str) or not isinstance(block.get("name"), str):
        raise BadRequestError("tool_use: needs an id, a name and an object as its input")
    return ToolCall(block["id"], block["name"], json.dumps(given, ensure_ascii=False))


def _tools(fields: Mapping[str, Any]) -> tuple[ToolDefinition, ...]:
    items = fields.get("tools", [])
    if not isinstance(items, list):
        raise BadRequestError("tools must be a list")
    try:
        return tuple(
            ToolDefinition(item["name"], item.get("description", ""), item["input_schema"], bool(item.get("strict")))
            for item in items
        )
    except (ConfigurationError, KeyError, TypeError) as error:
        raise BadRequestError(f"tools: {error}") from error


def _tool_choice(fields: Mapping[str, Any], tools: tuple[ToolDefinition, ...]) -> str:
    choice = _object(fields, "tool_choice")
    if choice and not tools:
        raise BadRequestError("tool_choice may only be specified while providing tools")
    kind = choice.get("type", "auto")
    if kind not in _CHOICES or (kind == "tool" and choice.get("name") not in [tool.name for tool in tools]):
        raise BadRequestError("tool_choice: must be auto, any, none or a tool that is offered")
    return _CHOICES[kind]


def _answer_schema(fields: Mapping[str, Any]) -> AnswerSchema | None:
    wanted = _object(fields, "output_config").get("format")
    if wanted is None:
        return None
    if (
        not isinstance(wanted, dict)
        or wanted.get("type") != "json_schema"
        or not isinstance(wanted.get("schema"), dict)
    ):
        raise BadRequestError("output_config.format: must be a json_schema with its schema")
    return AnswerSchema(UNNAMED, wanted["schema"])
