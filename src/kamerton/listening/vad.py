"""Voice activity detection for all calls at once: one inference for every window that is ready, in a worker thread.

A cheap energy gate spares the network silence: a window below the line's noise floor is silence without asking. The
windows of one call are judged and reported strictly in order.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import anyio
import numpy as np

from kamerton.domain.audio import SAMPLE_BYTES, AudioFormat
from kamerton.domain.work import Worker
from kamerton.listening.silero import STATE_SIZE, WINDOW_SHAPES, Floats, VadModel, WindowShape

log = logging.getLogger(__name__)

SILENCE_DBFS: Final = -100.0
_FULL_SCALE: Final = 32768.0
_FULL_SCALE_DB: Final = 20 * math.log10(_FULL_SCALE)
_SILENT_POWER: Final = 0.1
_RESET_AFTER_SILENT_WINDOWS: Final = 32


@dataclass(frozen=True, slots=True)
class VadSettings:
    """Batching and gating."""

    interval_s: float = 0.010
    """Least time between two inferences; the batch grows with the load meanwhile."""
    busy_windows: int = 8
    busy_interval_s: float = 0.025
    """After a batch of that many windows the next one waits longer: fewer thread switches for 8 ms more delay."""
    gate_floor_dbfs: float = -58.0
    """Nothing quieter than this is ever speech."""
    gate_above_noise_db: float = 8.0
    """How far above the line's own noise a window must be to be judged at all."""
    sound_floor_dbfs: float = -50.0
    sound_above_noise_db: float = 15.0
    """From these levels on a window is plainly a sound, whatever the network makes of it."""
    queue_windows: int = 64
    """Windows of one call that may wait (2 s); beyond it the oldest is dropped and counted."""


@dataclass(slots=True)
class VadWindow:
    """One judged window. `end_s` is the loop instant at which its last sample arrived.

    Made thirty times a second in every call, and therefore not frozen (a third of the cost); never changed.
    """

    probability: float
    level_dbfs: float
    quiet_tail_ms: float
    """Length of the below-the-gate stretch at the window's end (its whole length when gated)."""
    length_ms: float
    end_s: float
    loud: bool = False
    """Plainly a sound: well above the line's noise."""


class NoiseGate:
    """Follows the noise floor of one line: down fast, up slowly (about 2 dB/s)."""

    def __init__(self, settings: VadSettings) -> None:
        self._settings = settings
        self._noise_dbfs = settings.gate_floor_dbfs - settings.gate_above_noise_db

    @property
    def threshold_dbfs(self) -> float:
        """Level below which audio counts as silence."""
        return max(self._settings.gate_floor_dbfs, self._noise_dbfs + self._settings.gate_above_noise_db)

    def is_sound(self, level_dbfs: float) -> bool:
        """True when a level is well above the line's noise."""
        settings = self._settings
        return level_dbfs >= max(settings.sound_floor_dbfs, self._noise_dbfs + settings.sound_above_noise_db)

    def learn(self, level_dbfs: float) -> None:
        """Take one window's level into account."""
        if level_dbfs < self._noise_dbfs:
            self._noise_dbfs += 0.3 * (max(level_dbfs, SILENCE_DBFS) - self._noise_dbfs)
        else:
            self._noise_dbfs = min(self._noise_dbfs + 0.06, -35.0)


@dataclass(slots=True)
class _Pending:
    """A window that waits for its turn; `samples` is None when the gate already called it silence."""

    samples: Floats | None
    level_dbfs: float
    quiet_tail_ms: float
    end_s: float
    loud: bool = False
    reported: bool = True


@dataclass(slots=True, eq=False)
class VadChannel:
    """One call's way into the batch. `push` takes 20 ms frames; `sink` is called once per 32 ms window."""

    shape: WindowShape
    gate: NoiseGate
    sink: Callable[[VadWindow], None]
    batcher: VadBatcher
    state: Floats
    context: Floats
    pending: deque[_Pending] = field(default_factory=deque)
    dropped_windows: int = 0
    _buffer: bytearray = field(default_factory=bytearray)
    _previous: Floats | None = None
    _silent_windows: int = _RESET_AFTER_SILENT_WINDOWS
    _open: bool = True

    def push(self, pcm: bytes, now_s: float) -> None:
        """Add audio that arrived at `now_s`; ignored once closed."""
        if not self._open:
            return
        self._buffer += pcm
        size = self.shape.window * SAMPLE_BYTES
        while len(self._buffer) >= size:
            samples = np.frombuffer(self._buffer, dtype=np.int16, count=self.shape.window).astype(np.float32)
            del self._buffer[:size]
            self._take(samples, now_s)

    def close(self) -> None:
        """Stop; nothing is reported any more."""
        self._open = False
        self.pending.clear()

    def _take(self, samples: Floats, now_s: float) -> None:
        level = _dbfs(float(samples.dot(samples)) / samples.size)
        threshold = self.gate.threshold_dbfs
        if level < threshold:
            self.gate.learn(level)
            self._silent(samples, level, now_s)
            return
        loud = self.gate.is_sound(level)
        self.gate.learn(level)
        if self._silent_windows >= _RESET_AFTER_SILENT_WINDOWS:
            self.state = np.zeros((2, STATE_SIZE), dtype=np.float32)
        if self._silent_windows and self._previous is not None:
            # The network hears the window before the first loud one, so that it does not start cold in mid-word.
            self._enqueue(_Pending(self._previous, level, 0.0, now_s, reported=False))
        self._silent_windows = 0
        self._enqueue(_Pending(samples, level, self._quiet_tail_ms(samples, threshold), now_s, loud))

    def _silent(self, samples: Floats, level: float, now_s: float) -> None:
        self._silent_windows += 1
        self._previous = samples
        if self._silent_windows > 2 * _RESET_AFTER_SILENT_WINDOWS:
            return  # further silence is no news
        window = _Pending(None, level, self.shape.window_ms, now_s)
        if self.pending or self.batcher.is_judging(self):
            self._enqueue(window)
        else:
            self.report(window, 0.0)

    def _enqueue(self, window: _Pending) -> None:
        if len(self.pending) >= self.batcher.settings.queue_windows:
            self.pending.popleft()
            self.dropped_windows += 1
        self.pending.append(window)
        self.batcher.wake(self)

    def _quiet_tail_ms(self, samples: Floats, threshold_dbfs: float) -> float:
        """How much of the window's end is below the gate, in steps of a quarter window."""
        quarter = samples.size // 4
        quiet = 0
        for index in (3, 2, 1):
            part = samples[index * quarter : (index + 1) * quarter]
            if _dbfs(float(part @ part) / quarter) >= threshold_dbfs:
                break
            quiet += 1
        return quiet * self.shape.window_ms / 4

    def report(self, window: _Pending, probability: float) -> None:
        """Tell the call about a judged window."""
        if self._open and window.reported:
            self.sink(
                VadWindow(
                    probability,
                    window.level_dbfs,
                    window.quiet_tail_ms,
                    self.shape.window_ms,
                    window.end_s,
                    window.loud,
                )
            )


