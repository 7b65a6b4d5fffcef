"""A stand-in for SpeechKit v3 at the wire: a gRPC server of the vendor's own stubs, which misbehaves as scripted.

Written from the vendor's messages and documents; it shares no code with the adapter. It runs offline:
`async with serve_speechkit(SpeechKitScript(words)) as vendor: … vendor.address`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any, Final

import anyio
import grpc
import grpc.aio
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from yandex.cloud.ai.stt.v3 import stt_pb2

from kamerton.stt.yandex.wire_double_ear import spoken
from kamerton.stt.yandex.wire_double_script import SeenSession, SpeechKitScript, Trouble
from kamerton.stt.yandex.wire_double_session import EndedWith, SessionCore

__all__ = [
    "EndedWith",
    "SeenSession",
    "SpeechKitDouble",
    "SpeechKitScript",
    "Trouble",
    "serve_speechkit",
    "spoken",
]

_SERVICE: Final = "speechkit.stt.v3.Recognizer"
_REST_S: Final = 5.0
_GARBAGE: Final = b"\xff\xff\xff\xff"
Wire = stt_pb2.StreamingResponse | bytes


class SpeechKitDouble:
    """A running stand-in, or what is behind one: `recognise` needs no server."""

    def __init__(self, script: SpeechKitScript, address: str = "") -> None:
        self.script = script
        self.address = address
        """What the recogniser is given as `endpoint`."""
        self.sessions: list[SeenSession] = []
        """All, in order of their beginning."""
        self._broken = anyio.Event()
        self._changed = anyio.Event()

    @property
    def under_way(self) -> int:
        """Sessions that have not ended."""
        return sum(not session.ended for session in self.sessions)

    def interrupt(self) -> None:
        """Break every session that is under way, or else the next one."""
        self._broken.set()
        if self.under_way:
            self._broken = anyio.Event()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until what it has seen is so."""
        while not condition():
            self._changed = anyio.Event()
            await self._changed.wait()

    async def recognise(
        self, requests: AsyncIterator[stt_pb2.StreamingRequest], authorization: str = "", folder: str = ""
    ) -> AsyncIterator[Wire]:
        """One session.

        Raises:
            EndedWith: it ends with a status.
        """
        seen = SeenSession(authorization, folder)
        self.sessions.append(seen)
        self._changed.set()
        broken = self._broken
        if broken.is_set():
            self._broken = anyio.Event()
        try:
            async for answer in self._answers(requests, seen, broken):
                yield answer
            seen.ended = "well"
        except EndedWith as error:
            seen.ended, seen.status = "status", error.status
            raise
        finally:
            seen.ended = seen.ended or "cancelled"
            self._changed.set()

    async def _answers(
        self, requests: AsyncIterator[stt_pb2.StreamingRequest], seen: SeenSession, broken: anyio.Event
    ) -> AsyncIterator[Wire]:
        trouble = self._next_trouble()
        core = SessionCore(self.script, seen)
        while True:
            if trouble is not None and _strikes(trouble, seen):
                if trouble.kind == "garbage":
                    yield _GARBAGE
                await self._misbehave(trouble, requests, broken)
                return
            request = await self._next(requests, broken)
            answers = core.take(request) if request is not None else core.half_closed()
            self._changed.set()
            for answer in answers:
                yield answer
            if request is None:
                return

    async def _misbehave(
        self, trouble: Trouble, requests: AsyncIterator[stt_pb2.StreamingRequest], broken: anyio.Event
    ) -> None:
        """Do it; the session ends when this returns."""
        if trouble.kind == "refuse":
            raise EndedWith(trouble.status, trouble.details, trouble)
        if trouble.kind == "garbage":
            # A session that ended at once could make gRPC lose what it sent, in a race with the client's next message.
            while await self._next(requests, broken) is not None:
                pass
        if trouble.kind in ("hang", "deaf"):
            while trouble.kind == "hang" and await self._next(requests, broken) is not None:
                pass
            await broken.wait()
            raise EndedWith("UNAVAILABLE", "Socket closed")

    def _next_trouble(self) -> Trouble | None:
        troubles = self.script.troubles
        if not troubles:
            return None
        trouble = troubles[0]
        if trouble.sessions > 1:
            troubles[0] = replace(trouble, sessions=trouble.sessions - 1)
        else:
            del troubles[0]
        return trouble

    async def _next(
        self, requests: AsyncIterator[stt_pb2.StreamingRequest], broken: anyio.Event
    ) -> stt_pb2.StreamingRequest | None:
        """The next message; None when the client has half-closed."""
        result: list[stt_pb2.StreamingRequest | None] = []
        with anyio.move_on_after(self.script.idle_s) as idle:
            async with anyio.create_task_group() as group:

                async def read() -> None:
                    with suppress(grpc.aio.BaseError):
                        result.append(await anext(requests, None))
                    group.cancel_scope.cancel()

                group.start_soon(read)
                await broken.wait()
                group.cancel_scope.cancel()
        if idle.cancelled_caught:
            raise EndedWith("ABORTED", "no messages for 5 s")
        if broken.is_set() or not result:
            raise EndedWith("UNAVAILABLE", "Socket closed")
        return result[0]


