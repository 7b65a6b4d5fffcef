"""The stream of a recogniser that decodes whole turns: ahead at each pause, reused when the turn ends there.

A turn that is longer than the recogniser can take at once is cut at a quiet place; its parts are decoded while the
caller goes on, and joined.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final as FinalValue

from kamerton.domain.audio import AudioFormat, AudioFrame
from kamerton.domain.recognition import Final, Partial, RecognitionHint, SttEvent, SttFailed
from kamerton.stt.decode_queue import DecodeFailed, DecodeOutcome, DecodeRequest, DecodeWorker
from kamerton.stt.event_box import EventBox
from kamerton.stt.turn_buffer import PART_MS, TurnBuffer
from kamerton.stt.whisper.readings import Transcript

logger = logging.getLogger(__name__)

FINAL_DEADLINE_S: FinalValue = 8.0
"""How long an ended turn may wait for its transcript. A person on the phone waits no longer."""

MOST_PARTS: FinalValue = 8
"""Parts of a turn before its last one, of 10 to 20 s each: turns of up to 100 s are heard whole. Beyond that the oldest
audio of the last part goes, counted in `dropped_ms`."""


@dataclass(slots=True, eq=False)
class _Piece:
    """A stretch of a turn's audio. Without request and transcript it waits to be asked for, or for being so again."""

    pcm: bytes
    request: DecodeRequest | None = None
    """While it is being decoded."""
    transcript: Transcript | None = None


