"""Language models: what a call asks of one and what it yields. Text streams out piece by piece."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Literal, Protocol


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One message of a conversation with a model."""

    role: Literal["system", "user", "assistant"]
    text: str


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """What a model is asked to go on from."""

    messages: tuple[ChatMessage, ...]
    max_tokens: int
    """Longest answer; the model ends with the reason `length` there."""
    json_answer: bool = False
    """Ask for a JSON object instead of plain text, where the server knows how to promise one."""


@dataclass(frozen=True, slots=True)
class TextDelta:
    """A piece of the answer, as the model wrote it."""

    text: str


@dataclass(frozen=True, slots=True)
class GenerationEnded:
    """The model finished by itself. A stream that stops without it was cut off."""

    reason: Literal["stop", "length", "filtered"]
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


ModelEvent = TextDelta | GenerationEnded


class LanguageModel(Protocol):
    """A model shared by all calls."""

    @property
    def name(self) -> str:
        """Stable identity of server and model; a part of cache keys."""
        ...

    def generate(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        """Yield deltas, then `GenerationEnded`. Closing the generator frees the server's stream at once.

        Raises:
            EngineError: the server is down, slow, overloaded or broke off; nothing more will come.
        """
        ...

    async def aclose(self) -> None:
        """Free connections."""


@dataclass(frozen=True, slots=True)
class LLMStreamChunk:
    """A piece of a checked answer, ready to be spoken and shown.

    The first chunk of an answer carries the verdict: with `is_safe` False the answer is refused and nothing follows.
    """

    text: str = ""
    is_safe: bool = True
    ended: bool = False
    """True on the last chunk, which carries no text; an answer without it failed."""
