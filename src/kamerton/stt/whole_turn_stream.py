"""The stream of a recogniser that decodes whole turns: ahead at each pause, reused when the turn ends there."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Final as FinalValue

from kamerton.domain.audio import AudioFormat, AudioFrame
from kamerton.domain.recognition import Final, Partial, RecognitionHint, SttEvent, SttFailed
from kamerton.stt.decode_queue import DecodeFailed, DecodeOutcome, DecodeRequest, DecodeWorker
from kamerton.stt.event_box import EventBox
from kamerton.stt.readings import Transcript
from kamerton.stt.turn_buffer import TurnBuffer

logger = logging.getLogger(__name__)

FINAL_DEADLINE_S: FinalValue = 8.0
"""How long an ended turn may wait for its transcript. A person on the phone waits no longer."""


@dataclass(slots=True)
class _Speculation:
    """What is decoded ahead since the last pause: under way while `transcript` is None."""

    request: DecodeRequest
    transcript: Transcript | None = None


@dataclass(frozen=True, slots=True)
class _AwaitedFinal:
    """An ended turn whose transcript is being made."""

    turn: int
    deadline: asyncio.TimerHandle


class WholeTurnStream:
    """One call's `SttStream` over a shared `DecodeWorker`. Makes no task and no thread; lives on the event loop.

    Nothing decoded ahead is trusted after `resume`: the last pause's decode counts only while the caller stays
    silent, since then only silence was added to it.
    """

    def __init__(
        self, worker: DecodeWorker, audio_format: AudioFormat, *, final_deadline_s: float = FINAL_DEADLINE_S
    ) -> None:
        self._worker = worker
        self._format = audio_format
        self._final_deadline_s = final_deadline_s
        self._loop = asyncio.get_running_loop()
        self._events = EventBox()
        self._buffer = TurnBuffer(audio_format)
        self._turn: int | None = None
        self._hint = RecognitionHint()
        self._speculation: _Speculation | None = None
        self._awaited: dict[DecodeRequest, _AwaitedFinal] = {}
        self._closed = False

    @property
    def dropped_ms(self) -> float:
        """Audio of overlong turns that was let go, oldest first."""
        return self._buffer.dropped_ms

    def begin_turn(self, turn: int, hint: RecognitionHint, look_back: Sequence[AudioFrame] = ()) -> None:
        """Start a turn; one that was not ended is forgotten."""
        self.abandon_turn()
        if not self._closed:
            self._turn, self._hint = turn, hint
            for frame in look_back:
                self._buffer.push(frame.pcm)

    def push(self, frame: AudioFrame) -> None:
        """Add audio to the turn; between turns it is ignored."""
        if self._turn is not None:
            self._buffer.push(frame.pcm)

    def pause(self) -> None:
        """Decode ahead what was heard so far, unless this pause's decode is there already."""
        if self._turn is None or self._speculation is not None:
            return
        pcm = self._buffer.snapshot()
        if pcm:
            self._speculation = _Speculation(self._request(pcm, self._on_speculative))
            self._worker.submit(self._speculation.request, final=False)

    def resume(self) -> None:
        """Forget what was decoded ahead."""
        if self._speculation is not None:
            self._worker.withdraw(self._speculation.request)
            self._speculation = None

    def end_of_turn(self) -> None:
        """End the turn: its `Final` follows at once when the pause's decode is there, else when it is made."""
        turn, speculation = self._turn, self._speculation
        if turn is None:
            return
        pcm = self._buffer.snapshot()
        self._turn, self._speculation = None, None
        self._buffer.clear()
        if not pcm:
            self._events.put(_final(turn, Transcript()))
        elif speculation is not None and speculation.transcript is not None:
            self._events.put(_final(turn, speculation.transcript))
        elif speculation is not None and self._worker.promote(speculation.request):
            self._await_final(turn, speculation.request)
        else:
            request = self._request(pcm, self._on_final)
            self._await_final(turn, request)
            self._worker.submit(request, final=True)

    def abandon_turn(self) -> None:
        """Forget the turn. Earlier turns that have ended still get their finals."""
        self.resume()
        self._turn = None
        self._buffer.clear()

    def __aiter__(self) -> AsyncIterator[SttEvent]:
        return self._events

    def close(self) -> None:
        """Withdraw everything asked for and end the iteration. Safe to call twice."""
        self.abandon_turn()
        for request, awaited in self._awaited.items():
            awaited.deadline.cancel()
            self._worker.withdraw(request)
        self._awaited.clear()
        self._closed = True
        self._events.close()

    def _request(self, pcm: bytes, deliver: Callable[[DecodeRequest, DecodeOutcome], None]) -> DecodeRequest:
        return DecodeRequest(pcm=pcm, format=self._format, hint=self._hint, deliver=deliver)

    def _await_final(self, turn: int, request: DecodeRequest) -> None:
        deadline = self._loop.call_later(self._final_deadline_s, self._on_deadline, request)
        self._awaited[request] = _AwaitedFinal(turn, deadline)

    def _on_speculative(self, request: DecodeRequest, outcome: DecodeOutcome) -> None:
        speculation = self._speculation
        if request in self._awaited:
            self._on_final(request, outcome)
        elif speculation is None or speculation.request is not request or self._turn is None:
            return
        elif isinstance(outcome, DecodeFailed):
            # The turn goes on as if this pause had not been decoded; its end asks again.
            self._speculation = None
        else:
            speculation.transcript = outcome
            self._events.put(Partial(self._turn, outcome.text, stable=True, alternatives=outcome.alternatives))

    def _on_final(self, request: DecodeRequest, outcome: DecodeOutcome) -> None:
        awaited = self._awaited.pop(request, None)
        if awaited is None:
            return
        awaited.deadline.cancel()
        if isinstance(outcome, DecodeFailed):
            self._events.put(SttFailed(awaited.turn, outcome.reason, outcome.retryable))
        else:
            self._events.put(_final(awaited.turn, outcome))

    def _on_deadline(self, request: DecodeRequest) -> None:
        awaited = self._awaited.pop(request)
        self._worker.withdraw(request)
        logger.warning("a turn was not decoded in time", extra={"turn": awaited.turn})
        reason = f"no transcript within {self._final_deadline_s:g} s: the recogniser is overloaded"
        self._events.put(SttFailed(awaited.turn, reason))


def _final(turn: int, transcript: Transcript) -> Final:
    return Final(turn, transcript.text, transcript.alternatives, transcript.confidence)
