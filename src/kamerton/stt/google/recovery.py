"""What a stream that failed means for its call: another attempt, with what, and when; or none."""

from __future__ import annotations

import asyncio
import logging
import math
from typing import Final

from kamerton.domain.errors import Fault, VendorError
from kamerton.stt.google.lines import Lines
from kamerton.stt.google.models import ModelChoice
from kamerton.stt.google.options import GoogleSttOptions
from kamerton.stt.google.sessions import Session
from kamerton.vendors.rpc.failures import EndedUnseenError

log = logging.getLogger(__name__)

_BACK_OFF_S: Final = 0.1
"""Before a second attempt; doubled before each further one."""
_SHORT_WAIT_S: Final = 2.0
"""A service that asks to be left alone for longer is given up for the call."""
LASTING: Final[tuple[Fault, ...]] = ("unauthorised", "quota", "rejected")
"""Faults that another attempt within the call would meet again."""


class Recovery:
    """Judges the failures of one call's streams.

    Args:
        options: of the recogniser.
        choice: is told what was refused.
        lines: are asked for another token.
    """

    def __init__(self, options: GoogleSttOptions, choice: ModelChoice, lines: Lines) -> None:
        self._options = options
        self._choice = choice
        self._lines = lines
        self._loop = asyncio.get_running_loop()
        self._failures = 0
        self._failed_s = -math.inf
        self._renewed_token = False
        self._renewed_s = -math.inf
        self.worked = False
        """The service has answered in this call."""
        self.listens = False
        """The next stream sends nothing at first, for it is not known why the last one ended."""
        self.loss: VendorError | None = None
        """Why the service is given up for this call."""

    def answered(self) -> None:
        """The service works."""
        self._failures, self.worked, self._renewed_token, self.listens = 0, True, False, False

    async def judge(self, session: Session, failure: VendorError) -> float:
        """When the next attempt may begin, on the loop's clock; `loss` is set when there is none."""
        log.warning(
            "a stream of Google Speech failed",
            extra={"reason": str(failure), "model": str(session.setup.candidate), "languages": session.setup.codes},
        )
        try:
            if await self._remedied(session, failure):
                return self._loop.time()
        except VendorError as error:
            failure = error
        now_s = self._loop.time()
        if session.opened_s >= self._failed_s:
            # What failed together counts as one attempt.
            self._failures, self._failed_s = self._failures + 1, now_s
        asked_s = failure.retry_after_s or 0.0
        # A stream that had answered was not refused for what it asked for, but for what befell it, such as its age.
        lasting = failure.fault in LASTING and not (failure.fault == "rejected" and session.worked)
        if lasting or asked_s > _SHORT_WAIT_S or self._failures >= self._options.attempts:
            self.loss = self.loss or failure
        return now_s + max(_BACK_OFF_S * 2.0 ** (self._failures - 1), asked_s)

    async def _remedied(self, session: Session, failure: VendorError) -> bool:
        """Whether the next attempt asks for something else, or with another token, so that this one does not count."""
        if isinstance(failure, EndedUnseenError) and not session.worked and not self.listens:
            self.listens = True
            return True
        if failure.fault == "rejected" and not session.worked:
            return self._choice.refused(session.language, session.setup, str(failure))
        if failure.fault == "unauthorised":
            return await self._has_newer_token(session)
        return False

    async def _has_newer_token(self, session: Session) -> bool:
        """Whether there is another token than the stream's: one is fetched once, until the service answers."""
        if not self._renewed_token:
            self._renewed_token = await self._lines.refused(session.line)
            self._renewed_s = self._loop.time()
            return self._renewed_token
        # Another stream of this call may have been refused for the same old token.
        return session.opened_s < self._renewed_s
