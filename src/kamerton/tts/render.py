"""A synthesis that any number of requests may follow while it runs."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import anyio

from kamerton.domain.audio import Clip
from kamerton.domain.errors import EngineError, KamertonError
from kamerton.domain.synthesis import SpeechChunk
from kamerton.tts.clips.making import chunks_of_clip


class Render:
    """The state of one synthesis: filled by one task, followed by many.

    The filling task runs inside `scope`. When the last follower leaves before the end, the scope is cancelled: nobody
    wants the audio any more.
    """

    def __init__(self) -> None:
        self.scope = anyio.CancelScope()
        self.clip: Clip | None = None
        self._chunks: list[SpeechChunk] = []
        self._error: KamertonError | None = None
        self._ended = False
        self._followers = 0
        self._changed = anyio.Event()

    @classmethod
    def of_clip(cls, clip: Clip) -> Render:
        """A synthesis that is over: a clip that is at hand."""
        render = cls()
        for chunk in chunks_of_clip(clip):
            render.add(chunk)
        render.finish(clip)
        return render

    @property
    def open(self) -> bool:
        """Whether a further request may join."""
        return not self._ended and not self.scope.cancel_called

    @property
    def ended(self) -> bool:
        """Whether it is complete or has failed."""
        return self._ended

    def add(self, chunk: SpeechChunk) -> None:
        """Hand a chunk to all followers."""
        self._chunks.append(chunk)
        self._notify()

    def finish(self, clip: Clip) -> None:
        """The synthesis is complete."""
        self.clip = clip
        self._end()

    def fail(self, error: KamertonError) -> None:
        """The synthesis failed: every follower raises this."""
        self._error = error
        self._end()

    def join(self) -> None:
        """Count a follower in, before its first wait; `follow` counts it out."""
        self._followers += 1

    async def follow(self) -> AsyncGenerator[SpeechChunk, None]:
        """Yield every chunk, those before the joining included. Call `join` first, and close the generator.

        Raises:
            EngineError: the synthesis failed or was given up.
        """
        position = 0
        while True:
            while position < len(self._chunks):
                yield self._chunks[position]
                position += 1
            if self._ended:
                break
            await self._changed.wait()
        if self._error is not None:
            raise EngineError(str(self._error)) from self._error

    def leave(self) -> None:
        """Count a follower out; the last one to leave an unfinished synthesis ends it."""
        self._followers -= 1
        if self._followers == 0 and not self._ended:
            self.scope.cancel()

    def _end(self) -> None:
        self._ended = True
        self._notify()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()
