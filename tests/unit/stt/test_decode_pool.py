import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from kamerton.domain.audio import PHONE
from kamerton.domain.errors import EngineError
from kamerton.domain.recognition import RecognitionHint
from kamerton.stt.breaker import BreakerSettings
from kamerton.stt.decode_pool import DecodePool, PoolLimits
from kamerton.stt.decode_queue import DecodeFailed, DecodeOutcome, DecodeRequest
from kamerton.stt.whisper.readings import Transcript

pytestmark = pytest.mark.anyio


class Gate:
    """A decoder that echoes its audio once it is let through, and notes who worked on what."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.entered = threading.Event()
        self.decoded: list[bytes] = []
        self.threads: set[str] = set()

    def decode(self, request: DecodeRequest) -> Transcript:
        self.entered.set()
        assert self.open.wait(10)
        self.decoded.append(request.pcm)
        self.threads.add(threading.current_thread().name)
        if request.pcm == b"fault":
            raise ValueError("the engine tripped")
        if request.pcm == b"never":
            raise EngineError("no such language")
        return Transcript(request.pcm.decode())


class Inbox:
    """Collects what is delivered, on the loop's thread."""

    def __init__(self) -> None:
        self.outcomes: list[tuple[bytes, DecodeOutcome]] = []
        self._loop_thread = threading.get_ident()
        self._arrived = anyio.Event()

    def request(self, pcm: bytes) -> DecodeRequest:
        return DecodeRequest(pcm, PHONE, RecognitionHint(), self._take)

    async def wait_for(self, count: int) -> list[tuple[bytes, DecodeOutcome]]:
        with anyio.fail_after(10):
            while len(self.outcomes) < count:
                self._arrived = anyio.Event()
                await self._arrived.wait()
        return self.outcomes

    def _take(self, request: DecodeRequest, outcome: DecodeOutcome) -> None:
        assert threading.get_ident() == self._loop_thread
        self.outcomes.append((request.pcm, outcome))
        self._arrived.set()


PROBE = DecodeRequest(b"probe", PHONE, RecognitionHint(), deliver=lambda _request, _outcome: None)


@asynccontextmanager
async def _pool(gate: Gate, engines: int = 1, **limits: Any) -> AsyncIterator[DecodePool]:
    pool = DecodePool(gate.decode, name="test-decode", probe=PROBE, engines=engines, limits=PoolLimits(**limits))
    try:
        yield pool
    finally:
        gate.open.set()
        assert await pool.aclose()


async def test_requests_are_decoded_in_one_thread_and_delivered_on_the_loop() -> None:
    gate, inbox = Gate(), Inbox()
    gate.open.set()
    async with _pool(gate) as pool:
        for pcm in (b"one", b"two", b"three"):
            pool.submit(inbox.request(pcm), final=True)
        outcomes = await inbox.wait_for(3)
    assert outcomes == [(pcm, Transcript(pcm.decode())) for pcm in (b"one", b"two", b"three")]
    assert gate.threads == {"test-decode"}


async def test_a_fault_fails_its_own_request_only() -> None:
    gate, inbox = Gate(), Inbox()
    gate.open.set()
    async with _pool(gate) as pool:
        for pcm in (b"fault", b"never", b"fine"):
            pool.submit(inbox.request(pcm), final=True)
        outcomes = await inbox.wait_for(3)
    assert [outcome for _, outcome in outcomes] == [
        DecodeFailed("ValueError: the engine tripped", retryable=True),
        DecodeFailed("no such language", retryable=False),
        Transcript("fine"),
    ]


async def test_withdrawn_requests_are_neither_started_nor_delivered() -> None:
    gate, inbox = Gate(), Inbox()
    async with _pool(gate) as pool:
        running, waiting, last = (inbox.request(pcm) for pcm in (b"running", b"waiting", b"last"))
        pool.submit(running, final=False)
        await anyio.to_thread.run_sync(gate.entered.wait)
        pool.submit(waiting, final=False)
        pool.submit(last, final=False)
        pool.withdraw(running)
        pool.withdraw(waiting)
        gate.open.set()
        assert await inbox.wait_for(1) == [(b"last", Transcript("last"))]
    assert gate.decoded == [b"running", b"last"]


