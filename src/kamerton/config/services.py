"""The services that the settings name: which they are, whether they would serve, and one small request to each."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final

import anyio
import anyio.to_thread

from kamerton.config.engine_sections import EngineSection
from kamerton.config.settings import Settings
from kamerton.domain.audio import PHONE, AudioFrame
from kamerton.domain.embedding import Embedder
from kamerton.domain.errors import EngineError, KamertonError
from kamerton.domain.language_model import ChatMessage, LanguageModel, ModelRequest
from kamerton.domain.recognition import Final as FinalTranscript
from kamerton.domain.recognition import RecognitionHint, SpeechToText, SttFailed
from kamerton.domain.synthesis import TextToSpeech
from kamerton.vendors.check import Check
from kamerton.vendors.engine import EngineContext, EngineType
from kamerton.vendors.registry import EMBEDDINGS, MODELS, RECOGNIZERS, VOICES, engines_in

log = logging.getLogger(__name__)

DEADLINE_S: Final = 10.0
"""Of one service: a check may be several requests."""

_SILENCE_FRAMES: Final = 25
_WORDS: Final = {"ru": "да", "uk": "так"}


@dataclass(frozen=True, slots=True)
class Question:
    """Somebody who may be asked whether they would serve."""

    part: str
    name: str
    ask: Callable[[EngineContext], Awaitable[Check]]


@dataclass(frozen=True, slots=True)
class Service:
    """A service that a part of the settings names."""

    part: str
    engine: EngineType[Any]
    options: Any
    package: str
    """Of which kind it is: one of those in `vendors/registry.py`."""

    @property
    def question(self) -> Question:
        """Whether it would serve a call."""
        return Question(self.part, self.engine.name, self._checked)

    async def _checked(self, context: EngineContext) -> Check:
        if self.engine.check is None:
            return Check(reachable=False, fix="it has no check")
        return await self.engine.check(self.options, context)


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of one small request."""

    latency_ms: float | None = None
    """From the request to its first result, the connection included; None when there was none."""
    trouble: str = ""
    """What happened and what to do; empty when it served."""


def services_of(settings: Settings) -> tuple[Service, ...]:
    """The services among the engines that the settings name, part by part."""
    sections = ((name, section) for name, section in settings if isinstance(section, EngineSection))
    return tuple(
        Service(part, engine, section.options(name), section.package)
        for part, section in sections
        for name in section.chain
        if (engine := engines_in(section.package)[name]).is_service
    )


async def check_all(questions: Sequence[Question], context: EngineContext) -> list[Check]:
    """What each one answers, all asked at once."""
    checks = [Check(reachable=False, fix=f"no answer within {DEADLINE_S:g} s; check the network")] * len(questions)

    async def ask(index: int) -> None:
        question = questions[index]
        context.progress(f"asking {question.name} ({question.part})")
        with anyio.move_on_after(DEADLINE_S):
            checks[index] = await question.ask(context)

    async with anyio.create_task_group() as tasks:
        for index in range(len(questions)):
            tasks.start_soon(ask, index)
    return checks


async def try_all(services: Sequence[Service], context: EngineContext) -> list[Trial]:
    """Open each service as a call would, and ask it for the least it can do; all at once. Costs a little each."""
    trials = [Trial()] * len(services)

    async def ask(index: int) -> None:
        service = services[index]
        context.progress(f"trying {service.engine.name} ({service.part})")
        trials[index] = await _tried(service, context)

    async with anyio.create_task_group() as tasks:
        for index in range(len(services)):
            tasks.start_soon(ask, index)
    return trials


async def _tried(service: Service, context: EngineContext) -> Trial:
    try:
        part = await service.engine.open(service.options, context)
    except KamertonError as error:
        return Trial(trouble=str(error))
    begun_s = anyio.current_time()
    trouble = f"no result within {DEADLINE_S:g} s; check the network, and `kamerton ping`"
    try:
        with anyio.move_on_after(DEADLINE_S):
            trouble = await _trouble(service, part, context.language)
        return Trial(None if trouble else (anyio.current_time() - begun_s) * 1000, trouble)
    finally:
        with anyio.move_on_after(DEADLINE_S, shield=True):
            await _close(part)


async def _trouble(service: Service, part: Any, language: str) -> str:
    """What went wrong; nothing when it served. The boundary at which an adapter's bug is its own."""
    try:
        await _REQUESTS[service.package](part, language)
    except KamertonError as error:
        return str(error)
    except Exception as error:
        log.exception("a service's adapter broke", extra={"part": service.part, "service": service.engine.name})
        return f"its adapter broke ({type(error).__name__}: {error}); look at the log"
    return ""


async def _hear(stt: SpeechToText, language: str) -> None:
    """Half a second of silence is a turn; its transcript, which is empty, is awaited."""
    async with stt.open(PHONE) as stream:
        stream.begin_turn(1, RecognitionHint(language))
        for number in range(_SILENCE_FRAMES):
            stream.push(AudioFrame(PHONE.silence(), PHONE, number * PHONE.frame_samples))
        stream.end_of_turn()
        async for event in stream:
            if isinstance(event, SttFailed):
                raise EngineError(event.reason)
            if isinstance(event, FinalTranscript):
                return
    raise EngineError("its stream ended without a transcript")


async def _say(voice: TextToSpeech, language: str) -> None:
    async with aclosing(voice.speak(_WORDS.get(language, "ok"), language=language, audio_format=PHONE)) as chunks:
        async for _ in chunks:
            return
    raise EngineError("it gave no audio")


async def _answer(model: LanguageModel, language: str) -> None:
    request = ModelRequest((ChatMessage("user", _WORDS.get(language, "ok")),), max_tokens=16)
    async with aclosing(model.generate(request)) as events:
        async for _ in events:
            return
    raise EngineError("it gave no answer")


async def _compare(embedder: Embedder, language: str) -> None:
    text = [_WORDS.get(language, "ok")]
    await anyio.to_thread.run_sync(lambda: embedder.query(text), abandon_on_cancel=True)


async def _close(part: Any) -> None:
    if hasattr(part, "aclose"):
        await part.aclose()
    elif hasattr(part, "close"):
        await anyio.to_thread.run_sync(part.close)


_REQUESTS: Final[Mapping[str, Callable[[Any, str], Awaitable[None]]]] = {
    RECOGNIZERS: _hear,
    VOICES: _say,
    MODELS: _answer,
    EMBEDDINGS: _compare,
}
