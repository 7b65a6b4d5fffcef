"""The metronome, the timers and the event queue on the virtual clock."""

from __future__ import annotations

import asyncio
import itertools

import anyio
import anyio.lowlevel
import pytest

from kamerton.orchestrator.call_events import EventQueue, FarEndGone, KeyPressed
from kamerton.orchestrator.metronome import Metronome
from kamerton.orchestrator.timers import Timers
from kamerton.testing.virtual_loop import VirtualLoop

pytestmark = pytest.mark.anyio


class BusyLoop(VirtualLoop):
    """A virtual loop that can be held up, as by a long callback."""

    def __init__(self) -> None:
        self.held_up_s = 0.0
        super().__init__()

    def time(self) -> float:
        return super().time() + self.held_up_s


@pytest.fixture
def anyio_backend() -> object:
    return ("asyncio", {"loop_factory": BusyLoop})


def hold_up(seconds: float) -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, BusyLoop)
    loop.held_up_s += seconds


class Beats:
    def __init__(self) -> None:
        self.at: list[tuple[float, int]] = []

    def tick(self, frames: int) -> None:
        self.at.append((anyio.current_time(), frames))

    @property
    def frames(self) -> int:
        return sum(frames for _, frames in self.at)


@pytest.mark.parametrize("phases", [1, 4])
async def test_every_call_ticks_exactly_every_20_ms(phases: int) -> None:
    metronome = Metronome(phases)
    calls = [Beats() for _ in range(6)]
    for call in calls:
        metronome.join(call.tick)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(metronome.run)
        await anyio.sleep(10.0)
        tasks.cancel_scope.cancel()
    for call in calls:
        assert len(call.at) == pytest.approx(500, abs=1)
        gaps = [b[0] - a[0] for a, b in zip(call.at, call.at[1:], strict=False)]
        assert gaps == pytest.approx([0.02] * len(gaps), abs=1e-9)
        assert {frames for _, frames in call.at} == {1}
    assert (metronome.late_frames, metronome.skipped_frames) == (0, 0)


@pytest.mark.parametrize("phases", [1, 4])
@pytest.mark.parametrize("held_ms", [7, 15, 23, 25, 33, 41, 57, 61, 95, 500])
async def test_after_a_hold_up_calls_catch_up_within_bounds_and_keep_the_schedule(phases: int, held_ms: int) -> None:
    metronome = Metronome(phases)
    calls = [Beats() for _ in range(phases)]
    for call in calls:
        metronome.join(call.tick)
    start_s = anyio.current_time()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(metronome.run)
        await anyio.sleep(1.0031)
        hold_up(held_ms / 1000)
        await anyio.sleep(1.0)
        tasks.cancel_scope.cancel()
    lasted_s = anyio.current_time() - start_s
    assert metronome.late_frames >= 0
    assert metronome.skipped_frames >= 0
    assert {frames for call in calls for _, frames in call.at} <= {1, 2, 3}
    total = sum(call.frames for call in calls)
    assert total + metronome.skipped_frames == pytest.approx(phases * lasted_s / 0.02, abs=phases)
    assert sum(frames - 1 for call in calls for _, frames in call.at) == metronome.late_frames
    for call in calls:
        tail = [at_s for at_s, _ in call.at if at_s > start_s + 1.0031 + held_ms / 1000 + 0.05]
        gaps = [b - a for a, b in itertools.pairwise(tail)]
        assert gaps == pytest.approx([0.02] * len(gaps), abs=1e-9)


async def test_calls_are_spread_over_the_frame_and_may_leave_twice() -> None:
    metronome = Metronome(4)
    calls = [Beats() for _ in range(4)]
    for call in calls:
        metronome.join(call.tick)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(metronome.run)
        await anyio.sleep(0.05)
        for call in calls:
            metronome.leave(call.tick)
            metronome.leave(call.tick)
        heard = [len(call.at) for call in calls]
        await anyio.sleep(0.5)
        tasks.cancel_scope.cancel()
    assert [len(call.at) for call in calls] == heard
    assert [call.at[0][0] for call in calls] == pytest.approx([0.0, 0.005, 0.010, 0.015])


