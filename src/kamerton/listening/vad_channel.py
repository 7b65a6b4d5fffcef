"""One call's way into the batch of voice activity detection: its windows, gated, waiting and reported in order."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from kamerton.domain.audio import SAMPLE_BYTES
from kamerton.listening.echo import CallEcho
from kamerton.listening.gate import QUARTERS, NoiseGate, VadSettings, power_of
from kamerton.listening.line_filter import STATES
from kamerton.listening.silero import STATE_SIZE, Floats, WindowShape

log = logging.getLogger(__name__)

_SPEECH: Final = 0.5
_NO_SPEECH: Final = 0.35
_GUESS_SPEECH: Final = 0.9
_WARM_UP_WINDOWS: Final = 4
_RESET_AFTER_SILENT_WINDOWS: Final = 32
_UNSTIRRED: Final[Floats] = np.zeros((2, STATE_SIZE), dtype=np.float32)
"""The network's state before it has heard anything; shared, never written to."""
AT_REST: Final[Floats] = np.zeros(STATES, dtype=np.float32)
"""The filter's state on a line that is silent; shared, never written to."""


@dataclass(slots=True)
class VadWindow:
    """One judged window. `end_s` is the loop instant at which its last sample arrived.

    Made thirty times a second in every call, and therefore not frozen (a third of the cost); never changed once it
    is reported.
    """

    probability: float
    level_dbfs: float
    """In the band of speech."""
    quiet_tail_ms: float
    """Length of the below-the-gate stretch at the window's end (its whole length when gated)."""
    length_ms: float
    end_s: float
    loud: bool = False
    """Plainly a sound: well above the line's noise."""
    still: bool = False
    """The line stood still in a part of it: digital silence, which says nothing of its noise."""
    is_echo: bool = False
    """Nothing but our own voice: no speech and no sound, whatever the network makes of it."""

    def silence(self) -> None:
        """It is our own voice."""
        self.is_echo = True
        self.loud = False
        self.quiet_tail_ms = self.length_ms


_Pending = tuple[Floats | None, VadWindow | None]
"""A window that waits for its turn: its filtered audio, None when the gate already called it silence; and what is to
be reported, None when it is only for the network to hear."""


class Batch(Protocol):
    """What a channel needs of what all calls share."""

    settings: VadSettings
    windows_dropped: int
    sink_failures: int

    def wake(self, channel: VadChannel) -> None:
        """Windows of a channel have arrived."""
        ...


