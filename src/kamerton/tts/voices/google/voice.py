"""The voice: a request for each sentence, streamed where the voice can, within one bound on requests."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterable, Mapping
from contextlib import AsyncExitStack, aclosing
from typing import Final

import anyio
import anyio.to_thread
from anyio.abc import TaskStatus

from kamerton.audio.resampling import resample
from kamerton.audio.wav import read_wav
from kamerton.domain.audio import SAMPLE_BYTES, AudioFormat
from kamerton.domain.errors import ConfigurationError, EngineError, VendorError
from kamerton.domain.synthesis import SpeechChunk, TtsCapabilities
from kamerton.tts.clauses import pause_after_ms
from kamerton.tts.voices.google.engine import CODES, RATES_HZ, GoogleVoiceOptions
from kamerton.tts.voices.google.listing import ListedVoice, chosen_voice
from kamerton.tts.voices.google.messages import Order
from kamerton.tts.voices.google.requests import Requests
from kamerton.tts.voices.google.spoken_audio import SpokenAudio
from kamerton.tts.voices.google.text_units import says_something, sendable, units_of
from kamerton.vendors.fair_limiter import FairLimiter
from kamerton.vendors.rpc.failures import EndedUnseenError
from kamerton.vendors.usage import Usage, UsageMeter

_log = logging.getLogger(__name__)

_LONGEST_S: Final = 600.0
_MOST_UNSEEN: Final = 3
"""gRPC loses a refusal now and then, not three times in a row for nothing."""


class GoogleVoice:
    """A voice shared by all calls. `run` lists the voices at the start and has a connection ready when a call rings.

    Args:
        options: as configured.
        requests: to the service; closed with the voice.
        language: of the assistant, for which voices are listed ahead.
        usage: told the characters that are sent.
    """

    def __init__(self, options: GoogleVoiceOptions, requests: Requests, *, language: str, usage: UsageMeter) -> None:
        self._options = options
        self._requests = requests
        self._language = language
        self._usage = usage
        self._limiter = FairLimiter(options.concurrency)
        self._listed: dict[str, tuple[ListedVoice, ...]] = {}
        self._listing = anyio.Lock()
        self._failures: dict[str, VendorError] = {}
        self._not_streamed: set[tuple[str, int]] = set()
        self._unseen: Counter[tuple[str, int]] = Counter()
        """Streams in a row that ended before any audio, why is not known."""
        self._counts: Counter[str] = Counter()
        self._rings = anyio.Event()
        self._scope: anyio.CancelScope | None = None
        self._closed = False

    @property
    def name(self) -> str:
        """Voices and pace as they were set: `google-auto`, `google-Kore-r1.1`."""
        options = self._options
        voices = dict.fromkeys(options.voice_for(language) or "auto" for language in CODES)
        rate = () if options.speaking_rate is None else (f"r{options.speaking_rate:g}",)
        return "-".join(("google", *voices, *rate))

    @property
    def capabilities(self) -> TtsCapabilities:
        """Languages that can be asked for; text may come in pieces."""
        return TtsCapabilities(tuple(CODES), streams_text=True)

    @property
    def figures(self) -> Mapping[str, int]:
        """Requests `streamed`, `whole`, and `switched` from one to the other; now `open`, `busy`, `waiting`."""
        now = {"open": self._requests.connections, "busy": self._limiter.held, "waiting": self._limiter.waiting}
        return {"streamed": 0, "whole": 0, "switched": 0, **self._counts, **now}

    def expect(self, calls: int) -> None:
        """Have a token and a connection when a call rings."""
        if calls > 0:
            self._rings.set()

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """List the voices, then warm the connection for every call, until cancelled or `aclose`."""
        task_status.started()
        if self._closed or self._scope is not None:
            return
        try:
            with anyio.CancelScope() as self._scope:
                while True:
                    self._rings = anyio.Event()
                    try:
                        await self.voice_of(self._language)
                        await self._requests.warm()
                    except EngineError as error:
                        _log.warning("Google's voice is not ready", extra={"reason": str(error)})
                    await self._rings.wait()
        finally:
            self._scope = None

    async def aclose(self) -> None:
        """Close the connections; speeches under way fail. Safe to call twice."""
        self._closed = True
        if self._scope is not None:
            self._scope.cancel()
        await self._requests.aclose()

    async def voice_of(self, language: str) -> ListedVoice:
        """The voice that speaks a language. Asks for the list once; when that fails, again with the next speech.

        Raises:
            VendorError: the list was not told, or it lacks the voice.
        """
        code, wanted = CODES[language], self._options.voice_for(language)
        if code not in self._listed:
            try:
                await self._list(code)
            except VendorError as error:
                named = wanted.casefold().startswith(f"{code.casefold()}-")
                if not named or error.fault not in ("failed", "broken", "rejected", "rate_limited"):
                    raise
                _log.warning("Google's voices are not known", extra={"reason": str(error), "voice": wanted})
                return ListedVoice(wanted, (code,))
        return chosen_voice(self._listed.get(code, ()), code, wanted, self._requests.where)

    async def _list(self, code: str) -> None:
        """Ask for the voices of a language; a failure is shared by all who waited for the same attempt."""
        known = self._failures.get(code)
        async with self._listing:
            failure = self._failures.get(code)
            if failure is not None and failure is not known:
                raise VendorError(str(failure), failure.fault, retry_after_s=failure.retry_after_s)
            if code in self._listed:
                return
            try:
                listed = await self._requests.voices(code)
            except VendorError as error:
                self._failures[code] = error
                raise
            if listed:
                self._listed[code] = listed

    async def speak(
        self, text: str | AsyncIterable[str], *, language: str, audio_format: AudioFormat
    ) -> AsyncGenerator[SpeechChunk, None]:
        """Yield audio as it comes, with words shared out by an even pace. Closing it frees the request at once.

        A stream that fails before any audio is replaced by a request for the whole sentence, unless that would fail
        as well.

        Raises:
            VendorError: the vendor failed, or has no such voice.
            EngineError: the language or rate is not made, or the voice is closed.
        """
        self._check(language, audio_format)
        options, pause = self._options, b""
        sentences = options.unit == "sentence"
        async with aclosing(units_of(text, sentences=sentences, max_bytes=options.max_bytes)) as units:
            async for unit in units:
                if not says_something(sendable(unit)):
                    continue
                async with aclosing(self._said(unit, language, audio_format, pause)) as chunks:
                    async for chunk in chunks:
                        yield chunk
                pause = bytes(audio_format.samples(pause_after_ms(unit)) * SAMPLE_BYTES)

    def _check(self, language: str, audio_format: AudioFormat) -> None:
        where = self._requests.where
        if language not in CODES:
            raise EngineError(f"{where} is not asked for '{language}'; it knows {', '.join(CODES)} here")
        if audio_format.rate_hz not in RATES_HZ:
            raise EngineError(f"{where}: speech at {audio_format.rate_hz} Hz is not made; ask for 8000 or 16000")
        if self._closed:
            raise EngineError(f"{where}: the voice is closed; open it again")

    async def _said(
        self, unit: str, language: str, audio_format: AudioFormat, pause: bytes
    ) -> AsyncGenerator[SpeechChunk, None]:
        """One unit: by a stream, else whole."""
        options = self._options
        voice = await self.voice_of(language)
        order = Order(sendable(unit), voice, CODES[language], audio_format.rate_hz, options.speaking_rate)
        refused = None
        async with AsyncExitStack() as exits:
            await self._take_place(exits)
            if options.streaming and voice.streams and (voice.name, order.rate_hz) not in self._not_streamed:
                begun = False
                try:
                    async with aclosing(self._streamed(unit, order, pause)) as chunks:
                        async for chunk in chunks:
                            begun = True
                            yield chunk
                    self._counts["streamed"] += 1
                    self._unseen.pop((voice.name, order.rate_hz), None)
                    return
                except VendorError as error:
                    if begun or not _goes_whole(error):
                        raise
                    refused = error
                    self._counts["switched"] += 1
                    _log.warning("a sentence is asked for whole", extra={"reason": str(error)})
            whole = await self._whole(unit, order, pause)
            self._counts["whole"] += 1
            if refused is not None:
                self._note_refusal(refused, (voice.name, order.rate_hz))
            for chunk in whole:
                yield chunk

    def _note_refusal(self, refused: VendorError, asked: tuple[str, int]) -> None:
        """A sentence was had whole whose stream was refused: this voice is not streamed any more when that is why."""
        self._unseen[asked] += isinstance(refused, EndedUnseenError)
        if refused.fault == "rejected" or self._unseen[asked] >= _MOST_UNSEEN:
            self._not_streamed.add(asked)

    async def _take_place(self, exits: AsyncExitStack) -> None:
        limit_s = self._options.queue_s
        try:
            with anyio.fail_after(limit_s):
                await exits.enter_async_context(self._limiter.place())
        except (TimeoutError, anyio.WouldBlock):
            raise VendorError(
                f"{self._requests.where}: all {self._limiter.places} places were taken for {limit_s:g} s; "
                "raise `concurrency` if the quota allows more",
                "rate_limited",
            ) from None

    async def _streamed(self, unit: str, order: Order, pause: bytes) -> AsyncGenerator[SpeechChunk, None]:
        audio = self._audio(unit, order, pause)
        odd = b""
        self._record(order)
        async with aclosing(self._requests.stream(order)) as pieces:
            async for piece in pieces:
                pcm = odd + piece
                odd = pcm[len(pcm) - len(pcm) % SAMPLE_BYTES :]
                chunk = audio.push(pcm[: len(pcm) - len(odd)])
                if audio.too_long:
                    raise self._broken("sends audio that does not end")
                if chunk is not None:
                    yield chunk
        yield self._last(audio)

    async def _whole(self, unit: str, order: Order, pause: bytes) -> list[SpeechChunk]:
        self._record(order)
        data = await self._requests.whole(order)
        return await anyio.to_thread.run_sync(self._chunks_of, data, unit, order, pause)

    def _chunks_of(self, data: bytes, unit: str, order: Order, pause: bytes) -> list[SpeechChunk]:
        """A whole answer as chunks: some 10 ms of CPU, in a thread."""
        audio_format, source, pcm = AudioFormat(order.rate_hz), AudioFormat(order.rate_hz), data
        if data[:4] == b"RIFF":
            try:
                wav = read_wav(data, name="its audio", max_duration_s=_LONGEST_S)
            except ConfigurationError as error:
                raise self._broken(f"sent audio that cannot be read ({error})") from None
            source, pcm = wav.format, wav.pcm
        audio = self._audio(unit, order, pause)
        first = audio.push(resample(pcm[: len(pcm) - len(pcm) % SAMPLE_BYTES], source, audio_format))
        if audio.too_long:
            raise self._broken("sends audio that does not end")
        return [chunk for chunk in (first, self._last(audio)) if chunk is not None]

    def _audio(self, unit: str, order: Order, pause: bytes) -> SpokenAudio:
        return SpokenAudio(unit, AudioFormat(order.rate_hz), rate=order.speaking_rate or 1.0, pause=pause)

    def _last(self, audio: SpokenAudio) -> SpeechChunk:
        """The end of a unit, unless it came too early."""
        if not audio.received_ms:
            raise self._broken("answered without audio")
        if audio.too_short:
            raise self._broken("ended the audio before the whole text was said")
        last = audio.finish()
        if last is None:
            raise self._broken("answered with silence")
        return last

    def _broken(self, what: str) -> VendorError:
        return VendorError(
            f"{self._requests.where} {what}; if it does so again, try another voice (voice.google.voice)", "broken"
        )

    def _record(self, order: Order) -> None:
        kind = order.voice.kind or order.voice.name
        self._usage.record(Usage("voice", "google", "characters", len(order.text), kind))


def _goes_whole(error: VendorError) -> bool:
    """Whether a sentence whose stream failed may be had whole."""
    return isinstance(error, EndedUnseenError) or error.fault in ("rejected", "failed", "broken")
