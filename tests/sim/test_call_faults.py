"""Faults in mid-call on the virtual clock: every one has a spoken answer, and ends no other call."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from itertools import pairwise

import anyio
import pytest

from kamerton.domain.audio import AudioFormat, AudioFrame, Clip
from kamerton.domain.dialogue import FlowStep, SessionState, UserTurn
from kamerton.domain.errors import EngineError
from kamerton.domain.notices import CallFinished, ErrorOccurred, Notice, TranscriptUpdated, TurnFinished
from kamerton.domain.recognition import RecognitionHint, SttStream
from kamerton.domain.synthesis import SpeechChunk
from kamerton.orchestrator.settings import CallSettings
from kamerton.stt.standins.scripted import ScriptedSpeechToText, ScriptedTurn
from kamerton.testing.call_lab import LAB_PHRASES, CallLab, EchoFlow, LabCall, ToneVoice
from kamerton.testing.virtual_loop import VirtualLoop

pytestmark = pytest.mark.anyio

ANSWER = "ответ на сто., это всё что я знаю об этом"


@pytest.fixture
def anyio_backend() -> object:
    return ("asyncio", {"loop_factory": VirtualLoop})


def lab(*turns: ScriptedTurn) -> CallLab:
    return CallLab(ScriptedSpeechToText(turns))


def spoken(call: LabCall) -> list[str]:
    """What the bot began to say, in order."""
    return [n.text for n in call.of_kind(TranscriptUpdated) if n.speaker == "bot" and not n.final]


class NoWords:
    """A recogniser's stream that takes everything and never answers."""

    dropped_ms = 0.0

    def begin_turn(self, turn: int, hint: RecognitionHint, look_back: Sequence[AudioFrame] = ()) -> None: ...
    def push(self, frame: AudioFrame) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def end_of_turn(self) -> None: ...
    def abandon_turn(self) -> None: ...

    async def __aiter__(self) -> AsyncGenerator[object, None]:
        await anyio.sleep_forever()
        yield None


class DeadSpeechToText(ScriptedSpeechToText):
    """Opens streams after a delay; its streams never answer."""

    def __init__(self, open_after_s: float = 0.0) -> None:
        super().__init__()
        self.open_after_s = open_after_s

    @asynccontextmanager
    async def open(self, audio_format: AudioFormat) -> AsyncIterator[SttStream]:
        await anyio.sleep(self.open_after_s)
        yield NoWords()  # type: ignore[misc]


@dataclass(slots=True)
class BreakingVoice(ToneVoice):
    """Says the first clause of one text and then breaks, or stalls for ever."""

    text: str = ANSWER
    stalls: bool = False

    def cached(self, text: str, audio_format: AudioFormat) -> Clip | None:
        return None if text == self.text else ToneVoice.cached(self, text, audio_format)

    async def stream(self, text: str, audio_format: AudioFormat) -> AsyncGenerator[SpeechChunk, None]:
        clip = self._clip(text, audio_format)
        first = clip.segments[0]
        yield SpeechChunk(clip.pcm[: first.samples * 2], audio_format, first.text)
        if self.stalls:
            await anyio.sleep_forever()
        raise EngineError("the voice broke")


@dataclass(slots=True)
class HangingVoice(ToneVoice):
    """Never comes back with some texts."""

    hanging: tuple[str, ...] = ()

    def cached(self, text: str, audio_format: AudioFormat) -> Clip | None:
        return None if text in self.hanging else ToneVoice.cached(self, text, audio_format)

    async def clip(self, text: str, audio_format: AudioFormat) -> Clip:
        if text in self.hanging:
            await anyio.sleep_forever()
        return await ToneVoice.clip(self, text, audio_format)


@dataclass(slots=True)
class RaisingFlow(EchoFlow):
    """A brain with a bug for one thing that may be said."""

    def step(self, session: SessionState, turn: UserTurn) -> FlowStep:
        if turn.text == "сто.":
            raise ZeroDivisionError("a bug of the brain")
        return EchoFlow.step(self, session, turn)


