"""The voice: a text in requests, each as chunks that know their words."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import replace
from typing import Final

import anyio
from anyio.abc import TaskStatus

from kamerton.domain.audio import SAMPLE_BYTES, AudioFormat
from kamerton.domain.errors import EngineError, VendorError
from kamerton.domain.synthesis import SpeechChunk, TtsCapabilities
from kamerton.tts.clauses import pause_after_ms
from kamerton.tts.voices.yandex.engine import LONGEST_REQUEST, YandexVoiceOptions
from kamerton.tts.voices.yandex.messages import Passage, passages_of, request_of
from kamerton.tts.voices.yandex.pace import Pace
from kamerton.tts.voices.yandex.speakers import language_of
from kamerton.tts.voices.yandex.synthesis import Synthesis
from kamerton.tts.voices.yandex.utterance import Utterance
from kamerton.vendors.fair_limiter import FairLimiter
from kamerton.vendors.rpc.channels import Channels
from kamerton.vendors.usage import Uncounted, Usage, UsageMeter
from kamerton.vendors.yandex.credentials import YandexCredentials

_log = logging.getLogger(__name__)

_NOT_SERVED: Final = ("connection", "unauthorised", "quota", "rate_limited", "rejected")
"""A request that fails so before any answer costs nothing."""
RATES_HZ: Final = (8000, 16000)
"""Rates of calls; the vendor makes 8 to 48 kHz, so nothing is resampled."""


class YandexVoice:
    """A voice shared by all calls; belongs to one event loop.

    `run` connects as soon as a call is expected; a voice that nobody runs connects with its first request.

    Args:
        options: as configured.
        credentials: closed with the voice.
        roots: certificates as `read_roots` gives them.
        usage: told what is sent.
    """

    def __init__(
        self,
        options: YandexVoiceOptions,
        credentials: YandexCredentials,
        *,
        roots: bytes | None = None,
        usage: UsageMeter | None = None,
    ) -> None:
        self._options = options
        self._credentials = credentials
        self._usage = usage or Uncounted()
        self._limiter = FairLimiter(options.concurrency)
        self._channels = Channels(options.where, roots, streams_each=options.requests_per_connection)
        self._counts: Counter[str] = Counter(requests=0, second_attempts=0)
        self._synthesis = Synthesis(options, credentials, self._channels, self._counts)
        self._called = anyio.Event()
        self._used_s = -math.inf
        self._closed = False

    @property
    def name(self) -> str:
        """Voice and how it is set: `yandex-marina-friendly-speed1.1`."""
        options = self._options
        settings = [
            f"speed{options.speed:g}" if options.speed != 1.0 else "",
            f"pitch{options.pitch_hz:g}" if options.pitch_hz else "",
            "peak" if options.loudness == "peak" else "",
            f"volume{options.volume:g}" if options.volume is not None else "",
        ]
        return "-".join(part for part in ("yandex", options.model, options.voice, options.role, *settings) if part)

    @property
    def capabilities(self) -> TtsCapabilities:
        """The one language of the voice; text may come in pieces."""
        return TtsCapabilities((language_of(self._options.voice),), streams_text=True)

    @property
    def figures(self) -> Mapping[str, int]:
        """Counts: `requests`, `second_attempts`, and what is held: connections `open`, places `busy` and `waiting`."""
        held = {"open": self._channels.connections, "busy": self._limiter.held, "waiting": self._limiter.waiting}
        return {**self._counts, **held}

    def expect(self, calls: int) -> None:
        """Be connected for so many calls: one connection serves them all."""
        if calls > 0:
            self._called.set()

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Connect whenever a call is expected, until cancelled or `aclose`. A fault is told by the next speech."""
        task_status.started()
        while not self._closed:
            await self._called.wait()
            self._called = anyio.Event()
            if not self._closed:
                await self._connect()

    async def _connect(self) -> None:
        """Begin to connect, unless there is a connection that was used lately."""
        if self._channels.connections and anyio.current_time() >= self._used_s + self._options.idle_s:
            async with self._channels.channel() as channel:
                self._channels.distrust(channel)
        async with self._channels.channel() as channel:
            channel.get_state(try_to_connect=True)
        self._used_s = anyio.current_time()

    async def aclose(self) -> None:
        """Cancel the speeches and close the connections. Safe to call twice."""
        self._closed = True
        self._synthesis.close()
        self._called.set()
        await self._channels.aclose()
        await self._credentials.aclose()

    async def speak(
        self, text: str | AsyncIterable[str], *, language: str, audio_format: AudioFormat
    ) -> AsyncGenerator[SpeechChunk, None]:
        """Yield audio cut between words, each chunk with the words that it says. Closing it cancels the request.

        Raises:
            VendorError: the vendor failed; the words of all chunks that were yielded have been said.
            EngineError: the text's source broke, or the voice does not speak the language.
        """
        self._check(language, audio_format)
        options, pause = self._options, b""
        passages = passages_of(text, options.longest_request, quick_start=options.quick_start)
        async with aclosing(passages):
            async for passage in passages:
                async with self._place(), aclosing(self._said(passage, audio_format)) as chunks:
                    async for chunk in chunks:
                        yield replace(chunk, pcm=pause + chunk.pcm) if pause else chunk
                        pause = b""
                pause = bytes(audio_format.samples(pause_after_ms(passage.clauses[-1])) * SAMPLE_BYTES)

    def _check(self, language: str, audio_format: AudioFormat) -> None:
        where, voice = self._synthesis.service.where, self._options.voice
        if language != language_of(voice):
            raise EngineError(f"{where}: voice '{voice}' does not speak '{language}'; choose another voice")
        if audio_format.rate_hz not in RATES_HZ:
            raise EngineError(f"{where}: speech at {audio_format.rate_hz} Hz is not made; ask for 8000 or 16000")
        self._check_open()

    def _check_open(self) -> None:
        if self._closed:
            raise EngineError(f"{self._synthesis.service.where}: the voice is closed; open it again")

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        """One of the places for requests."""
        async with AsyncExitStack() as exits:
            try:
                with anyio.fail_after(self._options.queue_s):
                    await exits.enter_async_context(self._limiter.place())
            except (TimeoutError, anyio.WouldBlock):
                raise VendorError(
                    f"{self._synthesis.service.where}: all {self._limiter.places} places were taken for "
                    f"{self._options.queue_s:g} s; raise voice.yandex.concurrency if the quota allows more",
                    "rate_limited",
                ) from None
            yield

    async def _said(self, passage: Passage, audio_format: AudioFormat) -> AsyncGenerator[SpeechChunk, None]:
        """One request's audio; none for a passage in which the vendor finds nothing to say."""
        options, text, service = self._options, passage.text, self._synthesis.service
        pace = Pace(options.first_audio_s, options.gap_s)
        utterance = Utterance(passage, audio_format, options.speed, pace, service)
        served = True
        try:
            async with aclosing(self._synthesis.answers(request_of(options, text, audio_format), pace)) as messages:
                async for message in messages:
                    self._used_s = anyio.current_time()
                    for chunk in utterance.take(message):
                        yield chunk
        except VendorError as error:
            served = utterance.begun or error.fault not in _NOT_SERVED
            self._check_open()
            if error.fault not in ("timeout", "connection") or not utterance.complete:
                raise
            _log.warning("a speech was not ended", extra={"service": service.where, "reason": str(error)})
        finally:
            if served:
                self._record(text)
        for chunk in utterance.rest():
            yield chunk

    def _record(self, text: str) -> None:
        """Both, because the vendor is paid by the request and others by the character."""
        model = self._options.model
        self._usage.record(Usage("voice", "yandex", "characters", len(text), model))
        self._usage.record(Usage("voice", "yandex", "requests", self._billed(text), model))

    def _billed(self, text: str) -> int:
        """Requests that a text is billed as: with `unsafe_mode` as many as its pieces, by their longest length."""
        return -(-len(text) // LONGEST_REQUEST)
