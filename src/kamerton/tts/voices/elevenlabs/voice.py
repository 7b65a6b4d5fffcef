"""The voice: a context of a warm WebSocket for each speech, HTTP when that fails, both within one bound on requests."""

from __future__ import annotations

import logging
import ssl
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterable, Mapping
from contextlib import AsyncExitStack, aclosing
from typing import Any, Final

import anyio
from anyio.abc import TaskGroup, TaskStatus

from kamerton.domain.audio import AudioFormat
from kamerton.domain.errors import EngineError, VendorError
from kamerton.domain.synthesis import SpeechChunk, TtsCapabilities
from kamerton.tts.voices.elevenlabs import faults
from kamerton.tts.voices.elevenlabs.context import Context
from kamerton.tts.voices.elevenlabs.engine import RATES_HZ, ElevenLabsVoiceOptions
from kamerton.tts.voices.elevenlabs.http_stream import HttpVoice
from kamerton.tts.voices.elevenlabs.models import has_websocket, languages_of, takes_language
from kamerton.tts.voices.elevenlabs.protocol import AudioPiece
from kamerton.tts.voices.elevenlabs.socket import SocketSettings
from kamerton.tts.voices.elevenlabs.socket_pools import SocketPools
from kamerton.tts.voices.elevenlabs.text_feed import LINGER_S, TextFeed
from kamerton.tts.voices.elevenlabs.text_source import TextSource
from kamerton.tts.voices.spoken_words import SpokenWords
from kamerton.vendors.breaker import BreakerSettings, ServiceBreaker
from kamerton.vendors.fair_limiter import FairLimiter
from kamerton.vendors.usage import Usage, UsageMeter

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
        self._where = sockets.where
        self._language = language
        self._usage = usage
        self._limiter = FairLimiter(options.concurrency)
        self._breaker = ServiceBreaker(BreakerSettings(rest_s=options.websocket_rest_s))
        self._pools = SocketPools(options, sockets, tls)
        self._counts: Counter[str] = Counter()
        self._group: TaskGroup | None = None
        self._ended: anyio.Event | None = None
        self._closed = False

    @property
    def name(self) -> str:
        """Model, voices and how they are set: `elevenlabs-eleven_flash_v2_5-JBFqnCBsd6RMkjVDRZzb`."""
        options = self._options
        voices = dict.fromkeys((options.voice_for("ru"), options.voice_for("uk"), options.voice))
        settings = [f"{name[:3]}{value:g}" for name, value in self._options.voice_settings().items()]
        return "-".join(("elevenlabs", options.model, *voices, *settings))

    @property
    def capabilities(self) -> TtsCapabilities:
        """The model's languages; text may come in pieces."""
        return TtsCapabilities(languages_of(self._options.model), streams_text=True)

    @property
    def figures(self) -> Mapping[str, int]:
        """Counts: those of the pools, and `over_websocket`, `over_http`, `switched`, `late`, `places_held`."""
        total: Counter[str] = Counter(over_websocket=0, over_http=0, switched=0)
        total.update(self._pools.figures)
        total.update(self._counts)
        total["places_held"], total["places_awaited"] = self._limiter.held, self._limiter.waiting
        return total

    def expect(self, calls: int) -> None:
        """Have WebSockets ready for so many calls, at the rates of the phone line and of what was spoken so far."""
        if self._uses_websocket:
            self._pools.expect(max(0, calls), self._language)

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Hold the WebSockets until cancelled or until `aclose`, then close them."""
        if self._closed or self._group is not None:
            task_status.started()
            return
        self._ended = anyio.Event()
        try:
            async with anyio.create_task_group() as group:
                self._group = group
                self._pools.run_in(group)
                task_status.started()
                await anyio.sleep_forever()
        finally:
            self._group = None
            self._pools.run_in(None)
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
        context = await self._pools.of(language, audio_format.rate_hz).take()
        feed = TextFeed(source, context, words, self._record)
        try:
            context.begin(self._options.voice_settings())
            source.tell(feed.go_on)
            while (piece := await self._next_piece(context, words, feed)) is not None:
                chunks = words.push(piece.pcm, piece.alignment)
                feed.close_if_begun()
                for chunk in chunks:
                    yield chunk
            for chunk in self._last_chunks(words):
                yield chunk
        finally:
            source.tell(None)
            context.drop()

    async def _next_piece(self, context: Context, words: SpokenWords, feed: TextFeed) -> AudioPiece | None:
        """The vendor's next piece. While all that was sent is said and the text goes on, it owes nothing.

        A context whose text was all said, but which is not ended, has ended.
        """
        while True:
            limit_s = self._options.gap_s if words.samples else self._options.first_audio_s
            lingers = feed.to_be_closed and words.samples > 0
            sent = feed.sent
            try:
                return await context.next(min(limit_s, LINGER_S) if lingers else limit_s)
            except VendorError:
                if context.failed:
                    raise
                if feed.to_be_closed and words.samples:
                    feed.close()
                    continue
                if feed.sent != sent or not words.all_said:
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
            if settings := self._options.voice_settings():
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

    def _record(self, characters: int) -> None:
        self._usage.record(Usage("voice", "elevenlabs", "characters", characters, self._options.model))


def _as_engine_error(error: Exception) -> EngineError:
    """Why a text broke off; a fault of a text's source is nothing of the vendor's."""
    if isinstance(error, EngineError):
        return error
    return EngineError(f"the source of a text broke: {error!r}; see the log")
