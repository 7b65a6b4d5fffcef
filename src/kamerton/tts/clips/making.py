"""Clips from chunks, chunks from clips, and clips at another rate."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from kamerton.audio.levels import SILENCE_DBFS, apply_gain, speech_dbfs, speech_gain, trim_silence
from kamerton.audio.onset import audible_from, without_lead
from kamerton.audio.resampling import resample
from kamerton.audio.wav import WavAudio
from kamerton.domain.audio import SAMPLE_BYTES, AudioFormat, Clip, Segment
from kamerton.domain.synthesis import SpeechChunk
from kamerton.tts.clauses import split_clauses

SPEECH_DBFS: Final = -20.0
"""Level of the loud parts of every clip: engines and recordings sound equally loud, with 19 dB of headroom."""


class ChunkFinisher:
    """Finishes the chunks of one speech: a common level, and no silence before its first sound.

    Each clause gets a gain of its own, which the chunks that continue it, or go on with it, keep. Chunks in which
    nothing is heard yet are held back: they are left out when the clause goes on, and given out as they are when it was
    all there is.
    """

    def __init__(self) -> None:
        self._gain = 1.0
        self._leveled = False
        self._held: list[SpeechChunk] = []
        self._begun = False

    def finished(self, chunk: SpeechChunk) -> list[SpeechChunk]:
        """What can be played now that this chunk is there."""
        text, goes_on = chunk.text, chunk.goes_on
        released: list[SpeechChunk] = []
        if self._held and text:
            released, self._held = self._held, []
        elif self._held:
            text, goes_on = self._held[0].text, self._held[0].goes_on
        if text and (not goes_on or not self._leveled):
            self._gain = speech_gain(chunk.pcm, chunk.format, target_dbfs=SPEECH_DBFS)
            self._leveled = speech_dbfs(chunk.pcm, chunk.format) > SILENCE_DBFS
        pcm = apply_gain(chunk.pcm, self._gain)
        if not self._begun and audible_from(pcm, chunk.format) is None:
            self._held = [SpeechChunk(pcm, chunk.format, text, goes_on)] if text or self._held else self._held
            return released
        if not self._begun:
            self._begun = True
            self._held = []
            pcm = without_lead(pcm, chunk.format)
        return [*released, SpeechChunk(pcm, chunk.format, text, goes_on)]

    def rest(self) -> list[SpeechChunk]:
        """What is still held back, now that the speech is over."""
        held, self._held = self._held, []
        return held


def clip_of_chunks(chunks: Iterable[SpeechChunk], audio_format: AudioFormat) -> Clip:
    """A clip with a segment for each chunk that names its text; the others prolong the segment before."""
    segments: list[Segment] = []
    pieces: list[bytes] = []
    for chunk in chunks:
        samples = len(chunk.pcm) // SAMPLE_BYTES
        pieces.append(chunk.pcm)
        if chunk.text or not segments:
            segments.append(Segment(chunk.text, samples, chunk.goes_on))
        else:
            segments[-1] = replace(segments[-1], samples=segments[-1].samples + samples)
    return Clip(b"".join(pieces), audio_format, tuple(segments))


def chunks_of_clip(clip: Clip) -> Iterator[SpeechChunk]:
    """The clip segment by segment."""
    start = 0
    for segment in clip.segments:
        end = start + segment.samples * SAMPLE_BYTES
        yield SpeechChunk(clip.pcm[start:end], clip.format, segment.text, segment.goes_on)
        start = end


def clip_at_rate(clip: Clip, audio_format: AudioFormat) -> Clip:
    """The clip resampled; segments keep their share."""
    if clip.format == audio_format:
        return clip
    pcm = resample(clip.pcm, clip.format, audio_format)
    shares = [segment.samples for segment in clip.segments]
    resampled = _segments([segment.text for segment in clip.segments], shares, pcm)
    pairs = zip(resampled, clip.segments, strict=True)
    return Clip(pcm, audio_format, tuple(replace(segment, goes_on=before.goes_on) for segment, before in pairs))


def clip_of_recording(recording: WavAudio, text: str, audio_format: AudioFormat) -> Clip:
    """A recording of a text as a clip: trimmed, leveled, resampled.

    Where its clauses begin is estimated by their length in characters.
    """
    speech = trim_silence(recording.pcm, recording.format, threshold_dbfs=-55.0, keep_head_ms=20.0, keep_tail_ms=60.0)
    gain = speech_gain(speech, recording.format, target_dbfs=SPEECH_DBFS)
    leveled = without_lead(apply_gain(speech, gain), recording.format)
    pcm = resample(leveled, recording.format, audio_format)
    clauses = split_clauses(text)
    return Clip(pcm, audio_format, _segments(clauses, [len(clause) for clause in clauses], pcm))


def _segments(texts: Sequence[str], shares: Sequence[int], pcm: bytes) -> tuple[Segment, ...]:
    """Divide audio in proportion; rounding never loses a sample."""
    total = len(pcm) // SAMPLE_BYTES
    whole = sum(shares) or 1
    segments: list[Segment] = []
    spoken = start = 0
    for text, share in zip(texts, shares, strict=True):
        spoken += share
        end = total * spoken // whole
        segments.append(Segment(text, end - start))
        start = end
    return tuple(segments)
