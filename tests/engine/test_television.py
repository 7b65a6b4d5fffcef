"""Music and television on a caller's line, with the real network on the virtual clock: no call is mute or endless."""

from __future__ import annotations

import numpy as np
import pytest
from echo_lines import recording

from kamerton.domain.audio import PHONE
from kamerton.domain.notices import CallFinished, ConditionNoted, TurnFinished
from kamerton.listening.silero import SileroModel, find_silero
from kamerton.stt.standins.scripted import ScriptedSpeechToText, ScriptedTurn
from kamerton.testing.call_lab import LAB_PHRASES, CallLab, LabCall
from kamerton.testing.caller.broadcast import Samples, music, television, to_pcm
from kamerton.testing.virtual_loop import VirtualLoop

pytestmark = [pytest.mark.anyio, pytest.mark.engine]

ROOM_S = 40.0
PRESENTERS = ("hello", "one-moment", "too-short", "call-waiting", "nobody-available", "try-again", "tomorrow", "thanks")
BOUND_S = 90.0
"""By then the call has ended; it took 900 s before, without one answer that could be heard."""


@pytest.fixture
def anyio_backend() -> object:
    return ("asyncio", {"loop_factory": VirtualLoop})


@pytest.fixture(scope="module")
def silero() -> SileroModel:
    return SileroModel(find_silero())


def a_television(level_dbfs: float, seed: int = 5) -> Samples:
    return television(seed, ROOM_S, level_dbfs, [recording(name, PHONE, -20.0) for name in PRESENTERS])


def lab(silero: SileroModel, room: Samples, words: str) -> CallLab:
    return CallLab(ScriptedSpeechToText([ScriptedTurn(words)] * 60), room=to_pcm(room), vad_model=silero)


def played(call: LabCall) -> list[str]:
    return [turn.reply_text for turn in call.of_kind(TurnFinished) if turn.outcome == "played"]


@pytest.mark.parametrize("words", ["много слов", ""], ids=["words", "no words"])
@pytest.mark.parametrize("level_dbfs", [-20.0, -34.0])
@pytest.mark.parametrize("seed", [5, 6, 7])
async def test_the_assistant_speaks_over_a_television_and_ends_politely(
    silero: SileroModel, seed: int, level_dbfs: float, words: str
) -> None:
    async with lab(silero, a_television(level_dbfs, seed), words).call() as call:
        await call.until(BOUND_S)
        assert call.media.end_reason == "completed"
    said = played(call)
    assert said[-1] == LAB_PHRASES["line_goodbye"]
    assert said.count(LAB_PHRASES["cannot_hear"]) == 2
    first_s = next(at_s for at_s, turn in call.notices if getattr(turn, "reply_text", "") == LAB_PHRASES["cannot_hear"])
    assert first_s < 25.0
    assert "talker_bound" in [noted.condition for noted in call.of_kind(ConditionNoted)]
    (finished,) = call.of_kind(CallFinished)
    assert finished.ended_by == "bot"


@pytest.mark.parametrize("level_dbfs", [-14.0, -22.0, -40.0])
async def test_music_is_no_speech_and_the_silence_ends_the_call(silero: SileroModel, level_dbfs: float) -> None:
    async with lab(silero, music(3, ROOM_S, level_dbfs), "").call() as call:
        await call.until(BOUND_S)
        assert call.media.end_reason == "completed"
    assert played(call)[1:] == [LAB_PHRASES["still_there"], LAB_PHRASES["silence_goodbye"]]


@pytest.mark.parametrize("below_db", [8.0, 14.0])
async def test_a_caller_is_answered_over_music(silero: SileroModel, below_db: float) -> None:
    room = music(3, ROOM_S, -18.0 - below_db)
    sentence = recording("number-150", PHONE, -18.0)
    for at_s in (4.0, 14.0):
        start = int(at_s * PHONE.rate_hz)
        room[start : start + len(sentence)] += sentence
    async with lab(silero, room, "лошадиных сил сто пятьдесят").call() as call:
        await call.until(20.0)
    answers = [turn for turn in call.of_kind(TurnFinished) if turn.path == "scenario"]
    assert [answer.outcome for answer in answers] == ["played", "played"]
    assert LAB_PHRASES["cannot_hear"] not in played(call)


def test_a_broadcast_is_the_same_for_the_same_seed_and_as_loud_as_asked() -> None:
    once, again, other = (music(seed, 6.0, -20.0) for seed in (1, 1, 2))
    assert np.array_equal(once, again)
    assert not np.array_equal(once, other)
    assert 20 * np.log10(np.sqrt(np.mean(once**2)) / 32768) == pytest.approx(-20.0, abs=0.1)
    with pytest.raises(ValueError, match="voices"):
        television(1, 2.0, -20.0, [])
