"""Workers for CPU work: threads in production, inline where a test runs on a virtual clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import TypeVar

T = TypeVar("T")


class ThreadWorker:
    """Runs work in threads of its own, at most `threads` at a time. A context manager: leaving it joins the threads.

    An executor of the standard library costs half of what anyio's thread pool does per call, and voice activity
    detection makes a hundred calls a second.
    """

    def __init__(self, threads: int, name: str) -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=name)

    def __enter__(self) -> ThreadWorker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._executor.shutdown(wait=True, cancel_futures=True)

    async def run(self, work: Callable[[], T]) -> T:
        """Run `work` in a thread. When cancelled it returns at once; work that has begun runs out by itself."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)


class InlineWorker:
    """Runs work right away, on the loop."""

    async def run(self, work: Callable[[], T]) -> T:
        """Run `work` now."""
        return work()
