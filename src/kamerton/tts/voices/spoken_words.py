"""Which words a stretch of audio says: times of characters and raw audio in, chunks cut between words out. No I/O.

For vendors that tell when each character or word is said. Their times count from the start of the piece of audio they
come with, or from the start of all audio. They may be missing, run backwards or point outside the audio; the words of
the chunks are the text in order all the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from kamerton.domain.audio import SAMPLE_BYTES, AudioFormat
from kamerton.domain.synthesis import SpeechChunk

LEAST_MS: Final = 240.0
"""A chunk is at least this long, so that the level of a clause is not taken from its first consonant."""
LONGEST_WORD_MS: Final = 1500.0
"""Audio without a whole word is not held back for longer."""
KEPT_TAIL_MS: Final = 60.0
"""Of the silence after the last word; the pause between two texts is made by whoever joins them."""
ESTIMATED_LETTER_MS: Final = 70.0
"""Where the vendor tells no times: a calm Russian reader."""
_HELD_MS: Final = 20.0
"""Never given out before the end, so that words without times have audio to go with."""
_SLACK_MS: Final = 100.0
_WINDOW_MS: Final = 20.0
_SILENCE: Final = 58.0
"""RMS of what counts as silence: -55 dBFS."""
_SKIPPED_LETTERS: Final = 8
"""How many letters of the text the vendor may leave out in one place (emoji, signs) without losing the thread."""


@dataclass(frozen=True, slots=True)
class Alignment:
    """When each character, or word, of a piece of text begins and ends, in milliseconds as the vendor counts them.

    None of the three is empty, and they are equally long.
    """

    characters: tuple[str, ...]
    starts_ms: tuple[float, ...]
    ends_ms: tuple[float, ...]


class SpokenWords:
    """The audio of one text on its way to chunks. The text may grow while audio comes.

    Args:
        audio_format: of the audio.
    """

    def __init__(self, audio_format: AudioFormat) -> None:
        self._format = audio_format
        self._words: list[str] = []
        self._clause_starts: set[int] = set()
        self._letters = ""
        self._word_of: list[int] = []
        self._ends: list[int] = []
        self._matched = 0
        self._starts: list[int] = []
        self._aligned = False
        self._odd = b""
        self._pcm = bytearray()
        self._given = 0
        self._total = 0
        self._loud_end = 0
        self._piece = (0, 0)
        self._latest = 0
        self._next = 0
        self._before_last = (0, 0)

    @property
    def samples(self) -> int:
        """Audio that has come."""
        return self._total

    @property
    def all_said(self) -> bool:
        """Whether all that was added is said, as far as that is known; signs after the last word do not count."""
        unsaid = self._letters[self._matched :] if self._aligned else ""
        return self._total > 0 and not any(letter.isalnum() for letter in unsaid)

    @property
    def last_begun(self) -> bool:
        """Whether the clause that was added last is being said, as far as that is known."""
        letters, samples = self._before_last
        return self._total > samples and (not self._aligned or self._matched > letters)

    @property
    def cut_short(self) -> bool:
        """Whether the times show that a good part of the text was never said."""
        unsaid = sum(any(c.isalnum() for c in word) for word in self._words[self._done() :])
        return self._aligned and unsaid >= 3 and len(self._letters) - self._matched > 0.2 * len(self._letters)

    def add(self, clause: str) -> None:
        """The next clause of the text."""
        self._clause_starts.add(len(self._words))
        self._before_last = (len(self._letters), self._total)
        for word in clause.split():
            self._word_of += [len(self._words)] * len(word)
            self._letters += _plain(word)
            self._words.append(word)
            self._ends.append(len(self._letters))

    def push(self, pcm: bytes, alignment: Alignment | None) -> list[SpeechChunk]:
        """Take a piece of audio with the times of its characters; return what may be played."""
        self._append(pcm)
        if alignment is not None:
            self._aligned = True
            self._align(alignment)
        elif pcm:
            self._estimate()
        return self._ready(self._done(), self._released(), final=False)

    def rest(self) -> list[SpeechChunk]:
        """What was held back, with all words that are left: the audio is over."""
        self._matched = len(self._letters)
        end = self._total
        if self._loud_end:
            end = min(end, self._loud_end + self._format.samples(KEPT_TAIL_MS))
        last_start = max(self._given, min(self._starts[-1:], default=0))
        end = max(end, min(self._total, last_start + self._format.samples(_HELD_MS)))
        self._share_out(last_start, end)
        return self._ready(len(self._words), end, final=True)

    def _share_out(self, start: int, end: int) -> None:
        """Let the words whose beginning is not known begin where their letters lie in the audio that is left."""
        first = len(self._starts)
        before = self._ends[first - 1] if first else 0
        letters = max(1, len(self._letters) - before)
        for word in range(first, len(self._words)):
            place = self._ends[word - 1] if word else 0
            self._starts.append(start + (end - start) * (place - before) // letters)

    def _append(self, pcm: bytes) -> None:
        data = self._odd + pcm
        whole = len(data) - len(data) % SAMPLE_BYTES
        self._odd = data[whole:]
        if not whole:
            return
        self._piece = (self._total, whole // SAMPLE_BYTES)
        self._pcm += data[:whole]
        loud = _loud_until(data[:whole], self._format.samples(_WINDOW_MS))
        if loud:
            self._loud_end = min(self._total + loud, self._total + whole // SAMPLE_BYTES)
        self._total += whole // SAMPLE_BYTES

    def _align(self, alignment: Alignment) -> None:
        start, length = self._piece
        before_ms, length_ms = self._format.duration_ms(start), self._format.duration_ms(length)
        beyond = max(alignment.ends_ms) > length_ms + _SLACK_MS
        absolute = beyond and start > 0 and min(alignment.starts_ms) >= before_ms - _SLACK_MS
        shift_ms = 0.0 if absolute else before_ms
        for character, at_ms in zip(alignment.characters, alignment.starts_ms, strict=True):
            at = int((at_ms + shift_ms) * self._format.rate_hz / 1000)
            self._latest = min(max(at, self._latest, start), self._total)
            self._match(character, self._latest)

    def _match(self, characters: str, at: int) -> None:
        """Note where the next letters of the text begin; letters that the text does not have here are passed over."""
        for letter in _plain(characters):
            if letter.isspace():
                continue
            place = self._letters.find(letter, self._matched, self._matched + 1 + _SKIPPED_LETTERS)
            if place >= 0:
                self._matched = place + 1
                self._begin_words(self._word_of[place] + 1, at)

    def _begin_words(self, count: int, at: int) -> None:
        self._starts += [at] * (count - len(self._starts))

    def _estimate(self) -> None:
        """Share the letters out over a piece that came without times; the last word is left to the end."""
        start, length = self._piece
        letters = int(self._format.duration_ms(length) / ESTIMATED_LETTER_MS)
        last = max(self._matched, min(self._matched + letters, len(self._letters) - 1))
        first, self._matched = self._matched, last
        for step, place in enumerate(range(first, last)):
            self._begin_words(self._word_of[place] + 1, start + length * step // max(1, letters))
        self._latest = max(self._latest, start)

    def _done(self) -> int:
        """How many words are known to be said to their last letter."""
        done = self._next
        while done < len(self._words) and self._ends[done] <= self._matched:
            done += 1
        return done

    def _released(self) -> int:
        """Up to where audio may be given out: not the silence that may be the last."""
        return max(self._given, min(self._loud_end, self._total - self._format.samples(_HELD_MS)))

    def _ready(self, done: int, end: int, *, final: bool) -> list[SpeechChunk]:
        if not final and self._next < len(self._words) and done == self._next and self._overlong(end):
            done = self._next + 1
            self._matched = max(self._matched, self._ends[self._next])
        chunks: list[SpeechChunk] = []
        while self._next < done:
            chunk = self._next_chunk(done, end, final=final)
            if chunk is None:
                break
            chunks.append(chunk)
        if self._next == len(self._words) and self._words and (final or self._overlong(end)):
            chunks += self._given_out(end, "", goes_on=False)
        return chunks

    def _overlong(self, end: int) -> bool:
        return end - self._given > self._format.samples(LONGEST_WORD_MS)

    def _next_chunk(self, done: int, end: int, *, final: bool) -> SpeechChunk | None:
        """The next words, as few as make a chunk long enough; None while more has to come."""
        first, least = self._next, self._format.samples(LEAST_MS)
        until = first + 1
        while until < done and self._too_short(until, end, least, final=final):
            until += 1
        boundary = self._boundary(until, end, final=final)
        whole_clause = until in self._clause_starts or until == len(self._words)
        short = boundary - self._given < least and not whole_clause
        if not final and (boundary <= self._given or (until == done and short)):
            return None
        self._next = until
        text = " ".join(self._words[first:until])
        found = self._given_out(boundary, text, goes_on=first not in self._clause_starts)
        return found[0] if found else None

    def _too_short(self, until: int, end: int, least: int, *, final: bool) -> bool:
        """Whether the next word has to join those before it: they have no audio, or little and it is their clause."""
        length = self._boundary(until, end, final=final) - self._given
        return length <= 0 or (length < least and until not in self._clause_starts)

    def _boundary(self, word: int, end: int, *, final: bool) -> int:
        """Where the audio before a word ends."""
        if word < len(self._starts):
            return min(self._starts[word], (end if final else self._total) - self._format.samples(_HELD_MS))
        return end

    def _given_out(self, end: int, text: str, *, goes_on: bool) -> list[SpeechChunk]:
        size = (end - self._given) * SAMPLE_BYTES
        if size <= 0:
            return []
        pcm = bytes(self._pcm[:size])
        del self._pcm[:size]
        self._given = end
        return [SpeechChunk(pcm, self._format, text, goes_on)]


def _plain(text: str) -> str:
    """As letters are compared: vendors may tell them in lower case and without the dots of «ё»; of the same length."""
    return "".join(lower if len(lower := letter.lower()) == 1 else letter for letter in text).replace("ё", "е")


def _loud_until(pcm: bytes, window: int) -> int:
    """Samples up to the end of the last window that is no silence."""
    samples = np.frombuffer(pcm, "<i2").astype(np.float32)
    padded = np.zeros(-(-samples.size // window) * window, np.float32)
    padded[: samples.size] = samples
    loud = np.flatnonzero(np.square(padded).reshape(-1, window).mean(axis=1) >= _SILENCE**2)
    return (int(loud[-1]) + 1) * window if loud.size else 0
