"""Recordings that callers say: cut into frames once, with the true start and end of their speech."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from kamerton.audio.framing import frames_of
from kamerton.audio.resampling import resample
from kamerton.audio.wav import read_wav_file
from kamerton.domain.audio import PHONE, AudioFormat
from kamerton.domain.errors import ConfigurationError
from kamerton.testing.caller.speech_span import SpeechSpan, speech_span
from kamerton.testing.caller.wire import encode_audio

TRANSCRIPTS: Final = "transcripts.tsv"
"""A table beside the recordings: file, speech_start_s, speech_end_s, text; tab-separated with a header."""
LONGEST_PAUSE_S: Final = 0.15
"""Recordings with a longer pause inside are two turns to an endpointing that knows no words, as it is with stand-in
recognisers that call every pause the end of a complete answer; so they are no measure of its speed."""
COUGH_S: Final = 0.25


@dataclass(frozen=True, slots=True)
class Recording:
    """One recording, ready to be sent: a wire message for each 20 ms."""

    name: str
    messages: tuple[bytes, ...]
    span: SpeechSpan
    text: str = ""
    has_speech: bool = True

    @classmethod
    def from_pcm(
        cls, name: str, pcm: bytes, audio_format: AudioFormat = PHONE, span: SpeechSpan | None = None
    ) -> Recording:
        """Cut audio into frames; the speech is searched by energy when its span is not given."""
        found = span or speech_span(pcm, audio_format.rate_hz)
        messages = tuple(encode_audio(frame, audio_format.rate_hz) for frame in frames_of(pcm, audio_format))
        whole = SpeechSpan(0.0, len(pcm) / 2 / audio_format.rate_hz, 0.0)
        return cls(name, messages, found or whole, has_speech=found is not None)


def load_recording(path: Path, audio_format: AudioFormat = PHONE) -> Recording:
    """Read a WAV of any rate and channel count.

    Raises:
        ConfigurationError: it cannot be read as a WAV.
    """
    wav = read_wav_file(path)
    pcm = wav.pcm if wav.format == audio_format else resample(wav.pcm, wav.format, audio_format)
    return Recording.from_pcm(path.name, pcm, audio_format)


def load_folder(folder: Path, audio_format: AudioFormat = PHONE) -> tuple[Recording, ...]:
    """Every WAV of a folder that holds one utterance without a long pause inside.

    The table `transcripts.tsv` beside them, where there is one, gives the exact speech; energy does otherwise.

    Raises:
        ConfigurationError: there is no such folder, no usable WAV in it, or its table is broken.
    """
    if not folder.is_dir():
        raise ConfigurationError(f"'{folder}' is no folder: give one with WAV recordings of callers")
    known = _read_table(folder / TRANSCRIPTS)
    usable = []
    for path in sorted(folder.glob("*.wav")):
        found = load_recording(path, audio_format)
        if found.has_speech and found.span.longest_pause_s <= LONGEST_PAUSE_S:
            start_s, end_s, text = known.get(path.name, (found.span.start_s, found.span.end_s, ""))
            span = SpeechSpan(start_s, end_s, found.span.longest_pause_s)
            usable.append(Recording(found.name, found.messages, span, text))
    if not usable:
        raise ConfigurationError(f"'{folder}' holds no usable WAV: each must be one utterance without a long pause")
    return tuple(usable)


def cough(seed: int, audio_format: AudioFormat = PHONE) -> Recording:
    """A noise burst of 250 ms with a sharp start: loud enough to wake a listener, and no speech."""
    count = audio_format.samples(COUGH_S * 1000)
    envelope = np.exp(-np.arange(count) / (0.07 * audio_format.rate_hz))
    burst = np.random.default_rng(seed).normal(0.0, 6000.0, count) * envelope
    pcm = np.clip(burst, -30000, 30000).astype("<i2").tobytes()
    return Recording.from_pcm("cough", pcm, audio_format, SpeechSpan(0.0, COUGH_S, 0.0))


def _read_table(path: Path) -> dict[str, tuple[float, float, str]]:
    if not path.is_file():
        return {}
    with path.open(encoding="utf-8", newline="") as lines:
        try:
            return {
                row["file"]: (float(row["speech_start_s"]), float(row["speech_end_s"]), row["text"])
                for row in csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
            }
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigurationError(
                f"{path}: not the table it should be ({error}): columns file, speech_start_s, speech_end_s, text"
            ) from error
