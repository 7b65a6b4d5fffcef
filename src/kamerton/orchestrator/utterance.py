"""One thing the bot says, as playout knows it: audio in order, and which text each stretch of it speaks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Literal

from kamerton.audio.levels import rms_dbfs
from kamerton.domain.audio import SAMPLE_BYTES, AudioFormat, Clip, Segment
from kamerton.domain.notices import Outcome

Source = Literal["greeting", "reply", "filler", "prompt"]

_LONGEST_REPEAT_MS = 1200.0
"""A clause is repeated from its start only when no more than this of it was heard."""
_REPEAT_MS = (300.0, 900.0)
"""Of a longer one, this much is repeated, so that the caller finds the thread again."""


@dataclass(slots=True, eq=False)
class Utterance:
    """Audio that may still grow until it is complete. Samples count from its own start."""

    id: int
    source: Source
    format: AudioFormat
    complete: bool = False
    plays_out: bool = False
    """A filler that the answer waits for, once it has begun."""
    segments: list[Segment] = field(default_factory=list)
    taken_samples: int = 0
    """How far playout has read."""
    first_sent_s: float | None = None
    frame_samples: int = field(init=False)
    _pieces: list[bytes] = field(default_factory=list)
    _starts: list[int] = field(default_factory=list)
    _samples: int = 0

    def __post_init__(self) -> None:
        """Work out once what is needed for every frame."""
        self.frame_samples = self.format.frame_samples

    @property
    def samples(self) -> int:
        """Audio added so far."""
        return self._samples

    @property
    def text(self) -> str:
        """Text added so far."""
        return " ".join(segment.text for segment in self.segments if segment.text)

    def add(self, clip: Clip) -> None:
        """Append a finished clip."""
        self._append(clip.pcm)
        self.segments.extend(clip.segments)

    def add_audio(self, pcm: bytes, text: str, *, goes_on: bool = False) -> None:
        """Append streamed audio; an empty text continues the segment before, one that goes on belongs to its clause."""
        samples = len(pcm) // SAMPLE_BYTES
        self._append(pcm)
        if not text and self.segments:
            last = self.segments[-1]
            self.segments[-1] = replace(last, samples=last.samples + samples)
        else:
            self.segments.append(Segment(text, samples, goes_on))

    def take_frame(self) -> bytes | None:
        """The next 20 ms, padded with silence at the very end; None at the end, or while more is still to come."""
        size = self.frame_samples
        left = self._samples - self.taken_samples
        if left >= size:
            pcm = self._read(self.taken_samples, size)
            self.taken_samples += size
            return pcm
        if not self.complete or left <= 0:
            return None
        pcm = self._read(self.taken_samples, left)
        self.taken_samples += left
        return pcm.ljust(self.format.frame_bytes, b"\0")

    @property
    def exhausted(self) -> bool:
        """True when all of it was read and nothing more will come."""
        return self.complete and self.taken_samples >= self._samples

    def rewind(self, heard_samples: int) -> None:
        """Go back to resume: to the start of the clause that was silenced, or, in a long one, to a quiet place in it.

        Nobody wants to hear a long sentence again from its start because of an «угу».
        """
        boundary = 0
        end = 0
        for segment in self.segments:
            if end <= heard_samples and not segment.goes_on:
                boundary = end
            end += segment.samples
        if heard_samples - boundary > self.format.samples(_LONGEST_REPEAT_MS):
            boundary = self._quiet_place(heard_samples)
        self.taken_samples = min(boundary, self.taken_samples)

    def end_with_clause(self) -> None:
        """Nothing is said beyond the clause that is being read; an utterance that has not begun is not said."""
        self._end_at(next((end for end in self._ends() if end >= self.taken_samples > 0), self.taken_samples))

    def end_soon(self, within_ms: float) -> None:
        """End with the clause that is being read if that is near, else at a quiet place within that time."""
        latest = self.taken_samples + self.format.samples(within_ms)
        end = next((end for end in self._ends() if end >= self.taken_samples), self._samples)
        if end > latest:
            size = self.frame_samples
            starts = range(self.taken_samples, max(self.taken_samples + 1, latest - size), size)
            end = min(starts, key=lambda start: rms_dbfs(self._read(start, size)))
        self._end_at(end)

    def _ends(self) -> Iterator[int]:
        """Where the clauses end."""
        ends = list(accumulate(segment.samples for segment in self.segments))
        followers = [*self.segments[1:], None]
        return (end for end, next_one in zip(ends, followers, strict=True) if next_one is None or not next_one.goes_on)

    def _end_at(self, end: int) -> None:
        """Cut the audio, and the text with it, off at a position."""
        kept: list[Segment] = []
        left = end
        for segment in self.segments:
            if left <= 0:
                break
            kept.append(segment if segment.samples <= left else _shortened(segment, left))
            left -= segment.samples
        self.segments[:] = kept
        self._samples = min(self._samples, end)
        self.complete = True

    def heard_text(self, heard_samples: int) -> str:
        """The words that lie before a position; of a segment cut in the middle, the whole words in proportion."""
        words: list[str] = []
        end = 0
        for segment in self.segments:
            start, end = end, end + segment.samples
            if end <= heard_samples:
                words.append(segment.text)
                continue
            if heard_samples > start and segment.samples:
                spoken = segment.text.split()
                words += spoken[: int(len(spoken) * (heard_samples - start) / segment.samples)]
            break
        return " ".join(word for word in words if word)

    def _quiet_place(self, heard_samples: int) -> int:
        """The start of the quietest frame shortly before a position: most likely between words."""
        size = self.format.frame_samples
        first = heard_samples - self.format.samples(_REPEAT_MS[1])
        starts = range(max(0, first), max(1, heard_samples - self.format.samples(_REPEAT_MS[0])), size)
        return min(starts, key=lambda start: rms_dbfs(self._read(start, size)))

    def _append(self, pcm: bytes) -> None:
        if pcm:
            self._starts.append(self._samples)
            self._pieces.append(pcm)
            self._samples += len(pcm) // SAMPLE_BYTES

    def _read(self, start: int, count: int) -> bytes:
        index = len(self._starts) - 1
        while index > 0 and self._starts[index] > start:
            index -= 1
        offset = (start - self._starts[index]) * SAMPLE_BYTES
        need = count * SAMPLE_BYTES
        piece = self._pieces[index][offset : offset + need]
        while len(piece) < need:
            index += 1
            piece += self._pieces[index][: need - len(piece)]
        return piece


def _shortened(segment: Segment, samples: int) -> Segment:
    """The first part of a segment, with the words that it holds in proportion."""
    words = segment.text.split()
    return Segment(" ".join(words[: int(len(words) * samples / segment.samples)]), samples, segment.goes_on)


@dataclass(frozen=True, slots=True)
class Settled:
    """The one outcome of an utterance. Instants on the loop clock; None when not a frame of it was sent."""

    utterance_id: int
    source: Source
    outcome: Outcome
    text: str
    heard_text: str
    first_sent_s: float | None
    ended_s: float
    last: bool
    """True when playout has nothing more to say."""
