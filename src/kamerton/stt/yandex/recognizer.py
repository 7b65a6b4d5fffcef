"""Yandex SpeechKit as a `SpeechToText`: one for all calls, with a stream for each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from kamerton.domain.audio import AudioFormat
from kamerton.domain.errors import ConfigurationError
from kamerton.domain.recognition import SttCapabilities, SttStream
from kamerton.stt.running import running
from kamerton.stt.yandex.options import CODES, YandexSttOptions
from kamerton.stt.yandex.streamer import YandexSTTStreamer
from kamerton.vendors.rpc.channels import Channels
from kamerton.vendors.usage import Uncounted, UsageMeter
from kamerton.vendors.yandex.credentials import YandexCredentials

if TYPE_CHECKING:
    import grpc.aio

_RATES_HZ = (8000, 16000, 48000)


class YandexSpeechToText:
    """Recognises with SpeechKit v3, in which Kamerton says where utterances end.

    Not `continuous`: sessions are paid by their audio, so turns are sent with their look-back and nothing between them
    but a sign of life.

    Args:
        options: of the engine.
        credentials: closed with it.
        language: of the assistant; sessions begin with it.
        roots: certificates as `read_roots` gives them.
        usage: is told of the audio that was sent.
        connect: makes a channel to a service in this process, in place of a connection to the endpoint.
    """

    def __init__(
        self,
        options: YandexSttOptions,
        credentials: YandexCredentials,
        *,
        language: str = "ru",
        roots: bytes | None = None,
        usage: UsageMeter | None = None,
        connect: Callable[[], grpc.aio.Channel] | None = None,
    ) -> None:
        if language not in CODES:
            raise ConfigurationError(refusal(language))
        self._options = options
        self._credentials = credentials
        self._language_code = CODES[language]
        self._usage = usage or Uncounted()
        self._channels = Channels(options.where, roots, streams_each=options.calls_per_connection, connect=connect)

    @property
    def name(self) -> str:
        """Name for logs and metrics."""
        return "yandex"

    @property
    def capabilities(self) -> SttCapabilities:
        """Hypotheses while the caller speaks, which trail the audio."""
        return SttCapabilities(tuple(CODES), partials_while_speaking=True, lag_ms=self._options.lag_ms)

    @asynccontextmanager
    async def open(self, audio_format: AudioFormat) -> AsyncIterator[SttStream]:
        """Open one call's stream. The session is opened meanwhile: its failure is told by the iteration.

        Raises:
            ConfigurationError: SpeechKit takes no audio of this rate.
        """
        if audio_format.rate_hz not in _RATES_HZ:
            raise ConfigurationError(f"Yandex SpeechKit takes audio of 8, 16 or 48 kHz, not {audio_format.rate_hz} Hz")
        stream = YandexSTTStreamer(
            self._options, audio_format, self._language_code, self._channels, self._credentials, self._usage
        )
        async with running(stream):
            yield stream

    async def aclose(self) -> None:
        """Close the connections. Safe to call twice."""
        await self._channels.aclose()
        await self._credentials.aclose()


def refusal(language: str) -> str:
    """Why a language cannot be had here, and what can be done."""
    return (
        f"Yandex SpeechKit does not recognise '{language}'; it knows {', '.join(CODES)}. Choose another recogniser "
        "for it: recognizer.engine google, or the local whisper"
    )
