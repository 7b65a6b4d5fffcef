"""The voice of an assistant: texts in, clips and chunks out, each text synthesised once.

Looked up in this order: recordings that replace a phrase, clips in memory, on disk, in the cache that processes share,
then synthesis. Only phrases of the assistant's own files are written to disk, and only they and texts that are declared
static go to the shared cache. What is said in a call may hold personal data and stays in memory.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType

import anyio
from anyio.abc import TaskGroup

from kamerton.audio.wav import read_wav_file
from kamerton.domain.audio import AudioFormat, Clip
from kamerton.domain.errors import ConfigurationError, EngineError, KamertonError
from kamerton.domain.storage import SharedClips
from kamerton.domain.synthesis import SpeechChunk, TextToSpeech
from kamerton.domain.work import Worker
from kamerton.tts.clips.making import ChunkFinisher, chunks_of_clip, clip_of_chunks
from kamerton.tts.clips.shelves import ClipShelves
from kamerton.tts.clips.store import ClipKey
from kamerton.tts.piece_speech import PieceSpeech
from kamerton.tts.render import Render
from kamerton.tts.spoken.text import spoken
from kamerton.tts.voice_chain import VoiceChain
from kamerton.tts.voice_link import VoiceLink
from kamerton.tts.written_text import WrittenRender, WrittenText, written_clip

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


class TTSManager:
    """Clips of an assistant's texts in its language, with its voices. Use it as an async context manager.

    Syntheses run in tasks of the manager, so that equal requests share one and a request that is cancelled takes
    nothing from the others. Leaving the context ends them and closes the voices.

    Args:
        voices: best first, or the chain that they make.
        language: `ru` or `uk`.
        worker: where audio and disk work over a millisecond goes.
        clip_folder: folder for prerendered clips; None keeps everything in memory.
        shared: the cache that processes share, if there is one.
        limits: bounds.
    """

    def __init__(
        self,
        voices: Sequence[TextToSpeech] | VoiceChain,
        *,
        language: str,
        worker: Worker,
        clip_folder: Path | None = None,
        shared: SharedClips | None = None,
        limits: SynthesisLimits | None = None,
    ) -> None:
        self._limits = limits or SynthesisLimits()
        self._language = language
        self._worker = worker
        self._chain = voices if isinstance(voices, VoiceChain) else VoiceChain.of_voices(voices)
        self._shelves = ClipShelves(self._limits.memory_bytes, worker, clip_folder, shared)
        self._renders: dict[ClipKey, Render] = {}
        self._counts: Counter[str] = Counter()
        self._slots = anyio.CapacityLimiter(self._limits.concurrent)
        self._tasks: TaskGroup | None = None
        self._exits = AsyncExitStack()

    async def __aenter__(self) -> TTSManager:
        self._exits.push_async_callback(self._chain.aclose)
        self._tasks = await self._exits.enter_async_context(anyio.create_task_group())
        for voice in self._chain.warm:
            self._tasks.start_soon(voice.run)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        if self._tasks is not None:
            self._tasks.cancel_scope.cancel()
            self._tasks = None
        return await self._exits.__aexit__(kind, error, trace)

    def expect(self, calls: int) -> None:
        """So many calls are up or ringing: voices of services have connections ready. Never blocks, never raises."""
        for voice in self._chain.warm:
            voice.expect(calls)

    @property
    def connections(self) -> Mapping[str, int]:
        """Counts of the connections that voices keep: `open`, `busy`, `waiting` and totals since the start."""
        together: Counter[str] = Counter()
        for voice in self._chain.warm:
            together.update(voice.figures)  # a sum of counters would leave out what is 0
        return dict(together)

    @property
    def links(self) -> Sequence[VoiceLink]:
        """The voices, best first, for metrics."""
        return self._chain.links

    @property
    def counts(self) -> Mapping[str, int]:
        """Totals: `memory_hits`, `disk_hits`, `shared_hits`, `syntheses`, `failures`, `failures:VOICE` of a voice."""
        failures = {f"failures:{name}": count for name, count in self._chain.failures.items()}
        return {**self._counts, **self._shelves.hits, **failures}

    def register_recording(self, text: str, wav_file: Path) -> None:
        """Let a recording speak a phrase from now on, at any call's rate.

        Raises:
            ConfigurationError: the file is no usable WAV, or the text says nothing.
        """
        said = spoken(text, self._language)
        if not said:
            raise ConfigurationError(f"{wav_file}: the phrase that it is to replace is empty; write its text")
        self._shelves.record(said, read_wav_file(wav_file))

    def cached(self, text: str, audio_format: AudioFormat) -> Clip | None:
        """The clip, if it is in memory: a look-up without waiting. Its segments carry the text as it is written."""
        said = spoken(text, self._language)
        clip = self._at_hand(said, audio_format)
        return clip and written_clip(clip, text, said)

    async def clip(self, text: str, audio_format: AudioFormat, *, static: bool = False) -> Clip:
        """The whole audio of a text, one segment per clause with its written text; empty for one that says nothing.

        Args:
            text: what is to be said.
            audio_format: rate of the call.
            static: the text holds nothing of a caller, and its clip may go to the cache that processes share.

        Raises:
            EngineError: no voice could speak it in time.
        """
        said = spoken(text, self._language)
        if not said:
            return Clip(b"", audio_format, ())
        key = self._key(said, audio_format)
        clip = self._at_hand(said, audio_format) or await self._rendered(key)
        if static:
            await self._shelves.share(key)
        return written_clip(clip, text, said)

    async def stream(self, text: str, audio_format: AudioFormat) -> AsyncGenerator[SpeechChunk, None]:
        """Yield the audio of a text clause by clause with the words as written, the first one as soon as it is there.

        Raises:
            EngineError: no voice could speak it, or finish it in time.
        """
        render = self._opened(text, audio_format)
        if render is None:
            return
        try:
            async with aclosing(render.follow()) as chunks:
                async for chunk in chunks:
                    yield chunk
        finally:
            render.leave()

    async def speak(self, pieces: AsyncIterable[str], audio_format: AudioFormat) -> AsyncGenerator[SpeechChunk, None]:
        """Yield the audio of a text while it is being written, clause by clause.

        The text is read to its end whether or not the audio is taken, up to 4000 characters, by a task of the manager;
        the next two clauses are made while one is taken. Clauses are looked up like any text, and the pause that
        belongs between two of them opens the second. Closing the generator ends the reading, closes `pieces`, and stops
        what is being made for nobody else.

        Args:
            pieces: the text as it comes; iterated once, and closed if it is a generator.
            audio_format: rate of the call.

        Raises:
            EngineError: the text failed or was too long, or no voice could speak a clause; raised after the audio of
                all that came before it.
        """
        speech = PieceSpeech(pieces, audio_format, self._opened)
        self._group.start_soon(speech.read)
        try:
            async with aclosing(speech.follow()) as chunks:
                async for chunk in chunks:
                    yield chunk
        finally:
            speech.close()

    async def prerender(
        self,
        texts: Sequence[str],
        formats: Sequence[AudioFormat],
        progress: Callable[[int, int], None],
        names: Mapping[str, str] | None = None,
    ) -> None:
        """Have every text ready in memory, on disk and in the shared cache, in every format.

        Args:
            texts: phrases; equal and empty ones count once and not at all.
            formats: rates of the calls to come. Each text is synthesised for the highest one and resampled.
            progress: called with the clips done and their total, the first time with 0 done.
            names: text → name under which the shared cache has its clip from now on, instead of a digest alone.

        Raises:
            EngineError: a text could not be spoken; the rest is left undone.
        """
        for text, name in (names or {}).items():
            self._shelves.name(spoken(text, self._language), name)
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
                        await self._prepare(self._key(said, audio_format), rates[0])
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

    async def _prepare(self, key: ClipKey, widest: AudioFormat) -> None:
        found = self._shelves.find(key)
        if found is None and key.rate_hz != widest.rate_hz:
            wide = key._replace(rate_hz=widest.rate_hz)
            found = await self._shelves.fetch(key) or await self._shelves.resampled(wide, key)
        if found is None:
            await self._rendered(key)
        await self._shelves.store(key)
        await self._shelves.share(key)

    def _key(self, said: str, audio_format: AudioFormat) -> ClipKey:
        return ClipKey(self._chain.preferred.name, self._language, audio_format.rate_hz, said)

    def _at_hand(self, said: str, audio_format: AudioFormat) -> Clip | None:
        """The clip in memory of the voice that speaks next, or of a better one that rests.

        What a better voice said before it failed stays as good as it was. Without it prepared phrases and fillers would
        be missing just when a service is away and waits are long.
        """
        voices = self._chain.at_best
        keys = (ClipKey(voice.name, self._language, audio_format.rate_hz, said) for voice in reversed(voices))
        return next((clip for key in keys if (clip := self._shelves.at_hand(key)) is not None), None)

    async def _rendered(self, key: ClipKey) -> Clip:
        render = self._joined(key)
        try:
            async with aclosing(render.follow()) as chunks:
                async for _ in chunks:
                    pass
        finally:
            render.leave()
        if render.clip is None:
            raise EngineError("the voice was closed while it spoke; start it again")
        return render.clip

    def _opened(self, text: str, audio_format: AudioFormat) -> WrittenRender | None:
        """The audio of a text with one follower more, at hand or being made; None for a text that says nothing."""
        said = spoken(text, self._language)
        if not said:
            return None
        key = self._key(said, audio_format)
        ready = self._at_hand(said, audio_format)
        if ready is None:
            render = self._joined(key)
        else:
            render = Render.of_clip(ready)
            render.join()
        return WrittenRender(render, WrittenText(text, said))

    @property
    def _group(self) -> TaskGroup:
        if self._tasks is None:
            raise EngineError("the voice is not started; use TTSManager as an async context manager")
        return self._tasks

    def _joined(self, key: ClipKey) -> Render:
        """The synthesis of a text that is under way, or a new one; with one follower more."""
        render = self._renders.get(key)
        if render is None or not render.open:
            group = self._group
            render = self._renders[key] = Render()
            group.start_soon(self._run, render, key)
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
        ready = await self._shelves.fetch(key)
        if ready is None:
            ready = await self._synthesised(render, key)
        else:
            for chunk in chunks_of_clip(ready):
                render.add(chunk)
        render.finish(ready)

    async def _synthesised(self, render: Render, key: ClipKey) -> Clip:
        audio_format = AudioFormat(key.rate_hz)
        self._counts["syntheses"] += 1
        finisher = ChunkFinisher()
        chunks: list[SpeechChunk] = []
        speakers: set[str] = set()
        async with aclosing(self._chain.speak(key.text, self._language, audio_format)) as spoken_chunks:
            async for voice, chunk in spoken_chunks:
                speakers.add(voice)
                for finished in await self._worker.run(partial(finisher.finished, chunk)):
                    chunks.append(finished)
                    render.add(finished)
        for held in finisher.rest():
            chunks.append(held)
            render.add(held)
        clip = clip_of_chunks(chunks, audio_format)
        if len(speakers) == 1:
            self._shelves.keep(key._replace(voice=speakers.pop()), clip)
        return clip
