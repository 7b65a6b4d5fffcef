"""The pool of connections: its decisions without a loop, and its life on the virtual clock."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kamerton.domain.errors import EngineError, VendorError
from kamerton.testing.virtual_loop import VirtualLoop
from kamerton.vendors.pool_plan import Kept, PoolSettings, Step, next_step
from kamerton.vendors.warm_pool import WarmPool

pytestmark = pytest.mark.anyio
SETTINGS = PoolSettings(most=3, users=2, open_s=2.0, idle_s=60.0, renew_s=100.0, retry_s=1.0, longest_retry_s=4.0)
BUSY, IDLE = Kept(free=1), Kept(free=2, idle_for_s=10.0)


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    return "asyncio", {"loop_factory": VirtualLoop}


class Line:
    """A connection with two slots that does what it is told."""

    def __init__(self, number: int, changed: Callable[[], None]) -> None:
        self.number = number
        self.changed = changed
        self.taken = 0
        self.usable = True
        self.closed = False
        self.dead = anyio.Event()

    @property
    def free(self) -> int:
        return 2 - self.taken

    @property
    def busy(self) -> bool:
        return self.taken > 0

    def reserve(self) -> LineSlot:
        self.taken += 1
        self.changed()
        return LineSlot(self)

    async def run(self) -> None:
        try:
            await self.dead.wait()
        finally:
            self.usable = False
            self.closed = True


class LineSlot:
    def __init__(self, line: Line) -> None:
        self.line = line

    def drop(self) -> None:
        self.line.taken -= 1
        self.line.changed()


class Exchange:
    """Opens lines, or fails to."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.opened_at_s: list[float] = []
        self.takes_s = 0.1
        self.failure: EngineError | None = None
        self.pool: WarmPool[LineSlot] = WarmPool(self.open, SETTINGS, "the exchange")

    async def open(self, changed: Callable[[], None]) -> Line:
        self.opened_at_s.append(anyio.current_time())
        await anyio.sleep(self.takes_s)
        if self.failure is not None:
            raise self.failure
        self.lines.append(Line(len(self.lines), changed))
        return self.lines[-1]

    @property
    def open_lines(self) -> int:
        return sum(not line.closed for line in self.lines)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[WarmPool[LineSlot]]:
        async with anyio.create_task_group() as group:
            group.start_soon(self.pool.run)
            yield self.pool
            group.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("kept", "asked", "step"),
    [
        ([], {"wanted": 2}, Step(open=2)),
        ([], {"wanted": 9}, Step(open=3)),
        ([BUSY], {"wanted": 2, "opening": 1}, Step()),
        ([], {"wanted": 2, "rest_s": 0.7}, Step(again_in_s=0.7)),
        ([], {"wanted": 0, "waiting": 3, "rest_s": 0.7}, Step(open=2)),
        ([BUSY], {"wanted": 1, "waiting": 1}, Step()),
        ([Kept(free=0)] * 3, {"wanted": 3, "waiting": 5}, Step()),
        ([IDLE], {"wanted": 0}, Step(again_in_s=50.0)),
        ([Kept(free=2, idle_for_s=60.0)], {"wanted": 0}, Step(close=(0,))),
        ([Kept(free=2, idle_for_s=60.0)], {"wanted": 1}, Step(again_in_s=40.0)),
        ([Kept(free=2, idle_for_s=100.0)], {"wanted": 1}, Step(open=1, again_in_s=15.0)),
        ([Kept(free=2, idle_for_s=100.0), IDLE], {"wanted": 1}, Step(close=(0,), again_in_s=90.0)),
        ([Kept(free=2, idle_for_s=115.0)], {"wanted": 1}, Step(open=1, close=(0,))),
        ([Kept(usable=False, free=0, idle_for_s=0.0)], {"wanted": 1}, Step(open=1, close=(0,))),
        ([Kept(usable=False, free=0)], {"wanted": 0}, Step()),
    ],
)
def test_what_a_pool_opens_and_closes(kept: list[Kept], asked: dict[str, int], step: Step) -> None:
    got = next_step(kept, SETTINGS, **asked)
    assert (got.open, got.close) == (step.open, step.close)
    assert got.again_in_s == pytest.approx(step.again_in_s)


kept_ones = st.lists(
    st.builds(
        Kept,
        usable=st.booleans(),
        free=st.integers(0, 2),
        idle_for_s=st.one_of(st.none(), st.floats(0, 200)),
    ),
    max_size=6,
)


