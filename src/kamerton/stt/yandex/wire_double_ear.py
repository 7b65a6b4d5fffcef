"""Speech that a machine can check: a word is a level of its own, so one that is lost, torn or doubled is seen."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Final

WORD_MS: Final = 240
GAP_MS: Final = 100
TORN: Final = "(torn)"
"""Heard in place of a word of which only a part came."""
_HIGHEST: Final = 32_000


def spoken(text: str, words: Sequence[str], rate_hz: int, *, silence_ms: int = 0) -> bytes:
    """PCM of these words, which are among `words`, and so much silence behind them."""
    pcm = _level(0, GAP_MS, rate_hz)
    for word in text.split():
        pcm += _level(_HIGHEST - words.index(word), WORD_MS, rate_hz) + _level(0, GAP_MS, rate_hz)
    return pcm + _level(0, silence_ms, rate_hz)


def _level(value: int, duration_ms: int, rate_hz: int) -> bytes:
    return array("h", [value]).tobytes() * (rate_hz * duration_ms // 1000)


class Ear:
    """Hears words in a session's audio, however it is cut into messages."""

    def __init__(self, words: Sequence[str], rate_hz: int) -> None:
        self._words = words
        self._samples_ms = rate_hz / 1000
        self._value = 0
        self._run = 0
        self._samples = 0
        self.heard: list[str] = []
        """Words since this was emptied."""

    @property
    def at_ms(self) -> int:
        """How much was heard of the session."""
        return int(self._samples / self._samples_ms)

    @property
    def silent_ms(self) -> float:
        """How long it has been silent."""
        return self._run / self._samples_ms if not self._value else 0.0

    def hear(self, pcm: bytes) -> None:
        """Take audio."""
        for value in array("h", pcm):
            if value != self._value:
                self._turn_to(value)
            self._run += 1
            self._samples += 1

    def pass_by(self, silence_ms: int) -> None:
        """Take silence."""
        if self._value:
            self._turn_to(0)
        count = int(silence_ms * self._samples_ms)
        self._run += count
        self._samples += count

    def end(self) -> None:
        """The utterance ends here: a word that is under way is torn."""
        if self._value:
            self._turn_to(0)

    def _turn_to(self, value: int) -> None:
        if self._value:
            at = _HIGHEST - self._value
            whole = abs(self._run - WORD_MS * self._samples_ms) <= 1
            self.heard.append(self._words[at] if whole and 0 <= at < len(self._words) else TORN)
        self._value, self._run = value, 0
