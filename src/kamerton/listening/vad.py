"""Voice activity detection for all calls at once: one inference for every window that is ready, in a worker thread.

A cheap energy gate spares the network silence: a window below the line's noise floor is silence without asking. The
windows of one call are judged and reported strictly in order.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Final

import anyio
import numpy as np

from kamerton.domain.audio import AudioFormat
from kamerton.domain.work import Worker
from kamerton.listening.echo import EchoEar, EchoWindow
from kamerton.listening.gate import VadSettings, stood_still, window_levels
from kamerton.listening.line_filter import LineFilter
from kamerton.listening.network import GuardedNetwork
from kamerton.listening.silero import WINDOW_SHAPES, Floats, VadModel
from kamerton.listening.vad_channel import AT_REST, VadChannel, VadWindow

_FULL_SCALE: Final = 32768.0
_FILTERS: Final = {rate: LineFilter(rate, shape.window) for rate, shape in WINDOW_SHAPES.items()}


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
                channel.filter_state = AT_REST
                channel.silence(pcm, end_s, levels[index], still[index])
            else:
                sounding.append(index)
        if sounding:
            heard, measured = self._filter(rate_hz, [channels[index] for index in sounding], samples[sounding])
            levels, quarters = window_levels(measured)
            for row, (index, parts) in enumerate(zip(sounding, quarters.tolist(), strict=True)):
                window = (heard[row], arrived[index][1], levels[row], parts, still[index])
                waiting[index] = self._gate(channels[index], window, ready)
        in_reach: list[EchoWindow] = []
        for channel, came, sound in zip(channels, arrived, waiting, strict=True):
            echo = channel.echo
            if came[1] > echo.reaches_s:
                continue
            if sound is None and echo.path is None:
                echo.fell_silent(came)
            else:
                in_reach.append(EchoWindow(echo, *came, sound))
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
