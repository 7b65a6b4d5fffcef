"""One call from greeting to hang-up.

Everything the call learns becomes an event on its one bounded queue; the turn loop takes them one by one, asks the
turn machine, and carries out its effects. It is the only writer of the call's state (DESIGN section 2).
"""

from __future__ import annotations

import asyncio
import logging
import math
from typing import Literal

import anyio
from anyio.abc import TaskGroup

from kamerton.domain.audio import AudioFrame
from kamerton.domain.errors import EngineError
from kamerton.domain.media import CallMedia
from kamerton.domain.notices import (
    CallFinished,
    CallStarted,
    ErrorOccurred,
    MindState,
    MindStateChanged,
    Notice,
)
from kamerton.domain.recognition import Final, Partial, SttFailed, SttReconnected, SttStream, UtteranceEnded
from kamerton.listening.listener import Listener
from kamerton.orchestrator import turn_events as ev
from kamerton.orchestrator.call_events import (
    CallEvent,
    EventQueue,
    FarEndGone,
    KeyPressed,
    ReplyFailed,
    ReplyStarted,
)
from kamerton.orchestrator.conversation import Conversation
from kamerton.orchestrator.effects import Effects
from kamerton.orchestrator.floor import Bot, Caller, Floor, Rules
from kamerton.orchestrator.hearing import Hearing
from kamerton.orchestrator.model_reply import FreeTalk
from kamerton.orchestrator.playout import Playout
from kamerton.orchestrator.replies import Replies
from kamerton.orchestrator.services import CallServices
from kamerton.orchestrator.timers import Timers
from kamerton.orchestrator.turn_machine import step
from kamerton.orchestrator.utterance import Settled

log = logging.getLogger(__name__)

_APOLOGY_S = 8.0
_HANG_UP_S = 3.0
_OPEN_EARS_S = 5.0
"""Longest wait for the recogniser's stream; the greeting plays meanwhile."""

EndedBy = Literal["caller", "bot", "error", "shutdown"]


