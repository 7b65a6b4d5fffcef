"""Opens the voice of an assistant: the best engines that this machine has, behind the caches."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

import anyio.to_thread

from kamerton.config.assistant_folder import Assistant
from kamerton.config.settings import Settings
from kamerton.domain.storage import SharedClips
from kamerton.orchestrator.workers import ThreadWorker
from kamerton.tts.selection import ChosenVoices, VoiceWishes, choose_voices
from kamerton.tts.tts_manager import SynthesisLimits, TTSManager
from kamerton.tts.voices.standin import BabbleTextToSpeech

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
) -> AsyncIterator[TTSManager]:
    """The assistant's voice while the context is open; `shared` is where other processes find its audio.

    Raises:
        ModelError: no voice speaks its language on this machine.
        ConfigurationError: one of its recordings cannot be used.
    """
    wishes = VoiceWishes(assistant.language, settings.voice.piper_voice, settings.voice.festival_processes)
    if stand_ins:
        chosen = ChosenVoices((BabbleTextToSpeech(duration_ms=STAND_IN_REPLY_MS),), ())
    else:
        chosen = await anyio.to_thread.run_sync(partial(choose_voices, wishes))
    for note in chosen.notes:
        progress(note)
    with ThreadWorker(2, "voice") as worker:
        voice = TTSManager(
            chosen.voices,
            language=assistant.language,
            worker=worker,
            clip_folder=None if stand_ins else settings.data_dir / "clips",
            limits=SynthesisLimits(memory_bytes=settings.voice.memory_mb * 1024 * 1024),
            shared=shared,
        )
        async with voice:
            for text, wav_file in assistant.recordings.items():
                voice.register_recording(text, wav_file)
            yield voice
