"""A Starlette WebSocket as the browser transport's link."""

from __future__ import annotations

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from kamerton.domain.errors import CallEnded


class StarletteLink:
    """`WebSocketLink` over an accepted Starlette WebSocket; the framework's exceptions end here."""

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket

    async def receive(self) -> str | bytes | None:
        """The next message, or None when the far end is gone."""
        if self._websocket.client_state is WebSocketState.DISCONNECTED:
            return None
        message = await self._websocket.receive()
        if message["type"] == "websocket.disconnect":
            return None
        data: str | bytes | None = message.get("bytes")
        return data if data is not None else str(message["text"])

    async def send(self, message: str | bytes) -> None:
        """Send a message; waits while the far end does not read.

        Raises:
            CallEnded: the far end is gone.
        """
        try:
            if isinstance(message, bytes):
                await self._websocket.send({"type": "websocket.send", "bytes": message})
            else:
                await self._websocket.send({"type": "websocket.send", "text": message})
        except (WebSocketDisconnect, RuntimeError) as error:
            # RuntimeError is how Starlette and uvicorn say that the WebSocket was closed in the meantime.
            raise CallEnded("the page has closed its connection") from error

    async def close(self, code: int, reason: str) -> None:
        """Close from our side; harmless when it is closed already."""
        try:
            await self._websocket.close(code, reason)
        except (WebSocketDisconnect, RuntimeError):
            # Closed by the far end in the meantime: what we wanted.
            return
