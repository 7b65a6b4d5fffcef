"""A call's turns as an engine is told of them: they outlive its streams, and go to the next one from their beginning.

While there is no stream (the engine opens slowly, or was lost) turns are kept, and are told to the next one from their
beginning. Whatever an engine raises is caught here: it costs the call that stream, and nothing else.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from kamerton.domain.audio import FRAME_MS, AudioFrame
from kamerton.domain.recognition import Final as FinalTranscript
from kamerton.domain.recognition import RecognitionHint, SttEvent, SttFailed, SttStream

log = logging.getLogger(__name__)

_LONGEST_FRAMES: Final = 30_000 // FRAME_MS
"""Of one turn, 30 s are kept, as long as turns may be; beyond it the oldest frame goes, counted."""
_MOST_ENDED: Final = 2
"""Ended turns without a transcript that are kept; an older one is given up, as the caller has by then."""


@dataclass(slots=True, eq=False)
class _KeptTurn:
    number: int
    hint: RecognitionHint
    frames: list[AudioFrame] = field(default_factory=list)
    paused: bool = False


class TurnKeeper:
    """`TurnAudio` of one call. Plain calls on the loop; none of them raises.

    `lost` is told why, when the engine raised: its stream is not used any more.
    """

    def __init__(self, clock: Callable[[], float], lost: Callable[[str], None]) -> None:
        self._clock = clock
        self._lost = lost
        self._continuous = False
        self._stream: SttStream | None = None
        self._open: _KeptTurn | None = None
        self._ended: list[_KeptTurn] = []
        self._dropped_frames = 0
        self.audio_from_s = 0.0
        """Instant of the first audio of the open turn."""

    @property
    def dropped_ms(self) -> float:
        """Audio of overlong turns that could not be kept, and what the engine dropped."""
        engine_ms = self._stream.dropped_ms if self._stream is not None else 0.0
        return engine_ms + self._dropped_frames * float(FRAME_MS)

    def begin_turn(self, turn: int, hint: RecognitionHint, look_back: Sequence[AudioFrame] = ()) -> None:
        """A turn begins with this audio."""
        self._open = _KeptTurn(turn, hint, list(look_back))
        self.audio_from_s = self._clock() - len(look_back) * FRAME_MS / 1000
        self._tell(lambda stream: stream.begin_turn(turn, hint, look_back))

    def push(self, frame: AudioFrame) -> None:
        """A frame of the turn; of what is between turns nothing is kept."""
        turn = self._open
        if turn is not None:
            turn.frames.append(frame)
            if len(turn.frames) > _LONGEST_FRAMES:
                del turn.frames[0]
                self._dropped_frames += 1
        self._push(frame)

    def pause(self) -> None:
        """The caller paused."""
        if self._open is not None:
            self._open.paused = True
            self._tell(lambda stream: stream.pause())

    def resume(self) -> None:
        """The caller goes on."""
        if self._open is not None:
            self._open.paused = False
            self._tell(lambda stream: stream.resume())

    def end_of_turn(self) -> None:
        """The turn is over; its transcript is awaited, of this stream or of the next."""
        if self._open is not None:
            self._ended = [*self._ended, self._open][-_MOST_ENDED:]
            self._open = None
            self._tell(lambda stream: stream.end_of_turn())

    def abandon_turn(self) -> None:
        """It was no turn."""
        self._open = None
        self._tell(lambda stream: stream.abandon_turn())

    @property
    def settled(self) -> bool:
        """No turn is open, and none waits for its transcript."""
        return self._open is None and not self._ended

    @property
    def owed(self) -> bool:
        """A turn has ended and waits for its transcript."""
        return bool(self._ended)

    def attach(self, stream: SttStream, *, continuous: bool = False) -> None:
        """An engine's stream is open: tell it what has no transcript yet.

        A `continuous` engine is given the audio of a turn that it has not heard before it is told of the turn.
        """
        self._stream = stream
        self._continuous = continuous
        for ended in tuple(self._ended):
            self._tell_whole(ended)
            self._tell(lambda stream: stream.end_of_turn())
        if self._open is not None:
            self._tell_whole(self._open)
            if self._open.paused:
                self._tell(lambda stream: stream.pause())

    def detach(self) -> None:
        """The stream is closed, or lost."""
        self._stream = None

    def told(self, event: SttEvent) -> None:
        """The engine told something: a turn with its outcome need not be kept."""
        if isinstance(event, FinalTranscript | SttFailed):
            self._ended = [turn for turn in self._ended if turn.number > event.turn]

    def _tell_whole(self, turn: _KeptTurn) -> None:
        if self._continuous:
            for frame in turn.frames:
                self._push(frame)
        self._tell(lambda stream: stream.begin_turn(turn.number, turn.hint, turn.frames))

    def _push(self, frame: AudioFrame) -> None:
        stream = self._stream
        if stream is not None:
            try:
                stream.push(frame)
            except Exception as error:  # the boundary to an engine: its fault costs its stream
                self._give_up(error)

    def _tell(self, told: Callable[[SttStream], None]) -> None:
        if self._stream is None:
            return
        try:
            told(self._stream)
        except Exception as error:  # the boundary to an engine: its fault costs its stream
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        self._stream = None
        log.warning("the recogniser's stream broke", exc_info=error)
        self._lost(f"{type(error).__name__}: {error}")
