"""Google Cloud Speech as a `SpeechToText`: one for all calls, with a stream for each."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from kamerton.domain.audio import AudioFormat
from kamerton.domain.errors import ConfigurationError
from kamerton.domain.recognition import SttCapabilities, SttStream
from kamerton.stt.google.lines import Lines
from kamerton.stt.google.models import ModelChoice
from kamerton.stt.google.options import CODES, GoogleSttOptions
from kamerton.stt.google.streamer import GoogleSTTStreamer
from kamerton.vendors.usage import Uncounted, UsageMeter

_RATES_HZ = (8000, 48000)


class GoogleSpeechToText:
    """Recognises with Google Speech v2, in which a stream ends where Kamerton says that the turn does.

    Not `continuous`: audio is paid for, so turns are sent with their look-back and nothing between them.

    Args:
        options: of the engine.
        lines: how streams are opened; closed with it.
        language: of the assistant; the first stream of a call is opened for it.
        usage: is told of the audio that was sent.
    """

    def __init__(
        self, options: GoogleSttOptions, lines: Lines, *, language: str = "ru", usage: UsageMeter | None = None
    ) -> None:
        if language not in CODES:
            raise ConfigurationError(f"Google Speech is not asked for '{language}'; it knows {', '.join(CODES)} here")
        self._options = options
        self._lines = lines
        self._language = language
        self._usage = usage or Uncounted()
        self._choice = ModelChoice(options)

    @property
    def name(self) -> str:
        """Name for logs and metrics."""
        return "google"

    @property
    def capabilities(self) -> SttCapabilities:
        """Hypotheses while the caller speaks, which trail the audio."""
        return SttCapabilities(tuple(CODES), partials_while_speaking=True, lag_ms=self._options.lag_ms)

    @asynccontextmanager
    async def open(self, audio_format: AudioFormat) -> AsyncIterator[SttStream]:
        """Open one call's stream. Its first stream at Google is opened meanwhile: a failure is told by the iteration.

        Raises:
            ConfigurationError: Google takes no audio of this rate.
        """
        lowest, highest = _RATES_HZ
        if not lowest <= audio_format.rate_hz <= highest:
            raise ConfigurationError(f"Google Speech takes audio of 8 to 48 kHz, not {audio_format.rate_hz} Hz")
        stream = GoogleSTTStreamer(self._options, audio_format, self._language, self._choice, self._lines, self._usage)
        failure: Exception | None = None
        async with anyio.create_task_group() as group:
            group.start_soon(stream.run)
            try:
                yield stream
            except Exception as error:
                # Kept out of the group, which would wrap it.
                failure = error
            finally:
                stream.close()
                group.cancel_scope.cancel()
        if failure is not None:
            raise failure

    async def aclose(self) -> None:
        """Close the connections. Safe to call twice."""
        await self._lines.aclose()
