"""The network raises, hangs, is slow; a call's sink raises: the others go on, and somebody is told."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

import anyio
import numpy as np
import pytest

from kamerton.audio.tone import tone
from kamerton.domain.audio import PHONE
from kamerton.listening.silero import Floats
from kamerton.listening.vad import VadBatcher
from kamerton.listening.vad_channel import VadChannel, VadWindow
from kamerton.orchestrator.workers import InlineWorker
from kamerton.testing.virtual_loop import VirtualLoop

pytestmark = pytest.mark.anyio
T = TypeVar("T")
WINDOW_S = 0.032
LOUD = tone(1000.0, 200.0, PHONE, level_dbfs=-15.0)[512:1024]
FAINT = np.random.default_rng(3).normal(0, 30, 256).astype("<i2").tobytes()


@pytest.fixture
def anyio_backend() -> object:
    return ("asyncio", {"loop_factory": VirtualLoop})


class Network:
    """Takes everything loud for speech, unless it is told to fail."""

    def __init__(self) -> None:
        self.fails = False
        self.entered = threading.Event()
        self.released = threading.Event()
        self.released.set()

    def infer(self, rate_hz: int, windows: Floats, state: Floats) -> tuple[Floats, Floats]:
        self.entered.set()
        self.released.wait()
        if self.fails:
            raise RuntimeError("the network is upset")
        return np.where(np.abs(windows).max(axis=1) > 0.05, 0.97, 0.02).astype(np.float32), state


class ThreadWithAHang:
    """A worker that takes its time; while it hangs, its thread does not come back out of the network."""

    def __init__(self, network: Network, *, begins: bool = True) -> None:
        self.takes_s = 0.001
        self.asked_while_hung = 0
        self._network = network
        self._begins = begins
        self._hangs = False
        self._threads: list[threading.Thread] = []

    def hang(self) -> None:
        self._hangs = True
        if self._begins:
            self._network.released.clear()

    def go_on(self) -> None:
        self._hangs = False
        self._network.released.set()
        for thread in self._threads:
            thread.join()

    async def run(self, work: Callable[[], T]) -> T:
        if self._hangs:
            self.asked_while_hung += 1
            if self._begins:
                self._threads.append(threading.Thread(target=work))
                self._threads[-1].start()
                self._network.entered.wait()
            await anyio.sleep_forever()
        await anyio.sleep(self.takes_s)
        return work()


class Calls:
    """Calls whose windows come at real pace, loud or faint."""

    def __init__(self, batcher: VadBatcher, count: int = 3) -> None:
        self.windows: list[list[VadWindow]] = [[] for _ in range(count)]
        self.late_s: list[float] = []
        self.channels: list[VadChannel] = [batcher.open(PHONE, self._sink(number)) for number in range(count)]

    def _sink(self, number: int) -> Callable[[VadWindow], None]:
        def take(window: VadWindow) -> None:
            self.windows[number].append(window)
            self.late_s.append(anyio.current_time() - window.end_s)

        return take

    async def hear(self, duration_s: float, pcm: bytes) -> None:
        for _ in range(round(duration_s / WINDOW_S)):
            await anyio.sleep(WINDOW_S)
            for channel in self.channels:
                channel.push(pcm, anyio.current_time())

    async def talk(self, duration_s: float) -> None:
        """Words of 0.64 s with a quarter of a second between them: nobody speaks without pauses."""
        for _ in range(round(duration_s / 0.896)):
            await self.hear(0.640, LOUD)
            await self.hear(0.256, FAINT)

    def take(self) -> list[float]:
        """Probabilities of the first call's loud windows since the last time."""
        taken = [window.probability for window in self.windows[0] if window.level_dbfs > -30.0]
        for windows in self.windows:
            windows.clear()
        return taken


@pytest.mark.parametrize("count", [1, 3])
async def test_while_the_network_raises_calls_are_heard_by_loudness_and_it_is_asked_again(count: int) -> None:
    network = Network()
    batcher = VadBatcher(network, InlineWorker())
    calls = Calls(batcher, count)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(batcher.run)
        await calls.hear(2.0, FAINT)
        assert batcher.trouble == ""
        calls.take()
        network.fails = True
        await calls.talk(1.0)
        assert min(calls.take()) >= 0.9
        assert "voice activity detection" in batcher.trouble
        assert batcher.failures > 0
        assert batcher.windows_guessed > 0
        await calls.hear(1.0, FAINT)
        assert calls.windows[0][-1].probability == 0.0
        network.fails = False
        await calls.talk(1.0)
        assert calls.take()[-1] == pytest.approx(0.97)
        assert batcher.trouble == ""
        tasks.cancel_scope.cancel()


async def test_a_thread_that_hangs_costs_a_second_once_and_is_asked_again_when_it_has_returned() -> None:
    network = Network()
    thread = ThreadWithAHang(network)
    batcher = VadBatcher(network, thread)
    calls = Calls(batcher)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(batcher.run)
        await calls.hear(2.0, FAINT)
        calls.take()
        calls.late_s.clear()
        thread.hang()
        await calls.talk(6.0)
        assert max(calls.late_s) <= 1.1
        assert "not answer within 1 s" in batcher.trouble
        assert min(calls.take()) >= 0.9
        assert thread.asked_while_hung == 1
        calls.late_s.clear()
        await calls.talk(1.0)
        assert max(calls.late_s) <= 0.05
        calls.take()
        thread.go_on()
        await calls.talk(1.0)
        assert batcher.trouble == ""
        assert calls.take()[-1] == pytest.approx(0.97)
        tasks.cancel_scope.cancel()


async def test_a_worker_that_never_begins_is_asked_once_in_a_while() -> None:
    network = Network()
    thread = ThreadWithAHang(network, begins=False)
    batcher = VadBatcher(network, thread)
    calls = Calls(batcher)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(batcher.run)
        thread.hang()
        await calls.talk(20.0)
        assert 3 <= thread.asked_while_hung <= 5
        tasks.cancel_scope.cancel()


async def test_a_network_a_hundred_times_too_slow_rests_and_calls_are_not_kept_waiting() -> None:
    network = Network()
    thread = ThreadWithAHang(network)
    batcher = VadBatcher(network, thread)
    calls = Calls(batcher)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(batcher.run)
        await calls.hear(2.0, FAINT)
        thread.takes_s = 0.4
        calls.late_s.clear()
        await calls.talk(10.0)
        assert "slow" in batcher.trouble
        assert max(calls.late_s) <= 1.0
        assert sorted(calls.late_s)[len(calls.late_s) * 3 // 4] <= 0.05
        thread.takes_s = 0.001
        await calls.talk(5.0)
        assert batcher.trouble == ""
        tasks.cancel_scope.cancel()


async def test_a_call_whose_sink_raises_loses_its_ears_and_the_others_do_not() -> None:
    batcher = VadBatcher(Network(), InlineWorker())
    calls = Calls(batcher)
    faults: list[Exception] = []

    def broken(window: VadWindow) -> None:
        raise RuntimeError("the call is upset")

    channel = batcher.open(PHONE, broken, faults.append)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(batcher.run)
        for _ in range(20):
            await anyio.sleep(WINDOW_S)
            for each in (*calls.channels, channel):
                each.push(LOUD, anyio.current_time())
        await anyio.sleep(0.1)
        tasks.cancel_scope.cancel()
    assert [len(windows) for windows in calls.windows] == [20, 20, 20]
    assert [str(fault) for fault in faults] == ["the call is upset"]
    assert batcher.sink_failures == 1
