"""One call's ears: look-back, VAD channel, segmenter, and the recogniser's stream; plain calls per frame."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from kamerton.domain.audio import FRAME_MS, AudioFormat, AudioFrame
from kamerton.domain.recognition import RecognitionHint, SttStream
from kamerton.listening import segmenter
from kamerton.listening.echo import EchoEstimate
from kamerton.listening.endpointing import EndpointingSettings
from kamerton.listening.gate import VadSettings
from kamerton.listening.segmenter import SegmenterSettings, SegmenterState, SegmentEvent
from kamerton.listening.vad import VadBatcher, VadWindow


@dataclass(frozen=True, slots=True)
class ListeningSettings:
    """How calls are listened to."""

    vad: VadSettings = field(default_factory=VadSettings)
    segmenter: SegmenterSettings = field(default_factory=SegmenterSettings)
    endpointing: EndpointingSettings = field(default_factory=EndpointingSettings)
    look_back_ms: float = 400.0
    """Audio before the onset that the recogniser also gets, so that first words are never lost (at least 300)."""


class Listener:
    """Turns the caller's frames into segment events and feeds the recogniser while a turn is open.

    `report` is called on the loop with each segment event. Not safe to use from other threads.
    """

    def __init__(
        self,
        audio_format: AudioFormat,
        vad: VadBatcher,
        stt: SttStream,
        settings: ListeningSettings,
        clock: Callable[[], float],
        report: Callable[[SegmentEvent], None],
    ) -> None:
        self._settings = settings
        self._stt = stt
        self._clock = clock
        self._report = report
        self._state = SegmenterState()
        self._channel = vad.open(audio_format, self._on_window)
        # 700 ms cover the frames that arrive between an onset and the moment it is recognised as speech.
        self._recent: deque[tuple[float, AudioFrame]] = deque(maxlen=int((settings.look_back_ms + 700) / FRAME_MS))
        self._open = False

    def hear(self, frame: AudioFrame) -> None:
        """Take the next 20 ms of the caller's audio; ignored once closed."""
        now = self._clock()
        self._recent.append((now, frame))
        if self._open:
            self._stt.push(frame)
        self._channel.push(frame.pcm, now)

    def said(self, pcm: bytes, now_s: float) -> None:
        """A frame of the assistant's own voice left for the caller; it may come back as an echo."""
        self._channel.echo.said(pcm, now_s)

    @property
    def echo(self) -> EchoEstimate | None:
        """The line's echo of the assistant's voice, as far as it is known; None while none is."""
        return self._channel.echo.estimate

    def tick(self, now_s: float) -> None:
        """A frame time of the call's clock has passed, whether the line brought a frame or not."""

    def open_turn(self, turn: int, onset_s: float, hint: RecognitionHint) -> None:
        """Let the recogniser hear the turn that began at `onset_s`, with the look-back before it."""
        since = onset_s - self._settings.look_back_ms / 1000
        self._stt.begin_turn(turn, hint, [frame for at_s, frame in self._recent if at_s >= since])
        self._open = True

    def pause_turn(self) -> None:
        """The caller paused: the recogniser may decode ahead."""
        if self._open:
            self._stt.pause()

    def resume_turn(self) -> None:
        """The caller goes on."""
        if self._open:
            self._stt.resume()

    def end_turn(self) -> None:
        """The turn is over: its final transcript will follow. Listening for the next one begins at once."""
        self._close()
        self._stt.end_of_turn()

    def abandon_turn(self) -> None:
        """It was no turn: forget it and listen on."""
        if self._open:
            self._close()
            self._stt.abandon_turn()
        self._state = SegmenterState()

    def close(self) -> None:
        """Stop listening; no event follows."""
        self._open = False
        self._channel.close()

    def _close(self) -> None:
        self._open = False
        self._state = SegmenterState()

    def _on_window(self, window: VadWindow) -> None:
        self._state, event = segmenter.step(self._state, window, self._settings.segmenter)
        if event is not None:
            self._report(event)