async def test_a_call_may_leave_and_another_join_during_a_tick() -> None:
    metronome = Metronome(1)
    late = Beats()

    def once(frames: int) -> None:
        metronome.leave(once)
        metronome.join(late.tick)

    metronome.join(once)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(metronome.run)
        await anyio.sleep(0.05)
        tasks.cancel_scope.cancel()
    assert [at_s for at_s, _ in late.at] == pytest.approx([0.02, 0.04])


@pytest.mark.parametrize("phases", [1, 2, 4])
async def test_the_clock_sleeps_while_nobody_has_joined_and_keeps_its_schedule(phases: int) -> None:
    metronome = Metronome(phases)
    first, second = Beats(), Beats()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(metronome.run)
        await anyio.sleep_until(5.0031)
        metronome.join(first.tick)
        await anyio.sleep_until(6.0012)
        metronome.join(second.tick)
        await anyio.sleep_until(7.0)
        metronome.leave(first.tick)
        metronome.leave(second.tick)
        heard = (len(first.at), len(second.at))
        await anyio.sleep_until(60.0)
        metronome.join(first.tick)
        await anyio.sleep_until(60.1)
        tasks.cancel_scope.cancel()
    assert (len(first.at) - heard[0], len(second.at) - heard[1]) == (5, 0)
    for call in (first, second):
        assert {frames for _, frames in call.at} == {1}
        phase_s = {round(at_s % 0.02, 6) % 0.02 for at_s, _ in call.at[: heard[0]]}
        assert len(phase_s) == 1
    assert first.at[0][0] - 5.0031 <= 0.02
    assert second.at[0][0] - 6.0012 <= 0.02
    assert (metronome.late_frames, metronome.skipped_frames) == (0, 0)


def test_timers_come_due_in_order_and_may_be_moved() -> None:
    timers = Timers()
    assert timers.take_due(100.0) is None
    timers.arm("a", 3.0)
    timers.arm("b", 2.0)
    timers.arm("a", 1.0)
    timers.arm("c", 9.0)
    timers.disarm("c")
    timers.disarm("never armed")
    assert timers.next_s == 1.0
    assert [timers.take_due(1.5), timers.take_due(1.5), timers.take_due(2.0)] == ["a", None, "b"]
    assert timers.next_s == float("inf")


async def test_the_queue_gives_events_in_order_and_nothing_at_the_deadline() -> None:
    queue = EventQueue(4, lambda: None)
    queue.post(KeyPressed("1"))
    queue.post(KeyPressed("2"))
    assert await queue.next_before(0.0) == KeyPressed("1")
    assert queue.take_nowait() == KeyPressed("2")
    assert queue.take_nowait() is None
    assert await queue.next_before(anyio.current_time() + 2.0) is None
    assert anyio.current_time() == pytest.approx(2.0)
    queue.close()


async def test_an_event_that_comes_with_the_deadline_is_not_lost() -> None:
    queue = EventQueue(4, lambda: None)
    got: list[object] = []

    async def post_later() -> None:
        await anyio.sleep_until(1.0)
        queue.post(KeyPressed("1"))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(post_later)
        got.append(await queue.next_before(1.0))
        await anyio.sleep_until(2.0)
        got.append(queue.take_nowait())
    assert [event for event in got if event is not None] == [KeyPressed("1")]
    queue.close()


async def test_overflow_is_told_and_late_events_are_not_heard() -> None:
    told: list[bool] = []
    queue = EventQueue(2, lambda: told.append(True))
    for digit in "123":
        queue.post(KeyPressed(digit))
    assert told == [True]
    queue.close()
    queue.post(FarEndGone("late"))
    assert queue.take_nowait() is None
    assert told == [True]
