import threading
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import anyio
import pytest

from kamerton.domain.audio import PHONE
from kamerton.domain.errors import EngineError
from kamerton.domain.recognition import RecognitionHint
from kamerton.stt.decode_queue import DecodeFailed, DecodeOutcome, DecodeRequest
from kamerton.stt.decode_thread import DecodeThread
from kamerton.stt.readings import Transcript

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


@asynccontextmanager
async def _worker(gate: Gate, capacity: int = 8) -> AsyncIterator[DecodeThread]:
    async with aclosing(DecodeThread(gate.decode, name="test-decode", capacity=capacity)) as worker:
        try:
            yield worker
        finally:
            gate.open.set()


async def test_requests_are_decoded_in_one_thread_and_delivered_on_the_loop() -> None:
    gate, inbox = Gate(), Inbox()
    gate.open.set()
    async with _worker(gate) as worker:
        for pcm in (b"one", b"two", b"three"):
            worker.submit(inbox.request(pcm), final=True)
        outcomes = await inbox.wait_for(3)
    assert outcomes == [(pcm, Transcript(pcm.decode())) for pcm in (b"one", b"two", b"three")]
    assert gate.threads == {"test-decode"}


async def test_a_fault_fails_its_own_request_only() -> None:
    gate, inbox = Gate(), Inbox()
    gate.open.set()
    async with _worker(gate) as worker:
        for pcm in (b"fault", b"never", b"fine"):
            worker.submit(inbox.request(pcm), final=True)
        outcomes = await inbox.wait_for(3)
    assert [outcome for _, outcome in outcomes] == [
        DecodeFailed("ValueError: the engine tripped", retryable=True),
        DecodeFailed("no such language", retryable=False),
        Transcript("fine"),
    ]


async def test_withdrawn_requests_are_neither_started_nor_delivered() -> None:
    gate, inbox = Gate(), Inbox()
    async with _worker(gate) as worker:
        running, waiting, last = (inbox.request(pcm) for pcm in (b"running", b"waiting", b"last"))
        worker.submit(running, final=False)
        await anyio.to_thread.run_sync(gate.entered.wait)
        worker.submit(waiting, final=False)
        worker.submit(last, final=False)
        worker.withdraw(running)
        worker.withdraw(waiting)
        gate.open.set()
        assert await inbox.wait_for(1) == [(b"last", Transcript("last"))]
    assert gate.decoded == [b"running", b"last"]


async def test_a_request_can_be_promoted_until_its_outcome_was_delivered() -> None:
    gate, inbox = Gate(), Inbox()
    async with _worker(gate) as worker:
        running, guess, other = (inbox.request(pcm) for pcm in (b"running", b"guess", b"other"))
        worker.submit(running, final=False)
        await anyio.to_thread.run_sync(gate.entered.wait)
        worker.submit(other, final=False)
        worker.submit(guess, final=False)
        assert worker.promote(running)
        assert worker.promote(guess)
        gate.open.set()
        await inbox.wait_for(3)
        assert not worker.promote(guess)
    assert gate.decoded == [b"running", b"guess", b"other"]


async def test_what_a_full_queue_drops_is_told() -> None:
    gate, inbox = Gate(), Inbox()
    async with _worker(gate, capacity=1) as worker:
        worker.submit(inbox.request(b"running"), final=True)
        await anyio.to_thread.run_sync(gate.entered.wait)
        worker.submit(inbox.request(b"guess"), final=False)
        worker.submit(inbox.request(b"turn"), final=True)
        dropped = await inbox.wait_for(1)
        assert dropped == [(b"guess", DecodeFailed("the recogniser is overloaded or closing"))]


async def test_closing_drops_what_waits_and_leaves_no_thread() -> None:
    gate, inbox = Gate(), Inbox()
    worker = DecodeThread(gate.decode, name="test-decode")
    worker.submit(inbox.request(b"running"), final=True)
    await anyio.to_thread.run_sync(gate.entered.wait)
    worker.submit(inbox.request(b"waiting"), final=True)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(worker.aclose)
        await anyio.wait_all_tasks_blocked()
        gate.open.set()
    assert inbox.outcomes == []
    assert gate.decoded == [b"running"]
    assert "test-decode" not in {thread.name for thread in threading.enumerate()}
    worker.submit(inbox.request(b"late"), final=True)
    assert await inbox.wait_for(1) == [(b"late", DecodeFailed("the recogniser is overloaded or closing"))]


async def test_a_worker_nobody_asked_has_no_thread() -> None:
    worker = DecodeThread(Gate().decode, name="test-decode")
    assert "test-decode" not in {thread.name for thread in threading.enumerate()}
    await worker.aclose()
    await worker.aclose()
