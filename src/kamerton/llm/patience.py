"""How long one answer may keep us waiting: only waits for the server count, not what the reader does between."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Final, Literal, TypeVar

import anyio

from kamerton.llm.limits import ModelTimeouts
from kamerton.llm.model_errors import model_error

T = TypeVar("T")

COUNTS_S: Final = 0.5
"""Longest wait for the counts after the model said that it has finished."""

Phase = Literal["asked", "writing", "finished"]


class Patience:
    """The account of one answer's waits.

    Args:
        timeouts: what is allowed.
        where: model and address, for messages.
    """

    def __init__(self, timeouts: ModelTimeouts, where: str) -> None:
        self._timeouts = timeouts
        self._where = where
        self._waited_s = 0.0
        self.phase: Phase = "asked"
        """`writing` from the first text or tool call on; `finished` when only counts may follow."""

    async def bounded(self, work: Awaitable[T]) -> T:
        """Wait as long as is allowed now.

        Raises:
            VendorError: it took longer; the work was cancelled.
        """
        started_s = anyio.current_time()
        allowed_s, setting = self._allowed()
        try:
            with anyio.fail_after(allowed_s):
                return await work
        except TimeoutError:
            what = (
                f"is too slow: nothing for {allowed_s:.1f} s ({setting}); "
                "relieve the server, choose a faster model or raise the timeout"
            )
            raise model_error(self._where, what, "timeout") from None
        finally:
            self._waited_s += anyio.current_time() - started_s

    def _allowed(self) -> tuple[float, str]:
        timeouts = self._timeouts
        total = (max(0.0, timeouts.total_s - self._waited_s), "total_s")
        if self.phase == "finished":
            return min(total, (COUNTS_S, "counts"))
        if self.phase == "writing":
            return min(total, (timeouts.between_tokens_s, "between_tokens_s"))
        return min(total, (max(0.0, timeouts.first_token_s - self._waited_s), "first_token_s"))
