"""The clauses of a text on their way to a context, and when that context may be closed. No I/O, plain calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kamerton.tts.voices.elevenlabs.context import Context
from kamerton.tts.voices.elevenlabs.text_source import TextSource
from kamerton.tts.voices.spoken_words import SpokenWords

LINGER_S: Final = 0.6
"""Audio that pauses for so long after the last text was sent is over, whatever its times say."""


class TextFeed:
    """Sends the clauses of a text to a context as they come.

    The first one is spoken at once; of a text that is known the others are left to the vendor, which reads ahead, and
    each clause of one that is being written is spoken without waiting for the next.

    The vendor ends a context only when it is told to close it, and one that is told so before it speaks may end without
    a sound (pipecat issues 4681 and 5271). It is therefore closed when its last clause is heard to begin.
    """

    def __init__(self, source: TextSource, context: Context, words: SpokenWords, record: Callable[[int], None]) -> None:
        self._source = source
        self._context = context
        self._words = words
        self._record = record
        self.sent = 0
        """Clauses sent."""
        self.finished = False
        """All of the text was sent."""
        self._closed = False

    @property
    def to_be_closed(self) -> bool:
        """Whether all was sent and the vendor does not know yet."""
        return self.finished and not self._closed

    def go_on(self) -> None:
        """Send what has come."""
        source = self._source
        while self.sent < len(source.clauses):
            clause = source.clauses[self.sent]
            self.sent += 1
            last = source.ended and self.sent == len(source.clauses)
            self._words.add(clause)
            self._context.say(clause, flush=source.streamed or self.sent == 1 or last)
            self._record(len(clause) + 1)
        self.finished = source.ended
        self.close_if_begun()

    def close_if_begun(self) -> None:
        """Have the context ended, once its last clause is being said."""
        if self.to_be_closed and self._words.last_begun:
            self.close()

    def close(self) -> None:
        """Have the context spoken to its end and ended."""
        self._closed = True
        self._context.finish()
