"""Whisper base on recordings: what a call needs to be understood. Accuracy only; latency is measured by `bench`."""

import csv
import re
import wave
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import anyio
import numpy as np
import pytest
import soxr
from num2words import num2words
from paths import SHARED_AUDIO
from rapidfuzz import fuzz

from kamerton.domain.audio import PHONE, WIDEBAND, AudioFormat, AudioFrame
from kamerton.domain.errors import EngineError, ModelError
from kamerton.domain.recognition import Final, RecognitionHint
from kamerton.stt.decode_queue import DecodeRequest
from kamerton.stt.whisper.model_files import prepare_whisper_model
from kamerton.stt.whisper.readings import Transcript
from kamerton.stt.whisper.recognizer import WhisperEngine, WhisperSettings, WhisperSpeechToText

pytestmark = pytest.mark.engine

POWER = ("сто пятьдесят", "сто двадцать пять", "двести", "девяносто восемь")
DRIVERS = ("один", "двое", "трое", "два водителя")
AGE = ("двадцать пять", "сорок", "тридцать два")
YES_NO = ("да", "нет", "да, всё верно", "нет, сто пятьдесят")

NUMBERS = [
    ("number-150.wav", POWER, "сто пятьдесят"),
    ("number-125.wav", POWER, "сто двадцать пять"),
    ("number-150-with-pause.wav", POWER, "сто пятьдесят"),
    ("number-25.wav", AGE, "двадцать пять"),
    ("number-40.wav", AGE, "сорок"),
    ("number-1.wav", DRIVERS, "один"),
    ("number-2.wav", DRIVERS, "два"),
]
LOOK_BACK_S, PAUSE_S = 0.3, 0.24
"""How a call cuts a turn: look-back before the speech, and the pause after which it is decoded."""


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepare_whisper_model(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def whisper(model_dir: Path) -> WhisperEngine:
    return WhisperEngine(model_dir, engines=2)


def _lines() -> list[tuple[str, str]]:
    """Every recording and what is said in it."""
    lines: list[tuple[str, str]] = []
    for folder in ("", "synthetic/"):
        with (SHARED_AUDIO / folder / "transcripts.tsv").open(encoding="utf-8") as table:
            lines += [(folder + row["file"], row["text"]) for row in csv.DictReader(table, delimiter="\t")]
    return lines


FREE_SPEECH = [(name, text) for name, text in _lines() if "number-" not in name and "uhu" not in name]


def _turn(name: str) -> bytes:
    """A recording, cut as a call cuts it."""
    folder, _, file = name.rpartition("/")
    with (SHARED_AUDIO / folder / "transcripts.tsv").open(encoding="utf-8") as table:
        row = next(row for row in csv.DictReader(table, delimiter="\t") if row["file"] == file)
    with wave.open(str(SHARED_AUDIO / name)) as recording:
        rate = recording.getframerate()
        assert rate == PHONE.rate_hz
        recording.setpos(max(0, int((float(row["speech_start_s"]) - LOOK_BACK_S) * rate)))
        return bytes(recording.readframes(int((float(row["speech_end_s"]) + PAUSE_S) * rate) - recording.tell()))


def _decode(
    whisper: WhisperEngine,
    pcm: bytes,
    phrases: tuple[str, ...] = (),
    *,
    language: str = "ru",
    audio_format: AudioFormat = PHONE,
) -> Transcript:
    request = DecodeRequest(pcm, audio_format, RecognitionHint(language, phrases), lambda _request, _outcome: None)
    return whisper.decode(request)


def _words(text: str) -> str:
    spelled = re.sub(r"\d+", lambda digits: f" {num2words(int(digits[0]), lang='ru')} ", text.lower().replace("ё", "е"))
    return " ".join(re.findall(r"[а-я]+", spelled))


@pytest.mark.parametrize(("name", "phrases", "number"), NUMBERS)
def test_a_number_that_the_state_expects_is_understood(
    whisper: WhisperEngine, name: str, phrases: tuple[str, ...], number: str
) -> None:
    transcript = _decode(whisper, _turn(name), phrases)
    assert number in [_words(reading) for reading in (transcript.text, *transcript.alternatives)]
    assert transcript.confidence > 0.2


@pytest.mark.parametrize("phrases", [(), POWER], ids=["no hint", "number hint"])
@pytest.mark.parametrize(("name", "text"), FREE_SPEECH)
def test_other_speech_is_understood_with_and_without_a_number_hint(
    whisper: WhisperEngine, name: str, text: str, phrases: tuple[str, ...]
) -> None:
    transcript = _decode(whisper, _turn(name), phrases)
    readings = [_words(reading) for reading in (transcript.text, *transcript.alternatives)]
    assert max(fuzz.ratio(reading, _words(text)) for reading in readings) >= 85, readings


@pytest.mark.parametrize("name", ["synthetic/yes-short.wav", "synthetic/yes.wav", "synthetic/no-wrong.wav"])
def test_yes_and_no_are_understood_where_they_are_expected(whisper: WhisperEngine, name: str) -> None:
    transcript = _decode(whisper, _turn(name), YES_NO)
    assert _words(transcript.text).split()[0] == ("нет" if "no-" in name else "да")


@pytest.mark.parametrize("decibels", [10, 5])
def test_a_short_yes_is_understood_in_noise_without_a_hint(whisper: WhisperEngine, decibels: int) -> None:
    clean = np.frombuffer(_turn("synthetic/yes-short.wav"), "<i2").astype(float)
    level = np.sqrt(np.mean(clean[2400:-1920] ** 2)) * 10 ** (-decibels / 20)
    noisy = clean + np.random.default_rng(1).standard_normal(clean.size) * level
    pcm = noisy.clip(-32768, 32767).astype("<i2").tobytes()
    assert _words(_decode(whisper, pcm).text) == "да"


def _noises() -> dict[str, bytes]:
    random = np.random.default_rng(7)
    second = np.arange(PHONE.rate_hz) / PHONE.rate_hz
    knocks = random.standard_normal(PHONE.rate_hz) * 0.001
    for at in (2000, 4500):
        knocks[at : at + 400] += random.standard_normal(400) * np.exp(-np.arange(400) / 75) * 0.5
    sounds = {
        "silence": np.zeros(PHONE.rate_hz),
        "faint hiss": random.standard_normal(PHONE.rate_hz) * 0.001,
        "hiss": random.standard_normal(PHONE.rate_hz) * 0.1,
        "hum": 0.1 * np.sin(2 * np.pi * 50 * second) + 0.05 * np.sin(2 * np.pi * 150 * second),
        "beep": 0.2 * np.sin(2 * np.pi * 440 * second),
        "knocks": knocks,
    }
    return {name: (sound * 32767).clip(-32768, 32767).astype("<i2").tobytes() for name, sound in sounds.items()}


@pytest.mark.parametrize("phrases", [(), POWER, YES_NO], ids=["no hint", "number hint", "yes or no hint"])
@pytest.mark.parametrize("name", [*_noises(), "uhu"])
def test_noise_is_no_text_whatever_is_expected(whisper: WhisperEngine, name: str, phrases: tuple[str, ...]) -> None:
    pcm = _turn("synthetic/uhu.wav") if name == "uhu" else _noises()[name]
    assert _decode(whisper, pcm, phrases) == Transcript()


def test_wideband_audio_is_understood(whisper: WhisperEngine) -> None:
    narrow = np.frombuffer(_turn("number-40.wav"), "<i2")
    wide = soxr.resample(narrow, PHONE.rate_hz, WIDEBAND.rate_hz).astype("<i2").tobytes()
    assert _words(_decode(whisper, wide, AGE, audio_format=WIDEBAND).text) == "сорок"


def test_a_turn_of_28_seconds_is_understood(whisper: WhisperEngine) -> None:
    lines = [(name, text) for name, text in FREE_SPEECH if len(text) > 20]
    speech = b"".join(_turn(name) for name, _ in lines)[: 28 * PHONE.rate_hz * 2]
    assert len(speech) > 24 * PHONE.rate_hz * 2
    heard = _words(_decode(whisper, speech, POWER).text)
    wanted = [text for _, text in lines[:6]]
    assert sum(fuzz.partial_ratio(_words(text), heard) >= 80 for text in wanted) >= 5, heard


@pytest.mark.anyio
async def test_a_turn_of_40_seconds_is_heard_from_its_beginning_to_its_end(model_dir: Path) -> None:
    lines = [(name, text) for name, text in FREE_SPEECH if len(text) > 15]
    speech = b"".join(_turn(name) for name, _ in lines * 2)[: 40 * PHONE.rate_hz * 2]
    assert len(speech) == 40 * PHONE.rate_hz * 2
    stt = await WhisperSpeechToText.load(model_dir, WhisperSettings(engines=2, final_deadline_s=30))
    async with stt.open(PHONE) as stream:
        stream.begin_turn(1, RecognitionHint())
        for at in range(0, len(speech), PHONE.frame_bytes):
            stream.push(AudioFrame(speech[at : at + PHONE.frame_bytes], PHONE, at // 2))
        stream.end_of_turn()
        with anyio.fail_after(40):
            final = await anext(aiter(stream))
        assert stream.dropped_ms == 0
    await stt.aclose()
    assert isinstance(final, Final)
    heard = _words(final.text)
    assert fuzz.partial_ratio(_words(lines[0][1]), heard[:80]) >= 80, heard
    wanted = [text for _, text in lines]
    assert sum(fuzz.partial_ratio(_words(text), heard) >= 80 for text in wanted) >= len(wanted) - 2, heard


@pytest.mark.parametrize("size", [2, 320, 1600])
def test_a_scrap_of_audio_does_no_harm(whisper: WhisperEngine, size: int) -> None:
    assert _decode(whisper, bytes(size), AGE) == Transcript()


def test_a_hint_of_any_length_does_no_harm(whisper: WhisperEngine) -> None:
    endless = tuple(f"ответ номер {number}" for number in range(500))
    assert _words(_decode(whisper, _turn("tomorrow.wav"), endless).text) == "завтра"


def test_ukrainian_is_read_as_ukrainian(whisper: WhisperEngine) -> None:
    assert "пожалуйста" not in _words(_decode(whisper, _turn("synthetic/repeat.wav"), language="uk").text)


def test_a_language_it_was_not_set_up_for_is_told(whisper: WhisperEngine) -> None:
    with pytest.raises(EngineError, match=r"language 'xx'.*ru, uk"):
        _decode(whisper, _turn("number-1.wav"), language="xx")


@pytest.mark.anyio
async def test_a_missing_model_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no Whisper model in"):
        await WhisperSpeechToText.load(tmp_path)


@pytest.mark.anyio
async def test_a_corrupt_model_is_told(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"no weights at all")
    with pytest.raises(ModelError, match="cannot be loaded"):
        await WhisperSpeechToText.load(tmp_path)


def test_two_threads_that_decode_at_once_read_what_one_reads(whisper: WhisperEngine) -> None:
    turns = [_turn("number-150.wav"), _turn("tomorrow.wav")] * 4
    alone = [_decode(whisper, pcm, POWER) for pcm in turns[:2]]
    with ThreadPoolExecutor(2) as threads:
        together = list(threads.map(lambda pcm: _decode(whisper, pcm, POWER), turns))
    assert together == alone * 4


@pytest.mark.anyio
async def test_what_it_can_carry_is_measured_at_the_start_or_told_by_the_settings(model_dir: Path) -> None:
    measured = await WhisperSpeechToText.load(model_dir)
    told = await WhisperSpeechToText.load(model_dir, WhisperSettings(max_calls=3))
    assert (measured.state.max_calls or 0) >= 1
    assert told.state.max_calls == 3
    assert measured.state.trouble == ""
    for stt in (measured, told):
        await stt.aclose()
