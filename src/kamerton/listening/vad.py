"""Voice activity detection for all calls at once: one inference for every window that is ready, in a worker thread.

A cheap energy gate spares the network silence: a window below the line's noise floor is silence without asking. The
windows of one call are judged and reported strictly in order.
"""

from __future__ import annotations

import asyncio
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
from kamerton.listening.gate import QUARTERS, NoiseGate, VadSettings, power_of, stood_still, window_levels
from kamerton.listening.line_filter import STATES, LineFilter
from kamerton.listening.network import GuardedNetwork
from kamerton.listening.silero import STATE_SIZE, WINDOW_SHAPES, Floats, VadModel, WindowShape

log = logging.getLogger(__name__)

_FULL_SCALE: Final = 32768.0
_SPEECH: Final = 0.5
_NO_SPEECH: Final = 0.35
_GUESS_SPEECH: Final = 0.9
_WARM_UP_WINDOWS: Final = 4
_RESET_AFTER_SILENT_WINDOWS: Final = 32
_UNSTIRRED: Final[Floats] = np.zeros((2, STATE_SIZE), dtype=np.float32)
"""The network's state before it has heard anything; shared, never written to."""
_AT_REST: Final[Floats] = np.zeros(STATES, dtype=np.float32)
_FILTERS: Final = {rate: LineFilter(rate, shape.window) for rate, shape in WINDOW_SHAPES.items()}


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
        batcher: VadBatcher,
        sink: Callable[[VadWindow], None],
        failed: Callable[[Exception], None] | None = None,
    ) -> None:
        self.shape = shape
        self.arrived: deque[tuple[bytes, float]] = deque()
        """Whole windows and the instants at which they were complete, not looked at yet."""
        self.pending: deque[_Pending] = deque()
        self.state = _UNSTIRRED
        self.context = np.zeros(shape.context, dtype=np.float32)
        self.filter_state = _AT_REST
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
        if self._silent_windows > 2 * _RESET_AFTER_SILENT_WINDOWS:
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


_Loud = tuple[VadChannel, Floats, VadWindow | None]


