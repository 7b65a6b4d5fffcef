"""An event loop in a thread of its own, for requests that blocking code waits for.

An `Embedder` blocks the worker thread that asks it. Deadlines over a whole request (name look-up, TLS, headers that
drip) and closing a request that is no longer wanted need a loop; the calls' own loop must not wait for either.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import CancelledError, Future
from typing import Final, TypeVar

import anyio
from anyio.from_thread import BlockingPortal

from kamerton.domain.errors import EngineError, VendorError

T = TypeVar("T")

_START_S: Final = 10.0
_JOIN_S: Final = 5.0
_CLOSE_S: Final = 2.0

_log = logging.getLogger(__name__)


class RequestLoop:
    """Runs coroutines for other threads. The thread starts with the first one, is a daemon, and ends with `close`.

    Args:
        name: of the thread, and in messages.
        on_close: what else is to be closed on the loop.
    """

    def __init__(self, name: str, on_close: Callable[[], Awaitable[None]]) -> None:
        self._name = name
        self._on_close = on_close
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._portal: BlockingPortal | None = None
        self._started = threading.Event()
        self._closed = False

    def run(self, work: Callable[[], Awaitable[T]]) -> T:
        """The result of a coroutine, however long it takes. Blocking; not from the loop itself.

        Raises:
            VendorError: this is closed, or was while it ran.
        """
        try:
            return self.start(work).result()
        except CancelledError:
            raise closed(self._name) from None

    def start(self, work: Callable[[], Awaitable[T]]) -> Future[T]:
        """Begin a coroutine; cancelling the future cancels it.

        Raises:
            VendorError: this is closed.
        """
        with self._lock:
            if self._closed:
                raise closed(self._name)
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name=self._name, daemon=True)
                self._thread.start()
                self._started.wait(_START_S)
            portal = self._portal
            if portal is None:
                raise EngineError(f"the event loop of {self._name} does not start; the machine is overloaded")
            return portal.start_task_soon(work)

    def close(self) -> None:
        """Cancel what runs and end the thread. Blocking while connections close; may be called twice."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            thread, portal = self._thread, self._portal
        if thread is None or portal is None:
            return
        with contextlib.suppress(RuntimeError):  # the loop has ended by itself
            portal.call(portal.stop, True)
        thread.join(_JOIN_S)
        if thread.is_alive():
            _log.error("an event loop does not end and is left behind", extra={"thread": self._name})

    def _serve(self) -> None:
        anyio.run(self._until_closed)

    async def _until_closed(self) -> None:
        async with BlockingPortal() as portal:
            self._portal = portal
            self._started.set()
            await portal.sleep_until_stopped()
        with anyio.move_on_after(_CLOSE_S):
            await self._on_close()


def closed(name: str) -> VendorError:
    """The error of whoever still waits, or comes too late."""
    return VendorError(f"{name} is closed; the process is being stopped", "failed")