class VadBatcher:
    """Gathers the windows of all channels and has them judged together."""

    def __init__(self, model: VadModel, worker: Worker, settings: VadSettings | None = None) -> None:
        self.settings = settings or VadSettings()
        self._model = model
        self._worker = worker
        self._ready: dict[VadChannel, None] = {}
        self._judging: dict[VadChannel, None] = {}
        self._wake = anyio.Event()
        self.inferences = 0
        self.windows_judged = 0
        self.failures = 0
        """Batches that the network failed on."""

    def open(self, audio_format: AudioFormat, sink: Callable[[VadWindow], None]) -> VadChannel:
        """Open a channel for one call."""
        shape = WINDOW_SHAPES[audio_format.rate_hz]
        state = np.zeros((2, STATE_SIZE), dtype=np.float32)
        context = np.zeros(shape.context, dtype=np.float32)
        return VadChannel(shape, NoiseGate(self.settings), sink, self, state, context)

    def wake(self, channel: VadChannel) -> None:
        """A channel has windows waiting."""
        self._ready[channel] = None
        self._wake.set()

    def is_judging(self, channel: VadChannel) -> bool:
        """True while a window of the channel is with the network or on its way there."""
        return channel in self._judging

    async def run(self) -> None:
        """Judge windows until cancelled."""
        next_s = -math.inf
        while True:
            await self._wake.wait()
            now_s = anyio.current_time()
            if next_s > now_s:
                await anyio.sleep_until(next_s)
                now_s = next_s
            judged = self.windows_judged
            await self._judge_ready()
            busy = self.windows_judged - judged >= self.settings.busy_windows
            next_s = now_s + (self.settings.busy_interval_s if busy else self.settings.interval_s)
            if not self._ready:
                self._wake = anyio.Event()

    async def _judge_ready(self) -> None:
        """Take the windows of every ready channel, one per channel and inference, until these channels have none left.

        A channel that becomes ready meanwhile waits for the next time, so that batches grow with the load.
        """
        ready, self._ready = self._ready, {}
        while ready:
            batch: list[tuple[VadChannel, _Pending, Floats]] = []
            for channel in tuple(ready):
                window = self._next_loud(channel)
                if window is None or window.samples is None:
                    del ready[channel]
                else:
                    self._judging[channel] = None
                    batch.append((channel, window, window.samples))
            for rate in {channel.shape.rate_hz for channel, _, _ in batch}:
                await self._judge([item for item in batch if item[0].shape.rate_hz == rate], rate)

    @staticmethod
    def _next_loud(channel: VadChannel) -> _Pending | None:
        """The channel's next window for the network; silent ones before it are reported on the way."""
        while channel.pending:
            window = channel.pending.popleft()
            if window.samples is not None:
                return window
            channel.report(window, 0.0)
        return None

    async def _judge(self, batch: list[tuple[VadChannel, _Pending, Floats]], rate_hz: int) -> None:
        inputs = np.stack([np.concatenate((channel.context, samples)) for channel, _, samples in batch])
        inputs *= np.float32(1 / _FULL_SCALE)
        state = np.stack([channel.state for channel, _, _ in batch], axis=1)
        for channel, _, samples in batch:
            channel.context = samples[-channel.shape.context :]
        try:
            probabilities, new_state = await self._worker.run(lambda: self._model.infer(rate_hz, inputs, state))
        except Exception:  # the boundary to the network: its fault must not end every call of the process
            log.exception("voice activity detection failed on a batch; its windows count as silence")
            self.failures += 1
            probabilities, new_state = np.zeros(len(batch), np.float32), state
        finally:
            for channel, _, _ in batch:
                self._judging.pop(channel, None)
        self.inferences += 1
        self.windows_judged += len(batch)
        for index, (channel, window, _) in enumerate(batch):
            channel.state = new_state[:, index, :]
            channel.report(window, float(probabilities[index]))


def _dbfs(mean_square: float) -> float:
    """Level of raw 16-bit samples against full scale."""
    return 10 * math.log10(mean_square) - _FULL_SCALE_DB if mean_square > _SILENT_POWER else SILENCE_DBFS
