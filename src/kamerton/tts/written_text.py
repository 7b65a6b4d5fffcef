"""The text as it was written, laid beside the text as it is said.

Voices speak «тринадцать тысяч двести рублей», and clips are kept under those words. Whoever asks for a text gets its
audio with the stretches of what was written, «13 200 рублей»: that is what a page shows, what a history for a model
holds, and what a log can mask.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from difflib import SequenceMatcher
from functools import lru_cache

from kamerton.domain.audio import Clip, Segment
from kamerton.domain.synthesis import SpeechChunk
from kamerton.tts.clauses import pause_after_ms
from kamerton.tts.render import Render

_KEPT_TEXTS = 512


class WrittenText:
    """Tells, clause after clause of what is said, which words of the written text each stands for.

    Equal words are the landmarks; between two of them («13 200» and «тринадцать тысяч двести») words are shared out in
    proportion. Joined by single spaces, the parts of all clauses are the written text.
    """

    def __init__(self, written: str, said: str) -> None:
        self._written = written.split()
        self._said = said.split()
        self._bounds = _bounds(written, said) if self._written != self._said else None
        self._place = 0
        self._clause_due = False

    def of(self, clause: str) -> str:
        """What was written for the next clause; the clause itself if it is not part of what is said."""
        if self._bounds is None:
            return clause
        words = clause.split()
        for start in range(self._place, len(self._said) - len(words) + 1):
            if self._said[start : start + len(words)] == words:
                begin, self._place = self._place, start + len(words)
                return " ".join(self._written[self._bounds[begin] : self._bounds[self._place]])
        return clause

    def of_chunk(self, clause: str, goes_on: bool) -> tuple[str, bool]:
        """What was written for the next chunk, and whether that goes on with a clause.

        A clause whose first words stand for nothing written of their own begins with the next ones.
        """
        written, begins = self.of(clause), not goes_on or self._clause_due
        self._clause_due = begins and not written
        return written, not begins


class WrittenRender:
    """A synthesis as one of its followers hears it: chunks carry the text as that one wrote it."""

    def __init__(self, render: Render, written: WrittenText) -> None:
        self._render = render
        self._written = written
        self.pause_ms = 0.0
        """The pause that belongs after what was yielded last."""

    async def follow(self) -> AsyncGenerator[SpeechChunk, None]:
        """Yield every chunk; see `Render.follow`.

        Raises:
            EngineError: the synthesis failed or was given up.
        """
        async with aclosing(self._render.follow()) as chunks:
            async for chunk in chunks:
                if chunk.text:
                    self.pause_ms = pause_after_ms(chunk.text)
                    text, goes_on = self._written.of_chunk(chunk.text, chunk.goes_on)
                    chunk = replace(chunk, text=text, goes_on=goes_on)
                yield chunk

    def leave(self) -> None:
        """Count this follower out."""
        self._render.leave()


def written_clip(clip: Clip, written: str, said: str) -> Clip:
    """The clip of what is said, with the segments of what was written."""
    text = WrittenText(written, said)
    told = [text.of_chunk(segment.text, segment.goes_on) for segment in clip.segments]
    segments = tuple(
        Segment(part, segment.samples, goes_on) for (part, goes_on), segment in zip(told, clip.segments, strict=True)
    )
    return clip if segments == clip.segments else Clip(clip.pcm, clip.format, segments)


@lru_cache(maxsize=_KEPT_TEXTS)
def _bounds(written: str, said: str) -> tuple[int, ...]:
    """For each place between the words that are said, how many written words come before it."""
    ours, theirs = ([_letters(word) for word in text.split()] for text in (written, said))
    bounds = [0] * (len(theirs) + 1)
    for _, start, end, begin, stop in SequenceMatcher(None, ours, theirs, autojunk=False).get_opcodes():
        for step in range(1, stop - begin + 1):
            bounds[begin + step] = start + round((end - start) * step / (stop - begin))
        if begin == stop:
            bounds[begin] = end
    return tuple(bounds)


def _letters(word: str) -> str:
    return "".join(character for character in word if character.isalnum()).casefold() or word
