"""The recordings of a comparison: WAV files with what is said in them."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kamerton.audio.framing import frames_of
from kamerton.audio.resampling import resample
from kamerton.audio.wav import read_wav_file
from kamerton.domain.audio import PHONE, WIDEBAND, AudioFormat, AudioFrame
from kamerton.domain.errors import ConfigurationError
from kamerton.testing.caller.speech_span import speech_span

TABLE: Final = "transcripts.tsv"
"""Tab-separated with a header: `file`, `text`, and if known `speech_start_s`, `speech_end_s`."""

_REMARK: Final = re.compile(r"\([^)]*\)|…|\.{3}")


@dataclass(frozen=True, slots=True)
class Sample:
    """One utterance."""

    name: str
    frames: tuple[AudioFrame, ...]
    start_s: float
    """Where speech begins."""
    end_s: float
    """Where it ends."""
    text: str
    """What is said, without what a transcript may say besides: remarks in brackets, dots for a pause."""

    @property
    def format(self) -> AudioFormat:
        """Of its frames."""
        return self.frames[0].format


@dataclass(frozen=True, slots=True)
class _Row:
    text: str
    start_s: float | None = None
    end_s: float | None = None


def load_samples(folder: Path) -> tuple[tuple[Sample, ...], tuple[str, ...]]:
    """The recordings of a folder that have a transcript, and the names of those without one. Blocking.

    A transcript is a row of `transcripts.tsv`, or a file of the same name that ends in `.txt`. Where the speech is
    not given it is searched by its energy. Audio of other rates than 8 and 16 kHz becomes 16 kHz, or 8 when it has
    less.

    Raises:
        ConfigurationError: there is no such folder, no recording with a transcript in it, or one cannot be read.
    """
    if not folder.is_dir():
        raise ConfigurationError(f"'{folder}' is no folder: give one with WAV recordings and their transcripts")
    rows = _read_table(folder / TABLE)
    samples, untold = [], []
    for path in sorted(folder.glob("*.wav")):
        row = rows.get(path.name) or _read_text(path.with_suffix(".txt"))
        if row is None:
            untold.append(path.name)
        else:
            samples.append(_sample(path, row))
    if not samples:
        raise ConfigurationError(
            f"'{folder}' holds no WAV with a transcript: put the words of NAME.wav into NAME.txt, or into a {TABLE} "
            "with the columns file and text"
        )
    return tuple(samples), tuple(untold)


def _sample(path: Path, row: _Row) -> Sample:
    wav = read_wav_file(path)
    target = wav.format if wav.format in (PHONE, WIDEBAND) else (WIDEBAND if wav.format.rate_hz > 16000 else PHONE)
    pcm = resample(wav.pcm, wav.format, target)
    found = speech_span(pcm, target.rate_hz)
    whole_s = wav.duration_ms / 1000
    start_s, end_s = (found.start_s, found.end_s) if found is not None else (0.0, whole_s)
    frames = tuple(
        AudioFrame(frame, target, place * target.frame_samples) for place, frame in enumerate(frames_of(pcm, target))
    )
    if not frames:
        raise ConfigurationError(f"{path} holds no audio; take it out of the folder")
    start_s = row.start_s if row.start_s is not None else start_s
    end_s = min(row.end_s if row.end_s is not None else end_s, whole_s)
    if not 0 <= start_s < end_s:
        raise ConfigurationError(f"{path}: its speech would go from {start_s:g} to {end_s:g} s; correct its times")
    return Sample(
        path.name,
        frames,
        start_s,
        end_s,
        " ".join(_REMARK.sub(" ", row.text).split()),
    )


def _read_text(path: Path) -> _Row | None:
    try:
        return _Row(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read as text ({error}): it must be UTF-8") from error


def _read_table(path: Path) -> Mapping[str, _Row]:
    if not path.is_file():
        return {}
    try:
        with path.open(encoding="utf-8", newline="") as lines:
            rows = csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
            return {
                row["file"]: _Row(row["text"], _seconds(row, "speech_start_s"), _seconds(row, "speech_end_s"))
                for row in rows
            }
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigurationError(f"{path}: not the table it should be ({error}): columns file and text") from error


def _seconds(row: Mapping[str, str], column: str) -> float | None:
    value = row.get(column)
    return float(value) if value else None
