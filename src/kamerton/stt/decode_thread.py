"""The one thread in which a local recogniser decodes, for all calls."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading

import anyio

from kamerton.domain.errors import EngineError
from kamerton.stt.decode_queue import CAPACITY, DecodeFailed, DecodeOutcome, DecodeQueue, Decoder, DecodeRequest

logger = logging.getLogger(__name__)


class DecodeThread:
    """Decodes requests one at a time in its own thread; the engine inside may use several cores for each.

    Make it on the event loop that shall receive the outcomes. The thread starts with the first request and ends in
    `aclose`. The lock is held for queue operations only, never while decoding; what is still wanted is known on the
    loop's thread alone, so an outcome on its way to the loop can still be promoted or withdrawn.
    """

    def __init__(self, decoder: Decoder, *, name: str, capacity: int = CAPACITY) -> None:
        self._decoder = decoder
        self._queue = DecodeQueue(capacity)
        self._changed = threading.Condition()
        self._closing = False
        self._wanted: set[DecodeRequest] = set()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._serve, name=name)

    def submit(self, request: DecodeRequest, *, final: bool) -> None:
        """Queue a request; see `DecodeWorker`. What the full queue drops is told so at once, on the loop."""
        self._wanted.add(request)
        with self._changed:
            if self._closing:
                dropped: DecodeRequest | None = request
            else:
                dropped = self._queue.put(request, final=final)
                if self._thread.ident is None:
                    self._thread.start()
                self._changed.notify()
        if dropped is not None:
            self._loop.call_soon(self._hand_over, dropped, DecodeFailed("the recogniser is overloaded or closing"))

    def promote(self, request: DecodeRequest) -> bool:
        """See `DecodeWorker`."""
        with self._changed:
            self._queue.promote(request)
        return request in self._wanted

    def withdraw(self, request: DecodeRequest) -> None:
        """See `DecodeWorker`."""
        self._wanted.discard(request)
        with self._changed:
            self._queue.remove(request)

    async def aclose(self) -> None:
        """Drop what waits, let a running decode run out (some 0.3 s), and join the thread. Not cancelled half-way."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._wanted.clear()
        if self._thread.ident is not None:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(self._thread.join)

    def _hand_over(self, request: DecodeRequest, outcome: DecodeOutcome) -> None:
        """On the loop: deliver an outcome unless nobody wants it any more."""
        if request in self._wanted:
            self._wanted.discard(request)
            request.deliver(request, outcome)

    def _serve(self) -> None:
        while (request := self._next()) is not None:
            outcome = self._decode(request)
            # The loop may be gone when a process is torn down without aclose; nobody waits for the outcome then.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._hand_over, request, outcome)

    def _next(self) -> DecodeRequest | None:
        with self._changed:
            while not self._closing:
                request = self._queue.take()
                if request is not None:
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
