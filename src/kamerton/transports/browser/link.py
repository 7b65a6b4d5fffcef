"""What the browser transport needs of a WebSocket, so that it knows no web framework."""

from __future__ import annotations

from typing import Protocol


class WebSocketLink(Protocol):
    """One accepted WebSocket."""

    async def receive(self) -> str | bytes | None:
        """The next message, or None when the far end is gone (then always)."""
        ...

    async def send(self, message: str | bytes) -> None:
        """Send a message; waits while the far end does not read.

        Raises:
            CallEnded: the far end is gone.
        """
        ...

    async def close(self, code: int, reason: str) -> None:
        """Close from our side; harmless when it is closed already."""
        ...
