"""Whisper against the suite of all recognisers, with human speech."""

import wave
from pathlib import Path

import pytest
from paths import SHARED_AUDIO

from kamerton.domain.audio import PHONE
from kamerton.domain.recognition import SpeechToText
from kamerton.stt.whisper.model_files import prepare_whisper_model
from kamerton.stt.whisper.recognizer import WhisperSettings, WhisperSpeechToText
from kamerton.testing.stt_conformance import SttConformance, SttUnderTest

pytestmark = pytest.mark.engine


def _recording(name: str) -> bytes:
    with wave.open(str(SHARED_AUDIO / name)) as recording:
        assert recording.getframerate() == PHONE.rate_hz
        return bytes(recording.readframes(recording.getnframes()))


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepare_whisper_model(tmp_path_factory.mktemp("data"))


class TestWhisperSpeechToText(SttConformance):
    @pytest.fixture
    def stt_under_test(self, model_dir: Path) -> SttUnderTest:
        async def make() -> SpeechToText:
            return await WhisperSpeechToText.load(model_dir, WhisperSettings(engines=2))

        return SttUnderTest(
            make,
            PHONE,
            [(_recording("tomorrow.wav"), "завтра"), (_recording("try-again.wav"), "попробуйте")],
        )
