"""A text that is spoken while it is written: pieces in, audio out, a little ahead of what is taken."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing
from typing import Final

import anyio

from kamerton.domain.audio import SAMPLE_BYTES, AudioFormat
from kamerton.domain.errors import EngineError, KamertonError
from kamerton.domain.synthesis import SpeechChunk
from kamerton.tts.clause_buffer import ClauseBuffer
from kamerton.tts.written_text import WrittenRender

LOOK_AHEAD: Final = 2
"""Clauses that are made while one is taken: some ten seconds of speech, enough for a voice that is slow once."""
MAX_TEXT_CHARS: Final = 4000
"""The longest text that is read: over four minutes of speech, far more than a caller listens to."""

_log = logging.getLogger(__name__)


class PieceSpeech:
    """One such speech: `read` fills it in a task of its own, `follow` empties it in another.

    Args:
        pieces: the text as it comes.
        audio_format: rate of the audio.
        start: begins to make a clause's audio and counts a follower in; None for a clause that says nothing.
    """

    def __init__(
        self,
        pieces: AsyncIterable[str],
        audio_format: AudioFormat,
        start: Callable[[str, AudioFormat], WrittenRender | None],
    ) -> None:
        self._pieces = pieces
        self._format = audio_format
        self._start = start
        self._buffer = ClauseBuffer()
        self._written: deque[str] = deque()
        self._renders: deque[WrittenRender] = deque()
        self._scope = anyio.CancelScope()
        self._changed = anyio.Event()
        self._closed = False
        self._over = False
        self._error: Exception | None = None

    async def read(self) -> None:
        """Read the text to its end or to `close`; a fault of it is raised by `follow`. Raises nothing itself.

        The border at which any error of a text's source becomes an EngineError of its speech.
        """
        try:
            with self._scope:
                await self._read_pieces()
        except KamertonError as error:
            self._end(error)
        except Exception as error:
            _log.exception("the source of a text broke")
            self._end(EngineError(f"the source of a text broke: {error!r}; see the log"))
        finally:
            if not self._over:
                self._end(EngineError("the voice was closed while it spoke; start it again"))

    async def follow(self) -> AsyncGenerator[SpeechChunk, None]:
        """Yield the audio in order. Call `close` afterwards.

        Raises:
            EngineError: the text or the voice failed; all audio before that was yielded.
        """
        pause = b""
        while self._renders or not self._over:
            if not self._renders:
                await self._changed.wait()
                continue
            render = self._renders[0]
            async with aclosing(render.follow()) as chunks:
                async for chunk in chunks:
                    yield SpeechChunk(pause + chunk.pcm, chunk.format, chunk.text, chunk.goes_on)
                    pause = b""
            if render.pause_ms:
                pause = bytes(self._format.samples(render.pause_ms) * SAMPLE_BYTES)
            self._renders.popleft().leave()
            self._advance()
        if self._error is not None:
            raise EngineError(str(self._error)) from self._error

    def close(self) -> None:
        """End the reading and give up what is being made, unless others follow it."""
        self._closed = True
        self._scope.cancel()
        self._written.clear()
        while self._renders:
            self._renders.popleft().leave()

    async def _read_pieces(self) -> None:
        async with AsyncExitStack() as exits:
            pieces: AsyncIterator[str] = aiter(self._pieces)
            if isinstance(pieces, AsyncGenerator):
                await exits.enter_async_context(aclosing(pieces))
            try:
                await self._read_to_the_end(pieces)
            except Exception:
                # The text broke off: what is whole of it is still said.
                self._accept(self._buffer.flush_torn())
                raise
        self._accept(self._buffer.flush())
        self._end(None)

    async def _read_to_the_end(self, pieces: AsyncIterator[str]) -> None:
        room = MAX_TEXT_CHARS
        async for piece in pieces:
            self._accept(self._buffer.push(piece[:room]))
            room -= len(piece)
            if room < 0:
                raise EngineError(
                    f"a text to be spoken is longer than {MAX_TEXT_CHARS} characters; ask for a shorter answer"
                )

    def _accept(self, clauses: tuple[str, ...]) -> None:
        if clauses and not self._closed:
            self._written.extend(clauses)
            self._advance()

    def _advance(self) -> None:
        """Begin to make the next clauses, as many as may be ahead."""
        while self._written and len(self._renders) <= LOOK_AHEAD:
            render = self._start(self._written.popleft(), self._format)
            if render is not None:
                self._renders.append(render)
        self._notify()

    def _end(self, error: Exception | None) -> None:
        self._over = True
        self._error = error
        self._notify()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()
