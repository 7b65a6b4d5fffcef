"""The voice of an assistant: texts in, clips and chunks out, each text synthesised once.

Looked up in this order: recordings that replace a phrase, clips in memory, clips on disk, synthesis. Only what
`prerender` makes is written to disk: phrases of the assistant's own files. What is said in a call may hold personal
data and stays in memory.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType

import anyio
from anyio.abc import TaskGroup

from kamerton.audio.wav import WavAudio, read_wav_file
from kamerton.domain.audio import AudioFormat, Clip
from kamerton.domain.errors import ConfigurationError, EngineError, KamertonError
from kamerton.domain.synthesis import SpeechChunk, TextToSpeech
from kamerton.domain.work import Worker
from kamerton.tts.clip_making import ChunkLeveler, chunks_of_clip, clip_at_rate, clip_of_chunks, clip_of_recording
from kamerton.tts.clip_store import ClipFolder, ClipKey, ClipMemory
from kamerton.tts.render import Render
from kamerton.tts.spoken_text import spoken
from kamerton.tts.voice_chain import VoiceChain

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SynthesisLimits:
    """Bounds of what the voice of an assistant may take."""

    memory_bytes: int = 64 * 1024 * 1024
    """Audio kept in memory: about half an hour at 16 kHz."""
    concurrent: int = 3
    """Syntheses at once; further ones wait their turn within their deadline."""
    deadline_s: float = 12.0
    """From the request of a text to its last audio; after this it has failed."""
    voice_rest_s: float = 30.0
    """How long a voice that failed is passed over."""


class TTSManager:
    """Clips of an assistant's texts in its language, with its voices. Use it as an async context manager.

    Syntheses run in tasks of the manager, so that equal requests share one and a request that is cancelled takes
    nothing from the others. Leaving the context ends them and closes the voices.

    Args:
        voices: best first.
        language: `ru` or `uk`.
        worker: where audio and disk work over a millisecond goes.
        clip_folder: folder for prerendered clips; None keeps everything in memory.
        limits: bounds.
    """

    def __init__(
        self,
        voices: Sequence[TextToSpeech],
        *,
        language: str,
        worker: Worker,
        clip_folder: Path | None = None,
        limits: SynthesisLimits | None = None,
    ) -> None:
        self._limits = limits or SynthesisLimits()
        self._language = language
        self._worker = worker
        self._chain = VoiceChain(voices, rest_s=self._limits.voice_rest_s)
        self._memory = ClipMemory(self._limits.memory_bytes)
        self._folder = ClipFolder(clip_folder) if clip_folder is not None else None
        self._recordings: dict[str, WavAudio] = {}
        self._recorded: dict[tuple[str, int], Clip] = {}
        self._renders: dict[ClipKey, Render] = {}
        self._counts: Counter[str] = Counter()
        self._slots = anyio.CapacityLimiter(self._limits.concurrent)
        self._tasks: TaskGroup | None = None
        self._exits = AsyncExitStack()

    async def __aenter__(self) -> TTSManager:
        self._exits.push_async_callback(self._chain.aclose)
        self._tasks = await self._exits.enter_async_context(anyio.create_task_group())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        if self._tasks is not None:
            self._tasks.cancel_scope.cancel()
            self._tasks = None
        return await self._exits.__aexit__(kind, error, trace)

    @property
    def counts(self) -> Mapping[str, int]:
        """Totals: `memory_hits`, `disk_hits`, `syntheses`, `failures`, and `failures:VOICE` for each that failed."""
        return {**self._counts, **{f"failures:{name}": count for name, count in self._chain.failures.items()}}

    def register_recording(self, text: str, wav_file: Path) -> None:
        """Let a recording speak a phrase from now on, at any call's rate.

        Raises:
            ConfigurationError: the file is no usable WAV, or the text says nothing.
        """
        said = spoken(text, self._language)
        if not said:
            raise ConfigurationError(f"{wav_file}: the phrase that it is to replace is empty; write its text")
        self._recordings[said] = read_wav_file(wav_file)
        self._recorded = {key: clip for key, clip in self._recorded.items() if key[0] != said}

    def cached(self, text: str, audio_format: AudioFormat) -> Clip | None:
        """The clip, if it is in memory: a look-up without waiting."""
        clip = self._in_memory(spoken(text, self._language), audio_format)
        if clip is not None:
            self._counts["memory_hits"] += 1
        return clip

    async def clip(self, text: str, audio_format: AudioFormat) -> Clip:
        """The whole audio of a text, one segment per clause; empty for a text that says nothing.

        Raises:
            EngineError: no voice could speak it in time.
        """
        said = spoken(text, self._language)
        ready = self._in_memory(said, audio_format)
        if ready is not None:
            self._counts["memory_hits"] += 1
            return ready
        if not said:
            return Clip(b"", audio_format, ())
        return await self._rendered(said, audio_format)

    async def stream(self, text: str, audio_format: AudioFormat) -> AsyncGenerator[SpeechChunk, None]:
        """Yield the audio of a text clause by clause, the first one as soon as it is there.

        Raises:
            EngineError: no voice could speak it, or finish it in time.
        """
        said = spoken(text, self._language)
        ready = self._in_memory(said, audio_format)
        if ready is not None:
            self._counts["memory_hits"] += 1
            for chunk in chunks_of_clip(ready):
                yield chunk
        elif said:
            render = self._joined(said, audio_format)
            try:
                async with aclosing(render.follow()) as chunks:
                    async for chunk in chunks:
                        yield chunk
            finally:
                render.leave()

    async def prerender(
        self, texts: Sequence[str], formats: Sequence[AudioFormat], progress: Callable[[int, int], None]
    ) -> None:
        """Have every text ready in memory and on disk, in every format.

        Args:
            texts: phrases; equal and empty ones count once and not at all.
            formats: rates of the calls to come. Each text is synthesised for the highest one and resampled.
            progress: called with the clips done and their total, the first time with 0 done.

        Raises:
            EngineError: a text could not be spoken; the rest is left undone.
        """
        phrases = list(dict.fromkeys(said for text in texts if (said := spoken(text, self._language))))
        rates = sorted(set(formats), key=lambda audio_format: -audio_format.rate_hz)
        total = len(phrases) * len(rates)
        done = 0
        failures: list[KamertonError] = []
        remaining = iter(phrases)
        progress(done, total)

        async def work() -> None:
            nonlocal done
            for said in remaining:
                try:
                    for audio_format in rates:
                        await self._prepare(said, audio_format, rates[0])
                        done += 1
                        progress(done, total)
                except KamertonError as error:
                    failures.append(error)
                    group.cancel_scope.cancel()

        async with anyio.create_task_group() as group:
            for _ in range(self._limits.concurrent):
                group.start_soon(work)
        if failures:
            raise failures[0]

    async def _prepare(self, said: str, audio_format: AudioFormat, widest: AudioFormat) -> None:
        if self._in_memory(said, audio_format) is None:
            stored = await self._stored(said, audio_format)
            wide = self._in_memory(said, widest)
            if stored is None and wide is not None and said not in self._recordings:
                clip = await self._worker.run(partial(clip_at_rate, wide, audio_format))
                self._memory.keep(self._key(said, audio_format), clip)
            elif stored is None:
                await self._rendered(said, audio_format)
        made = self._memory.find(self._key(said, audio_format))
        if made is not None and self._folder is not None:
            await self._worker.run(partial(self._folder.save, self._key(said, audio_format), made))

    def _key(self, said: str, audio_format: AudioFormat) -> ClipKey:
        return ClipKey(self._chain.preferred.name, self._language, audio_format.rate_hz, said)

    def _in_memory(self, said: str, audio_format: AudioFormat) -> Clip | None:
        if self._recordings and said in self._recordings:
            return self._recorded.get((said, audio_format.rate_hz))
        return self._memory.find(self._key(said, audio_format))

    async def _stored(self, said: str, audio_format: AudioFormat) -> Clip | None:
        """The clip's file read into memory."""
        if self._folder is None or said in self._recordings:
            return None
        key = self._key(said, audio_format)
        clip = await self._worker.run(partial(self._folder.load, key))
        if clip is not None:
            self._counts["disk_hits"] += 1
            self._memory.keep(key, clip)
        return clip

    async def _rendered(self, said: str, audio_format: AudioFormat) -> Clip:
        render = self._joined(said, audio_format)
        try:
            async with aclosing(render.follow()) as chunks:
                async for _ in chunks:
                    pass
        finally:
            render.leave()
        if render.clip is None:
            raise EngineError("the voice was closed while it spoke; start it again")
        return render.clip

    def _joined(self, said: str, audio_format: AudioFormat) -> Render:
        """The synthesis of a text that is under way, or a new one; with one follower more."""
        key = self._key(said, audio_format)
        render = self._renders.get(key)
        if render is None or not render.open:
            if self._tasks is None:
                raise EngineError("the voice is not started; use TTSManager as an async context manager")
            render = self._renders[key] = Render()
            self._tasks.start_soon(self._run, render, key)
        render.join()
        return render

    async def _run(self, render: Render, key: ClipKey) -> None:
        """Fill a render. The border at which any error of an engine becomes an EngineError of those who follow it."""
        try:
            with render.scope, anyio.fail_after(self._limits.deadline_s):
                async with self._slots:
                    await self._fill(render, key)
        except KamertonError as error:
            self._counts["failures"] += 1
            render.fail(error)
        except TimeoutError:
            self._counts["failures"] += 1
            render.fail(
                EngineError(f"speech was not ready after {self._limits.deadline_s:g} s; is the machine overloaded?")
            )
        except Exception as error:
            self._counts["failures"] += 1
            _log.exception("a voice broke", extra={"voice": key.voice})
            render.fail(EngineError(f"a voice broke: {error!r}; see the log"))
        finally:
            if self._renders.get(key) is render:
                del self._renders[key]
            if not render.ended:
                render.fail(EngineError("the speech was given up; ask again"))

    async def _fill(self, render: Render, key: ClipKey) -> None:
        audio_format = AudioFormat(key.rate_hz)
        recording = self._recordings.get(key.text)
        ready: Clip | None
        if recording is not None:
            ready = await self._worker.run(partial(clip_of_recording, recording, key.text, audio_format))
            self._recorded[key.text, key.rate_hz] = ready
        else:
            ready = await self._stored(key.text, audio_format)
        if ready is not None:
            for chunk in chunks_of_clip(ready):
                render.add(chunk)
            render.finish(ready)
            return
        render.finish(await self._synthesised(render, key, audio_format))

    async def _synthesised(self, render: Render, key: ClipKey, audio_format: AudioFormat) -> Clip:
        self._counts["syntheses"] += 1
        leveler = ChunkLeveler()
        chunks: list[SpeechChunk] = []
        speakers: set[str] = set()
        async with aclosing(self._chain.speak(key.text, self._language, audio_format)) as spoken_chunks:
            async for voice, chunk in spoken_chunks:
                leveled = await self._worker.run(partial(leveler.leveled, chunk))
                speakers.add(voice)
                chunks.append(leveled)
                render.add(leveled)
        clip = clip_of_chunks(chunks, audio_format)
        if len(speakers) == 1:
            self._memory.keep(key._replace(voice=speakers.pop()), clip)
        return clip
