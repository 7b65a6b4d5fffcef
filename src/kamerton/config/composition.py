"""The composition root: the only module that knows every part. Opens the engine that answers calls, and closes it."""

from __future__ import annotations

import gc
import logging
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread

from kamerton.cache.clip_cache import ClipCache
from kamerton.cache.opening import open_store
from kamerton.cache.session_journal import SessionJournal
from kamerton.config.answers import Progress
from kamerton.config.assistant_folder import Assistant, find_assistant, load_assistant, static_texts
from kamerton.config.brain import Brain, LearnedAnswers, open_brain, open_model
from kamerton.config.engine_figures import show_engines
from kamerton.config.engines import engine_context, open_chain
from kamerton.config.price_settings import price_list
from kamerton.config.settings import Settings
from kamerton.config.voices import open_voice
from kamerton.domain.audio import PHONE, WIDEBAND
from kamerton.domain.call_scope import call_context
from kamerton.domain.media import CallHandler, CallMedia
from kamerton.domain.notices import CallObserver
from kamerton.domain.recognition import RecognizerState, SpeechToText
from kamerton.intent_classifier import completeness, is_backchannel
from kamerton.listening.silero import SileroModel, find_silero
from kamerton.listening.vad import VadBatcher
from kamerton.observability.call_log import LoggingObserver
from kamerton.observability.metrics import MetricsLogger
from kamerton.observability.recognizer_metrics import RecognizerMetrics
from kamerton.observability.runtime_watch import RuntimeWatch
from kamerton.observability.usage_metrics import UsageMetrics
from kamerton.orchestrator.metronome import Metronome
from kamerton.orchestrator.orchestrator import Orchestrator
from kamerton.orchestrator.services import CallServices
from kamerton.orchestrator.workers import ThreadWorker
from kamerton.stt.chain import ChainLink, ChainPatience, RecognizerChain
from kamerton.stt.standins.scripted import InstantSpeechToText
from kamerton.tts.tts_manager import TTSManager
from kamerton.vendors.metering import UsageLedger
from kamerton.vendors.usage import UsageMeter

log = logging.getLogger(__name__)

CALL_FORMATS: Final = (PHONE, WIDEBAND)
"""Rates in which prompts are rendered ahead: the phone's and the browser's."""

STAND_IN_TRANSCRIPT: Final = "сто двадцать пять"
"""What the stand-in recogniser hears in every turn: a complete number, which the stand-in scenario expects."""

STAND_IN_FOLDER: Final = Path(__file__).resolve().parents[1] / "testing" / "stand_in_assistant"


@dataclass(frozen=True, slots=True)
class Engine:
    """Everything that answers calls, ready to be put behind transports."""

    assistant: Assistant
    services: CallServices
    metrics: MetricsLogger
    watch: RuntimeWatch
    handler: CallHandler
    """Runs one call."""
    recognizer: Callable[[], RecognizerState]
    """How the recogniser fares now, and the calls that it can carry."""
    usage: UsageMeter
    """Counts what is used of services."""


@asynccontextmanager
async def open_engine(
    settings: Settings, *, stand_ins: bool = False, observers: Sequence[CallObserver] = (), progress: Progress
) -> AsyncIterator[Engine]:
    """Load everything and keep it running while the context is open.

    Args:
        settings: the validated settings.
        stand_ins: use engines that cost nothing and answer at once, for load tests.
        observers: who else sees what happens in calls.
        progress: told what is being loaded.

    Raises:
        AssistantError: the assistant's folder is broken.
        ModelError: a model or voice is missing.
    """
    assistant = load_assistant(STAND_IN_FOLDER if stand_ins else _folder(settings))
    metrics = MetricsLogger()
    watch = RuntimeWatch(metrics)
    ledger = UsageLedger(price_list(settings.prices))
    metrics.registry.register(UsageMetrics(lambda: ledger.total))
    async with AsyncExitStack() as stack:
        progress("loading voice activity detection and the classifier")
        vad_worker = stack.enter_context(ThreadWorker(1, "vad"))
        vad = VadBatcher(SileroModel(find_silero()), vad_worker, settings.listening.vad)
        store = await stack.enter_async_context(open_store(settings.store))
        brain_worker = stack.enter_context(ThreadWorker(2, "brain"))
        model = (
            None
            if stand_ins
            else await stack.enter_async_context(open_model(settings, assistant.language, progress, ledger))
        )
        brain = await stack.enter_async_context(
            open_brain(assistant, settings, store, brain_worker, model, progress, ledger)
        )
        progress("loading the recogniser")
        stt, recognizer = await _open_recognizer(settings, assistant.language, stand_ins, stack, progress, ledger)
        metrics.registry.register(RecognizerMetrics(recognizer))
        progress("preparing the voice")
        clips = ClipCache(store, brain_worker)
        voice = await stack.enter_async_context(
            open_voice(assistant, settings, stand_ins=stand_ins, shared=clips, progress=progress, usage=ledger)
        )
        show_engines(metrics.registry, stt, model, brain.embedders, voice)
        names = {entry.answer: entry.audio_key(assistant.name) for entry in assistant.answers}
        await voice.prerender(static_texts(assistant), CALL_FORMATS, partial(_rendered, progress), names)
        await _warm_voice(voice)
        sessions = SessionJournal(store)
        services = _services(assistant, settings, brain, voice, stt, vad, sessions)
        services = replace(services, observers=(LoggingObserver(), metrics, *observers), bill=ledger.bill)
        tasks = await stack.enter_async_context(anyio.create_task_group())
        stack.callback(tasks.cancel_scope.cancel)
        tasks.start_soon(services.metronome.run)
        tasks.start_soon(vad.run)
        tasks.start_soon(sessions.run)
        tasks.start_soon(watch.watch_loop)
        stack.enter_context(_tuned_interpreter())
        stack.enter_context(watch.gc_watched())
        yield Engine(
            assistant, services, metrics, watch, _Conductor(services, voice, ledger).conduct, recognizer, ledger
        )


