"""What waits to be sent to a page: bounded, in order, with audio that can be recalled."""

from __future__ import annotations

from collections import deque

import anyio

MAX_AUDIO_MESSAGES = 50
"""One second of frames; further ones are dropped."""
MAX_TEXT_MESSAGES = 500


class Outbox:
    """Messages on their way to one sender task. All methods but `wait` are plain calls and never block."""

    def __init__(self) -> None:
        self._messages: deque[str | bytes] = deque()
        self._audio_waiting = 0
        self._arrived = anyio.Event()
        self.dropped_frames = 0
        """Frames not sent because the page read too slowly."""

    def __len__(self) -> int:
        return len(self._messages)

    @property
    def text_full(self) -> bool:
        """True when so many text messages wait that the page cannot be reading."""
        return len(self._messages) - self._audio_waiting >= MAX_TEXT_MESSAGES

    def put_audio(self, pcm: bytes) -> bool:
        """Add a frame, unless too many wait; then it is dropped, counted, and the answer is False."""
        if self._audio_waiting >= MAX_AUDIO_MESSAGES:
            self.dropped_frames += 1
            return False
        self._audio_waiting += 1
        self._messages.append(pcm)
        self._arrived.set()
        return True

    def put_text(self, text: str) -> None:
        """Add a text message."""
        self._messages.append(text)
        self._arrived.set()

    def recall_audio(self, announcement: str) -> None:
        """Drop the frames that wait, and send `announcement` before everything else."""
        self._messages = deque(message for message in self._messages if isinstance(message, str))
        self._messages.appendleft(announcement)
        self._audio_waiting = 0
        self._arrived.set()

    def take(self) -> str | bytes | None:
        """The next message, or None when nothing waits."""
        if not self._messages:
            return None
        message = self._messages.popleft()
        if isinstance(message, bytes):
            self._audio_waiting -= 1
        return message

    def wake(self) -> None:
        """Let `wait` return although nothing was added."""
        self._arrived.set()

    async def wait(self) -> None:
        """Wait until something is added. One waiter; safe to cancel."""
        if not self._messages:
            await self._arrived.wait()
        self._arrived = anyio.Event()
