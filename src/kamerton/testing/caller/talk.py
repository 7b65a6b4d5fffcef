"""One scripted caller: waits for the bot, says its recordings in turn or into the bot's speech, and hangs up."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import anyio

from kamerton.domain.audio import PHONE, AudioFormat
from kamerton.domain.errors import CallEnded
from kamerton.domain.notices import MindState
from kamerton.observability.turn_recorder import CallRecord, TurnRecorder
from kamerton.testing.caller.call_report import CallReport, Interruption, make_report
from kamerton.testing.caller.line import CallerLine, LineNoise, Utterance, connect
from kamerton.testing.caller.line_impairment import LineImpairment
from kamerton.testing.caller.metronome import FRAME_S, Metronome
from kamerton.testing.caller.recordings import Recording

Progress = Callable[[str], None]
ONSET_TOLERANCE_S: Final = 0.5
"""How far before the caller's onset a server may date it."""


@dataclass(frozen=True, slots=True)
class Line:
    """One recording, and when it is said: seconds into the bot's reply, or (None) after it."""

    recording: Recording
    at_s: float | None = None


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the caller waits, in seconds."""

    quiet_s: float = 0.6
    """Silence after which the bot has finished, when the server is settled too."""
    unsettled_quiet_s: float = 5.0
    """Silence after which it has finished in any case."""
    reply_s: float = 20.0
    """Longest wait for the bot to begin to speak."""
    speech_s: float = 120.0
    """Longest time that it may speak on."""
    goodbye_s: float = 3.0
    """Longest wait for the server to close its books after the hang-up."""
    spoke_on_s: float = 0.6
    """A bot that is still speaking so long after the caller's last word did not give way, or answered early."""


@dataclass(slots=True)
class CallOutcome:
    """What came of a call: the report, what the caller heard, and what went wrong, if anything."""

    report: CallReport
    audio: bytes
    format: AudioFormat
    trouble: str | None


class _Stopped(Exception):
    """The call's user asked to end it."""


@dataclass(slots=True)
class _Conversation:
    line: CallerLine
    recorder: TurnRecorder
    patience: Patience
    progress: Progress
    stop: anyio.Event
    interruptions: list[Interruption] = field(default_factory=list)
    speaking_since_s: float | None = None
    """When the server last began to speak, as far as it tells."""
    was_speaking: bool = False

    async def run(self, lines: Sequence[Line]) -> None:
        """Say everything.

        Raises:
            CallEnded: the bot kept silent, spoke without end or hung up before everything was said.
        """
        said: Utterance | None = None
        for item in lines:
            reply_at_s = await self._reply_begins(said)
            finished = False
            if item.at_s is None:
                await self._reply_ends(reply_at_s)
            else:
                finished = await self._moment_in_reply(reply_at_s, item.at_s)
            said = await self._say(item, reply_at_s, finished=finished)
        await self._reply_ends(await self._reply_begins(said))

    async def _reply_begins(self, said: Utterance | None) -> float:
        """Wait for the reply to what was said (the greeting, to nothing); returns when it began.

        A filler said while the assistant still thinks is no reply, nor is what fell silent under the caller's own
        sentence. A bot that spoke on over the sentence is done with it when it has finished.
        """
        asked_at_s = (said.end_at_s if said else None) or self.line.connected_at_s or self._now()
        deadline_s = max(self._now(), asked_at_s) + self.patience.reply_s
        begun_s = asked_at_s
        while True:
            started_s = self.line.segment_started_s
            if self._thinking():
                begun_s = self._now()
            elif started_s is not None and started_s > asked_at_s:
                return max(started_s, begun_s)
            elif (began_s := self._spoke_on(said, asked_at_s)) is not None:
                return began_s
            if self._now() > deadline_s:
                raise CallEnded(
                    f"the bot said nothing within {self.patience.reply_s:.0f} s: see the server's log for this call"
                )
            await self._next_frame("the bot answered")

    def _spoke_on(self, said: Utterance | None, asked_at_s: float) -> float | None:
        """When what the bot says now began, if no other answer is to come.

        So it is when the answer joined on to what was said before, when the bot did not give way, and when the server
        took the sentence for none.
        """
        heard_s, started_s = self.line.last_audible_s, self.line.segment_started_s
        if said is None or heard_s is None or started_s is None:
            return None
        anew_s = self.speaking_since_s
        if anew_s is not None and self.was_speaking and asked_at_s < anew_s <= heard_s:
            return anew_s
        if heard_s > asked_at_s + self.patience.spoke_on_s or (self._waved_through(said) and self._finished()):
            return started_s
        return None

    def _waved_through(self, said: Utterance) -> bool:
        """True when the server decided that this was no interruption."""
        record, onset_s = self._record(), said.onset_at_s
        if record is None or onset_s is None:
            return False
        about_it = [each for each in record.barge_ins if each.onset_at_s >= onset_s - ONSET_TOLERANCE_S]
        return bool(about_it) and all(each.verdict != "yielded" for each in about_it)

    async def _reply_ends(self, reply_at_s: float) -> None:
        deadline_s = reply_at_s + self.patience.speech_s
        while not self._finished():
            if self._now() > deadline_s:
                raise CallEnded(f"the bot has been speaking for {self.patience.speech_s:.0f} s without a pause")
            try:
                await self._next_frame("the bot had finished")
            except CallEnded:
                if self.line.ended_by == "bot":
                    return
                raise
        self._tell_answer()

    async def _moment_in_reply(self, reply_at_s: float, at_s: float) -> bool:
        """Wait for the moment; returns whether the bot had finished before it."""
        while self._now() < reply_at_s + at_s - FRAME_S:
            if self._finished():
                self.progress(f"  (the bot had finished before {at_s:g} s of its reply were over)")
                return True
            await self._next_frame("the caller could interrupt")
        return False

    async def _say(self, item: Line, reply_at_s: float, *, finished: bool) -> Utterance:
        if self.line.ended_by is not None:
            raise CallEnded(f"the bot hung up before '{item.recording.name}' could be said")
        where = "" if item.at_s is None else f", {self._now() - reply_at_s:.1f} s into the reply"
        self.progress(f"caller: {item.recording.name}{where}")
        said = self.line.say(item.recording)
        if item.at_s is not None:
            self.interruptions.append(Interruption(said, reply_at_s, finished=finished))
        while not said.finished:
            await self._next_frame(f"'{item.recording.name}' was said to its end")
        return said

    async def _next_frame(self, before: str) -> None:
        if self.stop.is_set():
            raise _Stopped
        if self.line.ended_by is not None:
            how = "hung up" if self.line.ended_by == "bot" else "was lost"
            raise CallEnded(f"the call {how} before {before}")
        await anyio.sleep(FRAME_S / 2)
        record = self._record()
        speaking = record is not None and record.mind is MindState.SPEAKING
        if speaking and not self.was_speaking:
            self.speaking_since_s = self._now()
        self.was_speaking = speaking

    def _finished(self) -> bool:
        quiet_s = self.line.quiet_for_s(self._now())
        record = self._record()
        settled = record is None or record.settled
        return quiet_s >= (self.patience.quiet_s if settled else self.patience.unsettled_quiet_s)

    def _thinking(self) -> bool:
        record = self._record()
        return record is not None and not record.settled and record.mind is not MindState.SPEAKING

    def _tell_answer(self) -> None:
        record = self._record()
        if record is not None and record.turns:
            turn = record.turns[-1]
            if turn.user_text:
                self.progress(f"heard:  {turn.user_text}  [{turn.intent or turn.path}]")
            self.progress(f"bot:    {turn.heard_text or turn.reply_text}")
        else:
            self.progress("bot has finished")

    def _record(self) -> CallRecord | None:
        return self.recorder.record(str(self.line.call_id))

    def _now(self) -> float:
        return anyio.current_time()


