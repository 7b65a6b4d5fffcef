"""A stand-in for Asterisk's manager interface: it greets, checks the log-in, lists channels, tells what it is told."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
from anyio.abc import SocketListener, SocketStream

SECRET = "open sesame"
CHALLENGE = "840415273"
Lines = tuple[tuple[str, str], ...]


@dataclass
class ScriptedManager:
    """Serves on a free port; every connection gets the same answers."""

    greeting: bytes = b"Asterisk Call Manager/11.0.0\r\n"
    silent: tuple[str, ...] = ()
    """Actions that are not answered."""
    refused: tuple[str, ...] = ()
    channels: tuple[Lines, ...] = ()
    port: int = 0
    actions: list[dict[str, str]] = field(default_factory=list)
    streams: list[SocketStream] = field(default_factory=list)

    async def tell(self, *lines: tuple[str, str]) -> None:
        """An event, to everybody who is connected."""
        for stream in self.streams:
            await stream.send(written(lines))

    async def drop(self) -> None:
        """Close every connection."""
        for stream in self.streams:
            await stream.aclose()
        self.streams.clear()

    def count(self, name: str) -> int:
        return sum(action["Action"] == name for action in self.actions)

    async def serve(self, stream: SocketStream) -> None:
        async with stream:
            await stream.send(self.greeting)
            rest = b""
            try:
                while True:
                    *actions, rest = (rest + await stream.receive()).split(b"\r\n\r\n")
                    for action in actions:
                        await self._answer(stream, read(action))
            except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
                return

    async def _answer(self, stream: SocketStream, action: dict[str, str]) -> None:
        self.actions.append(action)
        name, own = action["Action"], ("ActionID", action["ActionID"])
        if name in self.silent:
            return
        if name in self.refused:
            await stream.send(written((("Response", "Error"), own, ("Message", "Permission denied"))))
            return
        if name == "Login":
            expected = hashlib.md5((CHALLENGE + SECRET).encode(), usedforsecurity=False).hexdigest()
            if action["Key"] != expected:
                await stream.send(written((("Response", "Error"), own, ("Message", "Authentication failed"))))
                return
            self.streams.append(stream)
        extra = (("Challenge", CHALLENGE),) if name == "Challenge" else ()
        await stream.send(written((("Response", "Success"), own, *extra)))
        if name == "CoreShowChannels":
            for row in self.channels:
                await stream.send(written((("Event", "CoreShowChannel"), own, *row)))
            await stream.send(written((("Event", "CoreShowChannelsComplete"), own, ("EventList", "Complete"))))


def written(lines: Lines) -> bytes:
    return "".join(f"{name}: {value}\r\n" for name, value in lines).encode() + b"\r\n"


def read(action: bytes) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in action.decode().split("\r\n") if ": " in line)


@asynccontextmanager
async def manager_on_a_free_port(manager: ScriptedManager) -> AsyncIterator[ScriptedManager]:
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=manager.port)
    one = listener.listeners[0]
    assert isinstance(one, SocketListener)
    manager.port = one.extra(anyio.abc.SocketAttribute.local_port)
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, manager.serve)
        yield manager
        tasks.cancel_scope.cancel()


async def until(condition: Callable[[], object]) -> None:
    """Wait for something that comes by itself; a `TimeoutError` when it does not come within 5 s."""
    with anyio.fail_after(5):
        while True:
            if condition():
                return
            await anyio.sleep(0.01)
