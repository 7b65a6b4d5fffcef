"""The voice: a context of a warm WebSocket for each speech, HTTP when that fails, both within one bound on requests."""

from __future__ import annotations

import logging
import ssl
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Mapping
from contextlib import AsyncExitStack, aclosing
from typing import Any, Final

import anyio
from anyio.abc import TaskGroup, TaskStatus

from kamerton.domain.audio import SAMPLE_BYTES, AudioFormat
from kamerton.domain.errors import EngineError, VendorError
from kamerton.domain.synthesis import SpeechChunk, TtsCapabilities
from kamerton.tts.voices.elevenlabs import faults, protocol
from kamerton.tts.voices.elevenlabs.engine import RATES_HZ, ElevenLabsVoiceOptions
from kamerton.tts.voices.elevenlabs.http_stream import HttpVoice
from kamerton.tts.voices.elevenlabs.models import has_websocket, languages_of, takes_language
from kamerton.tts.voices.elevenlabs.protocol import AudioPiece
from kamerton.tts.voices.elevenlabs.socket import Context, SocketCounts, SocketOpener, SocketSettings
from kamerton.tts.voices.elevenlabs.spoken_words import SpokenWords
from kamerton.tts.voices.elevenlabs.text_source import TextSource
from kamerton.vendors.breaker import BreakerSettings, ServiceBreaker
from kamerton.vendors.fair_limiter import FairLimiter
from kamerton.vendors.usage import Usage, UsageMeter
from kamerton.vendors.warm_pool import PoolSettings, WarmPool

_log = logging.getLogger(__name__)

_KEPT_BEFORE: Final = 300
"""Characters of what was said before that an HTTP request repeats, so that the intonation goes on."""