class RaisingObserver:
    """Breaks when the bot begins to speak: a fault inside the tick of the clock that all calls share."""

    def __init__(self, call_id: str) -> None:
        self.call_id = call_id

    def observe(self, call_id: str, notice: Notice) -> None:
        if call_id == self.call_id and isinstance(notice, TranscriptUpdated) and notice.speaker == "bot":
            raise ZeroDivisionError("a bug of an observer")


async def test_a_recogniser_that_never_answers_is_given_up_and_the_caller_asked_again() -> None:
    async with CallLab(DeadSpeechToText()).call() as call:
        call.says(3.0, 4.0)
        await call.until(16.0)
    assert spoken(call)[-1] == LAB_PHRASES["not_heard"]
    assert call.of_kind(TurnFinished)[-1].path == "fallback"


async def test_a_recogniser_that_cannot_be_opened_ends_the_call_with_an_apology() -> None:
    async with CallLab(DeadSpeechToText(open_after_s=1e6)).call() as call:
        await call.until(60.0)
        assert call.media.end_reason is not None
    assert [f.ended_by for f in call.of_kind(CallFinished)] == ["error"]


async def test_a_voice_that_breaks_in_mid_sentence_apologises_and_listens_on() -> None:
    calls = lab(ScriptedTurn("сто."), ScriptedTurn("да."))
    calls.voice = BreakingVoice()
    async with calls.call() as call:
        call.says(3.0, 4.0)
        call.says(9.0, 9.6)
        await call.until(14.0)
    assert LAB_PHRASES["apology"] in spoken(call)
    assert [turn.outcome for turn in call.of_kind(TurnFinished)] == ["played", "failed", "played", "played"]
    assert len(call.of_kind(ErrorOccurred)) == 1
    assert call.of_kind(TurnFinished)[-1].user_text == "да."


async def test_a_voice_that_stalls_in_mid_sentence_does_not_hang_the_call() -> None:
    calls = lab(ScriptedTurn("сто."))
    calls.voice = BreakingVoice(stalls=True)
    async with calls.call() as call:
        call.says(3.0, 4.0)
        await call.until(30.0)
    assert LAB_PHRASES["apology"] in spoken(call)


@pytest.mark.parametrize("broken", [True, False])
async def test_a_call_whose_every_line_fails_still_ends(broken: bool) -> None:
    """Neither a voice that raises nor one that hangs keeps the line open when the caller says nothing."""
    texts = ("добрый день, слушаю вас", *LAB_PHRASES.values())
    calls = lab()
    calls.voice = HangingVoice(failing=texts) if broken else HangingVoice(hanging=texts)
    async with calls.call() as call:
        await call.until(100.0)
        assert call.media.end_reason is not None
    assert [finished.ended_by for finished in call.of_kind(CallFinished)] == ["bot"]


async def test_the_longest_call_ends_even_when_its_goodbye_cannot_be_said() -> None:
    calls = lab()
    patience = replace(calls.call_settings.patience, call_limit_s=8.0)
    calls.call_settings = CallSettings(patience=patience)
    calls.voice = HangingVoice(hanging=(LAB_PHRASES["max_length"],))
    async with calls.call() as call:
        await call.until(20.0)
        assert call.media.end_reason is not None


async def test_a_bug_of_the_brain_ends_that_call_politely_and_no_other() -> None:
    calls = CallLab(ScriptedSpeechToText((ScriptedTurn("сто."),), (ScriptedTurn("да."),)))
    calls.flow = RaisingFlow()
    async with calls.calls(2) as (broken, healthy):
        for call in (broken, healthy):
            call.says(3.0, 4.0)
        await broken.until(9.0)
        assert broken.media.goodbye
        assert broken.loud_at(4.6) > 1000
        assert healthy.media.end_reason is None
    assert [f.ended_by for f in broken.of_kind(CallFinished)] == ["error"]
    assert len(broken.of_kind(ErrorOccurred)) == 1
    assert healthy.of_kind(TurnFinished)[-1].user_text == "да."