class VadBatcher:
    """Gathers the windows of all channels, filters and gates them and has the rest judged together.

    Whatever a call or the network does, `run` goes on: a call whose sink raises loses its ears (and is told), windows
    that the network does not judge in time are judged by level.
    """

    def __init__(self, model: VadModel, worker: Worker, settings: VadSettings | None = None) -> None:
        self.settings = settings or VadSettings()
        self._network = GuardedNetwork(model, worker, self.settings.at_once_windows)
        self._echo_ear = EchoEar()
        self._arrivals: dict[VadChannel, None] = {}
        self._wake = asyncio.Event()
        self.inferences = 0
        self.windows_judged = 0
        self.windows_guessed = 0
        """Windows that were judged by level, since the network failed, hung or was slow."""
        self.windows_dropped = 0
        """Windows that waited for so long that newer ones pushed them out: nobody heard them."""
        self.sink_failures = 0
        """Calls that lost their ears to a fault of their own."""

    @property
    def failures(self) -> int:
        """Batches that the network failed on, or did not answer in time."""
        return self._network.failures

    @property
    def echo_failures(self) -> int:
        """Rounds of windows whose echo could not be judged."""
        return self._echo_ear.failures

    @property
    def trouble(self) -> str:
        """What is wrong with the network, for readiness and people on call; empty when all is well."""
        return self._network.trouble

    @property
    def healthy(self) -> bool:
        """True while the network judges what calls say."""
        return not self._network.trouble

    def open(
        self,
        audio_format: AudioFormat,
        sink: Callable[[VadWindow], None],
        failed: Callable[[Exception], None] | None = None,
    ) -> VadChannel:
        """Open a channel for one call. `failed` is told when `sink` raised; nothing is reported after that."""
        return VadChannel(WINDOW_SHAPES[audio_format.rate_hz], self, sink, failed)

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
                self._wake.clear()

    def _sort_arrivals(self) -> dict[VadChannel, None]:
        """Gate every window that has arrived; returns the channels that have some for the network."""
        ready: dict[VadChannel, None] = {}
        arrivals, self._arrivals = self._arrivals, {}
        for rate_hz in WINDOW_SHAPES:
            channels = [channel for channel in arrivals if channel.shape.rate_hz == rate_hz]
            # One window of each: where a call has more, the filter needs to have gone through the one before.
            while channels := [channel for channel in channels if channel.arrived]:
                self._sort(rate_hz, channels, ready)
        return ready

    def _sort(self, rate_hz: int, channels: list[VadChannel], ready: dict[VadChannel, None]) -> None:
        """Take the next window of each of these channels.

        What is silence as it came is so in the band of speech as well, and needs no filter: most windows of most calls.
        """
        arrived = [channel.arrived.popleft() for channel in channels]
        samples = np.frombuffer(b"".join([pcm for pcm, _ in arrived]), "<i2").astype(np.float32)
        samples = samples.reshape(len(channels), -1)
        levels, quarters = window_levels(samples)
        still = stood_still(quarters)
        waiting: list[VadWindow | None] = [None] * len(channels)
        sounding: list[int] = []
        for index, channel in enumerate(channels):
            if channel.is_silent(levels[index]):
                pcm, end_s = arrived[index]
                channel.filter_state = _AT_REST
                channel.silence(pcm, end_s, levels[index], still[index])
            else:
                sounding.append(index)
        if sounding:
            heard, measured = self._filter(rate_hz, [channels[index] for index in sounding], samples[sounding])
            levels, quarters = window_levels(measured)
            for row, (index, parts) in enumerate(zip(sounding, quarters.tolist(), strict=True)):
                window = (heard[row], arrived[index][1], levels[row], parts, still[index])
                waiting[index] = self._gate(channels[index], window, ready)
        in_reach = [
            EchoWindow(channel.echo, pcm, end_s, window)
            for channel, (pcm, end_s), window in zip(channels, arrived, waiting, strict=True)
            if end_s <= channel.echo.reaches_s
        ]
        if in_reach:
            self._echo_ear.judge(in_reach)

    @staticmethod
    def _filter(rate_hz: int, channels: list[VadChannel], samples: Floats) -> tuple[Floats, Floats]:
        """What the network hears of each channel's window, and what its level is measured on."""
        states = np.array([channel.filter_state for channel in channels])
        heard, measured, after = _FILTERS[rate_hz].run(samples, states)
        for channel, state in zip(channels, after, strict=True):
            channel.filter_state = state
        return heard, measured

    @staticmethod
    def _gate(
        channel: VadChannel, window: tuple[Floats, float, float, list[float], bool], ready: dict[VadChannel, None]
    ) -> VadWindow | None:
        """Have a window gated; what waits for the network then."""
        try:
            waiting = channel.sort(*window)
        except Exception as error:  # the boundary between a call and what all calls share
            channel.fail(error)
            return None
        if waiting is not None:
            ready[channel] = None
        return waiting

    async def _judge(self, ready: dict[VadChannel, None]) -> int:
        """Judge all windows of these channels, one per channel and inference; returns how many there were."""
        judged = 0
        while ready:
            batch: list[_Loud] = []
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
    def _next_loud(channel: VadChannel) -> tuple[Floats, VadWindow | None] | None:
        """The channel's next window for the network; silent ones before it are reported on the way."""
        while channel.pending:
            heard, window = channel.pending.popleft()
            if heard is not None:
                return heard, window
            channel.report(window)
        return None

    async def _infer(self, batch: list[_Loud], rate_hz: int) -> None:
        audio = np.concatenate([part for channel, heard, _ in batch for part in (channel.context, heard)])
        audio *= np.float32(1 / _FULL_SCALE)
        state = np.stack([channel.state for channel, _, _ in batch], axis=1)
        for channel, heard, _ in batch:
            channel.context = heard[-len(channel.context) :]
        answer = await self._network.infer(rate_hz, audio.reshape(len(batch), -1), state)
        if answer is None:
            self.windows_guessed += len(batch)
            for channel, _, window in batch:
                if window is not None:
                    channel.guess(window)
            return
        probabilities, new_state = answer
        self.inferences += 1
        self.windows_judged += len(batch)
        for index, ((channel, _, window), probability) in enumerate(zip(batch, probabilities.tolist(), strict=True)):
            channel.state = new_state[:, index, :]
            if window is not None:
                channel.judged(window, probability)
