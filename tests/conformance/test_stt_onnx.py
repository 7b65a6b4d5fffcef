"""Models in ONNX form against the suite of all recognisers: small ones, loaded and decoded by onnx-asr itself."""

from collections.abc import Callable
from pathlib import Path

import pytest
from onnx_graph import tone
from tiny_recognisers import gigaam_ctc, gigaam_rnnt, t_one, whisper

from kamerton.domain.audio import PHONE, WIDEBAND, AudioFormat
from kamerton.domain.recognition import SpeechToText
from kamerton.stt.onnx.recognizer import OnnxSettings, open_onnx
from kamerton.testing.stt_conformance import SttConformance, SttUnderTest

Build = Callable[[Path], Path]

KINDS: dict[str, Build] = {
    "gigaam-v3-ctc": gigaam_ctc,
    "gigaam-v3-rnnt": gigaam_rnnt,
    "t-one": t_one,
    "whisper": whisper,
}


@pytest.mark.parametrize("audio_format", [PHONE, WIDEBAND], ids=["8 kHz", "16 kHz"])
@pytest.mark.parametrize("model", KINDS)
class TestOnnxSpeechToText(SttConformance):
    @pytest.fixture
    def stt_under_test(self, model: str, audio_format: AudioFormat, tmp_path: Path) -> SttUnderTest:
        folder = KINDS[model](tmp_path)
        rate = audio_format.rate_hz
        second = tone(1000, 0.6, rate)
        words = "попробуйте"
        if model != "whisper":
            second, words = second + tone(2000, 0.6, rate), "попробуйте ещё"

        async def make() -> SpeechToText:
            return await open_onnx(OnnxSettings(model, engines=2), tmp_path, folder)

        return SttUnderTest(make, audio_format, [(tone(500, 0.8, rate), "завтра"), (second, words)])
