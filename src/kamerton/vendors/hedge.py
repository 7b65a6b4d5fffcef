"""One request to several services, one after another or two at once: the first result wins.

What a service yields is an async generator (a model's events, a voice's chunks). The next service is asked when one
fails, when its deadline passes, and, where hedging is wanted, beside a slow one. All of it ends with the first result:
from then on there is one generator, and nothing else runs.
"""

from __future__ import annotations

import logging
import math
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from typing import Final, Generic, Protocol, TypeVar

import anyio
from anyio.abc import TaskGroup

from kamerton.domain.errors import EngineError, VendorError

log = logging.getLogger(__name__)

T = TypeVar("T")

CLOSE_S: Final = 1.0
"""Longest wait for a service that lost to free its request; it takes a tick or two."""
MOST_AT_ONCE: Final = 2
"""Services that are asked at the same time."""


class Judge(Protocol):
    """Told what becomes of one service's request. Plain calls; exactly one for each request that did not win."""

    def failed(self, error: EngineError, waited_s: float) -> None:
        """It failed, or its deadline passed."""
        ...

    def overtaken(self, waited_s: float) -> None:
        """Another one was faster; the request was cancelled."""
        ...

    def given_up(self, waited_s: float) -> None:
        """Whoever asked lost interest before any result came."""
        ...


@dataclass(frozen=True, slots=True)
class Contestant(Generic[T]):
    """A service that may be asked."""

    name: str
    ask: Callable[[], AsyncGenerator[T, None]]
    judge: Judge
    deadline_s: float = math.inf
    """Longest wait for its first result, if another one could be asked instead."""
    hedge_after_s: float = math.inf
    """After so long without a result the next one is asked as well."""


@dataclass(frozen=True, slots=True)
class Won(Generic[T]):
    """The first result, and where further ones come from. Whoever takes it closes `rest`."""

    name: str
    first: T
    rest: AsyncGenerator[T, None]
    waited_s: float
    """From this service's own request to its first result."""


@dataclass(slots=True, eq=False)
class _Runner(Generic[T]):
    """One service that is being asked."""

    contestant: Contestant[T]
    started_s: float
    deadline_s: float
    """An instant; infinite once it was found that nobody else could be asked."""
    hedge_s: float
    """An instant."""
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    late: bool = False


async def first_result(next_one: Callable[[], Contestant[T] | None]) -> Won[T]:
    """Ask services until one has a result. Cancelling frees every request.

    Args:
        next_one: the next service to ask, best first; None when there is none left. Asked only when one is needed.

    Raises:
        EngineError: every one failed; the message has each one's own. A `VendorError` with the fault of the last one
            when that was one.
    """
    race = _Race(next_one)
    try:
        async with anyio.create_task_group() as tasks:
            await race.run(tasks)
            tasks.cancel_scope.cancel()
    except BaseException:
        await race.forfeit()
        raise
    return race.result()


class _Race(Generic[T]):
    def __init__(self, next_one: Callable[[], Contestant[T] | None]) -> None:
        self._next_one = next_one
        self._running: list[_Runner[T]] = []
        self._won: Won[T] | None = None
        self._errors: list[tuple[str, EngineError]] = []
        self._changed = anyio.Event()
        self._exhausted = False

    async def run(self, tasks: TaskGroup) -> None:
        """Ask until there is a winner or nobody is left."""
        while self._won is None:
            self._changed = anyio.Event()
            now_s = anyio.current_time()
            if not self._running:
                self._start(tasks)
            self._relieve_late(tasks, now_s)
            if len(self._running) == 1 and now_s >= self._running[0].hedge_s:
                self._running[0].hedge_s = math.inf
                self._start(tasks)
            if not self._running:
                return
            due_s = min(min(runner.deadline_s, self._hedge_due_s) for runner in self._running)
            with anyio.move_on_after(None if math.isinf(due_s) else max(0.0, due_s - anyio.current_time())):
                await self._changed.wait()

    def result(self) -> Won[T]:
        """The winner.

        Raises:
            EngineError: there is none.
        """
        if self._won is not None:
            return self._won
        reasons = "; ".join(f"{name}: {error}" for name, error in self._errors) or "none is left to be asked"
        last = self._errors[-1][1] if self._errors else None
        if isinstance(last, VendorError):
            raise VendorError(reasons, last.fault, retry_after_s=last.retry_after_s, code=last.code) from None
        raise EngineError(reasons, last.code if last is not None else "engine") from None

    async def forfeit(self) -> None:
        """The race was cancelled in the very tick of its end: nobody will take the winner's generator."""
        if self._won is not None:
            await _close(self._won.rest)

    @property
    def _hedge_due_s(self) -> float:
        alone = len(self._running) == 1 and not self._exhausted
        return self._running[0].hedge_s if alone else math.inf

    def _start(self, tasks: TaskGroup) -> bool:
        contestant = self._next_one() if not self._exhausted and len(self._running) < MOST_AT_ONCE else None
        if contestant is None:
            self._exhausted = len(self._running) < MOST_AT_ONCE
            return False
        now_s = anyio.current_time()
        runner = _Runner(contestant, now_s, now_s + contestant.deadline_s, now_s + contestant.hedge_after_s)
        self._running.append(runner)
        tasks.start_soon(self._ask, runner)
        return True

    def _relieve_late(self, tasks: TaskGroup, now_s: float) -> None:
        """Who passed its deadline is left, if another one is being asked or can be."""
        for runner in [one for one in self._running if now_s >= one.deadline_s]:
            if len(self._running) > 1 or self._start(tasks):
                runner.late = True
                runner.scope.cancel()
                self._running.remove(runner)
            else:
                runner.deadline_s = math.inf

    async def _ask(self, runner: _Runner[T]) -> None:
        """One service: the boundary at which whatever it raises is its own failure."""
        stream = runner.contestant.ask()
        error: EngineError | None = None
        kept = False
        try:
            with runner.scope:
                first = await anext(stream)
                if self._won is None:
                    waited_s = anyio.current_time() - runner.started_s
                    self._won, kept = Won(runner.contestant.name, first, stream, waited_s), True
        except StopAsyncIteration:
            error = VendorError(f"{runner.contestant.name} gave nothing", "broken")
        except EngineError as failure:
            error = failure
        except Exception as failure:
            log.exception("a service's adapter broke", extra={"service": runner.contestant.name})
            error = EngineError(f"{runner.contestant.name} broke: {type(failure).__name__}; see the log")
        finally:
            if not kept:
                await _close(stream)
                self._settle(runner, error)
            self._changed.set()

    def _settle(self, runner: _Runner[T], error: EngineError | None) -> None:
        waited_s = anyio.current_time() - runner.started_s
        if runner in self._running:
            self._running.remove(runner)
        if runner.late:
            allowed_s = runner.contestant.deadline_s
            error = VendorError(f"{runner.contestant.name} gave nothing within {allowed_s:g} s", "timeout")
        if error is not None:
            self._errors.append((runner.contestant.name, error))
            runner.contestant.judge.failed(error, waited_s)
        elif self._won is not None:
            runner.contestant.judge.overtaken(waited_s)
        else:
            runner.contestant.judge.given_up(waited_s)


async def _close(stream: AsyncGenerator[T, None]) -> None:
    with anyio.move_on_after(CLOSE_S, shield=True):
        try:
            await stream.aclose()
        except EngineError as error:
            log.info("a request that was given up ended badly", extra={"reason": str(error)})
