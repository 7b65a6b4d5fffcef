"""A page in memory: the far end of a browser call without sockets."""

from __future__ import annotations

import json
from typing import Any

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from kamerton.domain.errors import CallEnded

START = '{"type": "start_demo_call", "payload": {"user_name": "Анна"}}'
FRAME = b"\x01\x00" * 320


class MemoryLink:
    """A page in memory; `stuck` makes it stop reading."""

    def __init__(self) -> None:
        ends: tuple[MemoryObjectSendStream[str | bytes], MemoryObjectReceiveStream[str | bytes]]
        ends = anyio.create_memory_object_stream[str | bytes](100)
        self.say, self.said = ends
        self.got: list[str | bytes] = []
        self.closed: tuple[int, str] | None = None
        self.gone = False
        self.stuck = False
        self.changed = anyio.Event()

    async def receive(self) -> str | bytes | None:
        try:
            return await self.said.receive()
        except anyio.EndOfStream:
            return None

    async def send(self, message: str | bytes) -> None:
        if self.gone:
            raise CallEnded("gone")
        while self.stuck:
            await anyio.sleep_forever()
        self.got.append(message)
        self.changed.set()
        self.changed = anyio.Event()

    async def close(self, code: int, reason: str) -> None:
        self.closed = (code, reason)
        self.leave()

    def leave(self) -> None:
        self.gone = True
        self.say.close()

    def told(self, kind: str) -> list[dict[str, Any]]:
        messages = [json.loads(message) for message in self.got if isinstance(message, str)]
        return [message["payload"] for message in messages if message["type"] == kind]

    async def until_told(self, kind: str) -> None:
        while not self.told(kind):
            await self.changed.wait()
