"""Workers for CPU work: threads in production, inline where a test runs on a virtual clock."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import threading
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from types import TracebackType
from typing import Any, NamedTuple, TypeVar

log = logging.getLogger(__name__)

T = TypeVar("T")


class ThreadWorker:
    """Runs work in threads of its own, at most `threads` at a time. A context manager: leaving it ends the threads.

    Work that waits when it is left is dropped; a thread whose work does not return within `join_s` is left behind,
    logged: it is a daemon, so not even the end of the process waits for it. Costs half of what anyio's thread pool does
    per call, and voice activity detection makes a hundred calls a second.
    """

    def __init__(self, threads: int, name: str, *, join_s: float = 5.0) -> None:
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=self._serve, name=f"{name}_{number}", daemon=True) for number in range(threads)
        ]
        self._join_s = join_s
        self._closing = False

    def __enter__(self) -> ThreadWorker:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing = True
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join(self._join_s)
            if thread.is_alive():
                log.error("a thread does not come back from its work and is left behind", extra={"worker": thread.name})

    async def run(self, work: Callable[[], T]) -> T:
        """Run `work` in a thread, for the same call (`domain.call_scope`).

        When cancelled it returns at once; work that has begun runs out by itself.
        """
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[T] = loop.create_future()
        self._jobs.put(_Job(partial(copy_context().run, work), loop, outcome))
        return await outcome

    def _serve(self) -> None:
        while (job := self._jobs.get()) is not None:
            if self._closing or job.outcome.cancelled():
                continue
            try:
                result, error = job.work(), None
            except Exception as fault:  # the boundary of the thread: what work raises is its caller's
                result, error = None, fault
            # The loop may be gone when a process is torn down; nobody waits for the outcome then.
            with contextlib.suppress(RuntimeError):
                job.loop.call_soon_threadsafe(_settle, job.outcome, result, error)


class _Job(NamedTuple):
    work: Callable[[], Any]
    loop: asyncio.AbstractEventLoop
    outcome: asyncio.Future[Any]


def _settle(outcome: asyncio.Future[Any], result: Any, error: Exception | None) -> None:
    if outcome.cancelled():
        return
    if error is not None:
        outcome.set_exception(error)
    else:
        outcome.set_result(result)


class InlineWorker:
    """Runs work right away, on the loop."""

    async def run(self, work: Callable[[], T]) -> T:
        """Run `work` now."""
        return work()
