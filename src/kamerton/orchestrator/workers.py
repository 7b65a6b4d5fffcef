"""Workers for CPU work: threads in production, inline where a test runs on a virtual clock."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import anyio

T = TypeVar("T")


class ThreadWorker:
    """Runs work in threads of anyio's pool, at most `threads` at a time."""

    def __init__(self, threads: int) -> None:
        self._limiter = anyio.CapacityLimiter(threads)

    async def run(self, work: Callable[[], T]) -> T:
        """Run `work` in a thread. When cancelled at once returns; the work runs out by itself."""
        return await anyio.to_thread.run_sync(work, limiter=self._limiter, abandon_on_cancel=True)


class InlineWorker:
    """Runs work right away, on the loop."""

    async def run(self, work: Callable[[], T]) -> T:
        """Run `work` now."""
        return work()
