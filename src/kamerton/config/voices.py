"""Opens the voice of an assistant: the best engines that this machine has, behind the caches."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from kamerton.config.assistant_folder import Assistant
from kamerton.config.engine_settings import VoiceSettings
from kamerton.config.engines import Link, engine_context, open_chain
from kamerton.config.settings import Settings
from kamerton.domain.storage import SharedClips
from kamerton.domain.synthesis import TextToSpeech
from kamerton.orchestrator.workers import ThreadWorker
from kamerton.tts.tts_manager import SynthesisLimits, TTSManager
from kamerton.tts.voice_chain import VoiceChain, VoiceChainSettings
from kamerton.tts.voice_link import VoiceLink
from kamerton.tts.voices.standin import BabbleTextToSpeech
from kamerton.vendors.usage import UsageMeter

STAND_IN_REPLY_MS = 3000.0
"""Length of the sound that stands in for every reply."""


@asynccontextmanager
async def open_voice(
    assistant: Assistant,
    settings: Settings,
    *,
    stand_ins: bool,
    progress: Callable[[str], None],
    shared: SharedClips | None = None,
    usage: UsageMeter | None = None,
) -> AsyncIterator[TTSManager]:
    """The assistant's voice while the context is open.

    Args:
        assistant: whose voice.
        settings: the validated settings.
        stand_ins: a voice that costs nothing instead.
        progress: told which voices there are, and why others are not.
        shared: where other processes find its audio.
        usage: told what voices of services use.

    Raises:
        ModelError: no voice speaks its language on this machine.
        ConfigurationError: one of its recordings cannot be used.
    """
    context = engine_context(settings, assistant.language, progress, usage)
    async with AsyncExitStack() as stack:
        chain = VoiceChain.of_voices((BabbleTextToSpeech(duration_ms=STAND_IN_REPLY_MS),))
        if not stand_ins:
            links = await stack.enter_async_context(open_chain("voice", settings.voice, context))
            chain = _chained(links, settings.voice)
        worker = stack.enter_context(ThreadWorker(2, "voice"))
        voice = TTSManager(
            chain,
            language=assistant.language,
            worker=worker,
            clip_folder=None if stand_ins else settings.data_dir / "clips",
            limits=SynthesisLimits(memory_bytes=settings.voice.memory_mb * 1024 * 1024),
            shared=shared,
        )
        await stack.enter_async_context(voice)
        for text, wav_file in assistant.recordings.items():
            voice.register_recording(text, wav_file)
        yield voice


def _chained(links: Sequence[Link[TextToSpeech]], section: VoiceSettings) -> VoiceChain:
    voices = [
        VoiceLink(
            link.name,
            link.part,
            is_service=link.is_service,
            breaker=section.breaker,
            patience_s=section.first_audio_s if link.is_service else math.inf,
        )
        for link in links
    ]
    return VoiceChain(voices, VoiceChainSettings(section.first_audio_s, section.hedge))