class VadChannel:
    """One call's way into the batch. `push` takes 20 ms frames; `sink` is called once per 32 ms window.

    Nothing is worked out in `push`: it runs between the work of other calls, where the same arithmetic costs several
    times what it costs when the windows of all calls are looked at together.
    """

    __slots__ = (
        "_batcher",
        "_before",
        "_failed",
        "_gate",
        "_open",
        "_rest",
        "_silent_windows",
        "_sink",
        "_window_bytes",
        "_window_ms",
        "arrived",
        "at_rest",
        "context",
        "echo",
        "filter_state",
        "pending",
        "shape",
        "state",
    )

    def __init__(
        self,
        shape: WindowShape,
        batcher: Batch,
        sink: Callable[[VadWindow], None],
        failed: Callable[[Exception], None] | None = None,
    ) -> None:
        self.shape = shape
        self.arrived: deque[tuple[bytes, float]] = deque()
        """Whole windows and the instants at which they were complete, not looked at yet."""
        self.at_rest = False
        """Set by whoever hears the windows: one more of silence would change nothing, and is not reported."""
        self.pending: deque[_Pending] = deque()
        self.state = _UNSTIRRED
        self.context = np.zeros(shape.context, dtype=np.float32)
        self.filter_state = AT_REST
        self.echo = CallEcho(shape)
        self._batcher = batcher
        self._gate = NoiseGate(batcher.settings)
        self._sink = sink
        self._failed = failed
        self._window_bytes = shape.window * SAMPLE_BYTES
        self._window_ms = shape.window_ms
        self._rest = b""
        self._before: deque[bytes | Floats] = deque(maxlen=_WARM_UP_WINDOWS)
        self._silent_windows = _RESET_AFTER_SILENT_WINDOWS
        self._open = True

    def push(self, pcm: bytes, now_s: float) -> None:
        """Add audio that arrived at `now_s`; ignored once closed."""
        if not self._open:
            return
        rest = self._rest + pcm
        size = self._window_bytes
        while len(rest) >= size:
            if len(self.arrived) >= self._batcher.settings.queue_windows:
                self.arrived.popleft()
                self._batcher.windows_dropped += 1
            self.arrived.append((rest[:size], now_s))
            rest = rest[size:]
            self._batcher.wake(self)
        self._rest = rest

    def close(self) -> None:
        """Stop; nothing is reported any more."""
        self._open = False
        self.arrived.clear()
        self.pending.clear()

    def is_silent(self, level_dbfs: float) -> bool:
        """Whether the gate calls a window of that level silence. Unfiltered, it is never less than in speech's band."""
        return self._gate.is_silence(level_dbfs)

    def silence(self, heard: bytes | Floats, end_s: float, level_dbfs: float, still: bool) -> None:
        """Take a window that the gate calls silence, as it came or filtered: it is reported in its turn."""
        self._gate.learn_silence(level_dbfs, still)
        self._silent_windows += 1
        self._before.append(heard)
        if self._silent_windows > 2 * _RESET_AFTER_SILENT_WINDOWS or (self.at_rest and not self.pending):
            return  # further silence is no news
        window = VadWindow(0.0, level_dbfs, self._window_ms, self._window_ms, end_s)
        if self.pending:
            self.pending.append((None, window))
        else:
            self.report(window)

    def sort(
        self, heard: Floats, end_s: float, level_dbfs: float, quarter_powers: list[float], still: bool
    ) -> VadWindow | None:
        """Gate a window by its speech band: silence is reported; anything else waits for the network and is returned.

        Args:
            heard: the filtered samples, valid during this call only.
            end_s: the loop instant at which the window was complete.
            level_dbfs: its level in the band of speech.
            quarter_powers: the mean squares of its quarters in that band.
            still: the line stood still in a part of it.
        """
        gate = self._gate
        if gate.is_silence(level_dbfs):
            self.silence(heard.copy(), end_s, level_dbfs, still)
            return None
        if self._silent_windows:
            self._warm_up()
        self._silent_windows = 0
        tail_ms = self._quiet_tail_ms(quarter_powers, gate.quiet_dbfs)
        loud = gate.is_sound(level_dbfs)
        window = VadWindow(0.0, level_dbfs, tail_ms, self._window_ms, end_s, loud, still)
        self.pending.append((heard.copy(), window))
        return window

    def _warm_up(self) -> None:
        """Let the network hear what came before the first loud window, so that it does not start cold in mid-word.

        On a clear line one window is enough, and a state that has seen long silence is of no more use. In noise the
        network needs to know the noise: it keeps what it knew, and hears more of it.
        """
        before = self._before
        clear = self._gate.clear
        if clear and self._silent_windows >= _RESET_AFTER_SILENT_WINDOWS:
            self.state = _UNSTIRRED
        while clear and len(before) > 1:
            before.popleft()
        for heard in before:
            samples = np.frombuffer(heard, "<i2").astype(np.float32) if isinstance(heard, bytes) else heard
            self.pending.append((samples, None))
        before.clear()

    def judged(self, window: VadWindow, probability: float) -> None:
        """The network's word on a window: the gate learns from it, the call is told. Our own voice teaches nothing."""
        if window.is_echo:
            self.report(window)
            return
        window.probability = probability
        if probability < _NO_SPEECH:
            self._gate.learn_silence(window.level_dbfs, window.still)
        elif probability >= _SPEECH:
            self._gate.learn_speech(window.level_dbfs)
        self.report(window)

    def guess(self, window: VadWindow) -> None:
        """There is no word of the network: what is plainly a sound is taken for speech."""
        window.probability = _GUESS_SPEECH if window.loud else 0.0
        if not window.is_echo:
            self._gate.learn_silence(window.level_dbfs, window.still)
        self.report(window)

    def _quiet_tail_ms(self, quarter_powers: list[float], threshold_dbfs: float) -> float:
        """How much of the window's end is quiet, in steps of a quarter window."""
        threshold = power_of(threshold_dbfs)
        quiet = 0
        while quiet < QUARTERS and quarter_powers[QUARTERS - 1 - quiet] < threshold:
            quiet += 1
        return quiet * self._window_ms / QUARTERS

    def report(self, window: VadWindow | None) -> None:
        """Tell the call about a judged window. A fault in the call's sink closes this channel and no other."""
        if not self._open or window is None:
            return
        try:
            self._sink(window)
        except Exception as error:  # the boundary between a call and what all calls share
            self.fail(error)

    def fail(self, error: Exception) -> None:
        """Close the channel over a fault in what belongs to its call, and tell the call."""
        log.error("a call cannot take what was heard; it hears nothing any more", exc_info=error)
        self._batcher.sink_failures += 1
        self.close()
        if self._failed is not None:
            self._failed(error)
