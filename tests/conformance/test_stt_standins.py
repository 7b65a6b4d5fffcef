"""The stand-in recognisers against the suite of all recognisers, on the virtual clock."""

import pytest

from kamerton.domain.audio import PHONE
from kamerton.domain.recognition import SpeechToText
from kamerton.stt.standins.faulty import FaultySpeechToText
from kamerton.stt.standins.lagging import LaggingSpeechToText, SpokenWord, StreamingTraits
from kamerton.stt.standins.scripted import InstantSpeechToText, ScriptedSpeechToText, ScriptedTurn
from kamerton.testing.stt_conformance import (
    ConnectedSttConformance,
    SttConformance,
    SttUnderTest,
    UtteranceEndingConformance,
)
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


STREAMING = {
    "with lag": StreamingTraits(),
    "without lag": StreamingTraits(lag_ms=0),
    "continuous": StreamingTraits(continuous=True),
    "telling words only": StreamingTraits(continuous=True, tells_silence=False),
}
ENDING_UTTERANCES = {
    "in turns": StreamingTraits(utterance_pause_ms=200),
    "continuous": StreamingTraits(continuous=True, utterance_pause_ms=200),
}
WORDS = (
    (SpokenWord("Сорок", 100, 400), SpokenWord("пять.", 650, 950)),
    (SpokenWord("Двадцать", 100, 400), SpokenWord("пять.", 450, 800)),
)


def _lagging(traits: StreamingTraits) -> SttUnderTest:
    async def make() -> SpeechToText:
        return FaultySpeechToText(LaggingSpeechToText(*WORDS, traits=traits))

    turns = [(SECOND, "сорок пять"), (SECOND, "двадцать пять")]
    return SttUnderTest(make, PHONE, turns, split=turns[0], interrupt=_interrupt)


def _interrupt(stt: SpeechToText) -> None:
    assert isinstance(stt, FaultySpeechToText)
    stt.interrupt()


class TestLaggingSpeechToText(OnVirtualClock, ConnectedSttConformance):
    @pytest.fixture(params=list(STREAMING.values()), ids=list(STREAMING))
    def stt_under_test(self, request: pytest.FixtureRequest) -> SttUnderTest:
        return _lagging(request.param)


class TestLaggingSpeechToTextThatEndsUtterances(OnVirtualClock, UtteranceEndingConformance):
    @pytest.fixture(params=list(ENDING_UTTERANCES.values()), ids=list(ENDING_UTTERANCES))
    def stt_under_test(self, request: pytest.FixtureRequest) -> SttUnderTest:
        return _lagging(request.param)
