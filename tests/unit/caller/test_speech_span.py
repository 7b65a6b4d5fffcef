from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from paths import SHARED_AUDIO

from kamerton.audio.wav import read_wav_file
from kamerton.testing.caller.recordings import load_folder
from kamerton.testing.caller.speech_span import speech_span


def table(folder: Path) -> list[tuple[Path, float, float]]:
    path = folder / "transcripts.tsv"
    if not path.is_file():
        return []
    with path.open(encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t"))
    return [(folder / row["file"], float(row["speech_start_s"]), float(row["speech_end_s"])) for row in rows]


HUMAN = table(SHARED_AUDIO)
SYNTHETIC = [row for row in table(SHARED_AUDIO / "synthetic") if row[0].name != "wait.wav"]
"""The end of wait.wav is cut off by the end of the file."""
needs_recordings = pytest.mark.skipif(not HUMAN, reason="the human recordings are not beside the repository")


def noise(seconds: float, amplitude: float, seed: int = 1) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(0, amplitude, int(seconds * 8000))


@needs_recordings
@pytest.mark.parametrize(("path", "start_s", "end_s"), HUMAN, ids=lambda value: getattr(value, "name", None))
def test_human_speech_is_found_to_40_ms(path: Path, start_s: float, end_s: float) -> None:
    wav = read_wav_file(path)
    span = speech_span(wav.pcm, wav.format.rate_hz)
    assert span is not None
    assert span.start_s == pytest.approx(start_s, abs=0.0401)
    assert span.end_s == pytest.approx(end_s, abs=0.0401)


@needs_recordings
@pytest.mark.parametrize(("path", "start_s", "end_s"), SYNTHETIC, ids=lambda value: getattr(value, "name", None))
def test_synthetic_speech_is_found_to_60_ms(path: Path, start_s: float, end_s: float) -> None:
    wav = read_wav_file(path)
    span = speech_span(wav.pcm, wav.format.rate_hz)
    assert span is not None
    assert span.start_s == pytest.approx(start_s, abs=0.0601)
    assert span.end_s == pytest.approx(end_s, abs=0.0601)


@needs_recordings
def test_a_long_pause_inside_keeps_a_recording_out_of_the_load() -> None:
    names = {recording.name for recording in load_folder(SHARED_AUDIO)}
    assert "number-150.wav" in names
    assert "number-150-with-pause.wav" not in names


def test_neither_noise_nor_silence_nor_a_click_is_speech() -> None:
    click = noise(1.0, 8)
    click[4000:4020] = 8000
    for signal in (np.zeros(8000), noise(1.0, 30), click, np.zeros(0)):
        assert speech_span(signal.astype("<i2").tobytes(), 8000) is None


def test_speech_over_loud_line_noise_is_found() -> None:
    signal = noise(2.0, 60)
    signal[4000:9000] += noise(0.625, 3000, seed=2)
    span = speech_span(signal.astype("<i2").tobytes(), 8000)
    assert span is not None
    assert (span.start_s, span.end_s) == pytest.approx((0.5, 1.125), abs=0.011)
    assert span.longest_pause_s == 0


def test_speech_without_any_silence_around_is_whole() -> None:
    span = speech_span(noise(0.5, 3000).astype("<i2").tobytes(), 8000)
    assert span is not None
    assert (span.start_s, span.end_s) == (0.0, 0.5)