class ElevenLabsVoice:
    """A voice shared by all calls. `run` holds its WebSockets; a voice that nobody runs speaks over HTTP.

    Args:
        options: as configured.
        http: the HTTP side; closed with the voice.
        sockets: settings of its WebSockets.
        tls: what is trusted.
        language: of the assistant; for it connections are opened ahead.
        usage: told the characters that are sent.
    """

    def __init__(
        self,
        options: ElevenLabsVoiceOptions,
        http: HttpVoice,
        sockets: SocketSettings,
        tls: ssl.SSLContext,
        *,
        language: str,
        usage: UsageMeter,
    ) -> None:
        self._options = options
        self._http = http
        self._socket_settings = sockets
        self._tls = tls
        self._language = language
        self._usage = usage
        self._limiter = FairLimiter(options.concurrency)
        self._breaker = ServiceBreaker(BreakerSettings(rest_s=options.websocket_rest_s))
        self._pools: dict[tuple[str, str, int], WarmPool[Context]] = {}
        self._socket_counts = SocketCounts()
        self._counts: Counter[str] = Counter()
        self._group: TaskGroup | None = None
        self._ended: anyio.Event | None = None
        self._closed = False
        self._calls = 0

    @property
    def name(self) -> str:
        """Model, voices and how they are set: `elevenlabs-eleven_flash_v2_5-JBFqnCBsd6RMkjVDRZzb`."""
        options = self._options
        voices = dict.fromkeys((options.voice_for("ru"), options.voice_for("uk"), options.voice))
        settings = [f"{name[:3]}{value:g}" for name, value in self._voice_settings().items()]
        return "-".join(("elevenlabs", options.model, *voices, *settings))

    @property
    def capabilities(self) -> TtsCapabilities:
        """The model's languages; text may come in pieces."""
        return TtsCapabilities(languages_of(self._options.model), streams_text=True)

    @property
    def figures(self) -> Mapping[str, int]:
        """Counts: those of the pools, and `over_websocket`, `over_http`, `switched`, `late`, `places_held`."""
        total: Counter[str] = Counter(over_websocket=0, over_http=0, switched=0)
        for pool in self._pools.values():
            total.update(pool.figures)
        total.update(self._counts)
        total["late"] = self._socket_counts.late + self._socket_counts.unknown
        total["places_held"], total["places_awaited"] = self._limiter.held, self._limiter.waiting
        return total

    def expect(self, calls: int) -> None:
        """Have WebSockets ready for so many calls, at the rates of the phone line and of what was spoken so far."""
        self._calls = max(0, calls)
        if self._group is None or not self._uses_websocket:
            return
        for rate_hz in self._options.warm_rates_hz:
            self._pool(self._language, rate_hz)
        for pool in self._pools.values():
            pool.expect(min(self._calls, self._options.concurrency))

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Hold the WebSockets until cancelled or until `aclose`, then close them."""
        if self._closed or self._group is not None:
            task_status.started()
            return
        self._ended = anyio.Event()
        try:
            async with anyio.create_task_group() as group:
                self._group = group
                for pool in self._pools.values():
                    group.start_soon(pool.run)
                self.expect(self._calls)
                task_status.started()
                await anyio.sleep_forever()
        finally:
            self._group = None
            self._ended.set()

    async def aclose(self) -> None:
        """End the speeches, close the WebSockets and the HTTP connections."""
        self._closed = True
        if self._group is not None and self._ended is not None:
            self._group.cancel_scope.cancel()
            with anyio.CancelScope(shield=True):
                await self._ended.wait()
        await self._http.aclose()

    async def speak(
        self, text: str | AsyncIterable[str], *, language: str, audio_format: AudioFormat
    ) -> AsyncGenerator[SpeechChunk, None]:
        """Yield audio cut between words, each chunk with the words that it says. Closing it drops the rest at once.

        A WebSocket that fails before any audio was yielded is replaced by HTTP within the same request.

        Raises:
            VendorError: the vendor failed; the words of all chunks that were yielded have been said.
            EngineError: the text's source broke, or the model does not speak the language.
        """
        self._check(language, audio_format)
        async with AsyncExitStack() as exits:
            source = TextSource(text)
            exits.push_async_callback(source.aclose)
            if self._group is not None:
                source.read_in(self._group)
            if await source.clause(0) is not None:
                await self._take_place(exits)
                async with aclosing(self._spoken(source, language, audio_format)) as chunks:
                    async for chunk in chunks:
                        yield chunk
            if source.error is not None:
                raise _as_engine_error(source.error)

    @property
    def _uses_websocket(self) -> bool:
        return self._options.websocket and has_websocket(self._options.model)

    @property
    def _where(self) -> str:
        return self._socket_settings.where

    def _check(self, language: str, audio_format: AudioFormat) -> None:
        spoken = languages_of(self._options.model)
        if language not in spoken:
            raise EngineError(f"{self._where}: {self._options.model} does not speak '{language}'; choose another model")
        if audio_format.rate_hz not in RATES_HZ:
            raise EngineError(f"{self._where}: speech at {audio_format.rate_hz} Hz is not made; ask for 8000 or 16000")
        if self._closed:
            raise EngineError(f"{self._where}: the voice is closed; open it again")

    async def _take_place(self, exits: AsyncExitStack) -> None:
        try:
            with anyio.fail_after(self._options.queue_s):
                await exits.enter_async_context(self._limiter.place())
        except (TimeoutError, anyio.WouldBlock):
            raise faults.of_fault(
                self._where,
                "rate_limited",
                f"all {self._limiter.places} places were taken for {self._options.queue_s:g} s; "
                "raise `concurrency` if the plan allows more",
            ) from None

    async def _spoken(
        self, source: TextSource, language: str, audio_format: AudioFormat
    ) -> AsyncGenerator[SpeechChunk, None]:
        """Over the WebSocket, else over HTTP."""
        if self._group is not None and self._uses_websocket and self._breaker.admits(anyio.current_time()):
            begun = failed = False
            try:
                async with aclosing(self._over_websocket(source, language, audio_format)) as chunks:
                    async for chunk in chunks:
                        begun = True
                        yield chunk
                self._counts["over_websocket"] += 1
                return
            except VendorError as error:
                failed = True
                self._breaker.failed(anyio.current_time(), str(error))
                if begun or not faults.goes_by_http(error):
                    raise
                self._counts["switched"] += 1
                _log.warning("a speech goes over HTTP", extra={"service": self._where, "reason": str(error)})
            finally:
                if begun and not failed:
                    self._breaker.succeeded()
                elif not failed:
                    self._breaker.given_up()
        async with aclosing(self._over_http(source, language, audio_format)) as chunks:
            async for chunk in chunks:
                yield chunk
        self._counts["over_http"] += 1

    async def _over_websocket(
        self, source: TextSource, language: str, audio_format: AudioFormat
    ) -> AsyncGenerator[SpeechChunk, None]:
        words = SpokenWords(audio_format)
        context = await self._pool(language, audio_format.rate_hz).take()
        try:
            feed = _Feed(source, context, words, self._record)
            context.begin(self._voice_settings())
            source.tell(feed.go_on)
            while (piece := await self._next_piece(context, words, feed)) is not None:
                for chunk in words.push(piece.pcm, piece.alignment):
                    yield chunk
            for chunk in self._last_chunks(words):
                yield chunk
        finally:
            source.tell(None)
            context.drop()

    async def _next_piece(self, context: Context, words: SpokenWords, feed: _Feed) -> AudioPiece | None:
        """The vendor's next piece. While all that was sent is said and the text goes on, it owes nothing.

        A context whose text was all said, but which is not ended, has ended.
        """
        while True:
            limit_s = self._options.gap_s if words.samples else self._options.first_audio_s
            sent = feed.sent
            try:
                return await context.next(limit_s)
            except VendorError:
                if context.failed or feed.sent != sent or not words.all_said:
                    raise
                if feed.finished:
                    _log.warning("a context was not ended", extra={"service": self._where})
                    return None

    def _last_chunks(self, words: SpokenWords) -> list[SpeechChunk]:
        """What is held back at the end of the audio, unless it ended too early."""
        if not words.samples or words.cut_short:
            raise faults.broken(self._where, "it ended before the whole text was said")
        return words.rest()

    async def _over_http(
        self, source: TextSource, language: str, audio_format: AudioFormat
    ) -> AsyncGenerator[SpeechChunk, None]:
        """One request for a text that is known, one for each clause of a text that is being written."""
        options, number = self._options, 0
        query = {"output_format": f"pcm_{audio_format.rate_hz}"}
        while (clause := await source.clause(number)) is not None:
            clauses = [clause] if source.streamed else source.clauses
            text = " ".join(clauses)
            body: dict[str, Any] = {"text": text, "model_id": options.model}
            if takes_language(options.model):
                body["language_code"] = language
            if number:
                body["previous_text"] = " ".join(source.clauses[:number])[-_KEPT_BEFORE:]
            if settings := self._voice_settings():
                body["voice_settings"] = settings
            words = SpokenWords(audio_format)
            for part in clauses:
                words.add(part)
            self._record(len(text))
            async with aclosing(self._http.speak(options.voice_for(language), query, body)) as pieces:
                async for piece in pieces:
                    for chunk in words.push(piece.pcm, piece.alignment):
                        yield chunk
            for chunk in self._last_chunks(words):
                yield chunk
            number += len(clauses)

    def _pool(self, language: str, rate_hz: int) -> WarmPool[Context]:
        """The WebSockets of a voice, a language and a rate, which are fixed for each of them."""
        options = self._options
        told = language if takes_language(options.model) else ""
        key = (options.voice_for(language), told, rate_hz)
        pool = self._pools.get(key)
        if pool is None:
            settings = PoolSettings(
                most=options.sockets,
                users=protocol.MAX_CONTEXTS,
                open_s=options.connect_s,
                idle_s=options.idle_s,
                renew_s=0.8 * options.inactivity_s,
            )
            pool = self._pools[key] = WarmPool(self._opener(*key).open, settings, self._where)
            pool.expect(min(self._calls, options.concurrency))
            if self._group is not None:
                self._group.start_soon(pool.run)
        return pool

    def _opener(self, voice: str, language: str, rate_hz: int) -> SocketOpener:
        options, settings = self._options, self._socket_settings
        query = {
            "model_id": options.model,
            "output_format": f"pcm_{rate_hz}",
            "inactivity_timeout": str(options.inactivity_s),
            "sync_alignment": "true",
        }
        if language:
            query["language_code"] = language
        longest = int(settings.longest_audio_s * rate_hz * SAMPLE_BYTES)
        url = protocol.websocket_url(options.url, voice, query)
        return SocketOpener(url, settings, self._tls, self._socket_counts, longest)

    def _voice_settings(self) -> dict[str, float]:
        options = self._options
        wanted = {
            "stability": options.stability,
            "similarity_boost": options.similarity,
            "speed": options.speed,
        }
        return {name: value for name, value in wanted.items() if value is not None}

    def _record(self, characters: int) -> None:
        self._usage.record(Usage("voice", "elevenlabs", "characters", characters, self._options.model))


class _Feed:
    """Sends the clauses of a text to a context as they come.

    The first one is spoken at once; of a text that is known the others are left to the vendor, which reads ahead, and
    each clause of one that is being written is spoken without waiting for the next.
    """

    def __init__(self, source: TextSource, context: Context, words: SpokenWords, record: Callable[[int], None]) -> None:
        self._source = source
        self._context = context
        self._words = words
        self._record = record
        self.sent = 0
        """Clauses sent."""
        self.finished = False

    def go_on(self) -> None:
        """Send what has come. A plain call."""
        source = self._source
        while self.sent < len(source.clauses):
            clause = source.clauses[self.sent]
            self.sent += 1
            last = source.ended and self.sent == len(source.clauses)
            self._words.add(clause)
            self._context.say(clause, flush=source.streamed or self.sent == 1 or last)
            self._record(len(clause) + 1)
        if source.ended and not self.finished:
            self.finished = True
            self._context.finish()


def _as_engine_error(error: Exception) -> EngineError:
    """Why a text broke off; a fault of a text's source is nothing of the vendor's."""
    if isinstance(error, EngineError):
        return error
    return EngineError(f"the source of a text broke: {error!r}; see the log")
