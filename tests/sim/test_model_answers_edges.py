"""Model answers at the edges: turns that go on, answers that are dropped, fillers, and what is learned from them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field, replace

import anyio
import pytest

from kamerton.domain.audio import AudioFormat, Clip
from kamerton.domain.dialogue import FaqResult, FlowStep, PlaylistItem, SessionState, UserTurn
from kamerton.domain.errors import EngineError
from kamerton.domain.notices import (
    CallFinished,
    ErrorOccurred,
    LLMTextReceived,
    MindState,
    MindStateChanged,
    TranscriptUpdated,
    TurnFinished,
)
from kamerton.domain.synthesis import SpeechChunk
from kamerton.llm.limits import TalkLimits
from kamerton.orchestrator.router import AnswerSources
from kamerton.orchestrator.settings import CallSettings
from kamerton.orchestrator.speculation import SpeculationSettings
from kamerton.stt.standins.scripted import ScriptedSpeechToText, ScriptedTurn
from kamerton.testing.call_lab import LAB_PHRASES, CallLab, EchoFlow, LabCall, ToneVoice
from kamerton.testing.loopback_media import FarBuffer
from kamerton.testing.scripted_model import ScriptedAnswer, ScriptedModel, scripted_talk
from kamerton.testing.virtual_loop import VirtualLoop

QUESTION = "какая сегодня погода."
ANSWER = "сегодня тепло и сухо, можно идти гулять"


@pytest.fixture
def anyio_backend() -> object:
    return ("asyncio", {"loop_factory": VirtualLoop})


@dataclass(slots=True)
class PreparingVoice(ToneVoice):
    """Has the audio of some texts at hand and must make that of all others."""

    at_hand: tuple[str, ...] = ()

    def cached(self, text: str, audio_format: AudioFormat) -> Clip | None:
        return self._clip(text, audio_format) if text in self.at_hand else None


@dataclass(slots=True)
class BreakingVoice(PreparingVoice):
    """Breaks after the first clause of whatever it must make."""

    async def stream(self, text: str, audio_format: AudioFormat) -> AsyncGenerator[SpeechChunk, None]:
        clip = await self.clip(text, audio_format)
        first = clip.segments[0]
        yield SpeechChunk(clip.pcm[: first.samples * 2], audio_format, first.text)
        if len(clip.segments) > 1:
            await anyio.sleep(self.delay_s)
            raise EngineError("the lab's voice breaks after a clause")


@dataclass
class Learner:
    """Takes whatever it is offered."""

    learned: list[tuple[str, str]] = field(default_factory=list)
    personal: list[Sequence[object]] = field(default_factory=list)

    async def learn(self, question: str, answer: str, personal: Sequence[object]) -> None:
        self.learned.append((question, answer))
        self.personal.append(personal)


@dataclass(slots=True)
class SearchingFlow(EchoFlow):
    """A scenario whose answer to «сто.» has fillers of its own."""

    own: tuple[str, ...] = ()

    def step(self, session: SessionState, turn: UserTurn) -> FlowStep:
        taken = EchoFlow.step(self, session, turn)
        own = tuple(PlaylistItem("tts", text) for text in self.own) if turn.text == "сто." else ()
        return replace(taken, fillers=own)


def lab(talker: ScriptedModel, *turns: ScriptedTurn) -> CallLab:
    return CallLab(
        ScriptedSpeechToText(turns),
        flow=EchoFlow(knows=("сто.", "пока")),
        voice=ToneVoice(ready=False, delay_s=0.15),
        sources=AnswerSources(model=True),
        talk=scripted_talk(talker, TalkLimits()),
        fillers={},
    )


def spoken(call: LabCall) -> list[str]:
    """Everything that began to sound, by source."""
    return [notice.details for notice in call.of_kind(MindStateChanged) if notice.state is MindState.SPEAKING]


@pytest.mark.anyio
async def test_a_wait_for_the_transcript_is_not_covered_with_what_the_caller_asked_before() -> None:
    echo = "про какая сегодня погода, сейчас скажу"
    talker = ScriptedModel({"погода": ScriptedAnswer(ANSWER)})
    later = ScriptedTurn("сто.", partial_after_ms=3000.0, final_after_ms=3000.0)
    made = lab(talker, ScriptedTurn(QUESTION), later)
    made.fillers = {"echo": ("про {topic}, сейчас скажу",)}
    made.voice = PreparingVoice(ready=False, delay_s=0.15, at_hand=(echo, echo.capitalize()))
    async with made.call() as call:
        call.says(4.0, 5.0)
        call.says(12.0, 13.0)
        await call.until(22.0)
    assert [turn.path for turn in call.of_kind(TurnFinished)][1:3] == ["llm", "scenario"]
    assert "filler" not in spoken(call)


@pytest.mark.anyio
async def test_the_fillers_of_a_state_are_not_said_while_the_next_turn_is_awaited() -> None:
    made = lab(
        ScriptedModel(), ScriptedTurn("сто."), ScriptedTurn("сто.", partial_after_ms=2000.0, final_after_ms=2000.0)
    )
    made.flow = SearchingFlow(knows=("сто.",), own=("ищу ваш заказ", "ещё немного"))
    made.voice = PreparingVoice(ready=False, delay_s=0.1, at_hand=("ищу ваш заказ", "ещё немного"))
    async with made.call() as call:
        call.says(4.0, 5.0)
        call.says(12.0, 13.0)
        await call.until(14.8)
        assert "filler" not in spoken(call)
        await call.until(20.0)
    assert [turn.path for turn in call.of_kind(TurnFinished)][1:3] == ["scenario", "scenario"]


@pytest.mark.anyio
@pytest.mark.parametrize(
    "answer",
    [
        ScriptedAnswer("", is_safe=False),
        ScriptedAnswer(f"{ANSWER}. Отвечай коротко и никогда не говори о погоде с детьми вечером дома"),
    ],
    ids=["refused at once", "leaked later"],
)
async def test_a_refused_answer_is_not_learned(answer: ScriptedAnswer) -> None:
    learner = Learner()
    made = lab(ScriptedModel({"погода": answer}), ScriptedTurn(QUESTION))
    instructions = "Отвечай коротко и никогда не говори о погоде с детьми вечером дома."
    made.talk = scripted_talk(ScriptedModel({"погода": answer}), TalkLimits(), instructions)
    made.model_answers = learner
    async with made.call() as call:
        call.says(4.0, 5.0)
        await call.until(14.0)
    turn = call.of_kind(TurnFinished)[1]
    assert turn.outcome == "played"
    assert LAB_PHRASES["non_secure_response"] in turn.reply_text
    assert "детьми" not in turn.reply_text
    assert learner.learned == []


@pytest.mark.anyio
async def test_an_answer_that_the_voice_could_not_finish_is_not_learned() -> None:
    learner = Learner()
    made = lab(ScriptedModel({"погода": ScriptedAnswer(ANSWER)}), ScriptedTurn(QUESTION))
    made.voice = ToneVoice(ready=False, delay_s=0.15, failing=("можно идти гулять",))
    made.model_answers = learner
    async with made.call() as call:
        call.says(4.0, 5.0)
        await call.until(14.0)
    turn = call.of_kind(TurnFinished)[1]
    assert turn.reply_text == f"сегодня тепло и сухо {LAB_PHRASES['model_failed']} что ещё"
    assert learner.learned == []


@pytest.mark.anyio
async def test_an_answer_heard_to_its_end_is_learned_once() -> None:
    learner = Learner()
    made = lab(ScriptedModel({"погода": ScriptedAnswer(ANSWER)}), ScriptedTurn(QUESTION))
    made.model_answers = learner
    async with made.call() as call:
        call.says(4.0, 5.0)
        await call.until(14.0)
    assert learner.learned == [(QUESTION, ANSWER)]


@dataclass
class SlowSearch:
    """Prepared answers that take a second to find nothing."""

    asked: int = 0

    async def answer(self, text: str) -> FaqResult | None:
        self.asked += 1
        await anyio.sleep(1.0)
        return None


@pytest.mark.anyio
async def test_a_pause_heard_twice_alike_keeps_what_is_being_prepared() -> None:
    talker = ScriptedModel({"погода": ScriptedAnswer(ANSWER)})
    search = SlowSearch()
    said = ScriptedTurn(QUESTION, pause_texts=("какая сегодня погода", QUESTION))
    made = lab(talker, said)
    made.sources = AnswerSources(prepared=search, model=True)
    async with made.call() as call:
        call.says(4.0, 5.0)
        call.says(5.36, 5.7)  # nothing new is heard in it
        await call.until(14.0)
    turn = call.of_kind(TurnFinished)[1]
    assert (turn.path, search.asked, len(talker.requests)) == ("llm", 1, 1)
    assert (turn.speculation.started, turn.speculation.hit) == (1, True)
    assert turn.speculation.saved_ms > 700


@pytest.mark.anyio
async def test_words_that_first_sound_open_are_prepared_in_full_once_they_sound_whole() -> None:
    talker = ScriptedModel({"погода": ScriptedAnswer(ANSWER)})
    said = ScriptedTurn(QUESTION, pause_texts=("какая сегодня погода…", QUESTION))
    async with lab(talker, said).call() as call:
        call.says(4.0, 5.0)
        call.says(5.36, 5.7)
        await call.until(14.0)
    turn = call.of_kind(TurnFinished)[1]
    assert (turn.speculation.model_started, turn.speculation.model_hit) == (1, True)
    assert len(talker.requests) == 1


@pytest.mark.anyio
async def test_values_inside_lists_are_told_to_who_learns_one_by_one() -> None:
    learner = Learner()
    made = lab(ScriptedModel({"погода": ScriptedAnswer(ANSWER)}), ScriptedTurn("сто."), ScriptedTurn(QUESTION))
    made.model_answers = learner
    async with made.call() as call:
        call.says(4.0, 5.0)
        call.says(10.0, 11.0)
        await call.until(20.0)
    assert learner.personal == [(("сто.",),)]


@pytest.mark.anyio
async def test_what_was_prepared_for_a_turn_without_a_transcript_is_dropped() -> None:
    talker = ScriptedModel({"погода": ScriptedAnswer(ANSWER, endless=True)})
    lost = ScriptedTurn(QUESTION, failure="the recogniser fell over", partial_after_ms=50.0, final_after_ms=400.0)
    lost = replace(lost, retryable=False)
    async with lab(talker, lost, ScriptedTurn(QUESTION)).call() as call:
        call.says(4.0, 5.0)
        await call.until(8.0)
        assert talker.running == 0
        call.says(10.0, 11.0)
        await call.until(18.0)
    first, second = call.of_kind(TurnFinished)[1:3]
    assert (first.path, second.path) == ("fallback", "llm")
    assert second.speculation.saved_ms < 1500


@pytest.mark.anyio
async def test_an_answer_asked_ahead_of_a_turn_that_goes_on_is_counted_as_waste() -> None:
    talker = ScriptedModel({"погода": ScriptedAnswer(ANSWER)}, first_token_s=2.0)
    turns = (ScriptedTurn(QUESTION), ScriptedTurn("и где взять билет."))
    async with lab(talker, *turns).call() as call:
        call.says(4.0, 5.0)
        call.says(6.0, 7.0)  # the turn had ended; its answer was being written
        await call.until(18.0)
    turn = call.of_kind(TurnFinished)[1]
    assert turn.user_text == "какая сегодня погода и где взять билет."
    assert len(talker.freed_s) == 1
    record = turn.speculation
    assert record.model_started - record.model_hit == 1


@pytest.mark.anyio
async def test_a_voice_that_fails_behind_a_filler_that_plays_out_is_owned_up_to() -> None:
    filler = "ищу ваш заказ в большой базе данных, это займёт пару секунд"
    made = lab(ScriptedModel(), ScriptedTurn("сто."))
    made.call_settings = CallSettings(speculation=SpeculationSettings(enabled=False))
    made.flow = SearchingFlow(knows=("сто.",), own=(filler,))
    made.voice = BreakingVoice(ready=False, delay_s=0.4, at_hand=(filler, "добрый день, слушаю вас"))
    async with made.call() as call:
        call.says(4.0, 5.0)
        await call.until(16.0)
    said = [notice.text for notice in call.of_kind(TranscriptUpdated) if notice.speaker == "bot" and notice.final]
    assert LAB_PHRASES["apology"] in said


@pytest.mark.anyio
async def test_speech_into_the_filler_before_an_answer_goes_on_with_the_turn() -> None:
    filler = "ищу ваш заказ в большой базе данных, это займёт пару секунд"
    made = lab(ScriptedModel(), ScriptedTurn("сто."), ScriptedTurn("двести."))
    made.call_settings = CallSettings(speculation=SpeculationSettings(enabled=False))
    made.flow = SearchingFlow(knows=("сто.", "сто двести."), own=(filler,))
    made.voice = PreparingVoice(ready=False, delay_s=0.4, at_hand=(filler,))
    async with made.call() as call:
        call.says(4.0, 5.0)
        call.says(5.65, 6.6)
        await call.until(20.0)
    unheard, answered = call.of_kind(TurnFinished)[1:3]
    assert (unheard.outcome in ("skipped", "cut"), unheard.heard_text) == (True, "")
    assert answered.user_text == "сто двести."


@pytest.mark.anyio
async def test_no_text_of_a_dropped_answer_is_shown() -> None:
    talker = ScriptedModel({"погода": ScriptedAnswer("очень долгий рассказ о погоде, ", endless=True)}, token_s=0.001)
    async with lab(talker, ScriptedTurn(QUESTION), ScriptedTurn("сто.")).call() as call:
        call.says(4.0, 5.0)
        call.says(8.0, 9.5)
        await call.until(9.0)
        shown = len(call.of_kind(LLMTextReceived))
        await call.until(15.0)
    assert len(call.of_kind(LLMTextReceived)) == shown
    assert talker.running == 0


@pytest.mark.anyio
@pytest.mark.parametrize("at_ms", range(8560, 8760, 4))
async def test_the_caller_may_hang_up_as_a_models_answer_ends(at_ms: int) -> None:
    made = lab(ScriptedModel({"погода": ScriptedAnswer(ANSWER)}), ScriptedTurn(QUESTION))
    made.model_answers = Learner()
    made.far_buffer = FarBuffer(delay_ms=205)
    async with made.call() as call:
        call.says(4.0, 5.0)
        await call.until(at_ms / 1000)
    assert call.of_kind(CallFinished)[0].ended_by == "caller"
    assert not call.of_kind(ErrorOccurred)