@given(kept_ones, st.integers(0, 9), st.integers(0, 3), st.integers(0, 9), st.floats(0, 5))
def test_a_step_keeps_the_bounds(kept: list[Kept], wanted: int, opening: int, waiting: int, rest_s: float) -> None:
    step = next_step(kept, SETTINGS, wanted=wanted, opening=opening, waiting=waiting, rest_s=rest_s)
    fresh = [one for one in kept if one.usable and (one.idle_for_s or 0.0) < SETTINGS.renew_s]
    assert step.open >= 0
    assert step.open == 0 or len(fresh) + opening + step.open <= SETTINGS.most
    assert all(kept[at].idle_for_s is not None for at in step.close), "what is in use is never closed"
    left = len(fresh) - sum(kept[at] in fresh for at in step.close)
    assert left >= min(wanted, SETTINGS.most, len(fresh)), "nothing is closed that is wanted"
    assert step.again_in_s > 0 or math.isinf(step.again_in_s)


async def test_connections_are_open_before_anybody_needs_one() -> None:
    exchange = Exchange()
    exchange.pool.expect(3)
    async with exchange.running() as pool:
        await anyio.sleep(0.2)
        assert exchange.open_lines == 2
        before_s = anyio.current_time()
        slots = [await pool.take() for _ in range(4)]
        assert anyio.current_time() == before_s
        assert sorted(slot.line.number for slot in slots) == [0, 0, 1, 1], "the one with most room is taken"
    assert exchange.open_lines == 0
    assert pool.figures["opened"] == 2
    assert pool.figures["lost"] == 0


async def test_a_user_without_a_slot_has_a_connection_opened_and_the_bound_holds() -> None:
    exchange = Exchange()
    async with exchange.running() as pool:
        slots = [await pool.take() for _ in range(6)]
        assert exchange.open_lines == 3
        got: list[LineSlot] = []

        async def wait_for_one() -> None:
            got.append(await pool.take())

        async with anyio.create_task_group() as group:
            group.start_soon(wait_for_one)
            await anyio.sleep(1.0)
            assert (got, pool.figures["waiting"]) == ([], 1)
            slots[3].drop()
        assert got[0].line is slots[3].line
        with pytest.raises(VendorError, match="within 2 s") as failure:
            await pool.take()
        assert failure.value.fault == "timeout"
    assert len(exchange.lines) == 3


async def test_a_user_that_was_cancelled_gives_its_slot_back() -> None:
    exchange = Exchange()
    async with exchange.running() as pool:
        slots = [await pool.take() for _ in range(6)]
        async with anyio.create_task_group() as group:
            group.start_soon(pool.take)
            await anyio.sleep(0.5)
            slots[0].drop()
            group.cancel_scope.cancel()
        await anyio.sleep(0.01)
        assert pool.figures["waiting"] == 0
        assert sum(line.taken for line in exchange.lines) == 5


async def test_a_dead_connection_is_replaced_at_once() -> None:
    exchange = Exchange()
    async with exchange.running() as pool:
        pool.expect(1)
        await anyio.sleep(0.2)
        exchange.lines[0].dead.set()
        await anyio.sleep(0.2)
        assert [line.closed for line in exchange.lines] == [True, False]
        assert pool.figures["lost"] == 1


async def test_idle_connections_are_closed_and_stale_ones_replaced_before_they_go() -> None:
    exchange = Exchange()
    async with exchange.running() as pool:
        pool.expect(2)
        await anyio.sleep(99.0)
        assert exchange.open_lines == 1
        await anyio.sleep(1.15)
        assert (len(exchange.opened_at_s), exchange.open_lines) == (2, 1), "the successor opens first"
        await anyio.sleep(0.5)
        assert [line.closed for line in exchange.lines] == [True, False]
        pool.expect(0)
        await anyio.sleep(58.0)
        assert exchange.open_lines == 1
        await anyio.sleep(2.0)
        assert exchange.open_lines == 0
        assert pool.figures["closed_idle"] == 2


async def test_a_failure_is_told_to_who_waits_and_tried_again_with_growing_pauses() -> None:
    exchange = Exchange()
    exchange.failure = VendorError("the exchange is away", "connection")
    async with exchange.running() as pool:
        with pytest.raises(VendorError, match="is away"):
            await pool.take()
        pool.expect(1)
        await anyio.sleep(16.0)
        pauses = [
            round(later - sooner, 1)
            for sooner, later in zip(exchange.opened_at_s, exchange.opened_at_s[1:], strict=False)
        ]
        assert pauses[:4] == [1.1, 2.1, 4.1, 4.1]
        with pytest.raises(VendorError, match="is away"):
            await pool.take()
        exchange.failure = None
        assert (await pool.take()).line.number == 0, "a user does not wait for the pause to end"


