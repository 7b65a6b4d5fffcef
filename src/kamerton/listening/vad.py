"""Voice activity detection for all calls at once: one inference for every window that is ready, in a worker thread.

A cheap energy gate spares the network silence: a window below the line's noise floor is silence without asking. The
windows of one call are judged and reported strictly in order.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import anyio
import numpy as np

from kamerton.domain.audio import SAMPLE_BYTES, AudioFormat
from kamerton.domain.work import Worker
from kamerton.listening.echo import CallEcho, EchoEar, EchoWindow
from kamerton.listening.gate import QUARTERS, NoiseGate, VadSettings, power_of, window_levels
from kamerton.listening.silero import STATE_SIZE, WINDOW_SHAPES, Floats, VadModel, WindowShape

log = logging.getLogger(__name__)

_FULL_SCALE: Final = 32768.0
_RESET_AFTER_SILENT_WINDOWS: Final = 32
_UNSTIRRED: Final[Floats] = np.zeros((2, STATE_SIZE), dtype=np.float32)
"""The network's state before it has heard anything; shared, never written to."""


@dataclass(slots=True)
class VadWindow:
    """One judged window. `end_s` is the loop instant at which its last sample arrived.

    Made thirty times a second in every call, and therefore not frozen (a third of the cost); never changed once it
    is reported.
    """

    probability: float
    level_dbfs: float
    quiet_tail_ms: float
    """Length of the below-the-gate stretch at the window's end (its whole length when gated)."""
    length_ms: float
    end_s: float
    loud: bool = False
    """Plainly a sound: well above the line's noise."""
    is_echo: bool = False
    """Nothing but our own voice: no speech and no sound, whatever the network makes of it."""

    def silence(self) -> None:
        """It is our own voice."""
        self.is_echo = True
        self.loud = False
        self.quiet_tail_ms = self.length_ms


_Pending = tuple[bytes | None, VadWindow | None]
"""A window that waits for its turn: its audio, None when the gate already called it silence; and what is to be
reported, None when it is only for the network to hear."""


class VadChannel:
    """One call's way into the batch. `push` takes 20 ms frames; `sink` is called once per 32 ms window.

    Nothing is worked out in `push`: it runs between the work of other calls, where the same arithmetic costs several
    times what it costs when the windows of all calls are looked at together.
    """

    __slots__ = (
        "_batcher",
        "_gate",
        "_open",
        "_previous",
        "_rest",
        "_silent_windows",
        "_sink",
        "_window_bytes",
        "_window_ms",
        "arrived",
        "context",
        "dropped_windows",
        "echo",
        "pending",
        "shape",
        "state",
    )

    def __init__(self, shape: WindowShape, batcher: VadBatcher, sink: Callable[[VadWindow], None]) -> None:
        self.shape = shape
        self.arrived: deque[tuple[bytes, float]] = deque()
        """Whole windows and the instants at which they were complete, not looked at yet."""
        self.pending: deque[_Pending] = deque()
        self.state = _UNSTIRRED
        self.context = bytes(shape.context * SAMPLE_BYTES)
        self.dropped_windows = 0
        self.echo = CallEcho(shape)
        self._batcher = batcher
        self._gate = NoiseGate(batcher.settings)
        self._sink = sink
        self._window_bytes = shape.window * SAMPLE_BYTES
        self._window_ms = shape.window_ms
        self._rest = b""
        self._previous: bytes | None = None
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
                self.dropped_windows += 1
            self.arrived.append((rest[:size], now_s))
            rest = rest[size:]
            self._batcher.wake(self)
        self._rest = rest

    def close(self) -> None:
        """Stop; nothing is reported any more."""
        self._open = False
        self.arrived.clear()
        self.pending.clear()

    def sort(self, pcm: bytes, end_s: float, level_dbfs: float, quarter_powers: list[float]) -> VadWindow | None:
        """Gate a window: silence is reported, in its turn; anything else waits for the network and is returned."""
        gate = self._gate
        threshold = gate.threshold_dbfs
        if level_dbfs < threshold:
            gate.learn(level_dbfs)
            self._silent(pcm, level_dbfs, end_s)
            return None
        loud = gate.is_sound(level_dbfs)
        gate.learn(level_dbfs)
        if self._silent_windows >= _RESET_AFTER_SILENT_WINDOWS:
            self.state = _UNSTIRRED
        if self._silent_windows and self._previous is not None:
            # The network hears the window before the first loud one, so that it does not start cold in mid-word.
            self.pending.append((self._previous, None))
        self._silent_windows = 0
        tail_ms = self._quiet_tail_ms(quarter_powers, threshold)
        window = VadWindow(0.0, level_dbfs, tail_ms, self._window_ms, end_s, loud)
        self.pending.append((pcm, window))
        return window

    def _silent(self, pcm: bytes, level_dbfs: float, end_s: float) -> None:
        self._silent_windows += 1
        self._previous = pcm
        if self._silent_windows > 2 * _RESET_AFTER_SILENT_WINDOWS:
            return  # further silence is no news
        window = VadWindow(0.0, level_dbfs, self._window_ms, self._window_ms, end_s)
        if self.pending:
            self.pending.append((None, window))
        else:
            self.report(window)

    def _quiet_tail_ms(self, quarter_powers: list[float], threshold_dbfs: float) -> float:
        """How much of the window's end is below the gate, in steps of a quarter window."""
        threshold = power_of(threshold_dbfs)
        quiet = 0
        while quiet < QUARTERS - 1 and quarter_powers[QUARTERS - 1 - quiet] < threshold:
            quiet += 1
        return quiet * self._window_ms / QUARTERS

    def report(self, window: VadWindow | None) -> None:
        """Tell the call about a judged window."""
        if self._open and window is not None:
            self._sink(window)


