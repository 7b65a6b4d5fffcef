"""Clips from chunks, chunks from clips, and clips at another rate."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from kamerton.audio.levels import apply_gain, speech_gain, trim_silence
from kamerton.audio.resampling import resample
from kamerton.audio.wav import WavAudio
from kamerton.domain.audio import SAMPLE_BYTES, AudioFormat, Clip, Segment
from kamerton.domain.synthesis import SpeechChunk
from kamerton.tts.clauses import split_clauses

SPEECH_DBFS: Final = -20.0
"""Level of the loud parts of every clip: engines and recordings sound equally loud, with 19 dB of headroom."""


class ChunkLeveler:
    """Brings each clause of a speech to the common level; chunks that continue a clause keep its gain."""

    def __init__(self) -> None:
        self._gain = 1.0

    def leveled(self, chunk: SpeechChunk) -> SpeechChunk:
        """The chunk at the common level."""
        if chunk.text:
            self._gain = speech_gain(chunk.pcm, chunk.format, target_dbfs=SPEECH_DBFS)
        return SpeechChunk(apply_gain(chunk.pcm, self._gain), chunk.format, chunk.text)


def clip_of_chunks(chunks: Iterable[SpeechChunk], audio_format: AudioFormat) -> Clip:
    """A clip with a segment for each chunk that names its text; the others prolong the segment before."""
    segments: list[Segment] = []
    pieces: list[bytes] = []
    for chunk in chunks:
        samples = len(chunk.pcm) // SAMPLE_BYTES
        pieces.append(chunk.pcm)
        if chunk.text or not segments:
            segments.append(Segment(chunk.text, samples))
        else:
            segments[-1] = Segment(segments[-1].text, segments[-1].samples + samples)
    return Clip(b"".join(pieces), audio_format, tuple(segments))


def chunks_of_clip(clip: Clip) -> Iterator[SpeechChunk]:
    """The clip segment by segment."""
    start = 0
    for segment in clip.segments:
        end = start + segment.samples * SAMPLE_BYTES
        yield SpeechChunk(clip.pcm[start:end], clip.format, segment.text)
        start = end


def clip_at_rate(clip: Clip, audio_format: AudioFormat) -> Clip:
    """The clip resampled; segments keep their share."""
    if clip.format == audio_format:
        return clip
    pcm = resample(clip.pcm, clip.format, audio_format)
    shares = [segment.samples for segment in clip.segments]
    return Clip(pcm, audio_format, _segments([segment.text for segment in clip.segments], shares, pcm))


def clip_of_recording(recording: WavAudio, text: str, audio_format: AudioFormat) -> Clip:
    """A recording of a text as a clip: trimmed, leveled, resampled.

    Where its clauses begin is estimated by their length in characters.
    """
    speech = trim_silence(recording.pcm, recording.format, threshold_dbfs=-55.0, keep_head_ms=20.0, keep_tail_ms=60.0)
    gain = speech_gain(speech, recording.format, target_dbfs=SPEECH_DBFS)
    pcm = resample(apply_gain(speech, gain), recording.format, audio_format)
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
