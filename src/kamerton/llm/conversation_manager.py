"""A call's conversation with a language model: asks, checks what comes, and remembers what was heard."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import contextmanager
from typing import Final, Protocol

import anyio

from kamerton.domain.errors import EngineError
from kamerton.domain.language_model import (
    ChatMessage,
    GenerationEnded,
    LanguageModel,
    LLMStreamChunk,
    ModelEvent,
    ModelRequest,
    TextDelta,
)
from kamerton.llm.checked_answer import CheckedAnswer
from kamerton.llm.generation import CLOSE_S, Generation
from kamerton.llm.instructions import turn_message
from kamerton.llm.limits import TalkLimits
from kamerton.llm.structured_answer import SPOKEN_ANSWER

logger = logging.getLogger(__name__)

COUNTS_S: Final = 0.2
"""Longest wait for the vendor's counts after a whole answer; they come with its last packet."""


class TalkHistory(Protocol):
    """What was said in a call so far, as a model is shown it: `DualContextController`."""

    def messages(self) -> tuple[ChatMessage, ...]:
        """The conversation so far, within the model's window. Never waits."""
        ...

    def add(self, user_text: str, heard_text: str) -> None:
        """An exchange is over. Either text may be empty."""

    def calibrate(self, prompt_tokens: int) -> None:
        """The vendor's count of the prompt that `messages` went into last."""

    async def run(self) -> None:
        """Background work, until cancelled."""


class ConversationManager:
    """One call's talk with a model. Lives in the call's tasks; nothing of it outlives `shutdown`.

    Args:
        model: the model, shared by all calls.
        contexts: the call's history.
        instructions: system prompt, as `talk_instructions` makes it.
        limits: bounds of one answer.
        language: `ru` or `uk`; answers in another script fail.

    Raises:
        ConfigurationError: the language is not known.
    """

    def __init__(
        self,
        model: LanguageModel,
        contexts: TalkHistory,
        instructions: str,
        limits: TalkLimits,
        language: str,
    ) -> None:
        turn_message("", "", language)
        self._model = model
        self._contexts = contexts
        self._instructions = instructions
        self._limits = limits
        self._language = language
        self._running: list[Generation] = []
        self._latest: Generation | None = None
        self._aborted = anyio.Event()
        self._over = False

    async def process_user_turn(self, text: str, *, situation: str = "") -> AsyncGenerator[LLMStreamChunk, None]:
        """Stream the answer to a turn, checked and ready to be spoken.

        Free of side effects on the history, so that it may run speculatively. A refused answer is one last chunk with
        `is_safe` False: the first one, unless the answer turned bad later. The model's stream is freed before the last
        chunk is yielded, and when the generator is closed. After `abort_generation` the chunks just end.

        Args:
            text: what the caller said.
            situation: what the scenario is doing, for the prompt.

        Raises:
            EngineError: the model failed or is too slow; its answer is malformed, cut off, endless, empty or in another
                script; the talk is shut down. Chunks before it stand.
        """
        generation = self._begin(text, situation)
        answer = CheckedAnswer(self._instructions, self._language, self._limits)
        try:
            while not answer.over:
                event = await generation.next_event(speaking=answer.released)
                if event is None:
                    return
                speakable = self._check(answer, event)
                if speakable:
                    yield LLMStreamChunk(speakable)
                if generation.aborted:
                    return
            await self._finish(generation, answer)
            if not generation.aborted:
                yield LLMStreamChunk(is_safe=not answer.refused, ended=True)
        finally:
            await generation.close()
            self._running.remove(generation)

    def abort_generation(self) -> None:
        """End all running generations at once; the next turn is unspoilt.

        A reader waiting for the model frees its stream within a tick or two; the stream of an answer whose reader is
        busy elsewhere is freed by `run`.
        """
        for generation in self._running:
            generation.abort()
        self._aborted.set()

    def remember(self, user_text: str, heard_text: str) -> None:
        """Take an exchange into the history: what the caller said and what of the answer the caller heard."""
        self._contexts.add(user_text, heard_text)

    async def run(self) -> None:
        """The call's background work: summaries, and freeing the streams of aborted answers. Until cancelled."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._contexts.run)
            while True:
                self._aborted = anyio.Event()
                await self._close_idle()
                await self._aborted.wait()

    async def shutdown(self) -> None:
        """Abort, free every stream and refuse further turns."""
        self._over = True
        self.abort_generation()
        leaving = list(self._running)
        with anyio.move_on_after(CLOSE_S, shield=True):
            await self._close_idle()
            for generation in leaving:
                await generation.wait_closed()

    async def _close_idle(self) -> None:
        for generation in list(self._running):
            if generation.aborted and generation.idle:
                await generation.close()

    def _begin(self, text: str, situation: str) -> Generation:
        if self._over:
            raise EngineError("the language model was asked after the call's talk was shut down; the call is over")
        if not text.strip():
            raise EngineError("the language model was asked about nothing; ask it only when the caller said something")
        history = self._contexts.messages()
        asked = ChatMessage("user", turn_message(text, situation, self._language))
        messages = joined((ChatMessage("system", self._instructions), *history, asked))
        events = self._model.generate(ModelRequest(messages, self._limits.max_tokens, SPOKEN_ANSWER))
        generation = Generation(events, self._limits, self._model.name)
        self._running.append(generation)
        self._latest = generation
        return generation

    def _check(self, answer: CheckedAnswer, event: ModelEvent) -> str:
        with self._named():
            if not isinstance(event, GenerationEnded):
                return answer.push(event.text) if isinstance(event, TextDelta) else ""
            answer.end(filtered=event.withheld)
            return ""

    async def _finish(self, generation: Generation, answer: CheckedAnswer) -> None:
        if answer.leaked:
            logger.warning("an answer was withheld: it recites the instructions", extra={"model": self._model.name})
        if answer.whole:
            ended = await generation.read_to_end(COUNTS_S)
            if ended is not None and ended.prompt_tokens is not None and generation is self._latest:
                self._contexts.calibrate(ended.prompt_tokens)
        await generation.close()

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Say which model wrote an answer that cannot be used."""
        try:
            yield
        except EngineError as error:
            raise EngineError(f"{error} (model {self._model.name})", error.code) from None


def joined(messages: Iterable[ChatMessage]) -> tuple[ChatMessage, ...]:
    """Messages of one role in a row become one: many servers insist on one system message and on taking turns."""
    result: list[ChatMessage] = []
    for message in messages:
        if result and result[-1].role == message.role:
            result[-1] = ChatMessage(message.role, f"{result[-1].text}\n\n{message.text}")
        else:
            result.append(message)
    return tuple(result)