def warned(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [str(record.__dict__["reason"]) for record in caplog.records if record.levelname == "WARNING"]


async def test_a_service_that_stays_away_is_told_at_once_and_then_once_a_minute(
    caplog: pytest.LogCaptureFixture,
) -> None:
    exchange = Exchange()
    exchange.failure = VendorError("the key is refused", "unauthorised")
    async with exchange.running() as pool:
        pool.expect(1)
        await anyio.sleep(30.0)
        assert warned(caplog) == ["the key is refused"]
        await anyio.sleep(300.0)
        assert pool.figures["open_failures"] > 70
        assert len(warned(caplog)) == 6
        left_out = [record.__dict__["left_out_before"] for record in caplog.records]
        assert left_out[0] == 0
        assert sum(left_out) + len(left_out) <= pool.figures["open_failures"]
        assert min(left_out[1:]) > 10


async def test_another_trouble_is_told_at_once_and_one_that_comes_back_is_news_only_after_it_worked(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    refused, away = VendorError("the key is refused", "unauthorised"), VendorError("not reachable", "connection")
    exchange = Exchange()
    exchange.failure = refused
    async with exchange.running() as pool:
        pool.expect(1)
        for failure in (refused, away, refused, away):
            exchange.failure = failure
            await anyio.sleep(9.0)
        assert warned(caplog) == ["the key is refused", "not reachable"]
        exchange.failure = None
        await anyio.sleep(9.0)
        assert [record.message for record in caplog.records][-1] == "connections open again"
        exchange.failure = away
        exchange.lines[-1].dead.set()
        await anyio.sleep(9.0)
        assert warned(caplog)[2:] == ["not reachable"]


async def test_a_fault_of_ours_in_opening_is_told_as_seldom(caplog: pytest.LogCaptureFixture) -> None:
    async def open_line(changed: Callable[[], None]) -> Line:
        raise KeyError("a fault of ours")

    pool: WarmPool[LineSlot] = WarmPool(open_line, SETTINGS, "the exchange")
    pool.expect(1)
    async with anyio.create_task_group() as group:
        group.start_soon(pool.run)
        await anyio.sleep(50.0)
        group.cancel_scope.cancel()
    assert pool.figures["open_failures"] > 10
    assert [record.message for record in caplog.records] == ["opening a connection broke", "a connection did not open"]


async def test_an_opening_that_hangs_has_a_deadline() -> None:
    exchange = Exchange()
    exchange.takes_s = 1e6
    async with exchange.running() as pool:
        with pytest.raises(VendorError) as failure:
            await pool.take()
        assert failure.value.fault == "timeout"
        await anyio.sleep(0.1)
        assert pool.figures["open_failures"] >= 1


async def test_a_pool_that_was_closed_turns_its_users_away() -> None:
    exchange = Exchange()
    exchange.takes_s = 1.0
    async with exchange.running() as pool:
        pass
    with pytest.raises(VendorError, match="closed"):
        await pool.take()


class BrokenLine(Line):
    """One that raises what nobody thought of."""

    async def run(self) -> None:
        await anyio.sleep(1.0)
        raise KeyError("a fault of ours")


async def test_a_fault_in_a_connection_ends_that_connection_only(caplog: pytest.LogCaptureFixture) -> None:
    opened: list[Line] = []

    async def open_line(changed: Callable[[], None]) -> Line:
        if not opened:
            opened.append(BrokenLine(0, changed))
        elif len(opened) == 1:
            opened.append(Line(1, changed))
            raise KeyError("another fault of ours")
        else:
            opened.append(Line(2, changed))
        return opened[-1]

    pool: WarmPool[LineSlot] = WarmPool(open_line, SETTINGS, "the exchange")
    pool.expect(1)
    async with anyio.create_task_group() as group:
        group.start_soon(pool.run)
        await anyio.sleep(3.0)
        assert (await pool.take()).line is opened[2]
        group.cancel_scope.cancel()
    assert (pool.figures["lost"], pool.figures["open_failures"]) == (1, 1)
    assert [record.message for record in caplog.records if record.exc_info] == [
        "a connection broke",
        "opening a connection broke",
    ]
