"""An event loop whose clock jumps to the next timer: thirty seconds of talk run in milliseconds, at exact instants.

Use it through anyio's pytest plugin: `anyio_backend = ("asyncio", {"loop_factory": VirtualLoop})`. Real threads and
real sockets must not be awaited on it: the clock would run ahead of them.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Mapping
from typing import Any


class _InstantSelector(selectors.BaseSelector):
    """Never waits: where a real selector would sleep for a timeout, it moves the virtual clock by it."""

    def __init__(self) -> None:
        self._real = selectors.DefaultSelector()
        self.now_s = 0.0

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._real.get_map()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = self._real.select(0)
        if ready or timeout is None:
            # Nothing is due at all only while another thread (a worker) owes an answer: wait for it in real time.
            return ready or self._real.select(timeout)
        self.now_s += max(0.0, timeout)
        return ready

    def close(self) -> None:
        self._real.close()


class VirtualLoop(asyncio.SelectorEventLoop):
    """A selector loop on a clock that starts at 0 and only moves when everything waits."""

    def __init__(self) -> None:
        self._instant = _InstantSelector()
        super().__init__(self._instant)

    def time(self) -> float:
        """The virtual instant, in seconds since the loop was made."""
        return self._instant.now_s
