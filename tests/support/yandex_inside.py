"""A gRPC channel to SpeechKit's stand-in in this process: no socket, so that calls run on the virtual clock."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import grpc
import grpc.aio

from kamerton.stt.yandex.wire_double import EndedWith, SpeechKitDouble


class InsideCall:
    """One bidirectional call, as far as a client uses it. Messages go through their wire form."""

    def __init__(self, double: SpeechKitDouble, metadata: Any, serialize: Any, deserialize: Any) -> None:
        self._send, receive = anyio.create_memory_object_stream[bytes](math.inf)
        self._serialize, self._deserialize = serialize, deserialize

        async def requests() -> AsyncIterator[Any]:
            from yandex.cloud.ai.stt.v3 import stt_pb2

            async for message in receive:
                yield stt_pb2.StreamingRequest.FromString(message)

        self._answers = double.recognise(requests(), dict(metadata).get("authorization", ""))
        self._receive = receive

    async def write(self, message: Any) -> None:
        self._send.send_nowait(self._serialize(message))

    async def read(self) -> Any:
        try:
            answer = await anext(self._answers, None)
        except EndedWith as error:
            raise grpc.aio.AioRpcError(
                grpc.StatusCode[error.status], grpc.aio.Metadata(), grpc.aio.Metadata(), error.details
            ) from None
        if answer is None:
            return grpc.aio.EOF
        assert not isinstance(answer, bytes)
        return self._deserialize(answer.SerializeToString())

    def cancel(self) -> bool:
        self._send.close()
        self._receive.close()
        return True


class InsideChannel:
    """Gives calls."""

    def __init__(self, double: SpeechKitDouble) -> None:
        self._double = double

    def stream_stream(
        self, method: str, request_serializer: Any, response_deserializer: Any, **_: Any
    ) -> Callable[..., InsideCall]:
        assert method == "/speechkit.stt.v3.Recognizer/RecognizeStreaming"
        return lambda metadata: InsideCall(self._double, metadata, request_serializer, response_deserializer)

    def unary_unary(self, *_: Any, **__: Any) -> None:
        """Not called: stubs ask for every method."""

    async def close(self) -> None:
        """Nothing to close."""
