"""One call's stream: streams of the service one after another, between which no word is lost."""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import anyio
from anyio.abc import TaskGroup

from kamerton.domain.audio import AudioFormat, AudioFrame
from kamerton.domain.errors import VendorError
from kamerton.domain.recognition import RecognitionHint, SttEvent, SttFailed, SttReconnected
from kamerton.stt.event_box import EventBox
from kamerton.stt.google.answers import Heard
from kamerton.stt.google.lines import Lines
from kamerton.stt.google.models import ModelChoice
from kamerton.stt.google.options import CODES, GoogleSttOptions
from kamerton.stt.google.recovery import LASTING, Recovery
from kamerton.stt.google.sessions import Session, Sessions
from kamerton.stt.google.utterance import Utterance
from kamerton.vendors.rpc.failures import EndedUnseenError
from kamerton.vendors.usage import UsageMeter

log = logging.getLogger(__name__)

_LISTEN_S: Final = 0.5
"""A stream that the service does not want is refused within this; audio waits so long after one that ended unseen."""
_STOOD_S: Final = 2.0
"""What ends a stream without audio after this is not what it asked for."""
_MOST_TURNS: Final = 8
"""Turns that wait for their outcome; beyond it the oldest fails."""
_SHORTEST_SLEEP_S: Final = 0.01


@dataclass(slots=True, eq=False)
class _Turn:
    """A turn that has no outcome yet, and the task that sends it."""

    utterance: Utterance
    started: bool = False
    session: Session | None = None
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)

    def wake(self) -> None:
        """Something is new to be sent."""
        if self.session is not None:
            self.session.wake()


