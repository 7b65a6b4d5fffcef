"""One call from greeting to hang-up.

Everything the call learns becomes an event on its one bounded queue; the turn loop takes them one by one, asks the
turn machine, and carries out its effects. It is the only writer of the call's state (DESIGN section 2).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Literal

import anyio

from kamerton.domain.audio import FRAME_MS, AudioFrame, Clip
from kamerton.domain.errors import EngineError
from kamerton.domain.media import CallMedia
from kamerton.domain.notices import (
    CallFinished,
    CallStarted,
    ConditionNoted,
    ErrorOccurred,
    MindState,
    MindStateChanged,
    Notice,
)
from kamerton.domain.recognition import Final, Partial, SttFailed, SttReconnected, UtteranceEnded
from kamerton.orchestrator import turn_events as ev
from kamerton.orchestrator.call_events import AnswerFailed, CallEvent, EventQueue, FarEndGone, KeyPressed, StreamLost
from kamerton.orchestrator.conversation import Conversation
from kamerton.orchestrator.ears import Ears
from kamerton.orchestrator.effects import Effects
from kamerton.orchestrator.fillers import FillerSchedule
from kamerton.orchestrator.floor import Bot, Floor, Rules
from kamerton.orchestrator.hearing import Hearing, OwnVoice
from kamerton.orchestrator.ledger import Ledger
from kamerton.orchestrator.model_reply import FreeTalk
from kamerton.orchestrator.playout import Playout
from kamerton.orchestrator.replies import Replies
from kamerton.orchestrator.reply import Mouth
from kamerton.orchestrator.services import CallServices
from kamerton.orchestrator.timers import Timers
from kamerton.orchestrator.turn_machine import step
from kamerton.orchestrator.utterance import Settled

log = logging.getLogger(__name__)

_APOLOGY_S = 8.0
_APOLOGY_MADE_S = 2.0
"""Longest wait for an apology that is not at hand."""
_HANG_UP_S = 3.0
_ECHO_REACH_S = 1.0
"""How long after our voice its echo may still be heard."""

EndedBy = Literal["caller", "bot", "error", "shutdown"]


class Orchestrator:
    """Conducts one call; a new one per call. It is the call's `MediaSink`."""

    def __init__(self, media: CallMedia, services: CallServices) -> None:
        self._media = media
        self._services = services
        lag_s = services.stt.capabilities.lag_ms / 1000
        self._rules = Rules(services.call, services.listening.endpointing, lag_s)
        self._floor = Floor(bot=Bot.THINKING)
        self._timers = Timers()
        self._queue = EventQueue(services.call.events, self._overflowed)
        # The loop's own clock, bound once: it is read for every frame, and anyio's accessor costs four times as much.
        self._clock = asyncio.get_running_loop().time
        audio_format = media.info.format
        self._apology = services.voice.cached(services.phrases["apology"], audio_format)
        self._playout = Playout(media, self._clock, self._queue.post)
        self._free_talk: FreeTalk | None = None
        if services.talk is not None:
            self._free_talk = FreeTalk(services.talk(media.info.call_id), services.voice, audio_format)
        ledger = Ledger()
        self._conversation = Conversation(services, media.info.call_id, self._free_talk)
        mouth = Mouth(
            services,
            self._conversation,
            self._playout,
            audio_format,
            self._queue.post,
            self._publish,
            lambda question: self._replies.render_echo(question),
        )
        self._replies = Replies(mouth, ledger, FillerSchedule(services.fillers), self._free_talk)
        self._ears = Ears(services, audio_format, self._clock, self._queue.post, lambda: self._conversation.hint)
        self._hearing = Hearing(
            services, self._conversation, ledger, self._publish, self._replies.ahead, self._own_voice
        )
        self._effects = Effects(
            self._ears, self._hearing, self._replies, self._playout, self._timers, services.call, self._publish
        )
        self._scope = anyio.CancelScope()
        self._ended: tuple[EndedBy, str] | None = None
        self._fault: Exception | None = None
        self._unseen = False

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
            self._publish(ErrorOccurred("Внутренняя ошибка, звонок завершён.", ended[1], part="call"))
            await self._apologise()
        finally:
            self._services.metronome.leave(self._tick)
            self._queue.close()
            self._put_away(ended[0])
            session, duration_s = self._conversation.session, anyio.current_time() - started_s
            variables, state, bill = (
                dict(session.variables),
                session.current_state_id,
                self._services.bill(info.call_id),
            )
            # Told before the line is closed, so that a page learns how its call ended.
            self._publish(CallFinished(info.call_id, ended[0], ended[1], duration_s, variables, state, bill))
            await self._hang_up(ended[1])

    def on_audio(self, frame: AudioFrame) -> None:
        """A frame of the caller arrived."""
        self._ears.hear(frame)

    def on_dtmf(self, digit: str) -> None:
        """A key was pressed."""
        self._queue.post(KeyPressed(digit))

    def on_interrupt(self) -> None:
        """The caller pressed «stop talking»."""
        self._queue.post(ev.StopPressed())

    def on_hold(self, held: bool) -> None:
        """The far end put the call on hold, or took it back."""
        self._queue.post(ev.HoldChanged(held))

    def on_hang_up(self, reason: str) -> None:
        """The far end is gone."""
        self._queue.post(FarEndGone(reason))

    async def _conduct(self) -> tuple[EndedBy, str]:
        self._playout.started = self._replies.on_started
        self._playout.sent = self._ears.said
        self._services.metronome.join(self._tick)
        try:
            with self._scope, self._services.stopping.watched(lambda: self._queue.post(ev.ServiceStopping())):
                async with anyio.create_task_group() as tasks:
                    self._replies.start(tasks)
                    tasks.start_soon(self._ears.run)
                    self._arm_limits()
                    self._media.start(self)
                    await self._turn_loop()
                    tasks.cancel_scope.cancel()
        finally:
            self._ears.close()
            self._replies.close()
            try:
                self._note_line()
                self._settle_rest()
            finally:
                if self._free_talk is not None:
                    with anyio.CancelScope(shield=True), anyio.move_on_after(_HANG_UP_S):
                        await self._free_talk.shutdown()
        if self._fault is not None:
            raise self._fault
        return self._ended or ("shutdown", "the service is stopping")

    def _tick(self, frames: int) -> None:
        """Write due frames. A fault ends this call; the clock, which all calls share, goes on."""
        try:
            self._playout.tick(frames)
            self._ears.tick(self._clock())
        except Exception as error:  # the boundary between a call and the clock
            self._fail(error)

    def _arm_limits(self) -> None:
        patience, now_s = self._services.call.patience, anyio.current_time()
        self._timers.arm("call_limit", now_s + patience.call_limit_s)
        self._timers.arm("think", now_s + patience.think_deadline_s)

    async def _turn_loop(self) -> None:
        while self._ended is None:
            event = await self._queue.next_before(self._timers.next_s)
            if event is not None:
                self._learn(event)
            else:
                self._fire_timers()

    def _fire_timers(self) -> None:
        while self._ended is None and (name := self._timers.take_due(anyio.current_time())) is not None:
            self._step(ev.TimerFired(name))

    def _learn(self, event: CallEvent) -> None:
        match event:
            case Partial() | Final() | SttFailed():
                self._words(event)
            case UtteranceEnded(turn):
                self._step(ev.EngineEndedUtterance(turn))
            case SttReconnected() | StreamLost():
                self._note_recogniser(event)
            case Settled():
                self._settled(event)
            case ev.ReplyReady(turn):
                if self._floor.bot is Bot.THINKING and turn == self._floor.answering:
                    self._replies.commit(turn)
                self._step(event)
            case AnswerFailed(turn, reason):
                self._publish(ErrorOccurred("Не получилось озвучить ответ.", reason, part="tts"))
                self._step(ev.ReplyFailed(turn))
            case KeyPressed(digit):
                self._step(self._hearing.key(digit))
            case FarEndGone(reason):
                self._end("caller", reason)
            case _:
                self._step(event)

    def _step(self, event: ev.MachineEvent) -> None:
        before = self._floor
        self._floor, effects = step(before, event, anyio.current_time(), self._rules)
        for effect in effects:
            if isinstance(effect, ev.EndCall):
                self._end("error" if effect.failed else "bot", effect.reason)
            else:
                self._effects.apply(effect)
        self._note_conditions(before, event)
        if self._floor.bot is Bot.QUIET and before.bot is not Bot.QUIET:
            self._publish(MindStateChanged(MindState.LISTENING))

    def _note_recogniser(self, event: SttReconnected | StreamLost) -> None:
        if isinstance(event, StreamLost):
            self._publish(ConditionNoted("recognizer_lost", details=event.reason))
        else:
            lost = f"{event.lost_ms:g} ms lost: {event.reason}"
            self._publish(ConditionNoted("recognizer_reconnected", details=lost))

    def _note_conditions(self, before: Floor, event: ev.MachineEvent) -> None:
        """What the call has to live with, for the metrics."""
        after = self._floor
        if after.ceilings > before.ceilings or (after.insisting and not before.insisting):
            self._publish(ConditionNoted("talker_bound"))
        if after.failures > before.failures or (after.deaf and not before.deaf):
            self._publish(ConditionNoted("recognizer_failed"))
        if isinstance(event, ev.HoldChanged) and event.held:
            self._publish(ConditionNoted("line_held"))

    def _words(self, event: Partial | Final | SttFailed) -> None:
        floor, now_s = self._floor, anyio.current_time()
        if isinstance(event, Partial):
            words = self._hearing.partial(event, floor, now_s)
            if words is not None:
                self._step(words)
            return
        self._step(self._hearing.final(event, floor.awaited and event.turn == floor.answering, now_s))

    def _settled(self, settled: Settled) -> None:
        self._replies.settled(settled)
        filler = settled.source == "filler"
        if filler or settled.outcome in ("played", "failed"):
            self._step(ev.BotSettled(filler, settled.outcome == "played", settled.last))

    def _own_voice(self) -> OwnVoice:
        return OwnVoice(self._replies.said_lately(_ECHO_REACH_S), self._ears.echo_known)

    def _publish(self, notice: Notice) -> None:
        self._show(self._media.notify, notice)
        for observer in self._services.observers:
            self._show(partial(observer.observe, self._media.info.call_id), notice)

    def _show(self, watcher: Callable[[Notice], None], notice: Notice) -> None:
        try:
            watcher(notice)
        except Exception:  # the boundary between a call and who watches it: the call goes on without being seen
            if not self._unseen:
                log.exception("what happens in the call could not be shown to a page, a log or a metric; it goes on")
            self._unseen = True

    def _end(self, by: EndedBy, reason: str) -> None:
        self._ended = self._ended or (by, reason)

    def _fail(self, error: Exception) -> None:
        self._fault = self._fault or error
        self._scope.cancel()

    def _overflowed(self) -> None:
        """The turn loop is stuck: end the call from outside of it."""
        self._fail(EngineError("the event queue overflowed: the call's turn loop is stuck; report this as a bug"))

    async def _hang_up(self, reason: str) -> None:
        with anyio.CancelScope(shield=True), anyio.move_on_after(_HANG_UP_S):
            try:
                await self._media.hang_up(reason)
            except Exception:  # the boundary to a transport: it closes what is left of its connection by itself
                log.exception("the call could not be hung up")

    def _put_away(self, by: EndedBy) -> None:
        """A dialogue that came to its own end is forgotten; the caller of any other may come back to it."""
        if by != "bot" and not self._conversation.over:
            self._services.recent.keep(self._conversation.session)
        if self._services.sessions is not None and by in ("caller", "bot"):
            try:
                self._services.sessions.forget(self._media.info.call_id)
            except Exception:  # the boundary to the journal: a call that is over is hung up all the same
                log.exception("the session of a call that is over could not be forgotten")

    def _note_line(self) -> None:
        """The call ends: what its line was like."""
        if self._ears.echo_known:
            self._publish(ConditionNoted("echo_found"))
        filled = round(self._ears.filled_ms / FRAME_MS)
        if filled:
            self._publish(ConditionNoted("frames_missing", filled))

    def _settle_rest(self) -> None:
        """The call ends: settle what was still being said, so that every utterance has its outcome."""
        self._take_settled()
        try:
            self._playout.cut()
        except Exception as error:  # the boundary to a transport that cannot tell what was heard
            self._fault = self._fault or error
        self._take_settled()
        self._publish(MindStateChanged(MindState.IDLE))

    def _take_settled(self) -> None:
        while (event := self._queue.take_nowait()) is not None:
            if isinstance(event, Settled):
                self._replies.settled(event)

    async def _apologise(self) -> None:
        """Say the apology of a call that failed, if anything can be said at all."""
        try:
            clip = self._apology or await self._made_apology()
            if clip is None:
                return
            self._playout.cut()
            self._playout.utter("prompt", clip)
            deadline_s = anyio.current_time() + _APOLOGY_S
            while self._playout.busy and anyio.current_time() < deadline_s:
                await self._queue.next_before(deadline_s)
        except Exception:  # the boundary of a call, once more: what failed may be what the apology needs
            log.exception("the apology of a failed call could not be said")

    async def _made_apology(self) -> Clip | None:
        """The apology, when it is not at hand."""
        with anyio.move_on_after(_APOLOGY_MADE_S):
            return await self._services.voice.clip(self._services.phrases["apology"], self._media.info.format)
        return None


def _name_of(error: Exception) -> str:
    """The name of a fault; of the first one where a task group gathered several."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return type(error).__name__
