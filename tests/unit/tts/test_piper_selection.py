"""Piper against a stand-in for the package `piper` (it is optional and its voices are not bundled), and the choice."""

import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from kamerton.audio.tone import tone
from kamerton.domain.audio import PHONE, AudioFormat
from kamerton.domain.errors import EngineError, ModelError
from kamerton.testing.tts_conformance import TextToSpeechConformance, heard
from kamerton.tts.selection import VoiceWishes, choose_voices
from kamerton.tts.voices.piper.voice import PiperTextToSpeech

VOICE_FORMAT = AudioFormat(22050)


@dataclass
class AudioChunk:
    """As `piper.voice.AudioChunk` of piper-tts 1.8."""

    audio_int16_bytes: bytes
    sample_rate: int


class PiperVoice:
    """As `piper.PiperVoice`: loads an ONNX file, yields a chunk per sentence."""

    @staticmethod
    def load(path: Path) -> "PiperVoice":
        if Path(path).read_bytes() != b"onnx":
            raise RuntimeError("INVALID_PROTOBUF")
        return PiperVoice()

    def synthesize(self, text: str) -> Iterator[AudioChunk]:
        if "сломайся" in text:
            raise RuntimeError("ORT failed")
        if any(character.isalpha() for character in text):
            yield AudioChunk(tone(300, 60.0 * len(text), VOICE_FORMAT), VOICE_FORMAT.rate_hz)


@pytest.fixture
def voice_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    package = types.ModuleType("piper")
    package.PiperVoice = PiperVoice  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "piper", package)
    path = tmp_path / "ru_RU-someone-medium.onnx"
    path.write_bytes(b"onnx")
    Path(f"{path}.json").write_text('{"language": {"code": "ru_RU", "family": "ru"}, "audio": {"sample_rate": 22050}}')
    return path


class TestPiper(TextToSpeechConformance):
    @pytest.fixture(autouse=True)
    def use(self, voice_file: Path) -> None:
        self.voice_file = voice_file

    def make_voice(self) -> PiperTextToSpeech:
        return PiperTextToSpeech(self.voice_file)


@pytest.mark.anyio
async def test_a_failing_model_is_an_engine_error(voice_file: Path) -> None:
    voice = PiperTextToSpeech(voice_file)
    with pytest.raises(EngineError, match="ORT failed"):
        await heard(voice.speak("Ну, сломайся.", language="ru", audio_format=PHONE))
    await voice.aclose()
    with pytest.raises(EngineError, match="closed"):
        await heard(voice.speak("Да.", language="ru", audio_format=PHONE))


def test_every_missing_part_is_named(voice_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    description = Path(f"{voice_file}.json")
    voice_file.write_bytes(b"broken")
    with pytest.raises(ModelError, match="cannot load"):
        PiperTextToSpeech(voice_file)
    description.write_text("[]")
    with pytest.raises(ModelError, match="no description"):
        PiperTextToSpeech(voice_file)
    description.unlink()
    with pytest.raises(ModelError, match="is missing"):
        PiperTextToSpeech(voice_file)
    with pytest.raises(ModelError, match="is missing"):
        PiperTextToSpeech(voice_file.with_name("other.onnx"))


def test_a_missing_package_is_named(voice_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "piper", None)
    with pytest.raises(ModelError, match="pip install piper-tts"):
        PiperTextToSpeech(voice_file)


def test_a_configured_piper_voice_comes_first(voice_file: Path) -> None:
    chosen = choose_voices(VoiceWishes("ru", piper_voice=voice_file))
    assert chosen.voices[0].name == "piper-ru_RU-someone-medium"
    assert chosen.voices[-1].name.startswith("espeak-ng")
    assert "piper" in chosen.notes[0]


def test_a_broken_or_foreign_piper_voice_is_passed_over_aloud(voice_file: Path) -> None:
    chosen = choose_voices(VoiceWishes("uk", piper_voice=voice_file))
    assert [voice.name.split("-")[0] for voice in chosen.voices] == ["espeak"]
    assert any("Piper passed over" in note and "speaks ru" in note for note in chosen.notes)
    assert any("Festival passed over" in note for note in chosen.notes)
    voice_file.unlink()
    chosen = choose_voices(VoiceWishes("ru", piper_voice=voice_file))
    assert any("Piper passed over" in note and "missing" in note for note in chosen.notes)


def test_without_festival_espeak_speaks_and_the_reason_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    chosen = choose_voices(VoiceWishes("ru"))
    assert [voice.name.split("-")[0] for voice in chosen.voices] == ["espeak"]
    assert any("apt-get install festival festvox-ru" in note for note in chosen.notes)


def test_a_language_nobody_speaks_is_refused_with_every_reason() -> None:
    with pytest.raises(ModelError, match=r"'xx'.*Piper.*Festival.*eSpeak"):
        choose_voices(VoiceWishes("xx"))
