"""Every call ends in bounded time, whatever any part of it does from whatever moment on; and no call harms another."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field, replace
from typing import Final, TypeVar

import anyio
import pytest

from kamerton.domain.audio import AudioFormat, Clip
from kamerton.domain.dialogue import FlowStep, SessionState, UserTurn
from kamerton.domain.errors import EngineError
from kamerton.domain.media import CallInfo, PlayoutPosition
from kamerton.domain.notices import CallFinished, Notice
from kamerton.domain.synthesis import SpeechChunk
from kamerton.orchestrator.settings import CallSettings
from kamerton.stt.standins.faulty import FaultySpeechToText, StreamFaults
from kamerton.stt.standins.scripted import ScriptedSpeechToText, ScriptedTurn
from kamerton.testing.call_lab import CallLab, EchoFlow, LabCall, ToneVoice
from kamerton.testing.loopback_media import FarBuffer, LoopbackMedia
from kamerton.testing.virtual_loop import VirtualLoop

pytestmark = pytest.mark.anyio
T = TypeVar("T")

CALL_LIMIT_S = 18.0
ENDED_BY_S = CALL_LIMIT_S + CallSettings().patience.goodbye_s + 12.0
"""The limit, its good-bye, an apology and a hang-up that hang."""
MOMENTS = {
    "greeting": 0.3,
    "interrupted": 0.95,
    "thinking": 1.75,
    "answering": 3.0,
    "speaking": 5.6,
    "filling": 7.5,
    "silent": 12.0,
}


@pytest.fixture
def anyio_backend() -> object:
    return ("asyncio", {"loop_factory": VirtualLoop})


@dataclass(slots=True)
class Switch:
    """From an instant on a part is not what it was."""

    mode: str
    from_s: float
    begun_s: float = field(default_factory=anyio.current_time)

    @property
    def on(self) -> bool:
        return anyio.current_time() - self.begun_s >= self.from_s

    async def act(self, usual_s: float = 0.1) -> None:
        """Fail, hang or take a hundred times as long, if the time has come."""
        if not self.on:
            return
        if self.mode == "hangs":
            await anyio.sleep_forever()
        if self.mode == "slow":
            await anyio.sleep(usual_s * 100)
        self.strike()

    def strike(self) -> None:
        if self.on and self.mode == "fails":
            raise EngineError("the part was told to fail")
        if self.on and self.mode == "raises":
            raise ZeroDivisionError("a bug of the part")


class SwitchedVoice(ToneVoice):
    """Nothing is at hand any more, and what is asked for comes late, not at all, or fails."""

    def __init__(self, switch: Switch) -> None:
        super().__init__()
        self.switch = switch

    def cached(self, text: str, audio_format: AudioFormat) -> Clip | None:
        return None if self.switch.on else ToneVoice.cached(self, text, audio_format)

    async def clip(self, text: str, audio_format: AudioFormat) -> Clip:
        await self.switch.act()
        return await ToneVoice.clip(self, text, audio_format)

    async def stream(self, text: str, audio_format: AudioFormat) -> AsyncGenerator[SpeechChunk, None]:
        clip = await ToneVoice.clip(self, text, audio_format)
        half = len(clip.pcm) // 4 * 2
        await self.switch.act()
        yield SpeechChunk(clip.pcm[:half], audio_format, text)
        await self.switch.act()
        yield SpeechChunk(clip.pcm[half:], audio_format, "")


class SwitchedFlow(EchoFlow):
    """A brain with a bug."""

    def __init__(self, switch: Switch) -> None:
        super().__init__()
        self.switch = switch

    def step(self, session: SessionState, turn: UserTurn) -> FlowStep:
        self.switch.strike()
        return EchoFlow.step(self, session, turn)


class SwitchedWorker:
    """Threads that hang, are slow, or raise."""

    def __init__(self, switch: Switch) -> None:
        self.switch = switch

    async def run(self, work: Callable[[], T]) -> T:
        await self.switch.act(0.003)
        return work()


class SwitchedMedia(LoopbackMedia):
    """A transport with a bug in one of its methods."""

    def __init__(self, info: CallInfo, far_buffer: FarBuffer, method: str, switch: Switch) -> None:
        super().__init__(info, far_buffer)
        self.method = method
        self.switch = switch

    def send(self, pcm: bytes) -> None:
        self._strike("send")
        super().send(pcm)

    def notify(self, notice: Notice) -> None:
        self._strike("notify")
        super().notify(notice)

    def clear(self) -> None:
        self._strike("clear")
        super().clear()

    def position(self) -> PlayoutPosition:
        place = super().position()
        if self.method == "position" and self.switch.mode == "stuck" and self.switch.on:
            return PlayoutPosition(place.sent_samples, place.sent_samples)
        self._strike("position")
        return place

    async def hang_up(self, reason: str) -> None:
        if self.method == "hang_up":
            await self.switch.act()
        await super().hang_up(reason)

    def _strike(self, method: str) -> None:
        if method == self.method:
            self.switch.strike()


class SwitchedObserver:
    def __init__(self, switch: Switch) -> None:
        self.switch = switch

    def observe(self, call_id: str, notice: Notice) -> None:
        if call_id == "lab":
            self.switch.strike()


class SwitchedSessions:
    def __init__(self, switch: Switch) -> None:
        self.switch = switch

    def keep(self, session: SessionState) -> None:
        self.switch.strike()

    def forget(self, call_id: str) -> None:
        self.switch.strike()


def turns() -> tuple[ScriptedTurn, ...]:
    return (
        ScriptedTurn("первое.", partial_after_ms=200),
        ScriptedTurn("второе.", partial_after_ms=1800, final_after_ms=1800),
        ScriptedTurn("третье."),
    )


def lab(part: str, mode: str, from_s: float) -> CallLab:
    """A lab with one part that fails in one way from an instant on."""
    switch = Switch(mode, from_s)
    calls = CallLab(ScriptedSpeechToText(turns()))
    calls.call_settings = CallSettings(patience=replace(CallSettings().patience, call_limit_s=CALL_LIMIT_S))
    match part:
        case "recogniser":
            at = {"ends": "ends_after_s", "fails": "breaks_after_s", "push": "push_breaks_after_s"}
            first = StreamFaults(**{at.get(mode, "silent_after_s"): from_s})  # type: ignore[arg-type]
            gone = [StreamFaults(refuses="it is gone")] * (0 if mode == "silent" else 20)
            calls.stt = FaultySpeechToText(calls.stt, first, *gone)
        case "voice":
            calls.voice = SwitchedVoice(switch)
        case "flow":
            calls.flow = SwitchedFlow(switch)
        case "brain":
            calls.brain_worker = SwitchedWorker(switch)
        case "ears":
            calls.vad_worker = SwitchedWorker(switch)
        case "observer":
            calls.observers = (SwitchedObserver(switch),)
        case "sessions":
            calls.sessions = SwitchedSessions(switch)
        case method:
            calls.make_media = lambda info, far: (
                SwitchedMedia(info, far, method, switch) if info.call_id == "lab" else LoopbackMedia(info, far)
            )
    return calls


def talk(call: LabCall) -> None:
    """Into the greeting, then a turn whose transcript is slow, then silence."""
    call.says(0.6, 1.5)
    call.says(5.0, 6.0)


FAULTS = [
    *(("recogniser", mode) for mode in ("ends", "fails", "push", "silent")),
    *(("voice", mode) for mode in ("fails", "hangs", "slow", "raises")),
    *(("flow", mode) for mode in ("fails", "raises")),
    *(("brain", mode) for mode in ("hangs", "slow", "raises")),
    *(("ears", mode) for mode in ("hangs", "slow", "raises")),
    *((method, "raises") for method in ("send", "notify", "clear", "position", "hang_up", "observer", "sessions")),
    ("position", "stuck"),
    ("hang_up", "hangs"),
]
SHARED: Final = ("recogniser", "voice", "flow", "brain", "ears", "sessions")
"""Parts that all calls use: when they fail, every call feels it."""


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize(("part", "mode"), FAULTS, ids=[f"{part} {mode}" for part, mode in FAULTS])
async def test_a_call_ends_in_bounded_time_without_a_part(part: str, mode: str, moment: str) -> None:
    async with lab(part, mode, MOMENTS[moment]).calls(2) as (call, other):
        talk(call)
        talk(other)
        await call.until(ENDED_BY_S)
        if part != "hang_up":
            assert call.media.end_reason is not None
        assert other.media.end_reason is not None
    assert [type(notice) for _, notice in call.notices].count(CallFinished) == (0 if part == "notify" else 1)
    if part == "observer":
        assert call.of_kind(CallFinished)[0].ended_by == "bot"
    if part not in SHARED:
        assert other.of_kind(CallFinished)[0].ended_by == "bot"
        assert other.of_kind(CallFinished)[0].variables["said"] == ("первое.", "второе.")
