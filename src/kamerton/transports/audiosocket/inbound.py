"""Arriving audio of one AudioSocket call: judged, brought to the call's rate, then cut into frames by the intake."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from kamerton.audio.resampling import StreamResampler
from kamerton.domain.audio import AudioFormat
from kamerton.domain.errors import ProtocolError
from kamerton.transports.audiosocket.linear_check import LinearCheck
from kamerton.transports.intake import Intake

logger = logging.getLogger(__name__)


class InboundAudio:
    """Feeds a call's intake. Audio of the call's own rate, the normal case, passes untouched.

    Audio of another rate (Asterisk's 12, 24, 32, 44.1, 48, 96 and 192 kHz kinds, or a change within the call) is
    resampled as one continuous stream per rate; a change of rate begins a new stream. The resampler works in blocks, so
    such audio comes in bursts and up to 115 ms late (measured, 16 to 8 kHz): have Asterisk send slin or slin16.

    `other_rate` is told the rate of audio that is not the call's, at each change.
    """

    def __init__(
        self,
        call_id: str,
        audio_format: AudioFormat,
        intake: Intake,
        other_rate: Callable[[int], None] = lambda rate_hz: None,
    ) -> None:
        self._call_id = call_id
        self._other_rate = other_rate
        self._format = audio_format
        self.rate_hz: Final = audio_format.rate_hz
        """Of the call."""
        self.intake: Final = intake
        """Takes audio of that rate as it is."""
        self.linear_check: LinearCheck | None = LinearCheck(audio_format.rate_hz)
        """Has to see every message of the call's rate, until it is None."""
        self._resampler: StreamResampler | None = None
        self._resampled_rate_hz = 0

    def audio(self, rate_hz: int, pcm: bytes, now_s: float) -> None:
        """A message of audio arrived.

        Raises:
            ProtocolError: the audio is not linear; the call makes no sense. The message says what to change.
        """
        if rate_hz != self.rate_hz:
            self.linear_check = None
            pcm = self._resample(rate_hz, pcm)
        elif self.linear_check is not None:
            self._check(self.linear_check, pcm, now_s)
        self.intake.audio(pcm, now_s)

    def dtmf(self, digit: str) -> None:
        """A key was pressed."""
        self.intake.dtmf(digit)

    def hang_up(self, reason: str) -> None:
        """The call is over."""
        self.intake.hang_up(reason)

    def _check(self, check: LinearCheck, pcm: bytes, now_s: float) -> None:
        if check.suspicious(pcm, now_s):
            raise ProtocolError(
                "the audio is not linear: Asterisk sends the caller's own codec, and both ends hear noise; "
                "write c(slin) or c(slin16) as the third field of Dial(AudioSocket/host:port/uuid/c(slin))"
            )
        if check.done:
            self.linear_check = None

    def _resample(self, rate_hz: int, pcm: bytes) -> bytes:
        if self._resampler is None or rate_hz != self._resampled_rate_hz:
            self._resampler = StreamResampler(AudioFormat(rate_hz), self._format)
            self._resampled_rate_hz = rate_hz
            self._other_rate(rate_hz)
            logger.info(
                "audio arrives at another rate than the call's and is resampled",
                extra={"call_id": self._call_id, "rate_hz": rate_hz, "call_rate_hz": self.rate_hz},
            )
        return self._resampler.push(pcm)
