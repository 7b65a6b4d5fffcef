from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kamerton.audio.wav import write_wav_file
from kamerton.domain.audio import PHONE, AudioFormat
from kamerton.domain.errors import ConfigurationError
from kamerton.testing.caller.recordings import Recording, cough, load_folder, load_recording
from kamerton.testing.caller.script import ScriptItem, parse_item, parse_script


@pytest.fixture
def wav(tmp_path: Path) -> Path:
    path = tmp_path / "hello.wav"
    loud = np.random.default_rng(1).normal(0, 3000, 22050).astype("<i2")
    quiet = np.zeros(11025, "<i2")
    write_wav_file(path, quiet.tobytes() + loud.tobytes() + quiet.tobytes(), AudioFormat(22050))
    return path


def test_items_with_and_without_an_instant(wav: Path) -> None:
    assert parse_script([f"{wav}", f"{wav}@1.2", f"{wav}@0", f"{wav}@0,5"]) == (
        ScriptItem(wav),
        ScriptItem(wav, 1.2),
        ScriptItem(wav, 0.0),
        ScriptItem(wav, 0.5),
    )


def test_a_file_with_an_at_in_its_name_is_taken_as_it_is(wav: Path) -> None:
    odd = wav.with_name("me@1.wav")
    wav.rename(odd)
    assert parse_item(str(odd)) == ScriptItem(odd)
    assert parse_item(f"{odd}@2") == ScriptItem(odd, 2.0)


@pytest.mark.parametrize("at", ["x", "", "-1", "nan", "inf", "1e9", "700"])
def test_an_impossible_instant_is_refused_with_an_example(wav: Path, at: str) -> None:
    with pytest.raises(ConfigurationError, match=r"such as @1\.2"):
        parse_item(f"{wav}@{at}")


@pytest.mark.parametrize("text", ["", "nowhere.wav", "nowhere.wav@1"])
def test_a_missing_file_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="WAV"):
        parse_item(text)


def test_a_recording_of_another_rate_becomes_frames_of_the_line(wav: Path) -> None:
    recording = load_recording(wav)
    assert len(recording.messages) == 100
    assert all(len(message) == 323 for message in recording.messages)
    assert (recording.span.start_s, recording.span.end_s) == pytest.approx((0.5, 1.5), abs=0.02)


def test_a_recording_without_speech_counts_as_a_whole() -> None:
    recording = Recording.from_pcm("silence", bytes(16000), PHONE)
    assert not recording.has_speech
    assert (recording.span.start_s, recording.span.end_s) == (0.0, 1.0)


def test_a_folder_prefers_its_table(wav: Path) -> None:
    (measured,) = load_folder(wav.parent)
    assert measured.text == ""
    lines = "file\tspeech_start_s\tspeech_end_s\ttext\nhello.wav\t0.510\t1.490\tпривет\n"
    (wav.parent / "transcripts.tsv").write_text(lines, encoding="utf-8")
    (told,) = load_folder(wav.parent)
    assert (told.span.start_s, told.span.end_s, told.text) == (0.51, 1.49, "привет")


def test_a_folder_that_is_no_use_says_so(tmp_path: Path, wav: Path) -> None:
    with pytest.raises(ConfigurationError, match="no folder"):
        load_folder(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigurationError, match="no usable WAV"):
        load_folder(tmp_path / "empty")
    (wav.parent / "transcripts.tsv").write_text("file\tstart\nhello.wav\t1\n", encoding="utf-8")
    with pytest.raises(ConfigurationError, match="speech_start_s"):
        load_folder(wav.parent)


def test_a_cough_is_short_loud_and_the_same_for_a_seed() -> None:
    assert cough(3).messages == cough(3).messages != cough(4).messages
    assert cough(3).span.end_s == 0.25
