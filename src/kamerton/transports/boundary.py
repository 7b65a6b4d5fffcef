"""The border around one call: whatever its parts do ends that call, in bounded time, and nothing else."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

import anyio

from kamerton.domain.media import CallHandler, CallMedia

logger = logging.getLogger(__name__)

LEAVE_TIMEOUT_S: Final = 20.0
"""How long a handler may take to return once its line is down, if nothing else is set. What it does then (closing
engines, a last summary, an apology of 10 s) has deadlines of its own; this one is for a handler that hangs or was not
told."""


class CallBoundary:
    """Of one call; runs its handler once, and takes the faults of the sink that the handler has given out.

    `hang_up` ends the call's wire with a reason; it must be quick, must not raise and may be called repeatedly.
    """

    def __init__(self, call_id: str, hang_up: Callable[[str], None], leave_timeout_s: float = LEAVE_TIMEOUT_S) -> None:
        self._call_id = call_id
        self._hang_up = hang_up
        self._leave_timeout_s = leave_timeout_s
        self._scope = anyio.CancelScope()
        self._leave: asyncio.TimerHandle | None = None
        self._running = False
        self._returned = False

    def sink_failed(self, error: Exception) -> None:
        """The call's sink raised. The call cannot go on without ears, so it is ended."""
        logger.error(
            "a call ended by an error in what takes its audio", exc_info=error, extra={"call_id": self._call_id}
        )
        self._hang_up("error")

    def line_down(self) -> None:
        """Nothing more comes or goes: from now on the handler has `leave_timeout_s` to return. Safe to repeat."""
        if self._leave is None and not self._returned:
            self._leave = asyncio.get_running_loop().call_later(self._leave_timeout_s, self._cut)

    async def run(self, handler: CallHandler, media: CallMedia) -> str:
        """Run the handler; the reason for which the call is over from our side. Raises nothing but cancellation."""
        self._running = True
        try:
            with self._scope:
                await handler(media)
                return "call_over"
        except Exception:
            logger.exception("a call ended by an error in its handler", extra={"call_id": self._call_id})
        finally:
            self._returned = True
            if self._leave is not None:
                self._leave.cancel()
        return "error"

    def _cut(self) -> None:
        if self._running:  # A call that was turned away never had a handler.
            logger.error(
                "a call is cut off: its line is down and its handler does not return",
                extra={"call_id": self._call_id, "waited_s": self._leave_timeout_s},
            )
        self._scope.cancel()