class GoogleSTTStreamer:
    """One call's `SttStream` over Google Speech v2. `run` must be running; the rest are plain calls on its loop.

    The iteration raises `VendorError` when the service is lost for this call.
    """

    def __init__(
        self,
        options: GoogleSttOptions,
        audio_format: AudioFormat,
        language: str,
        choice: ModelChoice,
        lines: Lines,
        usage: UsageMeter,
    ) -> None:
        self._options = options
        self._format = audio_format
        self._loop = asyncio.get_running_loop()
        self._events = EventBox()
        self._sessions = Sessions(options, audio_format, choice, lines, usage, self._heard)
        self._recovery = Recovery(options, choice, lines)
        self._expected: tuple[str, tuple[str, ...]] = (language, ())
        self._turns: deque[_Turn] = deque()
        self._open: _Turn | None = None
        self._ahead_wanted = True
        self._wake = anyio.Event()
        self._closed = False
        self._dropped_ms = 0.0

    @property
    def dropped_ms(self) -> float:
        """Audio that the service never got because too much waited to be sent."""
        return self._dropped_ms

    def begin_turn(self, turn: int, hint: RecognitionHint, look_back: Sequence[AudioFrame] = ()) -> None:
        """Start a turn in the hint's language, with its phrases."""
        self.abandon_turn()
        if self._closed:
            return
        utterance = Utterance(turn, hint.language, hint.phrases, self._format, self._options)
        self._open = _Turn(utterance)
        if hint.language in CODES:
            self._expected = (hint.language, hint.phrases)
        else:
            utterance.refusal = f"Google Speech is not asked for '{hint.language}'; choose another recogniser for it"
            self._open.started = True
        if len(self._turns) >= _MOST_TURNS:
            self._give_up(self._turns[0])
        self._turns.append(self._open)
        for frame in look_back:
            self.push(frame)
        self._wake.set()

    def push(self, frame: AudioFrame) -> None:
        """Add audio to the turn; between turns it is ignored."""
        turn = self._open
        if turn is not None:
            self._dropped_ms += turn.utterance.push(frame.pcm)
            if turn.utterance.ready:
                turn.wake()

    def pause(self) -> None:
        """Send what waits; a stable hypothesis follows when it covers all that was said."""
        if self._open is not None:
            self._tell(self._open.utterance.pause())
            self._open.wake()

    def resume(self) -> None:
        """The caller goes on."""
        if self._open is not None:
            self._open.utterance.resume()

    def end_of_turn(self) -> None:
        """Half-close the turn's stream, which forces its final, and open the next one ahead."""
        ended, self._open = self._open, None
        if ended is not None:
            ended.utterance.end(self._loop.time())
            self._settle()
            ended.wake()
            self._want_ahead()

    def abandon_turn(self) -> None:
        """Forget the turn; its stream is left at once."""
        dropped, self._open = self._open, None
        if dropped is not None:
            self._turns.remove(dropped)
            dropped.scope.cancel()
            self._want_ahead()

    def __aiter__(self) -> AsyncIterator[SttEvent]:
        return self._events

    def close(self) -> None:
        """Take nothing more and end the iteration. Safe to call twice."""
        self._closed = True
        self._open = None
        self._events.close()

    async def run(self) -> None:
        """Carry turns until cancelled, or until the service is lost; then the iteration raises."""
        async with anyio.create_task_group() as group:
            while self._recovery.loss is None:
                self._wake = anyio.Event()
                for turn in tuple(self._turns):
                    if not turn.started:
                        turn.started = True
                        group.start_soon(self._recognise, group, turn)
                if self._ahead_wanted and self._open is None and self._options.warm_s:
                    self._ahead_wanted = False
                    group.start_soon(self._keep_ahead)
                await self._wake.wait()
            loss = self._recovery.loss
            group.cancel_scope.cancel()
        self._events.fail(loss)

    async def _recognise(self, group: TaskGroup, turn: _Turn) -> None:
        """See a turn to its outcome, through as many streams as it takes."""
        utterance = turn.utterance
        broken: SttReconnected | None = None
        with turn.scope:
            while not utterance.settled() and self._recovery.loss is None:
                session = turn.session = self._sessions.for_turn(group, utterance)
                session.broken = broken
                failure: VendorError | None = None
                reason = ""
                try:
                    reason = await self._carry(utterance, session)
                except VendorError as error:
                    failure, reason = error, str(error)
                finally:
                    session.leave()
                if utterance.settled():
                    self._tell_broken(session)
                    break
                broken = _interrupted(utterance, reason, session.broken, failure)
                if failure is not None:
                    await self._recover(session, failure, utterance)
            self._settle()

    async def _carry(self, utterance: Utterance, session: Session) -> str:
        """Send a turn through a stream until it has its outcome, or the stream is to be replaced: returns why.

        Raises:
            VendorError: the stream failed, or answered too late.
        """
        if self._recovery.listens:
            await self._listen(session)
        utterance.carried(session.opened_s)
        while not utterance.settled():
            session.changed = anyio.Event()
            now_s = self._loop.time()
            if session.left:
                return "it was opened too long ago"
            if session.over:
                _ended(utterance, session)
                break
            if trouble := utterance.overdue(now_s):
                self._sessions.distrust(session)
                if utterance.settled():
                    break
                raise VendorError(f"Google Speech {trouble}; check the network", "timeout")
            if utterance.hangs(now_s):
                self._sessions.distrust(session)
                return f"nothing was answered for {self._options.first_answer_s:g} s"
            if utterance.near_limit(now_s):
                return "the stream is near its limit"
            self._tell(utterance.settled_pause(now_s))
            if not await self._send(utterance, session):
                with anyio.CancelScope(deadline=utterance.due_s(now_s)):
                    await session.changed.wait()
        return ""

    async def _send(self, utterance: Utterance, session: Session) -> bool:
        """Send what is due; False when nothing is."""
        line = session.line
        if line is None:
            return False
        if pcm := utterance.next_audio(self._loop.time()):
            session.sent_bytes += len(pcm)
            await line.write(pcm)
            return True
        if utterance.to_be_closed():
            utterance.closed(self._loop.time())
            await line.half_close()
            return True
        return False

    async def _listen(self, session: Session) -> None:
        """Send nothing yet, so that the service can be heard to refuse the stream."""
        until_s = math.inf
        while not session.over and self._loop.time() < until_s:
            session.changed = anyio.Event()
            if session.line is not None:
                until_s = min(until_s, self._loop.time() + _LISTEN_S)
            with anyio.CancelScope(deadline=until_s):
                await session.changed.wait()

    async def _keep_ahead(self) -> None:
        """Open the next turn's stream ahead, so that what is wrong is known before it is needed."""
        while self._open is None and self._sessions.ahead is None and self._recovery.loss is None:
            session = await self._sessions.open_ahead(*self._expected)
            failure = session.failure
            stood = session.line is not None and self._loop.time() >= session.opened_s + _STOOD_S
            if failure is None or session.used or session.worked or stood or self._knows_better(failure):
                # Its turn sees to it, or it grew old: by us, or by the service, whose patience with streams without
                # audio varies.
                return
            await self._recover(session, failure, None)

    def _knows_better(self, failure: VendorError) -> bool:
        """Whether it may be left to the next turn to see if the service works, as it did before."""
        return self._recovery.worked and failure.fault not in LASTING

    async def _recover(self, session: Session, failure: VendorError, utterance: Utterance | None) -> None:
        """Wait until the next attempt; a turn that waits too long fails meanwhile."""
        if failure.fault == "connection" and not session.worked:
            # While a connection waits to connect anew it fails everything at once; the next attempt shall try.
            self._sessions.distrust(session)
        until_s = await self._recovery.judge(session, failure)
        if self._recovery.loss is not None:
            self._wake.set()
        while self._recovery.loss is None and (now_s := self._loop.time()) < until_s:
            if utterance is not None:
                utterance.overdue(now_s)
                if utterance.settled():
                    return
            next_s = until_s if utterance is None else min(until_s, utterance.due_s(now_s))
            await anyio.sleep_until(max(next_s, now_s + _SHORTEST_SLEEP_S))

    def _want_ahead(self) -> None:
        self._ahead_wanted = True
        self._wake.set()

    def _heard(self, session: Session, utterance: Utterance, heard: Heard) -> None:
        self._recovery.answered()
        self._tell_broken(session)
        self._tell(utterance.heard(heard, self._loop.time()))

    def _tell_broken(self, session: Session) -> None:
        if session.broken is not None:
            self._events.put(session.broken)
            session.broken = None

    def _tell(self, events: Sequence[SttEvent]) -> None:
        for event in events:
            self._events.put(event)

    def _give_up(self, turn: _Turn) -> None:
        turn.scope.cancel()
        turn.utterance.outcome = SttFailed(turn.utterance.turn, "too many turns wait for Google Speech")
        self._settle()

    def _settle(self) -> None:
        """Tell outcomes in the order of their turns."""
        while self._turns and (outcome := self._turns[0].utterance.outcome) is not None:
            self._turns.popleft().wake()
            self._events.put(outcome)


def _ended(utterance: Utterance, session: Session) -> None:
    """The service has ended the stream: the outcome, when it was asked to."""
    if session.failure is not None:
        raise session.failure
    if not utterance.half_closed:
        raise VendorError("Google Speech ended the stream before it was asked to; check the network", "connection")
    utterance.over()


def _interrupted(
    utterance: Utterance, reason: str, before: SttReconnected | None, failure: VendorError | None
) -> SttReconnected | None:
    """What is to be told of a stream that is replaced: a failure, or audio that is lost with it."""
    lost_ms = utterance.left() + (before.lost_ms if before is not None else 0.0)
    if failure is None and not lost_ms and before is None:
        log.debug("a stream of Google Speech is renewed", extra={"reason": reason, "turn": utterance.turn})
        return None
    if before is not None and isinstance(failure, EndedUnseenError):
        reason = before.reason
    return SttReconnected(utterance.turn, lost_ms, reason)
