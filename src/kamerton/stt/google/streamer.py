"""One call's stream: streams of the service one after another, between which no word is lost."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import anyio
from anyio.abc import TaskGroup

from kamerton.domain.audio import AudioFormat, AudioFrame
from kamerton.domain.errors import Fault, VendorError
from kamerton.domain.recognition import Final as FinalTranscript
from kamerton.domain.recognition import RecognitionHint, SttEvent, SttFailed, SttReconnected
from kamerton.stt.event_box import EventBox
from kamerton.stt.google.answers import Heard
from kamerton.stt.google.lines import EndedUnseenError, Lines, SpeechLine
from kamerton.stt.google.models import ModelChoice, Setup
from kamerton.stt.google.options import CODES, GoogleSttOptions
from kamerton.stt.google.utterance import Utterance
from kamerton.vendors.usage import Usage, UsageMeter

log = logging.getLogger(__name__)

_BACK_OFF_S: Final = 0.1
"""Before a second attempt; doubled before each further one."""
_SHORT_WAIT_S: Final = 2.0
"""A service that asks to be left alone for longer is given up for the call."""
_LASTING: Final[tuple[Fault, ...]] = ("unauthorised", "quota", "rejected")
_LISTEN_S: Final = 0.5
"""A stream that the service does not want is refused within this; audio waits so long after one that ended unseen."""
_MOST_TURNS: Final = 8
"""Turns that wait for their outcome; beyond it the oldest fails."""


@dataclass(slots=True, eq=False)
class _Session:
    """A stream of the service under way; a task of its own holds it and reads."""

    setup: Setup
    language: str
    utterance: Utterance | None = None
    """Whose words it carries; None: opened ahead."""
    line: SpeechLine | None = None
    worked: bool = False
    """It has answered."""
    over: bool = False
    failure: VendorError | None = None
    broken: SttReconnected | None = None
    """What broke before, to be told when this one answers."""
    sent_bytes: int = 0
    changed: anyio.Event = field(default_factory=anyio.Event)
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)

    def wake(self) -> None:
        """Something is new for who sends."""
        self.changed.set()


@dataclass(slots=True, eq=False)
class _Turn:
    """A turn that has no outcome yet, and the task that sends it."""

    utterance: Utterance
    started: bool = False
    session: _Session | None = None
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
        self._choice = choice
        self._lines = lines
        self._usage = usage
        self._loop = asyncio.get_running_loop()
        self._events = EventBox()
        self._expected: tuple[str, tuple[str, ...]] = (language, ())
        self._turns: deque[_Turn] = deque()
        self._open: _Turn | None = None
        self._warm: _Session | None = None
        self._warm_wanted = True
        self._wake = anyio.Event()
        self._loss: VendorError | None = None
        self._closed = False
        self._failures = 0
        self._worked = False
        self._renewed_token = False
        self._listens = False
        """The next stream sends nothing at first, for it is not known why the last one ended."""
        self._dropped_ms = 0.0
        self._last_turn = 0
        self.sessions = 0
        """Streams that were opened for this call."""

    @property
    def dropped_ms(self) -> float:
        """Audio that the service never got because too much waited to be sent."""
        return self._dropped_ms

    def begin_turn(self, turn: int, hint: RecognitionHint, look_back: Sequence[AudioFrame] = ()) -> None:
        """Start a turn in the hint's language, with its phrases."""
        self.abandon_turn()
        if self._closed:
            return
        self._last_turn = turn
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
            self._want_warm()

    def abandon_turn(self) -> None:
        """Forget the turn; its stream is left at once."""
        dropped, self._open = self._open, None
        if dropped is not None:
            self._turns.remove(dropped)
            dropped.scope.cancel()
            self._want_warm()

    def __aiter__(self) -> AsyncIterator[SttEvent]:
        return self._events

    def close(self) -> None:
        """Take nothing more and end the iteration. Safe to call twice."""
        self._closed = True
        self._open = None
        self._events.close()

    async def run(self) -> None:
        """Carry turns until cancelled, or until the service is lost."""
        async with anyio.create_task_group() as group:
            while self._loss is None:
                self._wake = anyio.Event()
                for turn in tuple(self._turns):
                    if not turn.started:
                        turn.started = True
                        group.start_soon(self._recognise, group, turn)
                if self._warm_wanted and self._open is None and self._options.warm_s:
                    self._warm_wanted = False
                    group.start_soon(self._keep_warm, group)
                await self._wake.wait()
            loss = self._loss
            group.cancel_scope.cancel()
        self._events.fail(loss)

    # A turn.

    async def _recognise(self, group: TaskGroup, turn: _Turn) -> None:
        """See a turn to its outcome, through as many streams as it takes."""
        utterance, broken = turn.utterance, None
        with turn.scope:
            while not utterance.settled() and self._loss is None:
                session = turn.session = self._session_for(group, utterance)
                session.broken = broken
                failure: VendorError | None = None
                reason = ""
                try:
                    reason = await self._carry(utterance, session)
                except VendorError as error:
                    failure, reason = error, str(error)
                finally:
                    session.utterance = None
                    session.scope.cancel()
                if utterance.settled():
                    break
                broken = self._interrupted(utterance, reason, session.broken, failure)
                if failure is not None:
                    await self._recover(session, failure, utterance)
            self._settle()

    async def _carry(self, utterance: Utterance, session: _Session) -> str:
        """Send a turn through a stream until it has its outcome, or the stream is to be replaced: returns why.

        Raises:
            VendorError: the stream failed, or answered too late.
        """
        if self._listens:
            await self._listen(session)
        utterance.carried(self._loop.time())
        while not utterance.settled():
            session.changed = anyio.Event()
            now_s = self._loop.time()
            if session.over and session.scope.cancel_called:
                return "it was opened too long ago"
            if session.over:
                self._ended(utterance, session)
                break
            if trouble := utterance.overdue(now_s):
                self._distrust(session)
                if not utterance.settled():
                    raise VendorError(f"Google Speech {trouble}; check the network", "timeout")
                break
            if utterance.hangs(now_s):
                self._distrust(session)
                return f"nothing was answered for {self._options.first_answer_s:g} s"
            if utterance.near_limit(now_s):
                return "the stream is near its limit"
            self._tell(utterance.settled_pause(now_s))
            if not await self._send(utterance, session):
                with anyio.CancelScope(deadline=utterance.due_s(now_s)):
                    await session.changed.wait()
        return ""

    async def _listen(self, session: _Session) -> None:
        """Send nothing yet, so that the service can be heard to refuse the stream."""
        until_s = float("inf")
        while not session.over and self._loop.time() < until_s:
            session.changed = anyio.Event()
            if session.line is not None:
                until_s = min(until_s, self._loop.time() + _LISTEN_S)
            with anyio.CancelScope(deadline=until_s):
                await session.changed.wait()

    async def _send(self, utterance: Utterance, session: _Session) -> bool:
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

    def _ended(self, utterance: Utterance, session: _Session) -> None:
        """The service has ended the stream: the outcome, when it was asked to."""
        if session.failure is not None:
            raise session.failure
        if not utterance.half_closed:
            raise VendorError("Google Speech ended the stream before it was asked to; check the network", "connection")
        utterance.over()

    def _interrupted(
        self, utterance: Utterance, reason: str, before: SttReconnected | None, failure: VendorError | None
    ) -> SttReconnected | None:
        """What is to be told of a stream that is replaced: a failure, or audio that is lost with it."""
        lost_ms = utterance.left() + (before.lost_ms if before is not None else 0.0)
        if failure is None and not lost_ms and before is None:
            log.debug("a stream of Google Speech is renewed", extra={"reason": reason, "turn": utterance.turn})
            return None
        if before is not None and isinstance(failure, EndedUnseenError):
            reason = before.reason
        return SttReconnected(utterance.turn, lost_ms, reason)

    # Streams.

    def _session_for(self, group: TaskGroup, utterance: Utterance) -> _Session:
        """The stream that was opened ahead, when it fits and nothing else uses it; else a new one."""
        setup = self._choice.setup(utterance.language, utterance.phrases)
        warm, self._warm = self._warm, None
        if warm is not None and warm.setup == setup and not warm.over:
            warm.utterance = utterance
            warm.scope.deadline = float("inf")
            return warm
        if warm is not None:
            warm.scope.cancel()
        session = _Session(setup, utterance.language, utterance)
        group.start_soon(self._host, session)
        return session

    async def _host(self, session: _Session) -> None:
        """Hold a stream and read it until its scope is cancelled, or it ends."""
        try:
            with session.scope:
                async with self._lines.line(session.setup, self._format) as line:
                    session.line = line
                    self.sessions += 1
                    session.wake()
                    while (heard := await line.read()) is not None:
                        self._heard(session, heard)
        except VendorError as failure:
            session.failure = failure
        finally:
            session.over = True
            self._record(session)
            session.wake()

    def _heard(self, session: _Session, heard: Heard) -> None:
        session.worked = True
        utterance = session.utterance
        if utterance is None:
            # An old one, or one that was opened ahead: what it says belongs to nobody.
            return
        self._failures, self._worked, self._renewed_token, self._listens = 0, True, False, False
        if session.broken is not None:
            self._events.put(session.broken)
            session.broken = None
        self._tell(utterance.heard(heard, self._loop.time()))
        session.wake()

    async def _keep_warm(self, group: TaskGroup) -> None:
        """Open the next turn's stream ahead, so that what is wrong is known before it is needed."""
        while self._open is None and self._warm is None and self._loss is None:
            language, phrases = self._expected
            session = _Session(self._choice.setup(language, phrases), language)
            session.scope.deadline = self._loop.time() + self._options.warm_s
            self._warm = session
            await self._host(session)
            if self._warm is not session:
                return
            self._warm = None
            failure = session.failure
            if failure is None or (self._worked and failure.fault not in _LASTING):
                # It grew old, as it should; or the next turn will see.
                return
            await self._recover(session, failure, None)

    def _want_warm(self) -> None:
        self._warm_wanted = True
        self._wake.set()

    def _distrust(self, session: _Session) -> None:
        if session.line is not None:
            self._lines.distrust(session.line)

    # Failures.

    async def _recover(self, session: _Session, failure: VendorError, utterance: Utterance | None) -> None:
        """What a failed stream says of the service, and the wait before the next attempt."""
        extra = {"reason": str(failure), "turn": self._last_turn, "model": str(session.setup.candidate)}
        log.warning("a stream of Google Speech failed", extra=extra)
        try:
            if await self._remedied(session, failure):
                return
        except VendorError as error:
            failure = error
        self._failures += 1
        asked_s = failure.retry_after_s or 0.0
        lasting = failure.fault in _LASTING or asked_s > _SHORT_WAIT_S
        if failure.fault == "rejected" and session.worked:
            # Not what was asked for, but something that befell it: such as its age.
            lasting = False
        if lasting or self._failures >= self._options.attempts:
            self._lose(failure)
            return
        until_s = self._loop.time() + max(_BACK_OFF_S * 2 ** (self._failures - 1), asked_s)
        while self._loss is None and (now_s := self._loop.time()) < until_s:
            if utterance is not None:
                utterance.overdue(now_s)
                if utterance.settled():
                    return
            next_s = until_s if utterance is None else min(until_s, utterance.due_s(now_s))
            await anyio.sleep_until(max(next_s, now_s + 0.01))

    async def _remedied(self, session: _Session, failure: VendorError) -> bool:
        """Whether the next attempt asks for something else, or with another token, so that this one does not count."""
        if isinstance(failure, EndedUnseenError) and not session.worked and not self._listens:
            self._listens = True
            return True
        if failure.fault == "rejected" and not session.worked:
            return self._choice.refused(session.language, session.setup, str(failure))
        if failure.fault == "unauthorised" and not self._renewed_token:
            self._renewed_token = await self._lines.refused()
            return self._renewed_token
        return False

    def _lose(self, failure: VendorError) -> None:
        """The service is given up for this call."""
        if self._loss is None:
            self._loss = failure
            self._wake.set()

    def _give_up(self, turn: _Turn) -> None:
        turn.scope.cancel()
        turn.utterance.outcome = SttFailed(turn.utterance.turn, "too many turns wait for Google Speech")
        self._settle()

    # What is told.

    def _settle(self) -> None:
        """Tell outcomes in the order of their turns."""
        while self._turns and (outcome := self._turns[0].utterance.outcome) is not None:
            turn = self._turns.popleft()
            if isinstance(outcome, FinalTranscript):
                self._worked = True
            self._events.put(outcome)
            turn.wake()

    def _tell(self, events: Sequence[SttEvent]) -> None:
        for event in events:
            self._events.put(event)

    def _record(self, session: _Session) -> None:
        if session.sent_bytes:
            seconds = self._format.duration_ms(session.sent_bytes // 2) / 1000
            session.sent_bytes = 0
            self._usage.record(Usage("recognizer", "google", "seconds", seconds, session.setup.candidate.model))