class VadBatcher:
    """Gathers the windows of all channels, gates them and has the rest judged together."""

    def __init__(self, model: VadModel, worker: Worker, settings: VadSettings | None = None) -> None:
        self.settings = settings or VadSettings()
        self._model = model
        self._worker = worker
        self._echo_ear = EchoEar()
        self._arrivals: dict[VadChannel, None] = {}
        self._wake = anyio.Event()
        self.inferences = 0
        self.windows_judged = 0
        self.failures = 0
        """Batches that the network failed on."""

    def open(self, audio_format: AudioFormat, sink: Callable[[VadWindow], None]) -> VadChannel:
        """Open a channel for one call."""
        return VadChannel(WINDOW_SHAPES[audio_format.rate_hz], self, sink)

    def wake(self, channel: VadChannel) -> None:
        """Windows of a channel have arrived."""
        if not self._arrivals:
            self._wake.set()
        self._arrivals[channel] = None

    async def run(self) -> None:
        """Gate and judge windows until cancelled. Windows that come while others are judged wait for the next time."""
        next_s = -math.inf
        while True:
            await self._wake.wait()
            now_s = anyio.current_time()
            if next_s > now_s:
                await anyio.sleep_until(next_s)
                now_s = next_s
            busy = await self._judge(self._sort_arrivals()) >= self.settings.busy_windows
            next_s = now_s + (self.settings.busy_interval_s if busy else self.settings.interval_s)
            if not self._arrivals:
                self._wake = anyio.Event()

    def _sort_arrivals(self) -> dict[VadChannel, None]:
        """Gate every window that has arrived; returns the channels that have some for the network."""
        ready: dict[VadChannel, None] = {}
        arrivals, self._arrivals = self._arrivals, {}
        by_rate: dict[int, list[tuple[VadChannel, bytes, float]]] = {}
        for channel in arrivals:
            windows = by_rate.setdefault(channel.shape.rate_hz, [])
            windows += [(channel, pcm, end_s) for pcm, end_s in channel.arrived]
            channel.arrived.clear()
        for windows in by_rate.values():
            levels, quarters = window_levels([pcm for _, pcm, _ in windows]) if windows else ([], [])
            in_reach: list[EchoWindow] = []
            for (channel, pcm, end_s), level, parts in zip(windows, levels, quarters, strict=True):
                waiting = channel.sort(pcm, end_s, level, parts)
                if waiting is not None:
                    ready[channel] = None
                if end_s <= channel.echo.reaches_s:
                    in_reach.append(EchoWindow(channel.echo, pcm, end_s, waiting))
            if in_reach:
                self._echo_ear.judge(in_reach)
        return ready

    async def _judge(self, ready: dict[VadChannel, None]) -> int:
        """Judge all windows of these channels, one per channel and inference; returns how many there were."""
        judged = 0
        while ready:
            batch: list[tuple[VadChannel, bytes, VadWindow | None]] = []
            for channel in tuple(ready):
                loud = self._next_loud(channel)
                if loud is None:
                    del ready[channel]
                else:
                    batch.append((channel, *loud))
            for rate in {channel.shape.rate_hz for channel, _, _ in batch}:
                await self._infer([item for item in batch if item[0].shape.rate_hz == rate], rate)
            judged += len(batch)
        return judged

    @staticmethod
    def _next_loud(channel: VadChannel) -> tuple[bytes, VadWindow | None] | None:
        """The channel's next window for the network; silent ones before it are reported on the way."""
        while channel.pending:
            pcm, window = channel.pending.popleft()
            if pcm is not None:
                return pcm, window
            channel.report(window)
        return None

    async def _infer(self, batch: list[tuple[VadChannel, bytes, VadWindow | None]], rate_hz: int) -> None:
        audio = b"".join([part for channel, pcm, _ in batch for part in (channel.context, pcm)])
        inputs = np.frombuffer(audio, "<i2").astype(np.float32).reshape(len(batch), -1)
        inputs *= np.float32(1 / _FULL_SCALE)
        state = np.stack([channel.state for channel, _, _ in batch], axis=1)
        for channel, pcm, _ in batch:
            channel.context = pcm[-len(channel.context) :]
        try:
            probabilities, new_state = await self._worker.run(lambda: self._model.infer(rate_hz, inputs, state))
        except Exception:  # the boundary to the network: its fault must not end every call of the process
            log.exception("voice activity detection failed on a batch; its windows count as silence")
            self.failures += 1
            probabilities, new_state = np.zeros(len(batch), np.float32), state
        self.inferences += 1
        self.windows_judged += len(batch)
        for index, ((channel, _, window), probability) in enumerate(zip(batch, probabilities.tolist(), strict=True)):
            channel.state = new_state[:, index, :]
            if window is not None:
                window.probability = 0.0 if window.is_echo else probability
                channel.report(window)
