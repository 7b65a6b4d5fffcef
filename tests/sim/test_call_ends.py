"""However and whenever a call ends, nothing of it is left and everything that was said has its outcome."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest

from kamerton.domain.notices import CallFinished, MindState, MindStateChanged, Notice, TranscriptUpdated, TurnFinished
from kamerton.stt.standins.scripted import ScriptedSpeechToText, ScriptedTurn
from kamerton.testing.call_lab import CallLab, LabCall, ToneVoice
from kamerton.testing.loopback_media import FarBuffer
from kamerton.testing.virtual_loop import VirtualLoop

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> object:
    return ("asyncio", {"loop_factory": VirtualLoop})


def busy_lab() -> CallLab:
    """Slow words, a filler, an interruption, a continued turn: something goes on at every instant."""
    turns = (
        ScriptedTurn("первое.", partial_after_ms=1100, final_after_ms=1100),
        ScriptedTurn("стойте. второе.", partial_after_ms=80),
        ScriptedTurn("третье.", partial_after_ms=40),
    )
    calls = CallLab(ScriptedSpeechToText(turns))
    calls.voice = ToneVoice(ready=False, delay_s=0.15)
    return calls


def talk(call: LabCall) -> None:
    call.says(0.4, 1.4)
    call.says(3.7, 4.8)
    call.says(5.1, 5.5)
    call.says(6.4, 6.46)


def assert_settled(call: LabCall) -> None:
    bot = [notice for notice in call.of_kind(TranscriptUpdated) if notice.speaker == "bot"]
    assert sum(not notice.final for notice in bot) <= sum(notice.final for notice in bot)
    assert sum(notice.final for notice in bot) == len(call.of_kind(TurnFinished))
    for turn in call.of_kind(TurnFinished):
        assert turn.reply_text.split()[: len(turn.heard_text.split())] == turn.heard_text.split()
    assert len(call.of_kind(CallFinished)) == 1
    assert isinstance(call.media.notices[-1][1], CallFinished)


@pytest.mark.parametrize("far_buffer", [FarBuffer(), FarBuffer(40.0, can_clear=False)], ids=["direct", "far"])
@pytest.mark.parametrize("at_ms", [0, 20, *range(50, 8000, 530)])
async def test_the_caller_may_hang_up_at_any_instant(at_ms: int, far_buffer: FarBuffer) -> None:
    calls = busy_lab()
    calls.far_buffer = far_buffer
    async with calls.call() as call:
        talk(call)
        await call.until(at_ms / 1000)
    assert_settled(call)
    assert call.of_kind(CallFinished)[0].ended_by == "caller"
    assert anyio.current_time() - call.started_s == pytest.approx(at_ms / 1000, abs=1e-6)


@pytest.mark.parametrize("at_ms", [0, 20, *range(130, 8000, 1110)])
async def test_the_service_may_stop_at_any_instant(at_ms: int) -> None:
    kept: list[LabCall] = []
    with anyio.CancelScope() as service:
        async with busy_lab().call() as call:
            kept.append(call)
            talk(call)
            await call.until(at_ms / 1000)
            service.cancel()
            await anyio.lowlevel.checkpoint()
    (call,) = kept
    assert_settled(call)
    assert call.of_kind(CallFinished)[0].ended_by == "shutdown"
    assert call.media.goodbye


class Collector:
    """Keeps every notice by call."""

    def __init__(self) -> None:
        self.kept: dict[str, list[Notice]] = {}

    def observe(self, call_id: str, notice: Notice) -> None:
        self.kept.setdefault(call_id, []).append(notice)


async def test_twenty_calls_share_one_clock_and_do_not_mix() -> None:
    scripts = [(ScriptedTurn(f"слово {number}."),) for number in range(20)]
    calls = CallLab(ScriptedSpeechToText(*scripts))
    collector = Collector()
    calls.observers = (collector,)
    async with calls.calls(20) as many:
        for number, call in enumerate(many):
            call.says(3.0 + number * 0.013, 4.0 + number * 0.017)
        await many[0].until(9.0)
    said = sorted(turn.user_text for call in many for turn in call.of_kind(TurnFinished) if turn.path == "scenario")
    assert said == sorted(f"слово {number}." for number in range(20))
    for call in many:
        assert_settled(call)
        answers = [turn for turn in call.of_kind(TurnFinished) if turn.path == "scenario"]
        assert [turn.outcome for turn in answers] == ["played"]
        assert answers[0].response_ms is not None
        assert answers[0].response_ms <= 260
        assert collector.kept[call.media.info.call_id] == [notice for _, notice in call.media.notices]
        assert len(call.media.sent) == pytest.approx(9.0 * 50, abs=2)


async def test_a_call_that_ends_shows_an_idle_mind() -> None:
    async with busy_lab().call() as call:
        await call.until(1.0)
    assert call.of_kind(MindStateChanged)[-1].state is MindState.IDLE


@pytest.mark.parametrize(("said", "comes_back"), [("сто.", True), ("пока", False)])
async def test_a_dialogue_that_said_its_good_bye_is_not_gone_on_with(said: str, comes_back: bool) -> None:
    calls = CallLab(ScriptedSpeechToText([ScriptedTurn(said)]))
    async with calls.call() as call:
        call.says(4.0, 5.0)
        await call.until(6.5)
    assert call.of_kind(TurnFinished)[-1].outcome == "cut"
    assert (calls.recent.take("lab") is not None) is comes_back