def _services(
    assistant: Assistant,
    settings: Settings,
    brain: Brain,
    voice: TTSManager,
    stt: SpeechToText,
    vad: VadBatcher,
    sessions: SessionJournal,
) -> CallServices:
    return CallServices(
        assistant=assistant.name,
        language=assistant.language,
        router=brain.router,
        voice=voice,
        stt=stt,
        vad=vad,
        metronome=Metronome(),
        observers=(),
        phrases=assistant.phrases,
        fillers=assistant.fillers,
        completeness=completeness,
        is_backchannel=is_backchannel,
        call=assistant.call_settings(settings.call),
        listening=settings.listening,
        talk=brain.talk,
        model_answers=_learned(brain, voice),
        sessions=sessions,
    )


def _learned(brain: Brain, voice: TTSManager) -> LearnedAnswers | None:
    if brain.remembered is None:
        return None

    async def render(answer: str) -> None:
        await voice.prerender((answer,), CALL_FORMATS, lambda done, total: None)

    return LearnedAnswers(brain.remembered, render)


def _folder(settings: Settings) -> Path:
    return find_assistant(settings.assistant, settings.assistant_folders)


async def _open_recognizer(
    settings: Settings, language: str, stand_ins: bool, stack: AsyncExitStack, progress: Progress, usage: UsageMeter
) -> tuple[SpeechToText, Callable[[], RecognizerState]]:
    """The recogniser, and how it fares; `stack` closes its engines."""
    if stand_ins:
        return InstantSpeechToText(STAND_IN_TRANSCRIPT), RecognizerState
    section = settings.recognizer
    context = engine_context(settings, language, progress, usage)
    links = await stack.enter_async_context(open_chain("recognizer", section, context))
    chained = [ChainLink(link.name, link.part, is_service=link.is_service, breaker=section.breaker) for link in links]
    chain = RecognizerChain(chained, ChainPatience(section.open_s, section.final_s))
    return chain, lambda: chain.state


async def _warm_voice(voice: TTSManager) -> None:
    """Have every synthesiser process say something, so that the first caller does not wait for it to load."""
    async with anyio.create_task_group() as tasks:
        for text in ("Раз, два, три.", "Проверка голоса."):
            tasks.start_soon(voice.clip, text, PHONE)


def _rendered(progress: Progress, done: int, total: int) -> None:
    if done == total or done % 25 == 0:
        progress(f"prompts: {done} of {total}")


class _Conductor:
    """Runs calls, keeps account of each, and tells the voice how many there are, so that it has connections ready."""

    def __init__(self, services: CallServices, voice: TTSManager, ledger: UsageLedger) -> None:
        self._services = services
        self._voice = voice
        self._ledger = ledger
        self._calls = 0

    async def conduct(self, media: CallMedia) -> None:
        """Run one call."""
        self._count(1)
        try:
            with call_context(media.info.call_id), self._ledger.account(media.info.call_id):
                await Orchestrator(media, self._services).run()
        finally:
            self._count(-1)

    def _count(self, more: int) -> None:
        self._calls += more
        self._voice.expect(self._calls)


@contextmanager
def _tuned_interpreter() -> Iterator[None]:
    """Set the interpreter up for many calls at once.

    The garbage collector is kept away from everything that was loaded: a full collection over the models takes
    100 ms and more, which all calls would hear; over the calls' own garbage it takes a few. A worker thread that
    comes back with a result waits 1 ms for its turn at most, not 5: that wait is a part of every reaction.
    """
    gc.collect()
    gc.freeze()
    thresholds, interval_s = gc.get_threshold(), sys.getswitchinterval()
    gc.set_threshold(20_000, 20, 50)
    sys.setswitchinterval(0.001)
    try:
        yield
    finally:
        sys.setswitchinterval(interval_s)
        gc.set_threshold(*thresholds)
        gc.unfreeze()
