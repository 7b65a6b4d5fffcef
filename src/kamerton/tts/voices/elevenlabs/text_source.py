"""The text of one speech, clause by clause, kept so that it can be said again another way."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterable, Callable
from contextlib import aclosing
from typing import Final

import anyio
from anyio.abc import TaskGroup

from kamerton.domain.errors import EngineError, VendorError
from kamerton.tts.clause_buffer import clauses_of
from kamerton.tts.clauses import split_clauses

_log = logging.getLogger(__name__)

LONGEST_TEXT: Final = 40_000
"""Characters that the vendor takes in one request for its Flash and Turbo models (its models page)."""


def says_something(clause: str) -> bool:
    """Whether a clause has anything to say."""
    return any(character.isalnum() for character in clause)


class TextSource:
    """Clauses that have words, in order. A stream is read by a task of `group`, or, without one, when it is asked for.

    Args:
        text: whole, or as it comes; iterated once.
    """

    def __init__(self, text: str | AsyncIterable[str]) -> None:
        self.streamed = not isinstance(text, str)
        self.clauses: list[str] = []
        self.ended = False
        self.error: Exception | None = None
        """Why a stream broke off; what came before it is still said."""
        self._pieces: AsyncGenerator[str, None] | None = None
        self._scope = anyio.CancelScope()
        self._changed = anyio.Event()
        self._told: Callable[[], None] = _nobody
        self._size = 0
        self._in_task = False
        if isinstance(text, str):
            for clause in split_clauses(text):
                self._take(clause)
            self.ended = True
        else:
            self._pieces = clauses_of(text)

    def read_in(self, group: TaskGroup) -> None:
        """Have a stream read by a task from now on; it ends with the text or with `aclose`."""
        if self._pieces is not None:
            self._in_task = True
            group.start_soon(self._read, self._pieces)

    def tell(self, told: Callable[[], None] | None) -> None:
        """Have a plain function called now and whenever there is more, or an end; None: nobody any more."""
        self._told = told or _nobody
        self._told()

    async def clause(self, number: int) -> str | None:
        """A clause by its number, from 0; None beyond the end. Safe to cancel while a task reads the text."""
        while number >= len(self.clauses) and not self.ended:
            if self._in_task:
                await self._changed.wait()
            elif self._pieces is not None:
                await self._advance(self._pieces)
        return self.clauses[number] if number < len(self.clauses) else None

    async def aclose(self) -> None:
        """Read no more; a stream that is a generator is closed."""
        self._told = _nobody
        self._scope.cancel()
        if self._pieces is not None and not self._in_task:
            await self._pieces.aclose()

    async def _read(self, pieces: AsyncGenerator[str, None]) -> None:
        """The task that reads. The border at which any error ends this text only."""
        try:
            with self._scope:
                async with aclosing(pieces):
                    while not self.ended:
                        await self._advance(pieces)
        except Exception as error:
            _log.exception("passing a text on broke")
            self._told = _nobody
            self._end(error)
        finally:
            self._end(EngineError("the voice was closed while it spoke; open it again"))

    async def _advance(self, pieces: AsyncGenerator[str, None]) -> None:
        """Read one more clause. The border at which any error of the text's source ends it."""
        try:
            clause = await anext(pieces, None)
        except Exception as error:
            self._end(error)
            return
        if clause is None:
            self._end(None)
        elif self._size + len(clause) > LONGEST_TEXT:
            self._end(VendorError(f"ElevenLabs: a text is longer than {LONGEST_TEXT} characters; split it", "rejected"))
        else:
            self._take(clause)
            self._notify()

    def _take(self, clause: str) -> None:
        if says_something(clause):
            self.clauses.append(clause)
            self._size += len(clause)

    def _end(self, error: Exception | None) -> None:
        if not self.ended:
            self.ended, self.error = True, error
            self._notify()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()
        self._told()


def _nobody() -> None:
    """Nobody wants to know."""
