"""What has been heard at the far end: an estimate where it cannot tell, its own account where it can.

Both ledgers are pure: they are told of each frame sent and asked with the current instant. The heard position
(`sent_samples - far_queued_samples`) never runs backwards.
"""

from __future__ import annotations

from kamerton.domain.audio import AudioFormat
from kamerton.domain.media import PlayoutPosition

ACKNOWLEDGEMENT_TRUST_MS = 400.0
"""How long after an acknowledgement playing is assumed to go on without another one (they come every 100 to 200 ms)."""
CARRY_ON_AFTER_S = 3.0
"""Audio is out for so long and the reported position stands still: the position goes on by the clock. Longer than the
second to which browsers slow the timers of a hidden tab, and than most stalls of a network."""


class DelayedPosition:
    """For a far end that tells nothing: what was sent is heard a fixed time later."""

    __slots__ = ("_delay_s", "_heard_samples", "_last_sent_at_s", "_rate_hz", "_sent_samples")

    def __init__(self, audio_format: AudioFormat, delay_ms: float) -> None:
        self._rate_hz = audio_format.rate_hz
        self._delay_s = delay_ms / 1000
        self._sent_samples = 0
        self._heard_samples = 0
        self._last_sent_at_s = 0.0

    def sent(self, samples: int, now_s: float) -> None:
        """A frame left."""
        self._sent_samples += samples
        self._last_sent_at_s = now_s

    def position(self, now_s: float, unsent_samples: int = 0) -> PlayoutPosition:
        """The position now; `unsent_samples` of what was sent are known to wait on this side still."""
        waiting_s = max(0.0, self._delay_s - (now_s - self._last_sent_at_s))
        queued = round(waiting_s * self._rate_hz) + unsent_samples
        self._heard_samples = max(self._heard_samples, self._sent_samples - queued)
        return PlayoutPosition(self._sent_samples, self._sent_samples - self._heard_samples)


class AcknowledgedPosition:
    """For a far end that reports its play position; between reports playing is assumed to go on.

    Positions count in the stream of samples sent. `clear` declares everything sent so far to be done with; reports
    from before it are out of date and ignored. When reports stop, or stand still while audio goes out, the position
    goes on by the clock until one is ahead again: a call must come to its end whatever its page does.
    """

    def __init__(self, audio_format: AudioFormat, delay_ms: float) -> None:
        self._rate_hz = audio_format.rate_hz
        self._estimate = DelayedPosition(audio_format, delay_ms)
        self._sent_samples = 0
        self._heard_samples = 0
        self._played_samples = 0
        self._played_at_s = 0.0
        self._playing = False
        self._acknowledged = False
        self._still_since_s: float | None = None
        self._sent_in_vain_samples = 0

    @property
    def sent_in_vain_s(self) -> float:
        """Audio sent since a report was last ahead of the one before; 0 for a far end that never reported at all.

        Counted in audio and not by the clock: when this process stands still, nobody can be late.
        """
        return self._sent_in_vain_samples / self._rate_hz if self._acknowledged else 0.0

    def sent(self, samples: int, now_s: float) -> None:
        """A frame left."""
        self._sent_samples += samples
        self._sent_in_vain_samples += samples
        if self._still_since_s is None:
            self._still_since_s = now_s
        self._estimate.sent(samples, now_s)

    def acknowledge(self, played_samples: int, now_s: float) -> None:
        """The far end reports where it plays. Reports that run back or ahead of what was sent are bounded."""
        if played_samples < self._played_samples:
            return
        played_samples = min(played_samples, self._sent_samples)
        self._playing = played_samples > self._played_samples
        if self._playing:
            self._sent_in_vain_samples = 0
            self._still_since_s = now_s if played_samples < self._sent_samples else None
        self._played_samples = played_samples
        self._played_at_s = now_s
        self._acknowledged = True

    def clear(self) -> int:
        """Everything sent so far was recalled; returns the stream position at which new audio begins."""
        self._heard_samples = self._sent_samples
        self._played_samples = self._sent_samples
        self._playing = False
        return self._sent_samples

    def position(self, now_s: float) -> PlayoutPosition:
        """The position now."""
        still_s = now_s - self._still_since_s if self._still_since_s is not None else 0.0
        if self._acknowledged and still_s <= CARRY_ON_AFTER_S:
            heard = self._played_samples
            if self._playing:
                elapsed_ms = min((now_s - self._played_at_s) * 1000, ACKNOWLEDGEMENT_TRUST_MS)
                heard += round(elapsed_ms * self._rate_hz / 1000)
        else:
            guess = self._estimate.position(now_s)
            heard = guess.sent_samples - guess.far_queued_samples
        self._heard_samples = max(self._heard_samples, min(heard, self._sent_samples))
        return PlayoutPosition(self._sent_samples, self._sent_samples - self._heard_samples)
