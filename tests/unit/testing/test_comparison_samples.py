"""Recordings and their transcripts are read from a folder."""

import wave
from pathlib import Path

import pytest
from onnx_graph import tone
from paths import SHARED_AUDIO

from kamerton.domain.audio import PHONE, WIDEBAND
from kamerton.domain.errors import ConfigurationError
from kamerton.testing.comparison.samples import load_samples


def _wav(path: Path, rate_hz: int = 8000, pcm: bytes | None = None) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(tone(440, 0.5, rate_hz) if pcm is None else pcm)


def test_the_shared_recordings_are_read_with_their_table() -> None:
    samples, untold = load_samples(SHARED_AUDIO)
    by_name = {sample.name: sample for sample in samples}
    assert untold == ()
    assert by_name["number-150-with-pause.wav"].text == "сто пятьдесят"
    assert (by_name["hello.wav"].start_s, by_name["hello.wav"].end_s) == (0.3, 1.11)
    assert by_name["hello.wav"].format == PHONE


def test_texts_beside_the_recordings_will_do_and_speech_is_found(tmp_path: Path) -> None:
    _wav(tmp_path / "a.wav")
    (tmp_path / "a.txt").write_text("да,\n верно\n", "utf-8")
    _wav(tmp_path / "b.wav")
    (sample,), untold = load_samples(tmp_path)
    assert sample.text == "да, верно"
    assert sample.start_s == pytest.approx(0.1, abs=0.03)
    assert sample.end_s == pytest.approx(0.6, abs=0.03)
    assert untold == ("b.wav",)


@pytest.mark.parametrize(("rate_hz", "target"), [(8000, PHONE), (16000, WIDEBAND), (44100, WIDEBAND), (11025, PHONE)])
def test_audio_becomes_one_of_the_calls_formats(tmp_path: Path, rate_hz: int, target: object) -> None:
    _wav(tmp_path / "a.wav", rate_hz)
    (tmp_path / "a.txt").write_text("да", "utf-8")
    (sample,), _ = load_samples(tmp_path)
    assert sample.format == target
    assert sum(len(frame.pcm) for frame in sample.frames) == pytest.approx(0.7 * 2 * sample.format.rate_hz, abs=700)


def test_silence_is_a_recording_too(tmp_path: Path) -> None:
    _wav(tmp_path / "a.wav", pcm=bytes(16000))
    (tmp_path / "a.txt").write_text("", "utf-8")
    (sample,), _ = load_samples(tmp_path)
    assert (sample.start_s, sample.end_s, sample.text) == (0.0, 1.0, "")


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ({}, "holds no WAV with a transcript"),
        ({"transcripts.tsv": b"name\ttext\na.wav\t\n"}, "not the table it should be"),
        ({"transcripts.tsv": b"file\ttext\tspeech_start_s\na.wav\t\tsoon\n"}, "not the table it should be"),
        ({"transcripts.tsv": b"file\ttext\tspeech_start_s\na.wav\t\t5\n"}, "speech would go from 5 to"),
        ({"a.txt": b"\xff\xfe"}, "it must be UTF-8"),
    ],
)
def test_what_cannot_be_read_is_told(tmp_path: Path, files: dict[str, bytes], problem: str) -> None:
    _wav(tmp_path / "a.wav")
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigurationError, match=problem):
        load_samples(tmp_path)


def test_an_empty_recording_and_a_missing_folder_are_told(tmp_path: Path) -> None:
    _wav(tmp_path / "a.wav", pcm=b"")
    (tmp_path / "a.txt").write_text("да", "utf-8")
    with pytest.raises(ConfigurationError, match=r"a\.wav"):
        load_samples(tmp_path)
    with pytest.raises(ConfigurationError, match="is no folder"):
        load_samples(tmp_path / "missing")
