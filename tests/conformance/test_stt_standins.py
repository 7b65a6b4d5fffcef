"""The stand-in recognisers against the suite of all recognisers, on the virtual clock."""

import pytest

from kamerton.domain.audio import PHONE
from kamerton.domain.recognition import SpeechToText
from kamerton.stt.standin import InstantSpeechToText, ScriptedSpeechToText, ScriptedTurn
from kamerton.testing.stt_conformance import SttConformance, SttUnderTest
from kamerton.testing.virtual_loop import VirtualLoop

SECOND = PHONE.silence() * 50


class OnVirtualClock(SttConformance):
    @pytest.fixture
    def anyio_backend(self) -> object:
        return ("asyncio", {"loop_factory": VirtualLoop})


class TestInstantSpeechToText(OnVirtualClock):
    @pytest.fixture
    def stt_under_test(self) -> SttUnderTest:
        async def make() -> SpeechToText:
            return InstantSpeechToText("Да.")

        return SttUnderTest(make, PHONE, [(SECOND, "да"), (SECOND, "да")])


class TestScriptedSpeechToText(OnVirtualClock):
    @pytest.fixture(params=[0.0, 300.0], ids=["at once", "delayed"])
    def stt_under_test(self, request: pytest.FixtureRequest) -> SttUnderTest:
        async def make() -> SpeechToText:
            script = [
                ScriptedTurn(text, partial_after_ms=request.param, final_after_ms=request.param)
                for text in ("Сорок.", "Двадцать пять.")
            ]
            return ScriptedSpeechToText(script)

        return SttUnderTest(make, PHONE, [(SECOND, "сорок"), (SECOND, "двадцать пять")])