async def test_a_request_can_be_promoted_until_its_outcome_was_delivered() -> None:
    gate, inbox = Gate(), Inbox()
    async with _pool(gate) as pool:
        running, guess, other = (inbox.request(pcm) for pcm in (b"running", b"guess", b"other"))
        pool.submit(running, final=False)
        await anyio.to_thread.run_sync(gate.entered.wait)
        pool.submit(other, final=False)
        pool.submit(guess, final=False)
        assert pool.promote(running)
        assert pool.promote(guess)
        gate.open.set()
        await inbox.wait_for(3)
        assert not pool.promote(guess)
    assert gate.decoded == [b"running", b"guess", b"other"]


async def test_what_a_full_queue_drops_is_told() -> None:
    gate, inbox = Gate(), Inbox()
    async with _pool(gate, capacity=1) as pool:
        pool.submit(inbox.request(b"running"), final=True)
        await anyio.to_thread.run_sync(gate.entered.wait)
        pool.submit(inbox.request(b"guess"), final=False)
        pool.submit(inbox.request(b"turn"), final=True)
        dropped = await inbox.wait_for(1)
        assert dropped == [(b"guess", DecodeFailed("the recogniser is overloaded: too many turns wait"))]


async def test_closing_drops_what_waits_and_leaves_no_thread() -> None:
    gate, inbox = Gate(), Inbox()
    pool = DecodePool(gate.decode, name="test-decode", probe=PROBE)
    pool.submit(inbox.request(b"running"), final=True)
    await anyio.to_thread.run_sync(gate.entered.wait)
    pool.submit(inbox.request(b"waiting"), final=True)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(pool.aclose)
        await anyio.wait_all_tasks_blocked()
        gate.open.set()
    assert inbox.outcomes == []
    assert gate.decoded == [b"running"]
    assert "test-decode" not in {thread.name for thread in threading.enumerate()}
    pool.submit(inbox.request(b"late"), final=True)
    assert await inbox.wait_for(1) == [(b"late", DecodeFailed("the recogniser is closing"))]


async def test_a_worker_nobody_asked_has_no_thread() -> None:
    pool = DecodePool(Gate().decode, name="test-decode", probe=PROBE)
    assert "test-decode" not in {thread.name for thread in threading.enumerate()}
    await pool.aclose()
    await pool.aclose()


async def test_as_many_turns_as_there_are_engines_are_decoded_at_once() -> None:
    inbox, together = Inbox(), threading.Barrier(3)

    def decode(request: DecodeRequest) -> Transcript:
        together.wait(10)
        return Transcript(request.pcm.decode())

    pool = DecodePool(decode, name="test-decode", probe=PROBE, engines=3)
    for pcm in (b"one", b"two", b"three"):
        pool.submit(inbox.request(pcm), final=True)
    assert sorted(pcm for pcm, _ in await inbox.wait_for(3)) == [b"one", b"three", b"two"]
    assert await pool.aclose()


async def test_the_expected_wait_follows_the_queue_and_a_turn_that_would_wait_too_long_is_refused() -> None:
    gate, inbox = Gate(), Inbox()
    async with _pool(gate, expected_decode_s=2.0, longest_wait_s=5.0) as pool:
        assert pool.state.expected_wait_s == 0
        pool.submit(inbox.request(b"running"), final=True)
        await anyio.to_thread.run_sync(gate.entered.wait)
        for pcm, wait_s in ((b"second", 4), (b"third", 6)):
            pool.submit(inbox.request(pcm), final=True)
            assert pool.state.expected_wait_s == wait_s
        pool.submit(inbox.request(b"late"), final=True)
        reason = "the recogniser is overloaded: a turn would wait 6.0 s"
        assert await inbox.wait_for(1) == [(b"late", DecodeFailed(reason))]
        guess = inbox.request(b"guess")
        pool.submit(guess, final=False)
        assert not pool.promote(guess)
        assert (pool.state.waiting, pool.state.refused) == (2, 1)


async def test_a_decode_that_hangs_fails_its_turn_and_another_thread_takes_its_place() -> None:
    inbox, hold = Inbox(), threading.Event()
    pool = _hanging_pool(hold)
    pool.submit(inbox.request(b"hang 1"), final=True)
    pool.submit(inbox.request(b"fine"), final=True)
    outcomes = dict(await inbox.wait_for(2))
    assert outcomes[b"fine"] == Transcript("fine")
    assert outcomes[b"hang 1"] == DecodeFailed("a decode did not come back within 0.5 s")
    assert (pool.state.hung, pool.state.trouble) == (1, "")
    hold.set()
    assert await pool.aclose()


