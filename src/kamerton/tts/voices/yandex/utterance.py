"""What comes for one request, on its way to chunks. No I/O."""

from __future__ import annotations

from typing import Any, Final

from kamerton.domain.audio import AudioFormat
from kamerton.domain.synthesis import SpeechChunk
from kamerton.tts.voices.spoken_words import SpokenWords
from kamerton.tts.voices.yandex.messages import Passage, answer_of, is_container
from kamerton.tts.voices.yandex.pace import Pace
from kamerton.vendors.rpc.failures import Service

_LEAST_MS_PER_LETTER: Final = 15.0
"""Audio that is shorter was cut off: a fast reader takes 50."""
_MOST_MS_PER_LETTER: Final = 700.0
_MOST_MS: Final = 15_000.0
"""Audio beyond so much for each letter and this together is no speech of the text."""


class Utterance:
    """The audio of a passage.

    Args:
        passage: what is said.
        audio_format: of the audio.
        speed: of the voice.
        pace: is told of the audio that came.
        service: as messages name it.
    """

    def __init__(self, passage: Passage, audio_format: AudioFormat, speed: float, pace: Pace, service: Service) -> None:
        self._format = audio_format
        self._speed = speed
        self._pace = pace
        self._service = service
        self._letters = sum(char.isalnum() for char in passage.text)
        self._silent = False
        self.begun = False
        """Whether the vendor answered."""
        self._last_end_ms: float | None = None
        self._words = SpokenWords(audio_format)
        for clause in passage.clauses:
            self._words.add(clause)

    @property
    def complete(self) -> bool:
        """Whether the times show that the whole text was said, though its end was not told."""
        end_ms = self._last_end_ms
        return end_ms is not None and self._words.all_said and self._length_ms >= end_ms

    def take(self, message: Any) -> list[SpeechChunk]:
        """Take a message of the vendor; return what may be played.

        Raises:
            VendorError: it is no speech of the text.
        """
        self.begun = True
        before_ms = self._length_ms
        answer = answer_of(message, before_ms)
        self._silent = self._silent or answer.silent
        if not before_ms and is_container(answer.pcm):
            raise self._service.broken("sent a file where samples were asked for")
        chunks = self._words.push(answer.pcm, answer.alignment)
        if answer.alignment is not None:
            self._last_end_ms = before_ms + max(answer.alignment.ends_ms)
        self._pace.earn((self._length_ms - before_ms) / 1000)
        if self._length_ms > _MOST_MS + _MOST_MS_PER_LETTER * self._letters / min(1.0, self._speed):
            raise self._service.broken("does not stop to send audio")
        return chunks

    def rest(self) -> list[SpeechChunk]:
        """What was held back: the audio is over. Nothing for a text in which the vendor found nothing to say.

        Raises:
            VendorError: it is too short for the text.
        """
        if self._silent and not self._words.samples:
            return []
        if not self._words.samples or self._length_ms < _LEAST_MS_PER_LETTER * self._letters / max(1.0, self._speed):
            raise self._service.broken("ended a speech before its text was said")
        return self._words.rest()

    @property
    def _length_ms(self) -> float:
        return self._format.duration_ms(self._words.samples)
