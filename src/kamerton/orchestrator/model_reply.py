"""One answer of the language model on its way from the model through the voice to the playout.

It may be asked for ahead of the end of a turn: then its first audio is made and held until the reply is taken.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Callable
from contextlib import aclosing
from typing import Protocol

import anyio
from anyio.abc import TaskGroup

from kamerton.domain.audio import AudioFormat
from kamerton.domain.errors import EngineError
from kamerton.domain.language_model import LLMStreamChunk
from kamerton.domain.synthesis import SpeechChunk
from kamerton.orchestrator.decision import ModelQuestion

log = logging.getLogger(__name__)


class Talk(Protocol):
    """A call's conversation with the language model."""

    def process_user_turn(self, text: str, *, situation: str = "") -> AsyncGenerator[LLMStreamChunk, None]:
        """Stream the checked answer to a turn; nothing is remembered.

        Raises:
            EngineError: the model failed, or its answer cannot be used.
        """
        ...

    def remember(self, user_text: str, heard_text: str) -> None:
        """Take an exchange into the history: what was said, and what of the answer was heard."""
        ...

    async def run(self) -> None:
        """Background work of the call, until cancelled."""
        ...

    async def shutdown(self) -> None:
        """Leave nothing behind."""
        ...


class PieceVoice(Protocol):
    """A voice that speaks a text while it is being written."""

    def speak(self, pieces: AsyncIterable[str], audio_format: AudioFormat) -> AsyncGenerator[SpeechChunk, None]:
        """Audio clause by clause; closing it closes `pieces`.

        Raises:
            EngineError: voice or text failed.
        """
        ...


class ModelReply:
    """Runs in a task of its call. Made by `FreeTalk.ask`; used by one reader."""

    def __init__(self, talk: Talk, voice: PieceVoice, audio_format: AudioFormat, question: ModelQuestion) -> None:
        self._talk = talk
        self._voice = voice
        self._format = audio_format
        self.question = question
        self.asked_s = anyio.current_time()
        """Instant at which the model was asked."""
        self.refused = False
        """The answer was judged unsafe; nothing of it is to be said."""
        self.failure: str | None = None
        """Why there is no (more) answer."""
        self.complete = False
        """The model finished its answer, or refused to give one."""
        self._written: list[str] = []
        self._audio: deque[SpeechChunk] = deque()
        self._changed = anyio.Event()
        self._taken = anyio.Event()
        self._ended = False
        self._scope = anyio.CancelScope()
        self._shown: Callable[[str], None] | None = None

    @property
    def text(self) -> str:
        """What the model has written so far."""
        return "".join(self._written)

    @property
    def whole(self) -> bool:
        """The model finished an answer that may be said, and the voice could say all of it."""
        return self.complete and not self.refused and self.failure is None

    async def run(self) -> None:
        """Make the answer; beyond its first audio only once it is taken."""
        try:
            with self._scope:
                async with aclosing(self._voice.speak(self._pieces(), self._format)) as audio:
                    async for chunk in audio:
                        self._audio.append(chunk)
                        self._tell()
                        await self._taken.wait()
        except EngineError as error:
            self.failure = f"{error.code}: {error}"
        finally:
            self._ended = True
            self._tell()

    def take(self, shown: Callable[[str], None]) -> None:
        """The answer is wanted: `shown` is told every piece of its text, those that are there at once."""
        self._shown = shown
        self._taken.set()
        for piece in self._written:
            shown(piece)

    async def chunks(self) -> AsyncGenerator[SpeechChunk, None]:
        """The audio as it comes; ends when the answer does, however it does."""
        while True:
            while self._audio:
                yield self._audio.popleft()
            if self._ended:
                break
            self._changed = anyio.Event()
            await self._changed.wait()
        if not (self.text.strip() or self.refused or self.failure):
            self.failure = "the language model answered nothing; look at its instructions"

    def drop(self, why: str = "") -> None:
        """Give the answer up: model, voice and their connections are freed. Does nothing to a finished one."""
        if why and not self._ended:
            self.failure = why
        self._shown = None
        self._scope.cancel()

    async def _pieces(self) -> AsyncGenerator[str, None]:
        question = self.question
        async with aclosing(self._talk.process_user_turn(question.text, situation=question.situation)) as chunks:
            async for chunk in chunks:
                self.refused = not chunk.is_safe
                self.complete = chunk.ended
                if chunk.text:
                    self._written.append(chunk.text)
                    if self._shown is not None:
                        self._shown(chunk.text)
                    yield chunk.text

    def _tell(self) -> None:
        self._changed.set()


class FreeTalk:
    """What a call says beyond its scenario and its prepared answers. Belongs to the call's tasks."""

    def __init__(self, talk: Talk, voice: PieceVoice, audio_format: AudioFormat) -> None:
        self._talk = talk
        self._voice = voice
        self._format = audio_format
        self._tasks: TaskGroup | None = None

    def start(self, tasks: TaskGroup) -> None:
        """From now on answers, and the background work of the talk, run in this group."""
        self._tasks = tasks
        tasks.start_soon(self._talk.run)

    def ask(self, question: ModelQuestion) -> ModelReply:
        """Ask the model.

        Raises:
            EngineError: the call has not begun.
        """
        if self._tasks is None:
            raise EngineError("the language model was asked before the call began; start the call first")
        reply = ModelReply(self._talk, self._voice, self._format, question)
        self._tasks.start_soon(reply.run)
        return reply

    def remember(self, user_text: str, heard_text: str) -> None:
        """An exchange is settled."""
        self._talk.remember(user_text, heard_text)

    async def shutdown(self) -> None:
        """The call is over."""
        await self._talk.shutdown()
