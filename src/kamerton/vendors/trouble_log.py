"""Log lines about a service that is tried again and again: what changed at once, what lasts once a minute."""

from __future__ import annotations

import logging
from typing import Final

from kamerton.domain.errors import EngineError, VendorError

EVERY_S: Final = 60.0
"""Least time between two lines about a trouble that lasts."""


class TroubleLog:
    """One warning when a trouble begins or becomes another one, then at most one a minute; one line when it is over.

    Two failures are the same trouble when their fault is: messages may differ in times and numbers. A fault that was
    told since the trouble began is not news when it comes again, so that faults that take turns stay quiet too.

    Args:
        logger: where lines go.
        service: its name, for the lines.
    """

    def __init__(self, logger: logging.Logger, service: str) -> None:
        self._logger = logger
        self._service = service
        self._told: set[str] = set()
        self._told_at_s = 0.0
        self._left_out = 0

    def is_news(self, fault: str, now_s: float) -> bool:
        """Whether a failure with this fault would be told now."""
        return fault not in self._told or now_s - self._told_at_s >= EVERY_S

    def failed(self, error: EngineError, now_s: float) -> None:
        """It failed again, or for the first time."""
        fault = error.fault if isinstance(error, VendorError) else error.code
        if not self.is_news(fault, now_s):
            self._left_out += 1
            return
        self._logger.warning(
            "a connection did not open",
            extra={"service": self._service, "reason": str(error), "left_out_before": self._left_out},
        )
        self._told.add(fault)
        self._told_at_s = now_s
        self._left_out = 0

    def worked(self) -> None:
        """It works: the next failure is news."""
        if self._told:
            self._logger.info(
                "connections open again", extra={"service": self._service, "left_out_before": self._left_out}
            )
        self._told.clear()
        self._left_out = 0
