"""Router, conversation and ledger: the pure parts of deciding."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import anyio
import pytest

from kamerton.domain.audio import PHONE
from kamerton.domain.call_scope import call_context, current_call
from kamerton.domain.dialogue import (
    END_CALL,
    Entities,
    Expectation,
    FaqResult,
    FlowResult,
    FlowStep,
    IntentResult,
    PlaylistItem,
    SessionState,
    TurnState,
    UserTurn,
)
from kamerton.listening.listener import ListeningSettings
from kamerton.listening.vad import VadBatcher
from kamerton.orchestrator.conversation import Conversation
from kamerton.orchestrator.decision import ModelQuestion
from kamerton.orchestrator.ledger import Ledger, Turn
from kamerton.orchestrator.metronome import Metronome
from kamerton.orchestrator.router import AnswerSources, Router
from kamerton.orchestrator.services import CallServices
from kamerton.orchestrator.settings import CallSettings
from kamerton.orchestrator.utterance import Settled
from kamerton.orchestrator.workers import InlineWorker, ThreadWorker
from kamerton.stt.standins.scripted import ScriptedSpeechToText
from kamerton.testing.call_lab import LAB_PHRASES, EnergyVadModel, ToneVoice, lab_completeness
from kamerton.testing.virtual_loop import VirtualLoop

T = TypeVar("T")
SESSION = SessionState("c", "lab", "ask", {"power": 150}, misses=1)
ASK = (PlaylistItem("tts", "сколько сил?"),)


@pytest.fixture
def anyio_backend() -> object:
    return ("asyncio", {"loop_factory": VirtualLoop})


@dataclass
class OneStateFlow:
    """Answers every turn with a prepared step."""

    outcome: FlowStep
    decided: list[str] = field(default_factory=list)

    def begin(self, call_id: str) -> FlowStep:
        return FlowStep(FlowResult.SUCCESS, replace(SESSION, call_id=call_id), ASK)

    def expectation(self, session: SessionState) -> Expectation:
        return Expectation(phrases=("сто",))

    def step(self, session: SessionState, turn: UserTurn) -> FlowStep:
        self.decided.append(turn.text)
        return replace(self.outcome, session=replace(self.outcome.session, variables={"said": turn.text}))

    def reprompt(self, session: SessionState) -> tuple[PlaylistItem, ...]:
        return ASK


class PlainUnderstanding:
    def understand(
        self, readings: Sequence[str], expectation: Expectation, previous_leader: str | None
    ) -> IntentResult:
        return IntentResult("answer", 0.9, text=readings[-1], entities=Entities(numbers=(150.0,)))


@dataclass
class Prepared:
    faq: FaqResult | None = None

    async def answer(self, text: str) -> FaqResult | None:
        return self.faq


@dataclass
class Remembered:
    said: str | None

    async def answer(self, question: str) -> str | None:
        return self.said


MATCHED = FlowStep(FlowResult.SUCCESS, replace(SESSION, current_state_id="next"), (PlaylistItem("tts", "дальше"),))
MISSED = FlowStep(FlowResult.SUCCESS, replace(SESSION, misses=2), (PlaylistItem("tts", "не понял"),), matched=False)


def router(outcome: FlowStep, sources: AnswerSources | None = None) -> Router:
    return Router(OneStateFlow(outcome), PlainUnderstanding(), LAB_PHRASES, InlineWorker(), sources)


def texts(playlist: Sequence[PlaylistItem]) -> list[str]:
    return [item.text for item in playlist]


@pytest.mark.anyio
async def test_the_scenario_answers_what_it_understands_with_the_reading_that_was_judged() -> None:
    decision = await router(replace(MATCHED, action=END_CALL, interruptible=False)).decide(SESSION, ("сток", "сто"))
    assert (decision.path, decision.text, decision.action, decision.interruptible) == (
        "scenario",
        "сто",
        END_CALL,
        False,
    )
    assert decision.session.current_state_id == "next"
    assert decision.entities.numbers == (150.0,)


@pytest.mark.anyio
async def test_a_prepared_answer_is_followed_by_the_question_that_was_open() -> None:
    faq = FaqResult("f1", "вопрос", "ответ", 0.8)
    decision = await router(MISSED, AnswerSources(prepared=Prepared(faq))).decide(SESSION, ("а сколько это стоит",))
    assert (decision.path, decision.faq) == ("faq", faq)
    assert texts(decision.playlist) == ["ответ", "сколько сил?"]
    assert decision.session == replace(SESSION, misses=0, turn_state=TurnState.BOT_TURN)


@pytest.mark.anyio
async def test_a_remembered_answer_goes_before_the_model_and_the_model_before_the_offer() -> None:
    text = "расскажи мне сказку"
    known = await router(MISSED, AnswerSources(remembered=Remembered("жила была"), model=True)).decide(SESSION, (text,))
    assert (known.path, texts(known.playlist), known.question) == ("cache", ["жила была", "сколько сил?"], None)
    asked = await router(MISSED, AnswerSources(remembered=Remembered(None), model=True)).decide(SESSION, (text,))
    assert (asked.path, texts(asked.playlist)) == ("llm", ["сколько сил?"])
    assert asked.question == ModelQuestion(text, "сколько сил?\npower = 150")
    assert asked.session == replace(SESSION, misses=0, turn_state=TurnState.BOT_TURN)


@pytest.mark.anyio
async def test_the_model_is_not_asked_about_a_slip_of_the_ear() -> None:
    decision = await router(MISSED, AnswerSources(model=True)).decide(SESSION, ("э э",))
    assert (decision.path, decision.question) == ("fallback", None)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("step", "text", "said"),
    [
        (MISSED, "э э", ["не понял"]),
        (MISSED, "расскажи мне сказку", [LAB_PHRASES["offer"], "сколько сил?"]),
        (replace(MISSED, action=END_CALL), "расскажи мне сказку", ["не понял"]),
        (replace(MISSED, session=replace(SESSION, current_state_id="operator")), "расскажи мне сказку", ["не понял"]),
    ],
)
async def test_what_nobody_understands(step: FlowStep, text: str, said: list[str]) -> None:
    decision = await router(step).decide(SESSION, (text,))
    assert (decision.path, texts(decision.playlist)) == ("fallback", said)


@pytest.mark.anyio
async def test_a_scenario_that_fails_apologises_asks_again_and_changes_nothing() -> None:
    failed = replace(MATCHED, result=FlowResult.EXECUTION_ERROR, action=END_CALL, detail="деление на ноль")
    decision = await router(failed).decide(SESSION, ("сто",))
    assert (decision.path, decision.session, decision.action) == ("error", SESSION, None)
    assert texts(decision.playlist) == [LAB_PHRASES["apology"], "сколько сил?"]
    assert decision.detail == "деление на ноль"


class SlowWorker:
    """Takes a second over each piece of work."""

    async def run(self, work: Callable[[], T]) -> T:
        await anyio.sleep(1.0)
        return work()


def conversation(flow: OneStateFlow, slow: bool = False, voice: ToneVoice | None = None) -> Conversation:
    worker = SlowWorker() if slow else InlineWorker()
    services = CallServices(
        assistant="lab",
        language="ru",
        router=Router(flow, PlainUnderstanding(), LAB_PHRASES, worker),
        voice=voice or ToneVoice(),
        stt=ScriptedSpeechToText(),
        vad=VadBatcher(EnergyVadModel(), worker),
        metronome=Metronome(),
        observers=(),
        phrases=LAB_PHRASES,
        fillers={},
        completeness=lab_completeness,
        is_backchannel=lambda text, language: False,
        call=CallSettings(),
        listening=ListeningSettings(),
    )
    return Conversation(services, "c")


@pytest.mark.anyio
async def test_the_same_words_are_decided_once() -> None:
    flow = OneStateFlow(MATCHED)
    talk = conversation(flow)
    await talk.speculate(1, ("сто",), PHONE)
    await talk.speculate(1, ("сто",), PHONE)
    decision = await talk.decide(("сто",))
    assert (decision.text, flow.decided) == ("сто", ["сто"])
    assert (talk.speculated.started, talk.speculated.hit) == (1, True)


@pytest.mark.anyio
async def test_other_words_are_decided_anew() -> None:
    flow = OneStateFlow(MATCHED)
    talk = conversation(flow)
    await talk.speculate(1, ("сто",), PHONE)
    decision = await talk.decide(("двести",))
    assert (decision.text, flow.decided) == ("двести", ["сто", "двести"])
    assert (talk.speculated.started, talk.speculated.hit) == (1, False)


@pytest.mark.anyio
async def test_a_decision_waits_for_the_one_that_is_being_made_ahead() -> None:
    flow = OneStateFlow(MATCHED)
    talk = conversation(flow, slow=True)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(talk.speculate, 1, ("сто",), PHONE)
        await anyio.sleep(0.4)
        await talk.decide(("сто",))
    assert anyio.current_time() == pytest.approx(1.0)
    assert (flow.decided, talk.speculated.hit) == (["сто"], True)
    assert talk.speculated.saved_ms == pytest.approx(400.0)


@pytest.mark.anyio
async def test_a_cancelled_speculation_does_not_keep_the_decision_waiting() -> None:
    flow = OneStateFlow(MATCHED)
    talk = conversation(flow, slow=True)
    with anyio.move_on_after(0.5):
        await talk.speculate(1, ("сто",), PHONE)
    await talk.decide(("сто",))
    assert anyio.current_time() == pytest.approx(1.5)
    assert (flow.decided, talk.speculated.hit) == (["сто"], False)


@pytest.mark.anyio
async def test_what_was_decided_before_the_session_moved_on_is_not_used() -> None:
    flow = OneStateFlow(MATCHED)
    talk = conversation(flow, slow=True)
    answered = Turn(1, "scenario", decision=await talk.decide(("да",)))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(talk.speculate, 1, ("сто",), PHONE)
        await anyio.sleep(0.5)
        talk.commit(answered)
    await talk.decide(("сто",))
    assert flow.decided == ["да", "сто", "сто"]
    assert not talk.speculated.hit


@pytest.mark.anyio
async def test_a_decision_taken_back_restores_the_session() -> None:
    flow = OneStateFlow(MATCHED)
    talk = conversation(flow)
    before = talk.session
    turn = Turn(1, "scenario", decision=await talk.decide(("сто",)))
    talk.commit(turn)
    assert talk.session.variables == {"said": "сто"}
    await talk.speculate(2, ("сто",), PHONE)
    talk.take_back(turn)
    assert (talk.session, turn.taken_back) == (before, True)
    await talk.decide(("сто",))
    assert not talk.speculated.hit


@pytest.mark.anyio
async def test_what_was_prepared_for_another_turn_is_not_dropped_with_one_that_came_to_nothing() -> None:
    flow = OneStateFlow(MATCHED)
    talk = conversation(flow)
    await talk.speculate(1, ("сто",), PHONE)
    talk.drop_ahead(2)
    await talk.decide(("сто",))
    assert (flow.decided, talk.speculated.hit) == (["сто"], True)


def test_a_turn_that_goes_on_with_another_has_its_words_in_front() -> None:
    turn = Turn(2, "scenario", continues=Turn(1, "scenario", own=("сто.", "сток")))
    assert turn.with_before(("пятьдесят", "шестьдесят")) == (
        "сто пятьдесят",
        "сто шестьдесят",
        "пятьдесят",
        "шестьдесят",
    )
    assert turn.readings == ("сто.", "сток")
    turn.own = ("пятьдесят",)
    assert turn.user_text == "сто пятьдесят"
    assert Turn(3, "scenario", own=("да",)).readings == ("да",)


@pytest.mark.parametrize(
    ("ended_s", "first_s", "onset_s", "prompted", "goes_on"),
    [
        (10.0, None, 14.0, False, True),  # nothing of the answer was heard
        (10.0, 10.3, 10.8, False, True),  # too soon after the turn's end
        (10.0, 11.7, 11.83, False, True),  # too soon after the answer's first sound
        (10.0, 10.3, 11.5, False, False),
        (10.0, 11.7, 12.3, False, False),
        (10.0, None, 14.0, True, False),  # it was asked to repeat
        (None, 0.1, 0.2, False, False),  # no turn of the caller's
    ],
)
def test_what_can_be_no_reaction_to_an_answer_goes_on_with_the_turn(
    ended_s: float | None, first_s: float | None, onset_s: float, prompted: bool, goes_on: bool
) -> None:
    turn = Turn(1, "scenario", phrases=("не расслышала",) if prompted else ())
    if ended_s is not None:
        turn.timeline.mark("t_eos", ended_s)
    if first_s is not None:
        turn.timeline.mark("t6", first_s)
    assert turn.goes_on_at(onset_s, 0.9, 0.4) is goes_on


def test_the_ledger_finds_turns_by_number_and_by_what_answers_them_and_keeps_the_newest() -> None:
    ledger = Ledger()
    for number in range(40):
        ledger.open(number, "scenario", "ask").utterance_id = 100 + number
    assert ledger.find(3) is None
    found = ledger.spoken_as(139)
    assert found is not None
    assert found.number == 39


@pytest.mark.anyio
async def test_the_first_words_of_an_answer_are_rendered_ahead() -> None:
    voice = ToneVoice(ready=False, delay_s=0.7)
    await conversation(OneStateFlow(MATCHED), voice=voice).speculate(1, ("сто",), PHONE)
    assert anyio.current_time() == pytest.approx(0.7)


@pytest.mark.anyio
async def test_a_turn_reports_what_was_said_decided_and_heard() -> None:
    entry = Turn(3, "scenario", "ask", own=("сток", "сто"), ended_because="complete")
    for name, at_s in (("t_eos", 10.0), ("t6", 10.25)):
        entry.timeline.mark(name, at_s)  # type: ignore[arg-type]
    settled = Settled(1, "reply", "cut", "дальше что", "дальше", 10.25, 11.0, last=True)
    unanswered = entry.finished(settled, "ask")
    assert (unanswered.path, unanswered.user_text, unanswered.intent) == ("scenario", "сток", None)
    entry.decision = await router(MATCHED).decide(SESSION, ("сток", "сто"))
    turn = entry.finished(settled, "next")
    assert (turn.user_text, turn.intent, turn.entities["number"]) == ("сто", "answer", 150.0)
    assert (turn.outcome, turn.reply_text, turn.heard_text) == ("cut", "дальше что", "дальше")
    assert turn.response_ms == pytest.approx(250.0)
    assert (turn.state_before, turn.state_after) == ("ask", "next")


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_thread_worker_returns_what_the_work_returns_and_lets_its_errors_out() -> None:
    with ThreadWorker(1, "lab") as worker:
        assert await worker.run(lambda: 6 * 7) == 42
        with pytest.raises(ZeroDivisionError):
            await worker.run(lambda: 1 / 0)


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_thread_that_hangs_is_left_behind() -> None:
    release = threading.Event()
    with ThreadWorker(1, "lab", join_s=0.01) as worker:
        with anyio.move_on_after(0.01) as waiting:
            await worker.run(release.wait)
        assert waiting.cancelled_caught
    hung = next(thread for thread in threading.enumerate() if thread.name == "lab_0")
    assert hung.daemon
    release.set()
    hung.join()


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_thread_worker_works_for_the_call_that_asked() -> None:
    with ThreadWorker(1, "lab") as worker:
        with call_context("a"):
            assert await worker.run(current_call) == "a"
        assert await worker.run(current_call) is None
