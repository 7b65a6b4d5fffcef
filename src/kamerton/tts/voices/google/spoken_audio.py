"""Audio of one request on its way to the call: silence around it taken off, each piece with the words it says. Pure.

Google does not tell when words are said. They are shared out by an even pace that is slower than most speech, so that
a speech that breaks off is gone on with a word too early rather than a word too late. Only the first word counts
as said as soon as it begins: the chunk that begins a sentence has to name it.
"""

from __future__ import annotations

from typing import Final

from kamerton.audio.levels import rms_dbfs
from kamerton.domain.audio import SAMPLE_BYTES, AudioFormat
from kamerton.domain.synthesis import SpeechChunk

_MS_PER_CHARACTER: Final = 75.0
"""Slower than most speech (55 to 70 ms)."""
_SHORTEST_MS_PER_CHARACTER: Final = 12.0
"""Speech that is faster than this has broken off: the fastest that is understood takes some 30 ms."""
_LONGEST_MS_PER_CHARACTER: Final = 400.0
_SPARE_MS: Final = 3000.0
_WINDOW_MS: Final = 10.0
_SILENCE_BELOW_DBFS: Final = -55.0
_HEAD_WINDOWS: Final = 2
_TAIL_WINDOWS: Final = 6


class SpokenAudio:
    """Takes a request's audio as it comes and gives chunks.

    Args:
        text: what the request says.
        audio_format: of the audio.
        rate: how fast it is spoken, 1 being normal.
        pause: silence that opens the first chunk.
    """

    def __init__(self, text: str, audio_format: AudioFormat, *, rate: float = 1.0, pause: bytes = b"") -> None:
        self._words = text.split()
        self._characters = len(" ".join(self._words))
        self._format = audio_format
        self._rate = rate
        self._pause = pause
        self._window = audio_format.samples(_WINDOW_MS) * SAMPLE_BYTES
        self._rest = bytearray()
        self._quiet = bytearray()
        self._begun = False
        self._received = 0
        self._given = 0
        self._said = 0
        self._next_word = 0

    @property
    def received_ms(self) -> float:
        """Audio that came so far."""
        return self._format.duration_ms(self._received // SAMPLE_BYTES)

    @property
    def too_short(self) -> bool:
        """Whether so little came that it cannot be the whole text."""
        return self.received_ms < self._characters * _SHORTEST_MS_PER_CHARACTER / self._rate

    @property
    def too_long(self) -> bool:
        """Whether so much came that it cannot be the text."""
        return self.received_ms > _SPARE_MS + self._characters * _LONGEST_MS_PER_CHARACTER / self._rate

    def push(self, pcm: bytes) -> SpeechChunk | None:
        """Take a piece of any size; the chunk that can be played now, if there is one."""
        self._received += len(pcm)
        self._rest += pcm
        audible = bytearray()
        # A window is always kept back, so that the end has audio to carry the last words.
        while len(self._rest) > self._window:
            window = bytes(self._rest[: self._window])
            del self._rest[: self._window]
            audible += self._heard(window)
        return self._chunk(bytes(audible), last=False) if audible else None

    def finish(self) -> SpeechChunk | None:
        """The end of the audio with the words that are left; None when nothing was to be heard."""
        whole = len(self._rest) - len(self._rest) % SAMPLE_BYTES
        tail = self._heard(bytes(self._rest[:whole])) if whole else b""
        if not self._begun:
            return None
        tail += bytes(self._quiet[: _TAIL_WINDOWS * self._window])
        return self._chunk(tail, last=True)

    def _heard(self, window: bytes) -> bytes:
        """What is certain to be played of the audio up to this window: silence only once sound follows."""
        self._quiet += window
        if rms_dbfs(window) < _SILENCE_BELOW_DBFS:
            if not self._begun:
                del self._quiet[: -_HEAD_WINDOWS * self._window]
            return b""
        self._begun = True
        heard = bytes(self._quiet)
        self._quiet.clear()
        return heard

    def _chunk(self, pcm: bytes, *, last: bool) -> SpeechChunk:
        self._given += len(pcm)
        words = self._words[self._next_word :] if last else self._words_until(self._given)
        first = self._next_word == 0
        self._next_word += len(words)
        opened, self._pause = self._pause, b""
        return SpeechChunk(opened + pcm, self._format, " ".join(words), goes_on=bool(words) and not first)

    def _words_until(self, size: int) -> list[str]:
        """Words that have ended by now at the even pace.

        The first chunk has the first word whatever its length; the last word, if there are several, stays for the end.
        """
        ms = self._format.duration_ms(size // SAMPLE_BYTES)
        words: list[str] = []
        for word in self._words[self._next_word : max(1, len(self._words) - 1)]:
            ends_ms = (self._said + len(word)) * _MS_PER_CHARACTER / self._rate
            if ends_ms > ms and (words or self._next_word):
                break
            words.append(word)
            self._said += len(word) + 1
        return words
