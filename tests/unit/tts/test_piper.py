"""Piper against a stand-in for the package `piper`: it is optional and its voices are not bundled."""

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
from kamerton.tts.voices.piper.engine import ENGINE
from kamerton.tts.voices.piper.voice import PiperTextToSpeech
from kamerton.vendors.engine import EngineContext

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


@pytest.mark.anyio
async def test_it_is_opened_for_its_own_language_only(voice_file: Path, tmp_path: Path) -> None:
    options = ENGINE.options(voice_file)
    voice = await ENGINE.open(options, EngineContext("ru", tmp_path))
    assert voice.name == "piper-ru_RU-someone-medium"
    await voice.aclose()
    with pytest.raises(ModelError, match="speaks ru, not 'uk'"):
        await ENGINE.open(options, EngineContext("uk", tmp_path))
    with pytest.raises(ModelError, match="voice_file"):
        await ENGINE.open(ENGINE.options(), EngineContext("ru", tmp_path))
