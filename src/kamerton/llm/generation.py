"""One running generation: bounded waits for the model, and an end that may come from outside at any instant."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from typing import Final

import anyio

from kamerton.domain.errors import EngineError
from kamerton.domain.language_model import GenerationEnded, ModelEvent
from kamerton.llm.limits import TalkLimits

logger = logging.getLogger(__name__)

CLOSE_S: Final = 1.0
"""Longest wait for a model to free its stream; it takes a tick or two."""


class Generation:
    """Owns a model's stream. One task reads it; `abort` may be called by any other on the same loop."""

    def __init__(self, events: AsyncGenerator[ModelEvent, None], limits: TalkLimits, model_name: str) -> None:
        self._events = events
        self._limits = limits
        self._model_name = model_name
        self._reading: anyio.CancelScope | None = None
        self._waited_s = 0.0
        self._begun = False
        self._closing = False
        self._closed = anyio.Event()
        self.aborted = False
        """It was ended from outside; nothing more comes."""

    @property
    def idle(self) -> bool:
        """Nobody reads or closes it now, so that it may be closed by another task."""
        return self._reading is None and not self._closing

    async def next_event(self, *, speaking: bool) -> ModelEvent | None:
        """Wait for the next event; None when the generation was aborted.

        Args:
            speaking: something of the answer was released already; before that `first_token_s` bounds the waits.

        Raises:
            EngineError: the model failed, broke off, or is too slow.
        """
        started_s = anyio.current_time()
        event: ModelEvent | None = None
        allowed_s, setting = self._allowed(speaking)
        with anyio.CancelScope() as self._reading, anyio.move_on_after(allowed_s) as patience:
            try:
                event = await anext(self._events)
            except StopAsyncIteration:
                raise EngineError(
                    f"the language model {self._model_name} broke off in the middle of its answer; ask again",
                    "model_stream",
                ) from None
            finally:
                self._reading = None
        self._waited_s += anyio.current_time() - started_s
        if self.aborted:
            return None
        if event is None and patience.cancelled_caught:
            raise EngineError(
                f"the language model {self._model_name} is too slow: {setting} ran out after {self._waited_s:.1f} s "
                "of waiting; relieve its server, choose a faster model or raise the limit",
                "model_timeout",
            )
        self._begun = True
        return event

    async def read_to_end(self, patience_s: float) -> GenerationEnded | None:
        """Wait a little for the model's own end, for its counts; the answer is whole without it."""
        ended: GenerationEnded | None = None
        with anyio.CancelScope() as self._reading, anyio.move_on_after(patience_s):
            try:
                async for event in self._events:
                    if isinstance(event, GenerationEnded):
                        ended = event
                        break
            except EngineError as error:
                logger.info("a model's stream broke after its whole answer", extra={"problem": str(error)})
            finally:
                self._reading = None
        return ended

    def abort(self) -> None:
        """End it: a waiting reader goes on with nothing at the next tick.

        That reader frees the stream; when nobody is reading, `close` does.
        """
        self.aborted = True
        if self._reading is not None:
            self._reading.cancel()

    async def close(self) -> None:
        """Free the model's stream, also when cancelled; who comes second does not wait."""
        if self._closing:
            return
        self._closing = True
        with anyio.move_on_after(CLOSE_S, shield=True):
            await self._events.aclose()
        self._closed.set()

    async def wait_closed(self) -> None:
        """Wait until the stream is freed."""
        await self._closed.wait()

    def _allowed(self, speaking: bool) -> tuple[float, str]:
        limits = self._limits
        waits = [(limits.total_s - self._waited_s, "total_s")]
        if not speaking:
            waits.append((limits.first_token_s - self._waited_s, "first_token_s"))
        if self._begun:
            waits.append((limits.stall_s, "stall_s"))
        return min(waits)
