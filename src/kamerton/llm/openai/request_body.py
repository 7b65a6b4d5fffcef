"""What a chat completion is asked with. Pure."""

from __future__ import annotations

from typing import Any

from kamerton.domain.language_model import AnswerSchema, Message, ModelRequest, ToolCall, ToolDefinition, ToolResult
from kamerton.llm.openai.server_settings import JsonMode, OpenAICompatibleSettings


def request_body(settings: OpenAICompatibleSettings, request: ModelRequest, *, with_counts: bool) -> dict[str, Any]:
    """The fields of a streamed request.

    Args:
        settings: of the server.
        request: what is asked.
        with_counts: also ask for the counts of tokens, which not every server knows.
    """
    body: dict[str, Any] = {
        "model": settings.model,
        "messages": [_message(message) for message in request.messages],
        settings.token_limit_field: request.max_tokens,
        "stream": True,
    }
    optional = {
        "stream_options": {"include_usage": True} if with_counts else None,
        "temperature": settings.temperature,
        "reasoning_effort": settings.reasoning_effort,
        "service_tier": settings.service_tier,
        "response_format": _answer_format(settings.json_mode, request.answer_schema),
        "tools": [_tool(tool) for tool in request.tools] or None,
        "tool_choice": request.tool_choice if request.tools and request.tool_choice != "auto" else None,
    }
    return body | {name: value for name, value in optional.items() if value is not None}


def _message(message: Message) -> dict[str, Any]:
    if isinstance(message, ToolResult):
        return {"role": "tool", "tool_call_id": message.call_id, "content": message.text}
    told: dict[str, Any] = {"role": message.role, "content": message.text}
    if message.tool_calls:
        told["content"] = message.text or None
        told["tool_calls"] = [_call(call) for call in message.tool_calls]
    return told


def _call(call: ToolCall) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _tool(tool: ToolDefinition) -> dict[str, Any]:
    function: dict[str, Any] = {
        "name": tool.name,
        "description": tool.description,
        "parameters": dict(tool.parameters),
    }
    if tool.strict:
        function["strict"] = True
    return {"type": "function", "function": function}


def _answer_format(mode: JsonMode, wanted: AnswerSchema | None) -> dict[str, Any] | None:
    if wanted is None or mode == "off":
        return None
    if mode == "object":
        return {"type": "json_object"}
    return {
        "type": "json_schema",
        "json_schema": {"name": wanted.name, "strict": True, "schema": dict(wanted.schema)},
    }
