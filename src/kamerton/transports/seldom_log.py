"""Log lines about what strangers do: they must not be able to fill the log."""

from __future__ import annotations

import asyncio
import logging
import math
from typing import Final

EVERY_S: Final = 5.0
"""Least time between two lines of one kind."""


class SeldomLog:
    """A warning that is logged at once and then at most every `EVERY_S`; the next line says how many were left out."""

    def __init__(self, logger: logging.Logger, message: str) -> None:
        self._logger = logger
        self._message = message
        self._last_s = -math.inf
        self._left_out = 0

    def warn(self, **values: object) -> None:
        """Something happened. Of a running event loop."""
        now_s = asyncio.get_running_loop().time()
        if now_s - self._last_s < EVERY_S:
            self._left_out += 1
            return
        self._logger.warning(self._message, extra={**values, "left_out_before": self._left_out})
        self._last_s = now_s
        self._left_out = 0
