"""The threads in which a local recogniser decodes, for all calls; what hangs is left behind, what fails rests."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from dataclasses import dataclass, field
from typing import Final

import anyio

from kamerton.domain.errors import EngineError
from kamerton.domain.recognition import RecognizerState
from kamerton.stt.breaker import Breaker, BreakerSettings
from kamerton.stt.decode_queue import CAPACITY, DecodeFailed, DecodeOutcome, DecodeQueue, Decoder, DecodeRequest

logger = logging.getLogger(__name__)

SMOOTHING: Final = 0.1
"""Weight of the newest decode in the mean by which waits are foretold."""


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """Bounds of a pool; every time is in seconds."""

    capacity: int = CAPACITY
    """Requests that may wait."""
    longest_wait_s: float = 8.0
    """An ended turn that would wait longer than this by the mean of recent decodes is refused at once."""
    expected_decode_s: float = 0.4
    """The mean before anything was decoded."""
    hung_after_s: float = 12.0
    """A decode that takes longer hangs: the longest (28 s of audio) takes 1.8 s of an idle core."""
    closing_s: float = 5.0
    """How long closing waits for decodes under way before it leaves them behind."""
    breaker: BreakerSettings = field(default_factory=BreakerSettings)


@dataclass(slots=True, eq=False)
class _Bench:
    """One place at which decoding is done: a thread and what it works on."""

    thread: threading.Thread | None = None
    request: DecodeRequest | None = None
    since_s: float = 0.0
    abandoned: bool = False
    """It hung: nothing is given to it any more, and what it still brings is not wanted."""


class DecodePool:
    """Decodes requests, each in one of several threads that share the decoder. The `DecodeWorker` of local engines.

    Make it on the event loop that shall receive the outcomes. Threads start with the first request and end in
    `aclose`. The lock is held for queue operations only, never while decoding; what is still wanted is known on the
    loop's thread alone, so an outcome on its way to the loop can still be promoted or withdrawn.

    A decode that hangs cannot be stopped. Its thread (a daemon) is abandoned, its turn fails, and a new thread takes
    its place, for as many as there are engines; beyond that the pool goes on with fewer, and with none it says so in
    `state.trouble` and refuses everything until one comes back. Failures in a row open a breaker: requests are
    refused at once while the engine rests, and `probe` is decoded after each rest to see whether it recovered.
    """

    def __init__(
        self,
        decoder: Decoder,
        *,
        name: str,
        probe: DecodeRequest,
        engines: int = 1,
        limits: PoolLimits | None = None,
    ) -> None:
        self._decoder = decoder
        self._name = name
        self._probe = probe
        self._engines = engines
        self._limits = limits or PoolLimits()
        self._loop = asyncio.get_running_loop()
        self._queue = DecodeQueue(self._limits.capacity)
        self._changed = threading.Condition()
        self._benches: set[_Bench] = set()
        self._hanging: set[_Bench] = set()
        self._closing = False
        # Below: the loop's thread only.
        self._wanted: set[DecodeRequest] = set()
        self._breaker = Breaker(self._limits.breaker)
        self._mean_s = self._limits.expected_decode_s
        self._watch: asyncio.TimerHandle | None = None
        self._rest: asyncio.TimerHandle | None = None
        self._decoded = self._failed = self._refused = self._hung = 0

    @property
    def state(self) -> RecognizerState:
        """How it fares now."""
        with self._changed:
            waiting, hanging, serving = len(self._queue), len(self._hanging), len(self._benches)
        return RecognizerState(
            trouble=self._trouble(hanging, serving),
            waiting=waiting,
            expected_wait_s=self._expected_wait_s(),
            decoded=self._decoded,
            failed=self._failed,
            refused=self._refused,
            hung=self._hung,
        )

    def submit(self, request: DecodeRequest, *, final: bool) -> None:
        """Queue a request; see `DecodeWorker`. What is refused or dropped is told so soon, on the loop."""
        self._wanted.add(request)
        refusal = self._refusal(final=final)
        dropped: DecodeRequest | None = request
        if refusal is None:
            refusal = "the recogniser is overloaded: too many turns wait"
            dropped = self._put(request, final=final)
        if dropped is not None:
            self._refused += 1
            self._loop.call_soon(self._deliver, dropped, DecodeFailed(refusal))

    def promote(self, request: DecodeRequest) -> bool:
        """See `DecodeWorker`. False also when it would wait too long: asked for anew it is then refused at once."""
        too_late = self._expected_wait_s() > self._limits.longest_wait_s
        with self._changed:
            if too_late and self._queue.remove(request):
                self._wanted.discard(request)
                return False
            self._queue.promote(request)
        return request in self._wanted

    def withdraw(self, request: DecodeRequest) -> None:
        """See `DecodeWorker`."""
        self._wanted.discard(request)
        with self._changed:
            self._queue.remove(request)

    async def aclose(self) -> bool:
        """Drop what waits, give running decodes their time to run out, and join the threads. Not cancelled half-way.

        Returns:
            False when a decode hangs: its thread is left behind, and what it works with must not be freed.
        """
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            threads = [bench.thread for bench in self._benches | self._hanging if bench.thread is not None]
        self._wanted.clear()
        for timer in (self._watch, self._rest):
            if timer is not None:
                timer.cancel()
        if any(thread.is_alive() for thread in threads):
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(self._join, threads, self._loop.time() + self._limits.closing_s)
        left = sum(thread.is_alive() for thread in threads)
        if left:
            logger.error("decodes hang and are left behind", extra={"recognizer": self._name, "threads": left})
        return left == 0

    def _join(self, threads: list[threading.Thread], until_s: float) -> None:
        for thread in threads:
            thread.join(max(0.0, until_s - self._loop.time()))

    def _expected_wait_s(self) -> float:
        """How long an ended turn that comes now will wait for its decode to begin; less if speculation runs out."""
        with self._changed:
            ahead = self._queue.finals + sum(bench.request is not None for bench in self._benches)
            serving = len(self._benches) or self._engines
        return self._mean_s * ahead / serving if ahead >= serving else 0.0

    def _refusal(self, *, final: bool) -> str | None:
        """Why no request is taken now."""
        with self._changed:
            closing, hanging, serving = self._closing, len(self._hanging), len(self._benches)
        if closing:
            return "the recogniser is closing"
        if trouble := self._breaker.trouble:
            return f"the recogniser rests: {trouble}"
        if hanging and not serving:
            return "the recogniser hangs: none of its decodes comes back"
        wait_s = self._expected_wait_s()
        if final and wait_s > self._limits.longest_wait_s:
            return f"the recogniser is overloaded: a turn would wait {wait_s:.1f} s"
        return None

    def _trouble(self, hanging: int, serving: int) -> str:
        if trouble := self._breaker.trouble:
            return f"{self._name}: {trouble}"
        if hanging and serving < self._engines:
            return f"{self._name}: {hanging} decodes hang, {serving} of {self._engines} serve; restart the process"
        return ""

    def _put(self, request: DecodeRequest, *, final: bool) -> DecodeRequest | None:
        """Queue a request and have it served; gives what the full queue drops for it."""
        with self._changed:
            dropped = self._queue.put(request, final=final)
            self._staff()
            self._changed.notify()
        if self._watch is None:
            self._watch = self._loop.call_later(self._limits.hung_after_s / 4, self._look_after)
        return dropped

    def _staff(self) -> None:
        """Under the lock: start the threads that are missing, as long as not too many hang."""
        while not self._closing and len(self._benches) < self._engines and self._spare():
            bench = _Bench()
            # A daemon: a decode that never returns must not keep the process alive.
            bench.thread = threading.Thread(target=self._serve, args=(bench,), name=self._name, daemon=True)
            self._benches.add(bench)
            bench.thread.start()

    def _spare(self) -> bool:
        return len(self._benches) + len(self._hanging) < 2 * self._engines

    def _look_after(self) -> None:
        """On the loop, now and then while there is work: leave behind what hangs."""
        limit_s = self._loop.time() - self._limits.hung_after_s
        with self._changed:
            hung = [bench for bench in self._benches if bench.request is not None and bench.since_s < limit_s]
            lost = [bench.request for bench in hung if bench.request is not None]
            for bench in hung:
                bench.abandoned = True
                self._benches.discard(bench)
                self._hanging.add(bench)
            self._staff()
            self._changed.notify_all()
            busy = len(self._queue) > 0 or any(bench.request is not None for bench in self._benches)
            dropped = list(self._queue.drain()) if not self._benches else []
        for request in lost:
            self._hung += 1
            logger.error("a decode hangs and is left behind", extra={"recognizer": self._name})
            self._judge(request, DecodeFailed(f"a decode did not come back within {self._limits.hung_after_s:g} s"))
        for request in dropped:
            self._judge(request, DecodeFailed("the recogniser hangs: none of its decodes comes back"))
        interval_s = self._limits.hung_after_s / 4
        self._watch = self._loop.call_later(interval_s, self._look_after) if busy else None

    def _finish(self, request: DecodeRequest, outcome: DecodeOutcome, took_s: float) -> None:
        """On the loop: a decode came back."""
        if isinstance(outcome, DecodeFailed):
            self._failed += 1
        else:
            self._decoded += 1
            self._mean_s += SMOOTHING * (took_s - self._mean_s)
        self._judge(request, outcome)

    def _judge(self, request: DecodeRequest, outcome: DecodeOutcome) -> None:
        """On the loop: judge the engine by an outcome, and deliver it."""
        if self._closing:
            return
        if not isinstance(outcome, DecodeFailed):
            if self._breaker.trouble:
                logger.info("the recogniser works again", extra={"recognizer": self._name})
            self._breaker.succeeded()
        elif self._blames_engine(request, outcome) and self._breaker.failed(
            outcome.reason, probe=request is self._probe
        ):
            logger.error("the recogniser rests", extra={"recognizer": self._name, "why": self._breaker.trouble})
            self._rest = self._loop.call_later(self._breaker.rest_s or 0.0, self._try_again)
        self._deliver(request, outcome)

    def _blames_engine(self, request: DecodeRequest, outcome: DecodeFailed) -> bool:
        """A turn that cannot be decoded at all says nothing of the engine; the probe always can."""
        return outcome.retryable or request is self._probe

    def _try_again(self) -> None:
        """On the loop, after a rest: decode the probe, unless a success in the meantime closed the breaker."""
        if self._breaker.rest_s is None:
            return
        self._wanted.add(self._probe)
        dropped = self._put(self._probe, final=True)
        if dropped is self._probe:
            self._rest = self._loop.call_later(self._breaker.rest_s, self._try_again)
        elif dropped is not None:
            self._refused += 1
            self._deliver(dropped, DecodeFailed("too many turns wait to be decoded"))

    def _deliver(self, request: DecodeRequest, outcome: DecodeOutcome) -> None:
        """On the loop: hand an outcome over unless nobody wants it any more."""
        if request in self._wanted:
            self._wanted.discard(request)
            request.deliver(request, outcome)

    def _returned(self, bench: _Bench) -> None:
        """On the loop: a decode that hung came back after all; there may be room for a new thread again."""
        logger.warning("a decode that hung came back", extra={"recognizer": self._name})
        with self._changed:
            self._hanging.discard(bench)
            self._staff()

    def _serve(self, bench: _Bench) -> None:
        """The life of one thread."""
        while (request := self._next(bench)) is not None:
            outcome = self._decode(request)
            took_s = self._loop.time() - bench.since_s
            with self._changed:
                bench.request = None
                abandoned = bench.abandoned
            # The loop may be gone when a process is torn down without aclose; nobody waits for the outcome then.
            with contextlib.suppress(RuntimeError):
                if abandoned:
                    self._loop.call_soon_threadsafe(self._returned, bench)
                else:
                    self._loop.call_soon_threadsafe(self._finish, request, outcome, took_s)

    def _next(self, bench: _Bench) -> DecodeRequest | None:
        with self._changed:
            while not (self._closing or bench.abandoned):
                request = self._queue.take()
                if request is not None:
                    bench.request, bench.since_s = request, self._loop.time()
                    return request
                self._changed.wait()
            return None

    def _decode(self, request: DecodeRequest) -> DecodeOutcome:
        """Decode one request. This is the border to the engine: whatever it raises becomes that turn's failure."""
        try:
            return self._decoder(request)
        except EngineError as fault:
            logger.warning("a turn cannot be decoded", extra={"reason": str(fault)})
            return DecodeFailed(str(fault), retryable=False)
        except Exception as fault:
            logger.exception("the recogniser's engine failed on a turn")
            return DecodeFailed(f"{type(fault).__name__}: {fault}")