async def test_when_nothing_comes_back_everything_is_refused_until_one_does() -> None:
    inbox, hold = Inbox(), threading.Event()
    pool = _hanging_pool(hold)
    for pcm in (b"hang 1", b"hang 2", b"waiting"):
        pool.submit(inbox.request(pcm), final=True)
    outcomes = dict(await inbox.wait_for(3))
    assert outcomes[b"waiting"] == DecodeFailed("the recogniser hangs: none of its decodes comes back")
    assert pool.state.trouble == "test-decode: 2 decodes hang, 0 of 1 serve; restart the process"
    pool.submit(inbox.request(b"refused"), final=True)
    assert (await inbox.wait_for(4))[-1] == (
        b"refused",
        DecodeFailed("the recogniser hangs: none of its decodes comes back"),
    )
    hold.set()
    with anyio.fail_after(10):
        while pool.state.trouble:
            await anyio.lowlevel.checkpoint()
    pool.submit(inbox.request(b"fine"), final=True)
    assert (await inbox.wait_for(5))[-1] == (b"fine", Transcript("fine"))
    assert await pool.aclose()


async def test_closing_leaves_a_decode_behind_that_does_not_come_back() -> None:
    inbox, hold = Inbox(), threading.Event()
    pool = _hanging_pool(hold, hung_after_s=60, closing_s=0.1)
    pool.submit(inbox.request(b"hang 1"), final=True)
    with anyio.fail_after(10):
        while pool.state.waiting:
            await anyio.lowlevel.checkpoint()
        assert not await pool.aclose()
        hold.set()
        while not await pool.aclose():
            pass
    assert inbox.outcomes == []


def _hanging_pool(hold: threading.Event, *, hung_after_s: float = 0.5, closing_s: float = 10) -> DecodePool:
    """A pool of one engine that hangs on some audio until it is let go."""

    def decode(request: DecodeRequest) -> Transcript:
        if request.pcm.startswith(b"hang"):
            assert hold.wait(20)
        return Transcript(request.pcm.decode())

    limits = PoolLimits(hung_after_s=hung_after_s, closing_s=closing_s, expected_decode_s=0.01)
    return DecodePool(decode, name="test-decode", probe=PROBE, limits=limits)


async def test_a_probe_that_is_refused_for_good_is_made_again() -> None:
    inbox, well = Inbox(), threading.Event()

    def decode(request: DecodeRequest) -> Transcript:
        if well.is_set():
            return Transcript(request.pcm.decode())
        if request is PROBE:
            well.set()
            raise EngineError("no such language")
        raise ValueError("no memory")

    limits = PoolLimits(breaker=BreakerSettings(failures=1, rest_s=0.02))
    pool = DecodePool(decode, name="test-decode", probe=PROBE, limits=limits)
    pool.submit(inbox.request(b"failing"), final=True)
    await inbox.wait_for(1)
    with anyio.fail_after(10):
        while pool.state.trouble:
            await anyio.lowlevel.checkpoint()
    assert await pool.aclose()


async def test_an_engine_that_keeps_failing_rests_and_a_probe_finds_it_well_again() -> None:
    inbox, broken, probed = Inbox(), threading.Event(), threading.Event()
    asked: list[bytes] = []

    def decode(request: DecodeRequest) -> Transcript:
        asked.append(request.pcm)
        if request is PROBE:
            probed.set()
        if broken.is_set():
            raise ValueError("no memory")
        return Transcript(request.pcm.decode())

    limits = PoolLimits(breaker=BreakerSettings(failures=2, rest_s=0.02))
    pool = DecodePool(decode, name="test-decode", probe=PROBE, limits=limits)
    broken.set()
    for count in (1, 2):
        pool.submit(inbox.request(b"failing"), final=True)
        await inbox.wait_for(count)
    pool.submit(inbox.request(b"resting"), final=True)
    _, refused = (await inbox.wait_for(3))[-1]
    assert isinstance(refused, DecodeFailed)
    assert refused.retryable
    assert "it failed 2 times in a row (ValueError: no memory)" in refused.reason
    assert "test-decode: it failed" in pool.state.trouble
    assert await anyio.to_thread.run_sync(probed.wait, 10)
    broken.clear()
    with anyio.fail_after(10):
        while pool.state.trouble:
            await anyio.lowlevel.checkpoint()
    pool.submit(inbox.request(b"fine"), final=True)
    assert (await inbox.wait_for(4))[-1] == (b"fine", Transcript("fine"))
    assert asked[:3] == [b"failing", b"failing", b"probe"]
    assert await pool.aclose()
