"""Google Cloud Speech as a `SpeechToText`: one for all calls, with a stream for each."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import anyio

from kamerton.domain.audio import PHONE, SAMPLE_BYTES, AudioFormat
from kamerton.domain.errors import ConfigurationError, VendorError
from kamerton.domain.recognition import SttCapabilities, SttStream
from kamerton.stt.google.lines import Lines
from kamerton.stt.google.models import ModelChoice, Setup
from kamerton.stt.google.options import CODES, GoogleSttOptions
from kamerton.stt.google.streamer import GoogleSTTStreamer
from kamerton.stt.running import running
from kamerton.vendors.usage import Uncounted, Usage, UsageMeter

_RATES_HZ: Final = (8000, 48000)
_PROBE_MS: Final = 100
_PROBED_PHRASES: Final = ("так",)
"""A word of both languages, to see whether a model takes phrases."""


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

    async def find_model(self) -> str:
        """Send 100 ms of silence to the models in turn until one serves the assistant's language.

        Calls ask for that one from then on; without this the first call finds it before its caller speaks. A second of
        audio is paid for. Safe to cancel.

        Returns:
            What is served, and what was refused, for a person.

        Raises:
            VendorError: none is served, or the service fails otherwise.
        """
        refused: list[str] = []
        while True:
            setup = self._choice.setup(self._language, _PROBED_PHRASES)
            try:
                await self._try(setup)
            except VendorError as error:
                if error.fault != "rejected" or not self._choice.refused(self._language, setup, str(error)):
                    raise
                refused.append(f"{setup.candidate} with {'+'.join(setup.codes)}")
                continue
            phrases = "" if setup.phrases or not self._options.hints else ", without phrase hints"
            passed = f"; refused: {', '.join(refused)}" if refused else ""
            return f"Speech v2, {setup.candidate}, {'+'.join(setup.codes)}{phrases}{passed}"

    async def _try(self, setup: Setup) -> None:
        async with self._lines.line(setup, PHONE) as line:
            await line.write(bytes(SAMPLE_BYTES * PHONE.samples(_PROBE_MS)))
            await line.half_close()
            with anyio.move_on_after(self._options.first_answer_s) as waiting:
                while await line.read() is not None:
                    pass
        if waiting.cancelled_caught:
            raise VendorError(
                f"Google Speech gave no answer within {self._options.first_answer_s:g} s; check the network", "timeout"
            )
        self._usage.record(Usage("recognizer", "google", "seconds", _PROBE_MS / 1000, setup.candidate.model))

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
        async with running(stream):
            yield stream

    async def aclose(self) -> None:
        """Close the connections. Safe to call twice."""
        await self._lines.aclose()