class Orchestrator:
    """Conducts one call; a new one per call. It is the call's `MediaSink`."""

    def __init__(self, media: CallMedia, services: CallServices) -> None:
        self._media = media
        self._services = services
        self._rules = Rules(services.call, services.listening.endpointing)
        self._floor = Floor(bot=Bot.THINKING)
        self._timers = Timers()
        self._queue = EventQueue(services.call.events, self._overflowed)
        # The loop's own clock, bound once: it is read for every frame, and anyio's accessor costs four times as much.
        self._clock = asyncio.get_running_loop().time
        self._playout = Playout(media, self._clock, self._queue.post)
        self._free_talk: FreeTalk | None = None
        if services.talk is not None:
            self._free_talk = FreeTalk(services.talk(media.info.call_id), services.voice, media.info.format)
        self._conversation = Conversation(services, media.info.call_id, self._free_talk)
        self._replies = Replies(
            media, services, self._conversation, self._playout, self._queue.post, self._publish, self._free_talk
        )
        self._hearing = Hearing(services, self._conversation, self._publish, self._replies.ahead)
        self._effects = Effects(
            self._playout, self._replies, self._hearing, self._timers, self._conversation, self._publish
        )
        self._effects.duck_gain = services.call.barge_in.duck_gain
        self._effects.filler_gap_s = services.call.patience.filler_gap_ms / 1000
        self._scope = anyio.CancelScope()
        self._ended: tuple[EndedBy, str] | None = None
        self._fault: Exception | None = None

    async def run(self) -> None:
        """Conduct the call to its end. Raises nothing but cancellation; leaves no task, timer or connection behind."""
        info = self._media.info
        started_s = anyio.current_time()
        self._publish(CallStarted(info.call_id, self._services.assistant, info.transport, info.peer))
        ended: tuple[EndedBy, str] = ("shutdown", "the service is stopping")
        try:
            ended = await self._conduct()
        except Exception as error:  # the boundary of a call: its faults end it, politely, and nothing else
            log.exception("call failed")
            ended = ("error", _name_of(error))
            self._publish(ErrorOccurred("Внутренняя ошибка, звонок завершён.", ended[1]))
            await self._apologise()
        finally:
            self._services.metronome.leave(self._tick)
            self._queue.close()
            session = self._conversation.session
            if self._services.sessions is not None and ended[0] in ("caller", "bot"):
                self._services.sessions.forget(info.call_id)
            duration_s = anyio.current_time() - started_s
            finished = CallFinished(
                info.call_id, ended[0], ended[1], duration_s, dict(session.variables), session.current_state_id
            )
            # Told before the line is closed, so that a page learns how its call ended.
            self._publish(finished)
            with anyio.CancelScope(shield=True), anyio.move_on_after(_HANG_UP_S):
                await self._media.hang_up(ended[1])

    def on_audio(self, frame: AudioFrame) -> None:
        """A frame of the caller arrived."""
        if self._effects.listener is not None:
            self._effects.listener.hear(frame)

    def on_dtmf(self, digit: str) -> None:
        """A key was pressed."""
        self._queue.post(KeyPressed(digit))

    def on_interrupt(self) -> None:
        """The caller pressed «stop talking»."""
        self._queue.post(ev.StopPressed())

    def on_hold(self, held: bool) -> None:
        """The far end put the call on hold, or took it back."""

    def on_hang_up(self, reason: str) -> None:
        """The far end is gone."""
        self._queue.post(FarEndGone(reason))

    async def _conduct(self) -> tuple[EndedBy, str]:
        self._services.metronome.join(self._tick)
        self._playout.started = self._replies.on_started
        try:
            with self._scope:
                async with anyio.create_task_group() as tasks:
                    self._replies.start(tasks)
                    await self._listen()
                    tasks.cancel_scope.cancel()
        finally:
            if self._effects.listener is not None:
                self._effects.listener.close()
            self._settle_rest()
            if self._free_talk is not None:
                with anyio.CancelScope(shield=True), anyio.move_on_after(_HANG_UP_S):
                    await self._free_talk.shutdown()
        if self._fault is not None:
            raise self._fault
        return self._ended or ("error", "the event queue overflowed")

    async def _listen(self) -> None:
        """Run the turn loop with the recogniser open."""
        with anyio.CancelScope(deadline=anyio.current_time() + _OPEN_EARS_S) as opening:
            stt = self._services.stt.open(self._media.info.format)
            async with stt as stream, anyio.create_task_group() as ears:
                opening.deadline = math.inf
                self._open_ears(ears, stream)
                await self._turn_loop()
                ears.cancel_scope.cancel()
        if opening.cancelled_caught:
            raise EngineError(f"the recogniser did not open within {_OPEN_EARS_S:g} s; check its engine or its network")

    def _tick(self, frames: int) -> None:
        """Write due frames. A fault ends this call; the clock, which all calls share, goes on."""
        try:
            self._playout.tick(frames)
            if self._effects.listener is not None:
                self._effects.listener.tick(self._clock())
        except Exception as error:  # the boundary between a call and the clock
            self._fault = self._fault or error
            self._scope.cancel()

    def _open_ears(self, ears: TaskGroup, stream: SttStream) -> None:
        services = self._services
        audio_format = self._media.info.format
        self._effects.listener = Listener(
            audio_format, services.vad, stream, services.listening, self._clock, self._queue.post
        )
        ears.start_soon(self._hear_transcripts, stream)
        patience = services.call.patience
        self._timers.arm("call_limit", anyio.current_time() + patience.call_limit_s)
        self._timers.arm("think", anyio.current_time() + patience.think_deadline_s)
        self._playout.sent = self._effects.listener.said
        self._media.start(self)

    async def _hear_transcripts(self, stream: SttStream) -> None:
        async for event in stream:
            self._queue.post(event)

    async def _turn_loop(self) -> None:
        while self._ended is None:
            event = await self._queue.next_before(self._timers.next_s)
            if event is not None:
                self._learn(event)
            else:
                self._fire_timers()

    def _fire_timers(self) -> None:
        while self._ended is None and (name := self._timers.take_due(anyio.current_time())) is not None:
            if name == "dtmf":
                self._keys_finished()
            else:
                self._step(ev.TimerFired(name))

    def _learn(self, event: CallEvent) -> None:
        match event:
            case Partial() | Final() | SttFailed():
                self._words(event)
            case UtteranceEnded() | SttReconnected():
                pass
            case Settled():
                self._settled(event)
            case ReplyStarted() | ReplyFailed():
                self._reply(event)
            case KeyPressed(digit):
                self._key(digit)
            case FarEndGone(reason):
                self._end("caller", reason)
            case _:
                self._step(event)

    def _step(self, event: ev.MachineEvent) -> None:
        before = self._floor
        now_s = anyio.current_time()
        self._floor, effects = step(before, event, now_s, self._rules)
        for effect in effects:
            if isinstance(effect, ev.EndCall):
                self._end("bot", effect.reason)
            else:
                self._effects.apply(effect)
        self._show_mind(before)

    def _words(self, event: Partial | Final | SttFailed) -> None:
        floor = self._floor
        if isinstance(event, Partial):
            if event.turn == floor.turn and floor.caller in (Caller.SPEAKING, Caller.PAUSED):
                since_onset_ms = (anyio.current_time() - floor.onset_s) * 1000
                sound_ms = floor.spoken_ms if floor.caller is Caller.PAUSED else since_onset_ms
                self._step(self._hearing.partial(event, floor.contested, sound_ms))
            return
        current = event.turn == floor.turn and floor.caller is Caller.FINISHED
        final = self._hearing.final(event, current, anyio.current_time())
        if final is not None:
            self._step(final)

    def _settled(self, settled: Settled) -> None:
        self._replies.settled(settled)
        filler = settled.source == "filler"
        if filler or settled.outcome in ("played", "failed"):
            self._step(ev.BotSettled(filler, settled.outcome == "played", settled.last))

    def _reply(self, event: ReplyStarted | ReplyFailed) -> None:
        if isinstance(event, ReplyFailed):
            self._publish(ErrorOccurred("Не получилось озвучить ответ.", event.reason))
        if self._replies.current is not event.exchange or self._floor.bot is not Bot.THINKING:
            return
        if isinstance(event, ReplyFailed):
            self._step(ev.TimerFired("think"))
            return
        self._replies.commit(event.exchange)
        self._hearing.answered()
        self._step(ev.ReplyReady(event.interruptible, event.closing))

    def _key(self, digit: str) -> None:
        now_s = anyio.current_time()
        self._step(ev.KeysPressed(first=not self._hearing.typing))
        if self._floor.caller is not Caller.FINISHED:
            return
        finished = self._hearing.key(digit, now_s, self._floor.turn)
        gap_s = 0.0 if finished else self._services.call.patience.dtmf_gap_s
        self._timers.arm("dtmf", now_s + gap_s)

    def _keys_finished(self) -> None:
        self._step(self._hearing.keys_finished(self._floor.turn, anyio.current_time()))

    def _show_mind(self, before: Floor) -> None:
        after = self._floor
        listening = after.bot is Bot.QUIET and after.caller in (Caller.QUIET, Caller.SPEAKING, Caller.PAUSED)
        was = before.bot is Bot.QUIET and before.caller in (Caller.QUIET, Caller.SPEAKING, Caller.PAUSED)
        if listening and not was:
            self._publish(MindStateChanged(MindState.LISTENING))

    def _publish(self, notice: Notice) -> None:
        self._media.notify(notice)
        for observer in self._services.observers:
            observer.observe(self._media.info.call_id, notice)

    def _end(self, by: EndedBy, reason: str) -> None:
        self._ended = self._ended or (by, reason)

    def _overflowed(self) -> None:
        """The turn loop is stuck: end the call from outside of it."""
        self._scope.cancel()

    def _settle_rest(self) -> None:
        """The call ends: settle what was still being said, so that every utterance has its outcome."""
        self._take_settled()
        self._playout.cut()
        self._take_settled()
        self._publish(MindStateChanged(MindState.IDLE))

    def _take_settled(self) -> None:
        while (event := self._queue.take_nowait()) is not None:
            if isinstance(event, Settled):
                self._replies.settled(event)

    async def _apologise(self) -> None:
        """Say the prepared apology of a call that failed, if its audio is at hand."""
        self._playout.cut()
        clip = self._services.voice.cached(self._services.phrases["apology"], self._media.info.format)
        if clip is None:
            return
        self._playout.utter("prompt", clip)
        deadline_s = anyio.current_time() + _APOLOGY_S
        while self._playout.busy and anyio.current_time() < deadline_s:
            await self._queue.next_before(deadline_s)


def _name_of(error: Exception) -> str:
    """The name of a fault; of the first one where a task group gathered several."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return type(error).__name__
