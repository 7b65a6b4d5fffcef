from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import anyio
import anyio.lowlevel
import numpy as np
import pytest
from anyio.abc import TaskGroup

from kamerton.audio.levels import fade_out
from kamerton.audio.tone import tone
from kamerton.domain.audio import PHONE, WIDEBAND, AudioFormat
from kamerton.listening.gate import VadSettings
from kamerton.listening.silero import STATE_SIZE, WINDOW_SHAPES, Floats
from kamerton.listening.vad import VadBatcher
from kamerton.listening.vad_channel import VadChannel, VadWindow
from kamerton.orchestrator.workers import InlineWorker
from kamerton.testing.virtual_loop import VirtualLoop

pytestmark = pytest.mark.anyio
T = TypeVar("T")
WINDOW_S = 0.032


@pytest.fixture
def anyio_backend() -> object:
    return ("asyncio", {"loop_factory": VirtualLoop})


class CountingModel:
    """Judges every window as speech and keeps the size of each batch; the state counts a channel's windows."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.rates: list[int] = []
        self.widths: list[int] = []
        self.heard_before: list[float] = []

    def infer(self, rate_hz: int, windows: Floats, state: Floats) -> tuple[Floats, Floats]:
        assert state.shape == (2, len(windows), STATE_SIZE)
        self.batches.append(len(windows))
        self.rates.append(rate_hz)
        self.widths.append(windows.shape[1])
        self.heard_before += state[0, :, 0].tolist()
        return np.full(len(windows), 0.9, dtype=np.float32), state + np.float32(1)


class SlowWorker:
    """Takes its time over each piece of work."""

    def __init__(self, work_s: float) -> None:
        self.work_s = work_s

    async def run(self, work: Callable[[], T]) -> T:
        await anyio.sleep(self.work_s)
        return work()


def loud(audio_format: AudioFormat) -> bytes:
    shape = WINDOW_SHAPES[audio_format.rate_hz]
    pcm = tone(1000.0, 200.0, audio_format, level_dbfs=-15.0)
    return pcm[shape.window * 2 : shape.window * 4]


def quiet(audio_format: AudioFormat) -> bytes:
    return bytes(WINDOW_SHAPES[audio_format.rate_hz].window * 2)


def opened(batcher: VadBatcher, audio_format: AudioFormat = PHONE) -> tuple[VadChannel, list[VadWindow]]:
    windows: list[VadWindow] = []
    return batcher.open(audio_format, windows.append), windows


async def settle() -> None:
    await anyio.sleep(1.0)


def ends(windows: list[VadWindow]) -> list[float]:
    return [window.end_s for window in windows]


async def started(tasks: TaskGroup, batcher: VadBatcher) -> None:
    tasks.start_soon(batcher.run)
    await anyio.lowlevel.checkpoint()


async def test_loud_windows_of_several_calls_are_judged_in_one_inference() -> None:
    model = CountingModel()
    batcher = VadBatcher(model, InlineWorker())
    calls = [opened(batcher) for _ in range(5)]
    async with anyio.create_task_group() as tasks:
        await started(tasks, batcher)
        for channel, _ in calls:
            channel.push(loud(PHONE), 1.0)
        await settle()
        tasks.cancel_scope.cancel()
    assert model.batches == [5]
    assert [windows[0].probability for _, windows in calls] == [pytest.approx(0.9)] * 5
    assert (batcher.inferences, batcher.windows_judged) == (1, 5)


async def test_silence_is_reported_at_once_and_never_judged() -> None:
    model = CountingModel()
    batcher = VadBatcher(model, InlineWorker())
    channel, windows = opened(batcher)
    async with anyio.create_task_group() as tasks:
        await started(tasks, batcher)
        channel.push(quiet(PHONE), 1.0)
        before_s = anyio.current_time()
        while not windows:
            await anyio.lowlevel.checkpoint()
        assert anyio.current_time() == before_s
        tasks.cancel_scope.cancel()
    assert [(w.probability, w.quiet_tail_ms, w.length_ms, w.end_s) for w in windows] == [(0.0, 32.0, 32.0, 1.0)]
    assert model.batches == []


async def test_windows_are_cut_from_frames_of_another_length() -> None:
    batcher = VadBatcher(CountingModel(), InlineWorker())
    channel, windows = opened(batcher)
    for number in range(8):
        channel.push(PHONE.silence(), number * 0.02)
    async with anyio.create_task_group() as tasks:
        await started(tasks, batcher)
        await settle()
        tasks.cancel_scope.cancel()
    assert ends(windows) == pytest.approx([0.02, 0.06, 0.08, 0.12, 0.14])


async def test_each_rate_has_its_own_inference_and_window_shape() -> None:
    model = CountingModel()
    batcher = VadBatcher(model, InlineWorker())
    calls = [(opened(batcher, fmt), fmt) for fmt in (PHONE, WIDEBAND)]
    async with anyio.create_task_group() as tasks:
        await started(tasks, batcher)
        for (channel, _), fmt in calls:
            channel.push(loud(fmt), 1.0)
        await settle()
        tasks.cancel_scope.cancel()
    assert sorted(zip(model.rates, model.widths, strict=True)) == [(8000, 288), (16000, 576)]


async def test_windows_of_a_call_are_reported_in_order_whatever_the_rates_of_the_others() -> None:
    batcher = VadBatcher(CountingModel(), SlowWorker(0.05), VadSettings(at_once_windows=0))
    calls = [(opened(batcher, fmt), fmt) for fmt in (PHONE, WIDEBAND)]
    async with anyio.create_task_group() as tasks:
        await started(tasks, batcher)
        for (channel, _), fmt in calls:
            channel.push(loud(fmt), 1.0)
        await anyio.sleep(0.02)
        for (channel, _), fmt in calls:
            channel.push(quiet(fmt), 2.0)
            channel.push(loud(fmt), 3.0)
            channel.push(quiet(fmt), 4.0)
        await settle()
        tasks.cancel_scope.cancel()
    assert [ends(windows) for (_, windows), _ in calls] == [[1.0, 2.0, 3.0, 4.0]] * 2


async def test_the_window_before_the_first_loud_one_warms_the_network_but_is_not_reported_twice() -> None:
    model = CountingModel()
    batcher = VadBatcher(model, InlineWorker())
    channel, windows = opened(batcher)
    async with anyio.create_task_group() as tasks:
        await started(tasks, batcher)
        channel.push(quiet(PHONE), 1.0)
        channel.push(loud(PHONE), 2.0)
        await settle()
        tasks.cancel_scope.cancel()
    assert ends(windows) == [1.0, 2.0]
    assert model.batches == [1, 1]


async def test_windows_of_many_calls_that_wait_together_keep_each_calls_own_order_and_levels() -> None:
    batcher = VadBatcher(CountingModel(), InlineWorker())
    calls = [(opened(batcher, fmt), fmt) for fmt in (PHONE, WIDEBAND, PHONE)]
    for (channel, _), fmt in calls:
        for number, window in enumerate((quiet(fmt), loud(fmt), quiet(fmt), loud(fmt))):
            channel.push(window, float(number))
    async with anyio.create_task_group() as tasks:
        await started(tasks, batcher)
        await settle()
        tasks.cancel_scope.cancel()
    for (_, windows), _ in calls:
        assert ends(windows) == [0.0, 1.0, 2.0, 3.0]
        assert [window.probability > 0.5 for window in windows] == [False, True, False, True]
        assert [window.level_dbfs for window in windows] == pytest.approx([-100.0, -15.0, -100.0, -15.0], abs=0.2)


async def test_after_a_long_silence_the_network_begins_afresh() -> None:
    model = CountingModel()
    batcher = VadBatcher(model, InlineWorker())
    channel, windows = opened(batcher)
    async with anyio.create_task_group() as tasks:
        await started(tasks, batcher)
        for silent_windows in (3, 40):
            channel.push(loud(PHONE), anyio.current_time())
            for _ in range(silent_windows):
                await anyio.sleep(WINDOW_S)
                channel.push(quiet(PHONE), anyio.current_time())
        channel.push(loud(PHONE), anyio.current_time())
        await settle()
        tasks.cancel_scope.cancel()
    assert len(windows) == 46
    # A window; after a short silence the last silent one and a window on the same state; after the long one anew.
    assert model.heard_before == [0.0, 1.0, 2.0, 0.0, 1.0]


async def test_inferences_keep_their_distance_while_windows_pour_in() -> None:
    model = CountingModel()
    batcher = VadBatcher(model, SlowWorker(0.002), VadSettings(interval_s=0.010))
    calls = [opened(batcher)[0] for _ in range(32)]
    async with anyio.create_task_group() as tasks:
        await started(tasks, batcher)
        for tick in range(320):
            calls[tick % 32].push(loud(PHONE), tick * 0.001)
            await anyio.sleep(0.001)
        await settle()
        tasks.cancel_scope.cancel()
    assert sum(model.batches) == 320
    assert len(model.batches) <= 35


async def test_beyond_its_bound_a_call_drops_its_oldest_windows() -> None:
    batcher = VadBatcher(CountingModel(), InlineWorker(), VadSettings(queue_windows=4))
    channel, windows = opened(batcher)
    for number in range(10):
        channel.push(loud(PHONE), float(number))
    assert batcher.windows_dropped == 6
    async with anyio.create_task_group() as tasks:
        await started(tasks, batcher)
        await settle()
        tasks.cancel_scope.cancel()
    assert ends(windows) == [6.0, 7.0, 8.0, 9.0]


async def test_a_channel_closed_during_an_inference_reports_nothing_more() -> None:
    model = CountingModel()
    batcher = VadBatcher(model, SlowWorker(0.05), VadSettings(at_once_windows=0))
    (channel, windows), (other, others) = opened(batcher), opened(batcher)
    async with anyio.create_task_group() as tasks:
        await started(tasks, batcher)
        for open_channel in (channel, other):
            open_channel.push(loud(PHONE), 1.0)
        await anyio.sleep(0.02)
        channel.close()
        channel.push(loud(PHONE), 2.0)
        other.push(loud(PHONE), 2.0)
        await settle()
        tasks.cancel_scope.cancel()
    assert windows == []
    assert ends(others) == [1.0, 2.0]
    assert model.batches == [2, 1]


async def test_the_quiet_end_of_a_window_is_measured_in_quarters() -> None:
    batcher = VadBatcher(CountingModel(), InlineWorker())
    channel, windows = opened(batcher)
    async with anyio.create_task_group() as tasks:
        await started(tasks, batcher)
        channel.push(fade_out(loud(PHONE)[:256], 64) + bytes(256), 1.0)
        await settle()
        tasks.cancel_scope.cancel()
    assert [window.quiet_tail_ms for window in windows] == [16.0]


class FailingModel(CountingModel):
    """Fails on its first batch."""

    def infer(self, rate_hz: int, windows: Floats, state: Floats) -> tuple[Floats, Floats]:
        judged = super().infer(rate_hz, windows, state)
        if len(self.batches) == 1:
            raise RuntimeError("the network is upset")
        return judged


async def test_a_network_that_fails_on_a_batch_goes_on_with_the_next() -> None:
    batcher = VadBatcher(FailingModel(), InlineWorker())
    channel, windows = opened(batcher)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(batcher.run)
        for _ in range(2):
            channel.push(loud(PHONE), anyio.current_time())
            await anyio.sleep(0.1)
        tasks.cancel_scope.cancel()
    assert [window.probability > 0.5 for window in windows] == [False, True]
    assert batcher.failures == 1
