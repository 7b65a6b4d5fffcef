"""Audio values: inside Kamerton audio is always signed 16-bit little-endian mono; the rate travels with it.

Other encodings (mu-law, Opus, other byte orders) exist only inside transport codecs and WAV readers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

FRAME_MS: Final = 20
"""Length of one frame: the unit in which calls are paced (DESIGN section 5)."""

SAMPLE_BYTES: Final = 2


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """Format of a piece of 16-bit mono audio."""

    rate_hz: int

    @property
    def frame_samples(self) -> int:
        """Samples in one 20 ms frame."""
        return self.rate_hz * FRAME_MS // 1000

    @property
    def frame_bytes(self) -> int:
        """Bytes in one 20 ms frame."""
        return self.frame_samples * SAMPLE_BYTES

    def samples(self, duration_ms: float) -> int:
        """Number of whole samples in a duration."""
        return int(self.rate_hz * duration_ms / 1000)

    def duration_ms(self, samples: int) -> float:
        """Duration of a number of samples."""
        return samples * 1000 / self.rate_hz

    def silence(self) -> bytes:
        """One frame of silence."""
        return bytes(self.frame_bytes)


PHONE: Final = AudioFormat(8000)
WIDEBAND: Final = AudioFormat(16000)


@dataclass(slots=True)
class AudioFrame:
    """One 20 ms frame as it arrived or leaves; `start_sample` counts from the start of the call.

    Made fifty times a second in every call, and therefore not frozen (a third of the cost); never changed.
    """

    pcm: bytes
    format: AudioFormat
    start_sample: int


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of a clip and the text it speaks: the grain in which "what was heard" is accounted."""

    text: str
    samples: int
    goes_on: bool = False
    """It is no clause of its own but goes on with the one before: no place to end or to resume at."""


@dataclass(frozen=True, slots=True)
class Clip:
    """Finished audio of one text, ready to be played at its format's rate.

    `segments` cover the audio in order, one per clause, or several where a voice tells when each word is said; the sum
    of their samples is the clip's length.
    """

    pcm: bytes
    format: AudioFormat
    segments: tuple[Segment, ...]

    @property
    def samples(self) -> int:
        """Length in samples."""
        return len(self.pcm) // SAMPLE_BYTES

    @property
    def text(self) -> str:
        """The whole text."""
        return " ".join(segment.text for segment in self.segments if segment.text)
