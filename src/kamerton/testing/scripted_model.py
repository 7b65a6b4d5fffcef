"""A language model that writes from a script, on any clock, for simulated calls. No network, no threads."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field

import anyio

from kamerton.domain.errors import EngineError
from kamerton.domain.language_model import ChatMessage, GenerationEnded, ModelEvent, ModelRequest, TextDelta
from kamerton.llm.conversation_manager import ConversationManager
from kamerton.llm.dual_context import DualContextController
from kamerton.llm.limits import TalkLimits
from kamerton.llm.token_counts import estimate_tokens


@dataclass(frozen=True, slots=True)
class ScriptedAnswer:
    """What the model makes of one question."""

    text: str
    is_safe: bool = True
    raw: str | None = None
    """Exactly what it writes instead of the structured answer."""
    cut_after: int | None = None
    """Breaks off after so many characters, without an end."""
    endless: bool = False
    """Goes on saying the text for ever."""
    failure: str | None = None
    """Fails instead of writing."""


@dataclass(slots=True, eq=False)
class ScriptedModel:
    """A `LanguageModel`: the first key of `answers` that the last message contains decides."""

    answers: Mapping[str, ScriptedAnswer] = field(default_factory=dict)
    otherwise: ScriptedAnswer = ScriptedAnswer("этого я не знаю, спросите оператора")
    first_token_s: float = 0.4
    token_s: float = 0.02
    """From piece to piece; a piece is a word."""
    requests: list[ModelRequest] = field(default_factory=list)
    running: int = 0
    """Streams that are open now."""
    freed_s: list[float] = field(default_factory=list)
    """Instants at which a stream was closed before its end."""

    @property
    def name(self) -> str:
        """Identity for cache keys."""
        return "scripted"

    async def generate(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        """Write the scripted answer.

        Raises:
            EngineError: the script says so.
        """
        self.requests.append(request)
        self.running += 1
        ended = False
        try:
            asked = request.messages[-1].text
            answer = next((said for key, said in self.answers.items() if key in asked), self.otherwise)
            await anyio.sleep(self.first_token_s)
            if answer.failure is not None:
                ended = True
                raise EngineError(answer.failure)
            for piece in _pieces(_written(answer)):
                yield TextDelta(piece)
                await anyio.sleep(self.token_s)
            while answer.endless:
                yield TextDelta(f"{answer.text}. ")
                await anyio.sleep(self.token_s)
            ended = True
            if answer.cut_after is None:
                yield GenerationEnded("stop", 100, 20)
        finally:
            self.running -= 1
            if not ended:
                self.freed_s.append(anyio.current_time())

    async def aclose(self) -> None:
        """Nothing to free."""


def scripted_talk(
    model: ScriptedModel, limits: TalkLimits | None = None, instructions: str = "Отвечай коротко."
) -> Callable[[str], ConversationManager]:
    """Opens conversations of simulated calls with the model: real ones, in Russian."""

    async def summarize(messages: Sequence[ChatMessage]) -> str:
        return f"было сказано реплик: {len(messages)}"

    def opened(call_id: str) -> ConversationManager:
        contexts = DualContextController(8000, summarize, estimate_tokens)
        return ConversationManager(model, contexts, instructions, limits or TalkLimits(), "ru")

    return opened


def _written(answer: ScriptedAnswer) -> str:
    whole = json.dumps({"is_safe": answer.is_safe, "answer": answer.text}, ensure_ascii=False)
    text = answer.raw if answer.raw is not None else whole
    if answer.endless:
        text = text.removesuffix('"}') + ". "
    return text if answer.cut_after is None else text[: answer.cut_after]


def _pieces(text: str) -> list[str]:
    words = text.split(" ")
    return [f"{word} " for word in words[:-1]] + words[-1:]
