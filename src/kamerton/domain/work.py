"""Where CPU work over 1 ms goes: an injected worker, so that tests run it inline on a virtual clock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

T = TypeVar("T")


class Worker(Protocol):
    """Runs plain functions off the event loop, in a bounded number of threads."""

    async def run(self, work: Callable[[], T]) -> T:
        """Run `work` and return its result. When cancelled the result is dropped; the work itself runs out."""
        ...