Dial = Callable[[CallerLine], Awaitable[None]]
"""Connects a caller's line to a server; raises `CallEnded` when nobody answers."""


async def run_call(
    dial: int | Dial,
    lines: Sequence[Line],
    recorder: TurnRecorder,
    *,
    progress: Progress = lambda text: None,
    stop: anyio.Event | None = None,
    patience: Patience | None = None,
    impairment: LineImpairment | None = None,
) -> CallOutcome:
    """Call an AudioSocket server and say the lines; the report is made whatever happens.

    Args:
        dial: The server's port on this machine, or a function that connects the line.
        lines: What is said, in order.
        recorder: An observer of that server, for the server's side of the report.
        progress: Told, line by line, what is going on.
        stop: When set, the caller hangs up at once and the report is made of what there is.
        patience: The caller's deadlines.
        impairment: What the caller's line does to the call; a clean line without.

    Raises:
        CallEnded: no call could be placed at all.
    """
    waits = patience or Patience()
    loop = asyncio.get_running_loop()
    line = CallerLine(uuid.uuid4(), LineNoise(), clock=loop.time, keep_audio=True, impairment=impairment)
    talk = _Conversation(line, recorder, waits, progress, stop or anyio.Event())
    trouble: str | None = None
    async with _connected(line, dial):
        try:
            await talk.run(lines)
        except CallEnded as error:
            trouble = str(error)
        except _Stopped:
            trouble = "stopped before its end"
        line.hang_up()
        await _books_closed(recorder, line, waits.goodbye_s)
    record = recorder.record(str(line.call_id))
    report = make_report(line, record, talk.interruptions)
    return CallOutcome(report, bytes(line.audio), AudioFormat(line.rate_hz or PHONE.rate_hz), trouble)


@contextlib.asynccontextmanager
async def _connected(line: CallerLine, dial: int | Dial) -> AsyncIterator[None]:
    """The call, paced by a metronome of its own; hung up on the way out, also when cancelled."""
    metronome = Metronome(slots=1)
    if isinstance(dial, int):
        await connect(line, "127.0.0.1", dial)
    else:
        await dial(line)
    detach = metronome.attach(line.tick)
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(metronome.run)
            yield
            tasks.cancel_scope.cancel()
    finally:
        detach()
        line.hang_up()


async def _books_closed(recorder: TurnRecorder, line: CallerLine, deadline_s: float) -> None:
    """Wait until the server reported the call's end; a server that does not report costs the deadline."""
    with anyio.move_on_after(deadline_s):
        while True:
            record = recorder.record(str(line.call_id))
            if record is None or record.finished is not None:
                return
            await anyio.sleep(FRAME_S)
