"""Language models: what a call asks of one and what it yields. Text and tool calls stream out piece by piece."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Literal, Protocol

from kamerton.domain.errors import ConfigurationError, EngineError

_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")
"""What OpenAI and Anthropic take for a name of a tool, and OpenAI for one of a schema."""

EndReason = Literal["stop", "tool_calls", "length", "filtered", "refused"]
"""Why a model stopped writing.

`stop`: it was done. `tool_calls`: it waits for results of tools. `length`: it was cut off, at `max_tokens` or at the
end of its window. `filtered`: its vendor withheld the answer. `refused`: the model itself declines to answer.
"""


@dataclass(frozen=True, slots=True)
class ToolDefinition:
    """A tool that a model may call.

    Raises:
        ConfigurationError: the name is none that vendors accept, or the parameters are no schema of an object.
    """

    name: str
    """Letters, digits, `_` and `-`, at most 64."""
    description: str
    """What it does and when to call it, for the model."""
    parameters: Mapping[str, Any] = field(default_factory=lambda: {"type": "object", "properties": {}})
    """JSON schema of the arguments; its type is `object`."""
    strict: bool = False
    """Have the vendor hold the arguments to the schema, where it can. OpenAI then wants every property `required`
    and `additionalProperties: false`, at every level."""

    def __post_init__(self) -> None:
        """Refuse what no vendor takes."""
        _require_name("tool", self.name)
        _require_object_schema(f"the parameters of the tool '{self.name}'", self.parameters)


@dataclass(frozen=True, slots=True)
class AnswerSchema:
    """The JSON that an answer has to be.

    Raises:
        ConfigurationError: the name is none that vendors accept, or it is no schema of an object.
    """

    name: str
    """Letters, digits, `_` and `-`, at most 64."""
    schema: Mapping[str, Any]
    """JSON schema; its type is `object`. Every property `required` and `additionalProperties: false`, at every level:
    vendors promise nothing else. What it means is said in the instructions too, for servers that promise nothing."""

    def __post_init__(self) -> None:
        """Refuse what no vendor takes."""
        _require_name("answer schema", self.name)
        _require_object_schema(f"the answer schema '{self.name}'", self.schema)


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool that the model wants called, whole: its arguments have all come."""

    id: str
    """The result names it; unique within one answer."""
    name: str
    """As the model wrote it; models invent names."""
    arguments: str
    """JSON as the model wrote it: `{}` for none. Models break it at times: read it with `parsed`."""

    def parsed(self) -> dict[str, Any]:
        """The arguments.

        Raises:
            EngineError: they are no JSON object; the message can be given to the model as the tool's result.
        """
        try:
            found = json.loads(self.arguments)
        except (ValueError, RecursionError) as error:
            what = f"the arguments of the tool '{self.name}' are no JSON ({type(error).__name__}); call it again"
            raise EngineError(what, "model_answer") from None
        if not isinstance(found, dict):
            what = f"the arguments of the tool '{self.name}' are no JSON object; call it again with one"
            raise EngineError(what, "model_answer")
        return found


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One message of a conversation with a model."""

    role: Literal["system", "user", "assistant"]
    text: str
    tool_calls: tuple[ToolCall, ...] = ()
    """What the assistant asked for besides its text, which may be empty then. Each needs a `ToolResult` right behind
    this message, also when the caller interrupted: vendors refuse a conversation without."""


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool gave, as a message behind the one with its call."""

    role: ClassVar[Literal["tool"]] = "tool"
    call_id: str
    text: str
    """Plain text or JSON, for the model."""
    failed: bool = False
    """The tool did not do what was asked; `text` says why."""


Message = ChatMessage | ToolResult


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """What a model is asked to go on from."""

    messages: tuple[Message, ...]
    max_tokens: int
    """Longest answer; the model ends with the reason `length` there."""
    answer_schema: AnswerSchema | None = None
    """Have the answer be this JSON, as far as the server can promise it; None: plain text."""
    tools: tuple[ToolDefinition, ...] = ()
    """What it may call; their names differ."""
    tool_choice: Literal["auto", "none", "required"] = "auto"
    """`none`: it answers in words although it knows the tools; `required`: it calls one."""


@dataclass(frozen=True, slots=True)
class TextDelta:
    """A piece of the answer, as the model wrote it; never empty."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCallBegun:
    """The model has chosen a tool and is writing the arguments: a hint for whoever fills the wait. Nothing to act on.

    Its `ToolCall` follows, unless the answer is cut off.
    """

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class GenerationEnded:
    """The model finished by itself. A stream that stops without it was cut off. Counts are None when unknown."""

    reason: EndReason
    prompt_tokens: int | None = None
    """All that was read, those from a cache included."""
    completion_tokens: int | None = None
    """All that was written, thoughts and tool calls included."""
    cached_tokens: int | None = None
    """Of `prompt_tokens` those that the vendor had in its cache, and charges less for."""
    response_id: str = ""
    """What the vendor calls this answer, for its support."""

    @property
    def withheld(self) -> bool:
        """There is no answer, or no end to it, because model or vendor will not give one."""
        return self.reason in ("filtered", "refused")


ModelEvent = TextDelta | ToolCallBegun | ToolCall | GenerationEnded


class LanguageModel(Protocol):
    """A model shared by all calls."""

    @property
    def name(self) -> str:
        """Stable identity of server and model; a part of cache keys."""
        ...

    def generate(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        """Yield text and tool calls, in the order in which the model writes them, then `GenerationEnded`.

        A `ToolCall` comes whole and once; one that was cut off at the `length` does not come. Closing the generator,
        or cancelling who waits for it, frees the server's stream at once. Nothing is asked twice: trying again is up
        to the caller.

        Raises:
            EngineError: the server is down, slow, overloaded or broke off; nothing more will come. A `VendorError`
                where it is known how; what came before stands.
        """
        ...

    async def aclose(self) -> None:
        """Free connections. Harmless when repeated."""


@dataclass(frozen=True, slots=True)
class LLMStreamChunk:
    """A piece of a checked answer, ready to be spoken and shown.

    The first chunk of an answer carries the verdict: with `is_safe` False the answer is refused and nothing follows.
    """

    text: str = ""
    is_safe: bool = True
    ended: bool = False
    """True on the last chunk, which carries no text; an answer without it failed."""


def _require_name(what: str, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ConfigurationError(f"{what} '{name}' needs a name of letters, digits, '_' and '-', at most 64")


def _require_object_schema(what: str, schema: Mapping[str, Any]) -> None:
    if schema.get("type") != "object":
        raise ConfigurationError(f'{what} must be a JSON schema of an object; set "type": "object" in it')
