"""Speech that a machine can check: every word is a tone of its own length and height, so none is lost unseen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

WORD_MS: Final = 240
GAP_MS: Final = 80
TORN: Final = "<torn>"
"""Heard where only a part of a word arrived."""
_LOWEST: Final = 1000
_SLACK: Final = 0.96


def spoken(text: str, words: Sequence[str], rate_hz: int, *, silence_ms: int = 0) -> bytes:
    """Audio of these words, which are among `words`, and silence behind it. A sample's value says which word it is."""
    gap = np.zeros(rate_hz * GAP_MS // 1000, dtype="<i2")
    parts = [gap]
    for word in text.split():
        parts += [np.full(rate_hz * WORD_MS // 1000, _LOWEST + words.index(word), dtype="<i2"), gap]
    parts.append(np.zeros(rate_hz * silence_ms // 1000, dtype="<i2"))
    return b"".join(part.tobytes() for part in parts)


class Ear:
    """Hears words in a stream's audio, message by message."""

    def __init__(self, words: Sequence[str], rate_hz: int) -> None:
        self._words = words
        self._rate_hz = rate_hz
        self._value, self._length, self._taken = 0, 0, False
        self._samples = 0
        self.heard: list[str] = []
        """Words since this was emptied."""
        self.word_end_ms = 0.0
        """Where the last one ended."""

    @property
    def at_ms(self) -> float:
        """How much was heard."""
        return self._samples * 1000 / self._rate_hz

    @property
    def silent_ms(self) -> float:
        """How long it has been silent."""
        return self._length * 1000 / self._rate_hz if self._value == 0 else 0.0

    def hear(self, pcm: bytes) -> None:
        """Take audio."""
        samples = np.frombuffer(pcm, dtype="<i2")
        ends = [*(np.flatnonzero(np.diff(samples)) + 1).tolist(), len(samples)]
        start = 0
        for end in ends:
            self._run(int(samples[start]), end - start)
            start = end

    def finish(self) -> None:
        """No audio follows."""
        self._run(0 if self._value else 1, 0)

    def _run(self, value: int, length: int) -> None:
        if value != self._value:
            if self._value and not self._taken:
                self.heard.append(TORN)
            self._value, self._length, self._taken = value, 0, False
        self._length += length
        self._samples += length
        full = self._length >= WORD_MS * self._rate_hz / 1000 * _SLACK
        if value and full and not self._taken:
            self._taken = True
            at = value - _LOWEST
            self.heard.append(self._words[at] if 0 <= at < len(self._words) else TORN)
        if value:
            self.word_end_ms = self.at_ms
