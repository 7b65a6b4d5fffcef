"""The stand-in's side of one multi-context WebSocket, strict where the vendor is: five contexts, no second settings.

A context that is closed before it speaks ends without a sound, as the vendor's may (pipecat issues 4681 and 5271).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import anyio
from anyio.abc import TaskGroup
from websockets.exceptions import InvalidState
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

from kamerton.tts.voices.elevenlabs.wire_double_script import Seen, SeenContext, Trouble, VendorScript
from kamerton.tts.voices.elevenlabs.wire_double_speech import encoded, pieces_of, websocket_alignment
from kamerton.tts.voices.elevenlabs.wire_double_stream import ClientLeftError, WireStream

_MOST: Final = 5
_SCHEDULE: Final = 120
"""Characters that the vendor collects before it speaks without being told to."""
_TOO_MANY: Final = (
    "Maximum simultaneous contexts per WebSocket connection exceeded (5). "
    "Please close an existing context before opening a new one."
)


@dataclass(slots=True, eq=False)
class _Speaking:
    """A context that is open here."""

    seen: SeenContext
    collected: str = ""
    queued: list[str] = field(default_factory=list)
    closing: bool = False
    said: int = 0
    before_ms: int = 0
    changed: anyio.Event = field(default_factory=anyio.Event)

    def notify(self) -> None:
        self.changed.set()
        self.changed = anyio.Event()


class SocketConversation:
    """One WebSocket after its handshake.

    Args:
        stream: the bytes.
        wire: the frames.
        query: of the address.
        script: how to behave.
        seen: where to note what the client does.
        trouble: takes the next fault for a speech off the list.
    """

    def __init__(
        self,
        stream: WireStream,
        wire: ServerProtocol,
        query: Mapping[str, str],
        script: VendorScript,
        seen: Seen,
        trouble: Callable[[], Trouble | None],
    ) -> None:
        self._stream = stream
        self._wire = wire
        self._query = dict(query)
        self._script = script
        self._seen = seen
        self._trouble = trouble
        self._number = seen.handshakes
        self._contexts: dict[str, _Speaking] = {}
        self._rate_hz = int(self._query.get("output_format", "pcm_16000").partition("_")[2] or 16000)
        self._inactivity_s = float(self._query.get("inactivity_timeout", "20"))
        self._silenced = False
        self._odd = b""

    async def run(self) -> None:
        """Serve it until it closes."""
        async with anyio.create_task_group() as group:
            try:
                await self._serve(group)
            except ClientLeftError:
                pass
            finally:
                group.cancel_scope.cancel()

    async def _serve(self, group: TaskGroup) -> None:
        events: list[Any] = list(self._wire.events_received())
        while True:
            for event in events:
                if isinstance(event, Frame) and event.opcode is Opcode.TEXT:
                    await self._heard(json.loads(bytes(event.data)), group)
            await self._flush()
            if self._wire.close_expected():
                await self._stream.aclose()
                return
            data: bytes | None = None
            with anyio.move_on_after(self._inactivity_s):
                data = await self._stream.receive()
            if data is None:
                await self.refuse("input_timeout_exceeded", "Have not received a new text input within the timeout")
                return
            self._wire.receive_data(data)
            events = [event for event in self._wire.events_received() if not isinstance(event, Request)]

    async def _heard(self, message: dict[str, Any], group: TaskGroup) -> None:
        if message.get("close_socket"):
            await self._close(1000, "")
            return
        name = message.get("context_id")
        if not isinstance(name, str):
            self._seen.breaches.append("a message without context_id")
            return
        context = self._contexts.get(name)
        if context is None:
            context = await self._open(name, message, group)
            if context is None:
                return
        elif "voice_settings" in message:
            self._seen.breaches.append("voice_settings after the first message")
            await self.refuse("invalid_message", "voice_settings may be sent in the first message of a context only")
            return
        self._told(context, message)
        self._seen.note()

    async def _open(self, name: str, message: dict[str, Any], group: TaskGroup) -> _Speaking | None:
        phantom = message.get("text") != " "
        if phantom:
            self._seen.breaches.append(f"a context opened by {sorted(message)}")
        if len(self._contexts) >= _MOST:
            self._seen.breaches.append("a sixth context")
            await self.refuse("max_active_conversations", _TOO_MANY)
            return None
        seen = SeenContext(name, self._number, message, self._query, phantom=phantom)
        context = self._contexts[name] = _Speaking(seen)
        self._seen.contexts.append(seen)
        self._seen.most_contexts = max(self._seen.most_contexts, len(self._contexts))
        group.start_soon(self._speak, context, self._trouble())
        return context

    def _told(self, context: _Speaking, message: dict[str, Any]) -> None:
        text = message.get("text", "")
        if "text" in message and not text:
            context.seen.keep_alives += 1
        if text and text != " ":
            if not text.endswith(" ") or text.endswith("  "):
                self._seen.breaches.append(f"a text that does not end in one space: {text!r}")
            context.seen.texts.append(text)
            context.collected += text
        if message.get("close_context"):
            context.seen.closed_by_client = context.closing = True
            if not context.before_ms:
                context.collected, context.queued = "", []
        if context.collected and (message.get("flush") or context.closing or len(context.collected) >= _SCHEDULE):
            context.queued.append(context.collected)
            context.collected = ""
        context.notify()

    async def _speak(self, context: _Speaking, trouble: Trouble | None) -> None:
        """Say what a context is told, until it is closed."""
        sent = 0
        try:
            while context.queued or not context.closing:
                if not context.queued:
                    await context.changed.wait()
                    continue
                for message in self._messages(context, context.queued.pop(0)):
                    await anyio.sleep(self._script.piece_s if sent else self._script.first_audio_s)
                    if trouble is not None and sent == trouble.after:
                        await self._make(trouble, context)
                        if trouble.kind == "short":
                            await self._end(context)
                        return
                    await self._send(json.dumps(message))
                    sent += 1
            if trouble is not None and trouble.kind == "no_final":
                return
            await self._end(context)
        except ClientLeftError:
            return

    def _messages(self, context: _Speaking, text: str) -> Iterator[dict[str, Any]]:
        for piece in pieces_of(text, self._rate_hz, self._script, at=context.said):
            context.said += len(piece.characters)
            alignment = websocket_alignment(piece, context.before_ms, self._script)
            context.before_ms += len(piece.pcm) * 500 // self._rate_hz
            pcm = self._odd + piece.pcm
            self._odd = b""
            if self._script.odd_bytes and len(context.seen.texts) == 1:
                pcm, self._odd = pcm[:-1], pcm[-1:]
            yield self._named(
                context, {"audio": encoded(pcm), "alignment": alignment, "normalizedAlignment": alignment}
            )

    def _named(self, context: _Speaking, fields: dict[str, Any]) -> dict[str, Any]:
        name = "contextId" if self._script.spelling == "camel" else "context_id"
        return (
            {**fields, "isFinal": None, name: context.seen.name}
            if "audio" in fields
            else {**fields, name: context.seen.name}
        )

    async def _end(self, context: _Speaking) -> None:
        """Tell the end of a context, and what the script has coming after it."""
        final = "isFinal" if self._script.spelling == "camel" else "is_final"
        ended = json.dumps(self._named(context, {final: True}))
        self._contexts.pop(context.seen.name, None)
        context.seen.final = True
        await self._send(ended)
        for _ in range(self._script.late_audio):
            await self._send(json.dumps(self._named(context, {"audio": encoded(bytes(320)), "alignment": None})))
        if self._script.late_audio:
            await self._send(ended)
        self._seen.note()

    async def _make(self, trouble: Trouble, context: _Speaking) -> None:
        """Carry a fault out."""
        kind = trouble.kind
        if kind == "error":
            await self.refuse(trouble.word, trouble.message)
        elif kind == "close":
            await self._close(trouble.code, "")
        elif kind == "not_json":
            await self._send("<html>this is no JSON</html>")
        elif kind == "bad_base64":
            await self._send(json.dumps(self._named(context, {"audio": "~~~ no base64 ~~~", "alignment": None})))
        elif kind == "slow":
            self._silenced = True
            message = json.dumps(self._named(context, {"audio": encoded(bytes(32_000)), "alignment": None}))
            self._wire.send_text(message.encode())
            await self._stream.drip(b"".join(self._wire.data_to_send()))
        elif kind in ("hang", "no_final"):
            self._silenced = kind == "hang"
        elif kind != "short":
            self._silenced = True
            await self._stream.break_off(kind)

    async def refuse(self, word: str, message: str) -> None:
        """Tell an error and close, as the vendor does."""
        await self._send(json.dumps({"message": message, "error": word, "code": 1008}))
        await self._close(1008, message[:100])

    async def _close(self, code: int, reason: str) -> None:
        try:
            self._wire.send_close(code, reason)
        except InvalidState:
            return
        await self._flush()

    async def _send(self, text: str) -> None:
        if self._silenced:
            return
        try:
            self._wire.send_text(text.encode())
        except InvalidState:
            raise ClientLeftError from None
        await self._flush()

    async def _flush(self) -> None:
        data = [piece for piece in self._wire.data_to_send() if piece]
        if data and not self._silenced:
            await self._stream.send(b"".join(data))
