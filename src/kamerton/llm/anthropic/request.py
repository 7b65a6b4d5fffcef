"""What is sent to the Messages API: a request of ours in its terms. Pure."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from kamerton.domain.errors import EngineError
from kamerton.domain.language_model import ChatMessage, ModelRequest, ToolCall, ToolDefinition, ToolResult

Thinking = Literal["off", "between_tools", "adaptive", "default"]
Effort = Literal["low", "medium", "high", "xhigh", "max"]
CacheTime = Literal["off", "5m", "1h"]
Block = dict[str, Any]

SILENCE: Final = "…"
"""Stands for the caller where a conversation begins with the greeting: the first turn must be the user's."""
KEPT_THOUGHTS: Final = 256
"""Answers whose thoughts are kept for the results of their tools; the oldest go first."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How a model is asked. What it turns out to reject is given up by `without`, one thing after another."""

    model: str
    thinking: Thinking = "off"
    effort: Effort | None = None
    thinking_room_tokens: int = 2_000
    """Added to `max_tokens` where it may think: thoughts count towards it."""
    cache: CacheTime = "5m"
    json_by: Literal["format", "tool", "words"] = "format"
    """How JSON is promised: by the API's output format, by a tool that takes the answer, or by nothing."""
    may_force_tools: bool = True

    def without(self, complaint: str) -> Manner | None:
        """The manner that does without what a 400 complains of; None when it is about none of these.

        Known complaints (the vendor's migration guides, 2026-11): `"thinking.type.disabled" is not supported for this
        model`, where some models know `between_tools` instead and some always think; forced tools with these; effort
        and output formats with older models.
        """
        said = complaint.lower()
        if "tool_choice" in said and self.may_force_tools:
            return replace(self, may_force_tools=False)
        if ("output_config.format" in said or "output_format" in said or "json_schema" in said) and (
            self.json_by == "format"
        ):
            return replace(self, json_by="tool")
        about_thinking = "thinking.type" in said or "thinking:" in said
        if about_thinking and self.thinking == "off" and "between_tools" in said:
            return replace(self, thinking="between_tools")
        if about_thinking and self.thinking != "default":
            return replace(self, thinking="default", effort=self.effort or "low")
        if "effort" in said and self.effort is not None:
            return replace(self, effort=None)
        return None


class Thoughts:
    """Blocks of thought by the first tool call behind them: models that think want them back with the results."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, tuple[Block, ...]] = OrderedDict()

    def keep(self, call_id: str, blocks: Sequence[Block]) -> None:
        """Remember the thoughts of an answer."""
        self._kept[call_id] = tuple(blocks)
        while len(self._kept) > KEPT_THOUGHTS:
            self._kept.popitem(last=False)

    def before(self, calls: Sequence[ToolCall]) -> list[Block]:
        """The thoughts of the answer that these calls belong to."""
        return [dict(block) for block in self._kept.get(calls[0].id, ())] if calls else []


def answer_tool(request: ModelRequest, manner: Manner) -> str:
    """Name of the tool that takes the answer as its input; empty where there is none."""
    schema = request.answer_schema
    if schema is None or manner.json_by != "tool" or not manner.may_force_tools or request.tool_choice == "required":
        return ""
    return "" if any(tool.name == schema.name for tool in request.tools) else schema.name


def message_body(request: ModelRequest, manner: Manner, thoughts: Thoughts) -> dict[str, Any]:
    """The arguments of `messages.create`."""
    mark = {} if manner.cache == "off" else {"cache_control": {"type": "ephemeral", "ttl": manner.cache}}
    thinks = manner.thinking in ("adaptive", "default")
    body: dict[str, Any] = {
        "model": manner.model,
        "max_tokens": request.max_tokens + (manner.thinking_room_tokens if thinks else 0),
        "messages": _messages(request, thoughts, mark),
        "stream": True,
    }
    if system := _system(request, mark):
        body["system"] = system
    if manner.thinking != "default":
        body["thinking"] = {"type": "disabled" if manner.thinking == "off" else manner.thinking}
    body |= _tools(request, manner, mark)
    config: dict[str, Any] = {}
    if manner.effort is not None:
        config["effort"] = manner.effort
    if request.answer_schema is not None and manner.json_by == "format":
        config["format"] = {"type": "json_schema", "schema": dict(request.answer_schema.schema)}
    if config:
        body["output_config"] = config
    return body


def _system(request: ModelRequest, mark: Block) -> list[Block]:
    """All instructions. The first ones stay the same from turn to turn and call to call: a cache ends behind them."""
    told = [message for message in request.messages if isinstance(message, ChatMessage) and message.role == "system"]
    blocks: list[Block] = [{"type": "text", "text": message.text} for message in told if message.text.strip()]
    if blocks:
        blocks[0] |= mark
    return blocks


def _tools(request: ModelRequest, manner: Manner, mark: Block) -> dict[str, Any]:
    """The tools; the cache that ends behind them outlives a change of the instructions."""
    tools = [_tool(tool) for tool in request.tools]
    name = answer_tool(request, manner)
    if name and request.answer_schema is not None:
        schema = dict(request.answer_schema.schema)
        about = "Give the answer to the caller. Every answer goes through this tool, as its input."
        tools.append({"name": name, "description": about, "input_schema": schema, "eager_input_streaming": True})
    if not tools:
        return {}
    tools[-1] |= mark
    return {"tools": tools, "tool_choice": _tool_choice(request, manner, name)}


def _tool_choice(request: ModelRequest, manner: Manner, answer: str) -> Block:
    if answer:
        offered = request.tools and request.tool_choice == "auto"
        return {"type": "any"} if offered else {"type": "tool", "name": answer}
    if request.tool_choice == "required" and manner.may_force_tools:
        return {"type": "any"}
    return {"type": "none" if request.tool_choice == "none" else "auto"}


def _tool(tool: ToolDefinition) -> Block:
    fields = {"name": tool.name, "description": tool.description, "input_schema": dict(tool.parameters)}
    return fields | ({"strict": True} if tool.strict else {})


def _messages(request: ModelRequest, thoughts: Thoughts, mark: Block) -> list[Block]:
    """The conversation in turns: neighbours of one role are one message, results of tools come first in theirs."""
    turns: list[Block] = []
    for message in request.messages:
        if isinstance(message, ChatMessage) and message.role == "system":
            continue
        role, blocks = _blocks(message, thoughts)
        if not blocks:
            continue
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        else:
            turns.append({"role": role, "content": blocks})
    if not turns or turns[0]["role"] != "user":
        turns.insert(0, {"role": "user", "content": [{"type": "text", "text": SILENCE}]})
    if len(turns) > 1:
        turns[-2]["content"][-1] |= mark
    return turns


def _blocks(message: ChatMessage | ToolResult, thoughts: Thoughts) -> tuple[str, list[Block]]:
    if isinstance(message, ToolResult):
        result: Block = {"type": "tool_result", "tool_use_id": message.call_id, "content": message.text}
        return "user", [result | ({"is_error": True} if message.failed else {})]
    blocks = thoughts.before(message.tool_calls)
    if message.text.strip():
        blocks.append({"type": "text", "text": message.text})
    for call in message.tool_calls:
        blocks.append({"type": "tool_use", "id": call.id, "name": call.name, "input": _input(call)})
    return message.role, blocks


def _input(call: ToolCall) -> dict[str, Any]:
    """The arguments as the API wants them back: an object, also where the model had written none."""
    try:
        return call.parsed()
    except EngineError:
        return {}
