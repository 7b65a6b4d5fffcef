"""One call's ears: look-back, VAD channel, segmenter, and the recogniser's stream; plain calls per frame.

Frames that do not come are silence on the call's clock: for the VAD once the line has been quiet for `PATIENCE_S`, for
the recogniser where later frames show that some are missing (`LineClock`).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from kamerton.domain.audio import FRAME_MS, AudioFormat, AudioFrame
from kamerton.domain.recognition import RecognitionHint, TurnAudio
from kamerton.listening import segmenter
from kamerton.listening.echo import EchoEstimate
from kamerton.listening.endpointing import EndpointingSettings
from kamerton.listening.gate import VadSettings
from kamerton.listening.line_clock import FRAME_S, PATIENCE_S, HeardFrame, LineClock
from kamerton.listening.segmenter import Phase, SegmenterSettings, SegmenterState, SegmentEvent
from kamerton.listening.vad import VadBatcher
from kamerton.listening.vad_channel import VadWindow


@dataclass(frozen=True, slots=True)
class ListeningSettings:
    """How calls are listened to."""

    vad: VadSettings = field(default_factory=VadSettings)
    segmenter: SegmenterSettings = field(default_factory=SegmenterSettings)
    endpointing: EndpointingSettings = field(default_factory=EndpointingSettings)
    look_back_ms: float = 400.0
    """Audio before the onset that the recogniser also gets, so that first words are never lost (at least 300)."""


_DECAY_S: Final = 0.050
"""How long the end of a word may sound beyond where it was placed."""
_STALL_S: Final = 0.200
"""A clock that did not tick for that long was held up itself, and says nothing of the line."""
_SILENCE_IS_KNOWN_S: Final = 3.0
"""Silence of that length has told the VAD all there is."""


class Listener:
    """Turns the caller's frames into segment events and feeds the recogniser while a turn is open.

    `report` is called on the loop with each segment event; a fault in it is raised by the next `tick`, so that it ends
    this call and no other. A `continuous` recogniser is given the audio between turns as well. Not safe to use from
    other threads.
    """

    def __init__(
        self,
        audio_format: AudioFormat,
        vad: VadBatcher,
        stt: TurnAudio,
        settings: ListeningSettings,
        clock: Callable[[], float],
        report: Callable[[SegmentEvent], None],
        *,
        continuous: bool = False,
    ) -> None:
        self._settings = settings
        self._stt = stt
        self._clock = clock
        self._report = report
        self._continuous = continuous
        self._state = SegmenterState()
        self._channel = vad.open(audio_format, self._on_window, self._on_fault)
        self._channel.at_rest = True
        self.said: Callable[[bytes, float], None] = self._channel.echo.said
        """A frame of the assistant's own voice left for the caller, at an instant; it may come back as an echo."""
        # 700 ms cover the frames that arrive between an onset and the moment it is recognised as speech.
        keep_ms = settings.look_back_ms + 700
        self._line = LineClock(audio_format, keep_ms)
        self._recent: deque[tuple[float, AudioFrame]] = deque(maxlen=int(keep_ms / FRAME_MS))
        self._silence = audio_format.silence()
        self._spoken_until_s = -math.inf
        self._stalled_until_s = -math.inf
        self._quiet_since_s = clock()
        self._due_s = self._quiet_since_s + FRAME_S
        """When the next frame of silence is due, while the line brings nothing."""
        self._fault: Exception | None = None
        self._deaf = False
        """Closed, or at fault: what arrives is not heard."""
        self._open = False

    @property
    def filled_ms(self) -> float:
        """Audio so far that the line did not bring in time and that was silence for the recogniser."""
        return self._line.filled_frames * float(FRAME_MS)

    def hear(self, frame: AudioFrame) -> None:
        """Take the next 20 ms of the caller's audio; ignored once closed."""
        if self._deaf:
            return
        now = self._clock()
        self._quiet_since_s = now
        if self._line.in_time(now):
            self._recent.append((now, frame))
            if self._open or self._continuous:
                self._stt.push(frame)
        else:
            for heard in self._line.arrived(frame, now):
                self._keep(heard)
        self._channel.push(frame.pcm, now)

    @property
    def echo(self) -> EchoEstimate | None:
        """The line's echo of the assistant's voice, as far as it is known; None while none is."""
        return self._channel.echo.estimate

    def tick(self, now_s: float) -> None:
        """A frame time of the call's clock has passed, whether the line brought a frame or not.

        Raises:
            Exception: what a segment event's report raised.
        """
        if now_s < self._quiet_since_s + PATIENCE_S:
            return
        if self._fault is not None:
            raise self._fault
        if now_s < self._stalled_until_s:
            return
        self._due_s = max(self._due_s, self._quiet_since_s + FRAME_S)
        if now_s - self._due_s > _STALL_S:
            # Ticks did not come either: what the line brought meanwhile is about to be read.
            self._due_s = now_s
            self._stalled_until_s = now_s + PATIENCE_S
            return
        while self._due_s <= now_s:
            if self._due_s - self._quiet_since_s < _SILENCE_IS_KNOWN_S:
                self._channel.push(self._silence, self._due_s)
            self._due_s += FRAME_S
        for heard in self._line.nothing_came(now_s):
            self._keep(heard)

    def open_turn(self, turn: int, onset_s: float, hint: RecognitionHint) -> None:
        """Let the recogniser hear the turn that began at `onset_s`, with the look-back before it.

        What was spoken in the turn before is not given again, unless that turn was abandoned.
        """
        self._settle()
        since_s = max(onset_s - self._settings.look_back_ms / 1000, self._spoken_until_s)
        self._stt.begin_turn(turn, hint, [frame for at_s, frame in self._recent if at_s >= since_s])
        self._open = True

    def pause_turn(self) -> None:
        """The caller paused: the recogniser may decode ahead."""
        if self._open:
            self._settle()
            self._stt.pause()

    def resume_turn(self) -> None:
        """The caller goes on."""
        if self._open:
            self._stt.resume()

    def end_turn(self) -> None:
        """The turn is over: its final transcript will follow. Listening for the next one begins at once."""
        self._settle()
        self._spoken_until_s = self._clock()
        if self._state.phase is Phase.PAUSE:
            self._spoken_until_s = min(self._spoken_until_s, self._state.last_speech_end_s + _DECAY_S)
        self._close()
        self._stt.end_of_turn()

    def abandon_turn(self) -> None:
        """It was no turn: forget it and listen on."""
        if self._open:
            self._close()
            self._stt.abandon_turn()
        self._forget()

    def close(self) -> None:
        """Stop listening; no event follows."""
        self._open = False
        self._deaf = True
        self._quiet_since_s = math.inf
        self._channel.close()

    def _settle(self) -> None:
        """What the recogniser is told now is about all that has arrived."""
        for heard in self._line.settle():
            self._keep(heard)

    def _keep(self, heard: HeardFrame) -> None:
        self._recent.append(heard)
        if self._open or self._continuous:
            self._stt.push(heard.frame)

    def _on_fault(self, error: Exception) -> None:
        self._fault = error
        self._deaf = True
        self._quiet_since_s = -math.inf

    def _close(self) -> None:
        self._open = False
        self._forget()

    def _forget(self) -> None:
        self._state = SegmenterState()
        self._channel.at_rest = True

    def _on_window(self, window: VadWindow) -> None:
        self._state, event = segmenter.step(self._state, window, self._settings.segmenter)
        self._channel.at_rest = self._state.at_rest
        if event is not None:
            self._report(event)
