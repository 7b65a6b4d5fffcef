"""A laboratory for calls: the real orchestrator between a scripted caller and engines that behave, on any clock.

On the virtual loop half a minute of talk takes milliseconds and every instant is exact. The caller's "speech" is a
tone, which the lab's VAD model takes for speech; what the recogniser makes of it is scripted.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Final, TypeVar

import anyio
import numpy as np

from kamerton.audio.tone import tone
from kamerton.domain.audio import FRAME_MS, PHONE, AudioFormat, Clip, Segment
from kamerton.domain.call_scope import call_context
from kamerton.domain.dialogue import (
    Completeness,
    Expectation,
    FlowResult,
    FlowStep,
    IntentResult,
    PlaylistItem,
    SessionState,
    UserTurn,
)
from kamerton.domain.errors import EngineError
from kamerton.domain.media import CallInfo
from kamerton.domain.notices import CallObserver, Notice
from kamerton.domain.recognition import SpeechToText
from kamerton.domain.synthesis import SpeechChunk
from kamerton.domain.work import Worker
from kamerton.listening.listener import ListeningSettings
from kamerton.listening.silero import Floats, VadModel
from kamerton.listening.vad import VadBatcher
from kamerton.orchestrator.metronome import Metronome
from kamerton.orchestrator.model_reply import Talk
from kamerton.orchestrator.orchestrator import Orchestrator
from kamerton.orchestrator.recent_calls import RecentCalls
from kamerton.orchestrator.router import AnswerSources, Router
from kamerton.orchestrator.services import CallServices, ModelAnswers, Sessions, Voice
from kamerton.orchestrator.settings import CallSettings
from kamerton.orchestrator.stopping import Stopping
from kamerton.orchestrator.workers import InlineWorker
from kamerton.testing.loopback_media import FarBuffer, LoopbackMedia
from kamerton.vendors.metering import UsageLedger

_FRAME_S: Final = FRAME_MS / 1000
N = TypeVar("N")

LAB_PHRASES: Final[Mapping[str, str]] = {
    "still_there": "вы ещё на линии",
    "silence_goodbye": "не слышу вас до свидания",
    "cannot_hear": "плохо слышу вас",
    "line_goodbye": "очень шумно до свидания",
    "recognition_goodbye": "не могу разобрать речь до свидания",
    "service_goodbye": "нужно прервать разговор до свидания",
    "apology": "простите у нас неполадка",
    "max_length": "время разговора вышло",
    "not_heard": "не расслышала",
    "offer": "этого я не знаю",
    "busy": "все линии заняты",
    "operator_unavailable": "оператора сейчас нет",
    "non_secure_response": "об этом не говорю",
    "model_failed": "не могу ответить",
}


class EnergyVadModel:
    """A `VadModel` for which anything loud is speech."""

    def infer(self, rate_hz: int, windows: Floats, state: Floats) -> tuple[Floats, Floats]:
        """Judge by level alone."""
        loud = np.sqrt(np.mean(windows**2, axis=1)) > 0.01
        return np.where(loud, np.float32(0.95), np.float32(0.02)), state


@dataclass(slots=True)
class ToneVoice:
    """A `Voice` that says every text as a tone of 60 ms per character, one segment per clause («, » ends one)."""

    ready: bool = True
    """Everything is in the cache. Otherwise each text takes `delay_s` to its first audio."""
    delay_s: float = 0.0
    failing: tuple[str, ...] = ()
    """Texts that cannot be said."""

    def cached(self, text: str, audio_format: AudioFormat) -> Clip | None:
        """The clip, if everything is ready."""
        return self._clip(text, audio_format) if self.ready and text not in self.failing else None

    async def clip(self, text: str, audio_format: AudioFormat) -> Clip:
        """The clip after the delay."""
        await anyio.sleep(self.delay_s)
        if text in self.failing:
            raise EngineError("the lab's voice was told to fail on this text")
        return self._clip(text, audio_format)

    async def stream(self, text: str, audio_format: AudioFormat) -> AsyncGenerator[SpeechChunk, None]:
        """One chunk per clause after the delay."""
        clip = await self.clip(text, audio_format)
        start = 0
        for segment in clip.segments:
            end = start + segment.samples * 2
            yield SpeechChunk(clip.pcm[start:end], audio_format, segment.text)
            start = end

    async def speak(self, pieces: AsyncIterable[str], audio_format: AudioFormat) -> AsyncGenerator[SpeechChunk, None]:
        """One chunk per clause, each after the delay."""
        rest = ""
        async with aclosing(_generated(pieces)) as texts:
            async for piece in texts:
                *clauses, rest = (rest + piece).split(", ")
                for clause in clauses:
                    yield await self._chunk(clause, audio_format)
        if rest:
            yield await self._chunk(rest, audio_format)

    async def _chunk(self, clause: str, audio_format: AudioFormat) -> SpeechChunk:
        clip = await self.clip(clause, audio_format)
        return SpeechChunk(clip.pcm, audio_format, clause)

    @staticmethod
    def _clip(text: str, audio_format: AudioFormat) -> Clip:
        pieces = [(part, tone(440.0, 60.0 * len(part), audio_format)) for part in text.split(", ")]
        segments = tuple(Segment(part, len(pcm) // 2) for part, pcm in pieces)
        return Clip(b"".join(pcm for _, pcm in pieces), audio_format, segments)


async def _generated(pieces: AsyncIterable[str]) -> AsyncGenerator[str, None]:
    async for piece in pieces:
        yield piece


@dataclass(slots=True)
class EchoFlow:
    """A scenario of one state that answers «ответ на …» to whatever is said; «пока» ends the call."""

    greeting: str = "добрый день, слушаю вас"
    interruptible: bool = True
    expects: Expectation = field(default_factory=Expectation)
    knows: tuple[str, ...] | None = None
    """What it has a line for; None: whatever is said."""

    def begin(self, call_id: str) -> FlowStep:
        """Greet."""
        session = SessionState(call_id, "lab", "talk")
        return self._step(session, self.greeting)

    def expectation(self, session: SessionState) -> Expectation:
        """As configured."""
        return self.expects

    def step(self, session: SessionState, turn: UserTurn) -> FlowStep:
        """Answer, and remember what was said."""
        if self.knows is not None and turn.text not in self.knows:
            return replace(self._step(session, "не поняла"), matched=False)
        said = (*session.variables.get("said", ()), turn.text)
        heard = replace(session, variables={"said": said})
        action = "END_CALL" if turn.text == "пока" else None
        return replace(self._step(heard, f"ответ на {turn.text}, это всё что я знаю об этом"), action=action)

    def reprompt(self, session: SessionState) -> tuple[PlaylistItem, ...]:
        """Ask on."""
        return (PlaylistItem("tts", "что ещё"),)

    def _step(self, session: SessionState, text: str) -> FlowStep:
        return FlowStep(FlowResult.SUCCESS, session, (PlaylistItem("tts", text),), interruptible=self.interruptible)


class EchoUnderstanding:
    """Understands nothing in particular: every utterance is the intent `echo`."""

    def understand(
        self, readings: Sequence[str], expectation: Expectation, previous_leader: str | None
    ) -> IntentResult:
        """The first reading."""
        return IntentResult("echo", 1.0, text=readings[0])


def lab_completeness(text: str, expectation: Expectation) -> Completeness:
    """Words ending in «…» are open, in «.» complete, all others plausible."""
    if not text:
        return Completeness.UNKNOWN
    if text.endswith("…"):
        return Completeness.OPEN
    return Completeness.COMPLETE if text.endswith(".") else Completeness.PLAUSIBLE


@dataclass(slots=True)
class LabCall:
    """A running call: what the caller does, and everything that came of it."""

    media: LoopbackMedia
    started_s: float
    stopping: Stopping
    """Begin it to stop the service."""
    speech: list[tuple[float, float]] = field(default_factory=list)
    gaps: list[tuple[float, float]] = field(default_factory=list)

    def says(self, start_s: float, end_s: float) -> None:
        """The caller speaks between two instants, in seconds since the call's start."""
        self.speech.append((start_s, end_s))

    def sends_nothing(self, start_s: float, end_s: float) -> None:
        """No frame arrives between two instants: a gap of the network, or a phone that saves them in silence."""
        self.gaps.append((start_s, end_s))

    async def until(self, at_s: float) -> None:
        """Wait until an instant of the call."""
        await anyio.sleep_until(self.started_s + at_s)

    @property
    def notices(self) -> list[tuple[float, Notice]]:
        """Everything that was published, with its instant in the call."""
        return [(at_s - self.started_s, notice) for at_s, notice in self.media.notices]

    def of_kind(self, kind: type[N]) -> list[N]:
        """The notices of one kind."""
        return [notice for _, notice in self.media.notices if isinstance(notice, kind)]

    def loud_at(self, at_s: float) -> float:
        """Peak of what the caller hears at an instant of the call, 0 to 32767."""
        for frame in reversed(self.media.heard):
            if frame.at_s - self.started_s <= at_s + 1e-9:
                return float(np.abs(np.frombuffer(frame.pcm, dtype=np.int16).astype(np.int32)).max(initial=0))
        return 0.0