async def test_a_bug_of_who_watches_harms_no_call() -> None:
    calls = lab()
    calls.observers = (RaisingObserver("lab-1"),)
    async with calls.calls(2) as (healthy, unseen):
        await unseen.until(4.0)
        for call in (healthy, unseen):
            assert call.media.end_reason is None
            assert call.of_kind(TurnFinished)[0].outcome == "played"
    assert [f.ended_by for f in unseen.of_kind(CallFinished)] == ["caller"]


async def test_slow_words_are_covered_by_fillers_that_never_repeat() -> None:
    calls = lab(ScriptedTurn("сто."))
    calls.voice = HangingVoice(hanging=(ANSWER,))
    async with calls.call() as call:
        call.says(3.0, 4.0)
        await call.until(19.0)
    gaps = [start for start in range(43, 160) if not any(call.loud_at((start + n) / 10) > 1000 for n in range(25))]
    assert gaps == [], "silent for more than 2.5 s while the answer was awaited"
    assert spoken(call)[-1] == LAB_PHRASES["apology"]


async def test_a_filler_gives_way_to_the_answer_without_a_frame_too_many() -> None:
    calls = lab(ScriptedTurn("сто.", final_after_ms=1250, partial_after_ms=1250))
    async with calls.call() as call:
        call.says(3.0, 4.0)
        await call.until(9.0)
    instants = [frame.at_s for frame in call.media.sent]
    assert [b - a for a, b in pairwise(instants)] == pytest.approx([0.02] * (len(instants) - 1))
    assert call.of_kind(TurnFinished)[-1].outcome == "played"


async def test_a_click_while_the_transcript_is_awaited_does_not_lose_the_turn() -> None:
    calls = lab(ScriptedTurn("сто.", final_after_ms=1500, partial_after_ms=1500))
    async with calls.call() as call:
        call.says(3.0, 4.0)
        call.says(4.95, 4.99)
        await call.until(9.0)
    assert call.of_kind(TurnFinished)[-1].user_text == "сто."


async def test_a_call_whose_turn_loop_is_stuck_ends_with_an_apology() -> None:
    calls = lab()
    calls.call_settings = CallSettings(events=16)
    async with calls.call() as call:
        await call.until(3.0)
        for _ in range(40):
            call.media.press("1")
        await call.until(9.0)
        assert call.media.goodbye
        assert call.loud_at(3.5) > 1000
    assert [finished.ended_by for finished in call.of_kind(CallFinished)] == ["error"]


@dataclass(slots=True)
class ForgetfulVoice(ToneVoice):
    """Loses the apology from its cache after the call has begun; making it anew takes `delay_s`."""

    forgets_after_s: float = 1.0

    def cached(self, text: str, audio_format: AudioFormat) -> Clip | None:
        lost = text == LAB_PHRASES["apology"] and anyio.current_time() > self.forgets_after_s
        return None if lost else ToneVoice.cached(self, text, audio_format)


@pytest.mark.parametrize(("forgets_after_s", "delay_s"), [(1.0, 1e6), (-1.0, 0.5)], ids=["evicted", "never there"])
async def test_an_apology_that_is_not_in_the_cache_is_no_silence(forgets_after_s: float, delay_s: float) -> None:
    calls = CallLab(ScriptedSpeechToText((ScriptedTurn("сто."),)))
    calls.flow = RaisingFlow()
    calls.voice = ForgetfulVoice(delay_s=delay_s, forgets_after_s=forgets_after_s)
    async with calls.call() as call:
        call.says(3.0, 4.0)
        await call.until(9.0)
        assert call.media.goodbye
        assert call.loud_at(5.4) > 1000