@dataclass(slots=True, eq=False)
class _Ending:
    """A turn that has ended and whose pieces are being decoded."""

    turn: int
    pieces: tuple[_Piece, ...]
    deadline: asyncio.TimerHandle | None = None
    over: bool = False
    """Its outcome was told."""


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
        self._parts: list[_Piece] = []
        self._speculation: _Piece | None = None
        self._endings: dict[DecodeRequest, _Ending] = {}
        self._overlong = False
        self._closed = False

    @property
    def dropped_ms(self) -> float:
        """Audio of endless turns that was let go, oldest first."""
        return self._buffer.dropped_ms

    def begin_turn(self, turn: int, hint: RecognitionHint, look_back: Sequence[AudioFrame] = ()) -> None:
        """Start a turn; one that was not ended is forgotten."""
        self.abandon_turn()
        if not self._closed:
            self._turn, self._hint, self._overlong = turn, hint, False
            for frame in look_back:
                self._buffer.push(frame.pcm)

    def push(self, frame: AudioFrame) -> None:
        """Add audio to the turn; between turns it is ignored."""
        if self._turn is None:
            return
        if self._buffer.held_ms >= PART_MS:
            self._cut()
        if self._buffer.full and not self._overlong:
            self._overlong = True
            logger.warning("a turn is too long to be heard whole", extra={"turn": self._turn})
        self._buffer.push(frame.pcm)

    def pause(self) -> None:
        """Decode ahead what was heard so far, unless this pause's decode is there already."""
        if self._turn is None or self._speculation is not None:
            return
        for part in self._parts:
            if part.request is None and part.transcript is None:
                self._decode_ahead(part)
        pcm = self._buffer.snapshot()
        if pcm:
            self._speculation = _Piece(pcm)
            self._decode_ahead(self._speculation)

    def resume(self) -> None:
        """Forget what was decoded ahead."""
        if self._speculation is not None:
            self._withdraw([self._speculation])
            self._speculation = None

    def end_of_turn(self) -> None:
        """End the turn: its `Final` follows at once when the pause's decode is there, else when it is made."""
        if self._turn is None:
            return
        last = self._speculation or _Piece(self._buffer.snapshot())
        if not last.pcm:
            last.transcript = Transcript()
        ending = _Ending(self._turn, (*self._parts, last))
        self._turn, self._speculation, self._parts = None, None, []
        self._buffer.clear()
        missing = [piece for piece in ending.pieces if piece.transcript is None]
        if missing:
            ending.deadline = self._loop.call_later(self._final_deadline_s, self._on_deadline, ending)
        for piece in missing:
            if not ending.over:
                self._decode_now(piece, ending)
        if not missing:
            self._settle(ending)

    def abandon_turn(self) -> None:
        """Forget the turn. Earlier turns that have ended still get their finals."""
        self.resume()
        self._withdraw(self._parts)
        self._turn, self._parts = None, []
        self._buffer.clear()

    def __aiter__(self) -> AsyncIterator[SttEvent]:
        return self._events

    def close(self) -> None:
        """Withdraw everything asked for and end the iteration. Safe to call twice."""
        self.abandon_turn()
        for ending in set(self._endings.values()):
            self._forget(ending)
        self._closed = True
        self._events.close()

    def _cut(self) -> None:
        """Have the turn's first part decoded, but not in a pause: what is decoded ahead there would hold it twice."""
        if self._speculation is not None and not self._buffer.full:
            return
        if len(self._parts) < MOST_PARTS:
            self.resume()
            self._parts.append(_Piece(self._buffer.cut()))
            self._decode_ahead(self._parts[-1])

    def _decode_ahead(self, piece: _Piece) -> None:
        piece.request = self._request(piece.pcm)
        self._worker.submit(piece.request, final=False)

    def _decode_now(self, piece: _Piece, ending: _Ending) -> None:
        """The turn has ended: what is being decoded ahead goes on as its own, else it is asked for."""
        if piece.request is not None and self._worker.promote(piece.request):
            self._endings[piece.request] = ending
            return
        piece.request = self._request(piece.pcm)
        self._endings[piece.request] = ending
        self._worker.submit(piece.request, final=True)

    def _request(self, pcm: bytes) -> DecodeRequest:
        return DecodeRequest(pcm=pcm, format=self._format, hint=self._hint, deliver=self._on_outcome)

    def _withdraw(self, pieces: Sequence[_Piece]) -> None:
        for piece in pieces:
            if piece.request is not None:
                self._worker.withdraw(piece.request)

    def _on_outcome(self, request: DecodeRequest, outcome: DecodeOutcome) -> None:
        ending = self._endings.pop(request, None)
        pieces = (*self._parts, self._speculation) if ending is None else ending.pieces
        for piece in pieces:
            if piece is not None and piece.request is request:
                piece.request = None
                piece.transcript = None if isinstance(outcome, DecodeFailed) else outcome
        if ending is None:
            self._tell_hypothesis()
        elif isinstance(outcome, DecodeFailed):
            self._fail(ending, outcome.reason, outcome.retryable)
        else:
            self._settle(ending)

    def _tell_hypothesis(self) -> None:
        """Tell what was said up to the pause, once all of it is decoded."""
        speculation = self._speculation
        if self._turn is None or speculation is None:
            return
        if speculation.request is None and speculation.transcript is None:
            # It failed. The turn goes on as if this pause had not been decoded; its end asks again.
            self._speculation = None
            return
        heard = _joined((*self._parts, speculation))
        if heard is not None:
            self._events.put(Partial(self._turn, heard.text, stable=True, alternatives=heard.alternatives))

    def _settle(self, ending: _Ending) -> None:
        heard = _joined(ending.pieces)
        if heard is not None:
            self._forget(ending)
            self._events.put(Final(ending.turn, heard.text, heard.alternatives, heard.confidence))

    def _fail(self, ending: _Ending, reason: str, retryable: bool) -> None:
        self._forget(ending)
        self._events.put(SttFailed(ending.turn, reason, retryable))

    def _forget(self, ending: _Ending) -> None:
        ending.over = True
        if ending.deadline is not None:
            ending.deadline.cancel()
        for piece in ending.pieces:
            if piece.request is not None:
                self._worker.withdraw(piece.request)
                self._endings.pop(piece.request, None)

    def _on_deadline(self, ending: _Ending) -> None:
        logger.warning("a turn was not decoded in time", extra={"turn": ending.turn})
        self._fail(ending, f"no transcript within {self._final_deadline_s:g} s: the recogniser is overloaded", True)


def _joined(pieces: Sequence[_Piece]) -> Transcript | None:
    """What the pieces say together; None while one is missing."""
    heard = [piece.transcript for piece in pieces if piece.transcript is not None]
    if len(heard) < len(pieces):
        return None
    spoken = [transcript for transcript in heard if transcript.text]
    if len(spoken) <= 1:
        return spoken[0] if spoken else Transcript()
    text = " ".join(transcript.text for transcript in spoken)
    return Transcript(text, (), min(transcript.confidence for transcript in spoken))