def _strikes(trouble: Trouble, seen: SeenSession) -> bool:
    """Whether it is time for it."""
    return len(seen.messages) >= trouble.after


@asynccontextmanager
async def serve_speechkit(
    script: SpeechKitScript, *, tls: tuple[bytes, bytes] | None = None
) -> AsyncIterator[SpeechKitDouble]:
    """A stand-in on a free port of this machine; `tls` is its private key and certificate, in PEM."""
    double = SpeechKitDouble(script)

    async def recognize_streaming(requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Wire]:
        metadata = {str(key): str(value) for key, value in context.invocation_metadata()}
        try:
            async for answer in double.recognise(
                _lazily(requests), metadata.get("authorization", ""), metadata.get("x-folder-id", "")
            ):
                yield answer
        except EndedWith as error:
            context.set_trailing_metadata(tuple(_waits(error)))
            await context.abort(grpc.StatusCode[error.status], error.details)

    handler = grpc.stream_stream_rpc_method_handler(
        recognize_streaming,
        request_deserializer=stt_pb2.StreamingRequest.FromString,
        response_serializer=_serialized,
    )
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, {"RecognizeStreaming": handler}),))
    if tls is None:
        port = server.add_insecure_port("127.0.0.1:0")
    else:
        port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials((tls,)))
    double.address = f"127.0.0.1:{port}"
    await server.start()
    try:
        yield double
    finally:
        with anyio.CancelScope(shield=True):
            await server.stop(None)
            await _grpc_at_rest()


async def _grpc_at_rest() -> None:
    """Tasks of gRPC's own for requests that were left, which outlive the server's stop by a moment, have ended."""
    named = ("rpc_task", "_handle_status_once_received")
    left = {task for task in asyncio.all_tasks() if any(name in repr(task) for name in named)}
    if left:
        await asyncio.wait(left, timeout=_REST_S)


async def _lazily(requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
    """The same, touched only when the first one is asked for: gRPC complains of readers that never read."""
    async for request in requests:
        yield request


def _serialized(answer: Wire) -> bytes:
    return answer if isinstance(answer, bytes) else answer.SerializeToString()


def _waits(error: EndedWith) -> Iterator[tuple[str, str | bytes]]:
    """How long to wait, in trailing metadata."""
    trouble = error.trouble
    if trouble is None or trouble.retry_after_s is None:
        return
    if trouble.retry_in == "header":
        yield "retry-after", f"{trouble.retry_after_s:g}"
        return
    info, details = RetryInfo(), AnyMessage()
    info.retry_delay.FromMilliseconds(int(trouble.retry_after_s * 1000))
    details.Pack(info)
    code = grpc.StatusCode[error.status].value[0]
    status = Status(code=code, message=error.details, details=[details])
    yield "grpc-status-details-bin", status.SerializeToString()