@dataclass(frozen=True, slots=True)
class LineEcho:
    """What the caller hears comes back, softer and later."""

    return_loss_db: float
    delay_s: float

    def of(self, call: LabCall, at_s: float) -> Floats:
        """20 ms of echo at an instant of the call."""
        source_s = call.started_s + at_s - self.delay_s
        for frame in reversed(call.media.heard):
            if frame.at_s <= source_s + 1e-9:
                if frame.at_s < source_s - _FRAME_S + 1e-9 or len(frame.pcm) != PHONE.frame_bytes:
                    break
                return np.frombuffer(frame.pcm, "<i2") * np.float32(10 ** (-self.return_loss_db / 20))
        return np.zeros(PHONE.frame_samples, dtype=np.float32)


def _within(spans: Sequence[tuple[float, float]], at_s: float) -> bool:
    return any(start_s <= at_s + 1e-9 < end_s - 1e-9 for start_s, end_s in spans)


@dataclass(slots=True)
class CallLab:
    """Makes calls. Change its fields before `call`."""

    stt: SpeechToText
    echo: LineEcho | None = None
    room: bytes = b""
    """What sounds around the caller all the time, 16-bit at 8 kHz; begins anew when it is over."""
    vad_model: VadModel = field(default_factory=EnergyVadModel)
    flow: EchoFlow = field(default_factory=EchoFlow)
    router: Router | None = None
    """Decides instead of `flow`: a real assistant's router."""
    voice: Voice = field(default_factory=ToneVoice)
    phrases: Mapping[str, str] = field(default_factory=lambda: LAB_PHRASES)
    completeness: Callable[[str, Expectation], Completeness] | None = None
    call_settings: CallSettings = field(default_factory=CallSettings)
    listening: ListeningSettings = field(default_factory=ListeningSettings)
    far_buffer: FarBuffer = field(default_factory=FarBuffer)
    observers: tuple[CallObserver, ...] = ()
    sources: AnswerSources = field(default_factory=AnswerSources)
    talk: Callable[[str], Talk] | None = None
    model_answers: ModelAnswers | None = None
    sessions: Sessions | None = None
    recent: RecentCalls = field(default_factory=RecentCalls)
    ledger: UsageLedger = field(default_factory=UsageLedger)
    """Counts what the engines tell it of each call."""
    vad_worker: Worker = field(default_factory=InlineWorker)
    brain_worker: Worker = field(default_factory=InlineWorker)
    make_media: Callable[[CallInfo, FarBuffer], LoopbackMedia] = LoopbackMedia
    fillers: Mapping[str, Sequence[str]] = field(
        default_factory=lambda: {"thinking": ("секунду",), "still_working": ("ещё ищу", "почти готово")}
    )

    @asynccontextmanager
    async def call(self) -> AsyncIterator[LabCall]:
        """A call that runs until the block ends, when the caller hangs up; at the end nothing of it is left."""
        async with self.calls(1) as (call,):
            yield call

    @asynccontextmanager
    async def calls(self, count: int) -> AsyncIterator[tuple[LabCall, ...]]:
        """Calls at once on one engine, as in one process; all callers hang up when the block ends."""
        async with anyio.create_task_group() as engine:
            metronome = Metronome(phases=1)
            vad = VadBatcher(self.vad_model, self.vad_worker)
            engine.start_soon(metronome.run)
            engine.start_soon(vad.run)
            services = self._services(metronome, vad)
            async with anyio.create_task_group() as callers:
                medias = [
                    self.make_media(CallInfo(f"lab-{number}" if number else "lab", "loopback", PHONE), self.far_buffer)
                    for number in range(count)
                ]
                calls = tuple(LabCall(media, anyio.current_time(), services.stopping) for media in medias)
                for call in calls:
                    callers.start_soon(self._speak, call)
                async with anyio.create_task_group() as conducted:
                    for media in medias:
                        conducted.start_soon(self._conduct, media, services)
                    yield calls
                    for media in medias:
                        media.leave()
                callers.cancel_scope.cancel()
            engine.cancel_scope.cancel()

    async def _conduct(self, media: LoopbackMedia, services: CallServices) -> None:
        call_id = media.info.call_id
        with call_context(call_id), self.ledger.account(call_id):
            await Orchestrator(media, services).run()

    async def _speak(self, call: LabCall) -> None:
        """Send 20 ms of tone or silence every 20 ms, as a phone would, with the line's echo."""
        silence = PHONE.silence()
        voice = tone(200.0, FRAME_MS * 50, PHONE, level_dbfs=-15.0)[PHONE.frame_bytes : 2 * PHONE.frame_bytes]
        frame = 0
        while True:
            frame += 1
            await anyio.sleep_until(call.started_s + frame * _FRAME_S)
            at_s = (frame - 1) * _FRAME_S
            if _within(call.gaps, at_s):
                continue
            pcm = voice if _within(call.speech, at_s) else silence
            if self.room:
                pcm = self._in_room(pcm, frame - 1)
            if self.echo is not None:
                pcm = (np.frombuffer(pcm, "<i2") + self.echo.of(call, at_s)).astype("<i2").tobytes()
            call.media.speak(pcm)

    def _in_room(self, pcm: bytes, frame: int) -> bytes:
        size = PHONE.frame_bytes
        start = frame % (len(self.room) // size) * size
        around = np.frombuffer(self.room[start : start + size], "<i2").astype(np.int32)
        return np.clip(np.frombuffer(pcm, "<i2") + around, -32768, 32767).astype("<i2").tobytes()

    def _services(self, metronome: Metronome, vad: VadBatcher) -> CallServices:
        return CallServices(
            assistant="lab",
            language="ru",
            router=self.router or Router(self.flow, EchoUnderstanding(), LAB_PHRASES, self.brain_worker, self.sources),
            voice=self.voice,
            stt=self.stt,
            vad=vad,
            metronome=metronome,
            observers=self.observers,
            phrases=self.phrases,
            fillers=self.fillers,
            completeness=self.completeness or lab_completeness,
            is_backchannel=lambda text, language: text in ("угу", "ага"),
            call=self.call_settings,
            listening=self.listening,
            talk=self.talk,
            model_answers=self.model_answers,
            sessions=self.sessions,
            recent=self.recent,
            bill=self.ledger.bill,
        )
