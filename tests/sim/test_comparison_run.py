"""Recordings played to recognisers on the virtual clock: exact times, and failures that are results."""

import pytest

from kamerton.domain.audio import PHONE, AudioFrame
from kamerton.domain.recognition import SpeechToText
from kamerton.stt.standins.faulty import FaultySpeechToText, StreamFaults
from kamerton.stt.standins.lagging import LaggingSpeechToText, SpokenWord, StreamingTraits
from kamerton.stt.standins.scripted import ScriptedSpeechToText, ScriptedTurn
from kamerton.testing.comparison.figures import as_json, compared, differences, table
from kamerton.testing.comparison.run import Hearing, Plan, hear, hear_all
from kamerton.testing.comparison.samples import Sample
from kamerton.testing.virtual_loop import VirtualLoop

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> object:
    return "asyncio", {"loop_factory": VirtualLoop}


def _sample(name: str, text: str) -> Sample:
    """Two seconds, speech from 0.4 to 1.4 s."""
    frames = tuple(AudioFrame(PHONE.silence(), PHONE, place * 160) for place in range(100))
    return Sample(name, frames, 0.4, 1.4, text)


SAMPLES = (_sample("power.wav", "сто пятьдесят"), _sample("yes.wav", "да"))


async def _hear(stt: SpeechToText, plan: Plan | None = None) -> tuple[Hearing, ...]:
    return await hear_all(stt, SAMPLES, plan or Plan(), lambda hearing: None)


async def test_a_transcript_that_the_pause_prepared_comes_at_once() -> None:
    stt = ScriptedSpeechToText((ScriptedTurn("150", partial_after_ms=100),))
    hearing = await hear(stt, SAMPLES[0], Plan())
    assert hearing.text == "150"
    assert hearing.final_ms == 0
    # The last frame of speech was given at 1.38 s, the turn ended at 1.64 s.
    assert hearing.after_speech_ms == pytest.approx(260)
    # Told at 1.48 s (the pause, frame 74) and there 100 ms later, in a turn that began at 0.4 s.
    assert hearing.first_words_ms == pytest.approx(1180)


async def test_a_transcript_that_takes_longer_than_the_pause_is_measured() -> None:
    stt = ScriptedSpeechToText((ScriptedTurn("150", partial_after_ms=560),))
    hearing = await hear(stt, SAMPLES[0], Plan())
    assert hearing.final_ms == pytest.approx(400)
    assert hearing.after_speech_ms == pytest.approx(660)
    assert hearing.first_words_ms is None


async def test_without_real_time_only_the_work_is_measured() -> None:
    stt = ScriptedSpeechToText((ScriptedTurn("150", partial_after_ms=560),))
    hearing = await hear(stt, SAMPLES[0], Plan(real_time=False))
    assert hearing.final_ms == pytest.approx(560)
    assert (hearing.after_speech_ms, hearing.first_words_ms) == (None, None)


@pytest.mark.parametrize("continuous", [False, True])
async def test_an_engine_that_streams_gets_its_audio_in_order(continuous: bool) -> None:
    said = ((SpokenWord("сто", 300, 700), SpokenWord("пятьдесят", 700, 1200)),)
    stt = LaggingSpeechToText(*said, traits=StreamingTraits(lag_ms=200, continuous=continuous))
    hearing = await hear(stt, SAMPLES[0], Plan())
    assert hearing.text == "сто пятьдесят"
    assert hearing.first_words_ms is not None
    assert hearing.first_words_ms < 1000
    assert hearing.final_ms == pytest.approx(200)


FAULTS = [
    (StreamFaults(refuses="no quota left"), "no quota left"),
    (StreamFaults(opens_after_s=60), "took more than 3 s to open a call"),
    (StreamFaults(ends_after_s=1.0), "the engine's stream ended without a transcript"),
    (StreamFaults(breaks_after_s=1.0), "told to break"),
    (StreamFaults(push_breaks_after_s=1.0), "told to refuse audio"),
    (StreamFaults(silent_after_s=0.0), "no transcript within 3 s"),
]


@pytest.mark.parametrize(("faults", "told"), FAULTS, ids=[told for _, told in FAULTS])
async def test_a_failure_is_a_result_and_the_next_recording_is_heard(faults: StreamFaults, told: str) -> None:
    stt = FaultySpeechToText(ScriptedSpeechToText((ScriptedTurn("да"),)), faults)
    first, second = await _hear(stt, Plan(deadline_s=3.0))
    assert told in first.failure, first
    assert first.text == ""
    assert second == Hearing("yes.wav", "да", "", 0.0, second.after_speech_ms, second.first_words_ms)


async def test_a_turn_that_the_engine_fails_is_a_result() -> None:
    stt = ScriptedSpeechToText((ScriptedTurn(failure="no memory left"),))
    assert (await hear(stt, SAMPLES[0], Plan())).failure == "no memory left"


async def test_an_engine_that_only_fails_is_not_waited_for_to_the_end() -> None:
    stt = FaultySpeechToText(ScriptedSpeechToText(()), *(StreamFaults(refuses="down"),) * 9)
    hearings = await hear_all(stt, SAMPLES * 4, Plan(), lambda hearing: None)
    assert [hearing.failure for hearing in hearings] == ["down"] * 5 + ["not tried after 5 failures in a row"] * 3


async def test_figures_count_what_was_heard_and_what_failed() -> None:
    hearings = (
        Hearing("power.wav", "сто шестьдесят", "", 100.0, 340.0, 900.0),
        Hearing("yes.wav", "", "the engine failed"),
    )
    result = compared("cloud", "cloud-v3", SAMPLES, hearings, "ru", cpu_s=0.2)
    assert result.errors.errors == 1
    assert result.errors.words == 1
    (told,) = as_json([result], SAMPLES)
    assert told["figures"]["wer"] == 1.0
    assert told["figures"]["failures"] == 1
    assert told["figures"]["entities"]["numbers"] == {"wanted": 1, "found": 0, "invented": 1}
    assert told["figures"]["cpu_s_per_minute"] == pytest.approx(3.0)
    assert told["recordings"][0]["reference"] == "сто пятьдесят"
    lines = table([result]).splitlines()
    assert any(line.split("  ")[-1].strip() == "0 of 1, 1 invented" for line in lines)
    assert any(line.startswith("failed") and line.endswith("1 of 2") for line in lines)
    assert differences(result, SAMPLES, "ru") == [
        "power.wav: «сто пятьдесят» heard as «сто шестьдесят»",
        "yes.wav: the engine failed",
    ]
