"""A stand-in for Google Speech v2 at the wire: a gRPC server of Google's own messages, which misbehaves as scripted.

Written from the vendor's types and documents and from reported issues; it shares no code with the adapter. It runs
offline: `async with serve_google_speech(SpeechScript(words)) as vendor: … vendor.address`.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

import anyio
import grpc
import grpc.aio
from google.cloud.speech_v2.types import cloud_speech
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from kamerton.stt.google.wire_double_ear import Ear, spoken
from kamerton.stt.google.wire_double_script import Misdeed, SeenStream, SpeechScript

__all__ = [
    "GoogleSpeechDouble",
    "Misdeed",
    "Request",
    "Response",
    "SeenStream",
    "SpeechScript",
    "StreamError",
    "serve_google_speech",
    "spoken",
]

_SERVICE: Final = "google.cloud.speech.v2.Speech"
_MOST_BYTES: Final = 15_000
_EVENT: Final = cloud_speech.StreamingRecognizeResponse.SpeechEventType

Request = cloud_speech.StreamingRecognizeRequest
Response = cloud_speech.StreamingRecognizeResponse


class StreamError(Exception):
    """A stream that ends with a status."""

    def __init__(self, status: str, details: str, retry_after_s: float | None = None) -> None:
        super().__init__(f"{status}: {details}")
        self.status = status
        self.details = details
        self.retry_after_s = retry_after_s


class GoogleSpeechDouble:
    """A running stand-in, or what is behind one: `recognise` needs no server."""

    def __init__(self, script: SpeechScript, address: str = "") -> None:
        self.script = script
        self.address = address
        """What the recogniser is given as `endpoint`."""
        self.streams: list[SeenStream] = []
        """All, in order of their beginning."""
        self._broken = anyio.Event()
        self._changed = anyio.Event()

    @property
    def under_way(self) -> int:
        """Streams that have not ended."""
        return sum(not stream.ended for stream in self.streams)

    def interrupt(self) -> None:
        """Break every stream that is under way, or else the next one."""
        self._broken.set()
        if self.under_way:
            self._broken = anyio.Event()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until what it has seen is so."""
        while not condition():
            self._changed = anyio.Event()
            await self._changed.wait()

    def _note(self) -> None:
        self._changed.set()

    async def recognise(
        self, requests: AsyncIterator[Request], authorization: str = ""
    ) -> AsyncIterator[Response | bytes]:
        """One stream.

        Raises:
            StreamError: it ends with a status.
        """
        seen = SeenStream(authorization=authorization)
        self.streams.append(seen)
        self._note()
        broken = self._broken
        if broken.is_set():
            self._broken = anyio.Event()
        try:
            async for response in _Stream(self.script, seen, broken, self._note).answers(requests):
                yield response
            seen.ended = "well"
        except StreamError as error:
            seen.ended, seen.status = "status", error.status
            raise
        finally:
            seen.ended = seen.ended or "cancelled"
            self._note()


class _Stream:
    """A stream under way."""

    def __init__(
        self, script: SpeechScript, seen: SeenStream, broken: anyio.Event, changed: Callable[[], None]
    ) -> None:
        self._script = script
        self._seen = seen
        self._broken = broken
        self._changed = changed
        self._misdeed = self._next_misdeed()
        self._opened_s = anyio.current_time()
        self._ear = Ear((), 8000)
        self._speaks = False

    async def answers(self, requests: AsyncIterator[Request]) -> AsyncIterator[Response | bytes]:
        await self._misbehave(0)
        first = await self._next(requests)
        if first is None:
            raise StreamError("INVALID_ARGUMENT", "the stream has no configuration")
        self._configure(first)
        while (request := await self._next(requests)) is not None:
            self._check_audio(request)
            self._seen.messages.append(len(request.audio))
            self._changed()
            if garbage := await self._misbehave(len(self._seen.messages)):
                yield garbage
            if self._ended_early:
                return
            self._ear.hear(request.audio)
            for response in self._heard():
                yield response
        self._seen.half_closed = True
        await self._misbehave(math.inf)
        if self._script.final_delay_s:
            await anyio.sleep(self._script.final_delay_s)
        self._ear.finish()
        for response in self._final(self._ear.at_ms):
            yield response

    @property
    def _ended_early(self) -> bool:
        misdeed = self._misdeed
        reached = misdeed is not None and len(self._seen.messages) > misdeed.after_messages
        return reached and misdeed is not None and misdeed.kind == "half_close"

    def _next_misdeed(self) -> Misdeed | None:
        misdeeds = self._script.misdeeds
        if not misdeeds:
            return None
        misdeed = misdeeds[0]
        if misdeed.streams > 1:
            misdeeds[0] = replace(misdeed, streams=misdeed.streams - 1)
        else:
            del misdeeds[0]
        return misdeed

    async def _misbehave(self, messages: float) -> bytes:
        misdeed = self._misdeed
        if misdeed is None or messages < misdeed.after_messages:
            return b""
        if misdeed.kind in ("refuse", "break_off"):
            raise StreamError(misdeed.status, misdeed.details, misdeed.retry_after_s)
        if misdeed.kind == "hang":
            await self._broken.wait()
            raise StreamError("UNAVAILABLE", "Socket closed")
        return b"\xff\xff\xff\xff" if misdeed.kind == "garbage" and messages else b""

    async def _next(self, requests: AsyncIterator[Request]) -> Request | None:
        """The next request; None when the client has half-closed."""
        result: list[Request | None] = []
        with anyio.move_on_after(self._script.idle_s) as idle:
            async with anyio.create_task_group() as group:

                async def read() -> None:
                    with suppress(grpc.aio.BaseError):
                        result.append(await anext(requests, None))
                    group.cancel_scope.cancel()

                group.start_soon(read)
                await self._broken.wait()
                group.cancel_scope.cancel()
        if idle.cancelled_caught:
            raise StreamError("ABORTED", "Stream timed out after receiving no more client requests.")
        if self._broken.is_set() or not result:
            raise StreamError("UNAVAILABLE", "Socket closed")
        return result[0]

    def _configure(self, first: Request) -> None:
        seen, config = self._seen, first.streaming_config.config
        seen.recognizer, seen.model, seen.codes = first.recognizer, config.model, tuple(config.language_codes)
        seen.rate_hz = config.explicit_decoding_config.sample_rate_hertz
        phrase_sets = config.adaptation.phrase_sets
        seen.phrases = tuple(phrase.value for one in phrase_sets for phrase in one.inline_phrase_set.phrases)
        if self._script.token is not None and seen.authorization != f"Bearer {self._script.token}":
            raise StreamError("UNAUTHENTICATED", "Request had invalid authentication credentials.")
        if not seen.location or first.audio or config.explicit_decoding_config.encoding != 1:
            raise StreamError("INVALID_ARGUMENT", "The first message must be a full configuration without audio.")
        if not 8000 <= seen.rate_hz <= 48000 or config.explicit_decoding_config.audio_channel_count != 1:
            raise StreamError("INVALID_ARGUMENT", "Audio must be mono, of 8 to 48 kHz.")
        self._check_served()
        self._ear = Ear(self._script.words, seen.rate_hz)

    def _check_served(self) -> None:
        script, seen = self._script, self._seen
        if script.served is not None:
            codes = script.served.get(f"{seen.model}@{seen.location}")
            if codes is None or seen.codes[0] not in codes:
                what = f'The model "{seen.model}" does not exist in the location named "{seen.location}".'
                why = what if codes is None else f'The language "{seen.codes[0]}" is not supported by "{seen.model}".'
                raise StreamError("INVALID_ARGUMENT", why)
        if len(seen.codes) > 1 and not script.takes_several_languages:
            raise StreamError("INVALID_ARGUMENT", "Multiple language codes are not supported by this model.")
        if seen.phrases and not script.takes_phrases:
            raise StreamError("INVALID_ARGUMENT", "Adaptation is not supported by this model.")

    def _check_audio(self, request: Request) -> None:
        if request.streaming_config or request.recognizer or not request.audio:
            raise StreamError("INVALID_ARGUMENT", "Messages after the first must only have audio.")
        if len(request.audio) > _MOST_BYTES:
            raise StreamError("INVALID_ARGUMENT", f"Audio chunk of {len(request.audio)} bytes is over the limit.")
        age_s = max(anyio.current_time() - self._opened_s, self._ear.at_ms / 1000)
        if age_s >= self._script.limit_s:
            raise StreamError("ABORTED", "Max duration of 5 minutes reached for stream.")

    def _heard(self) -> list[Response]:
        ear, responses = self._ear, list[Response]()
        if not ear.silent_ms and not self._speaks:
            self._speaks = True
            responses.append(self._event(_EVENT.SPEECH_ACTIVITY_BEGIN, ear.at_ms))
        ends_after_ms = self._script.own_ends_after_ms
        if self._speaks and ends_after_ms is not None and ear.silent_ms >= ends_after_ms:
            self._speaks = False
            responses.append(self._event(_EVENT.SPEECH_ACTIVITY_END, ear.word_end_ms))
            responses += self._final(ear.word_end_ms)
        elif ear.heard:
            responses.append(self._response(final=False, end_ms=ear.at_ms))
        return responses

    def _final(self, end_ms: float) -> list[Response]:
        if not self._ear.heard:
            return []
        response = self._response(final=True, end_ms=end_ms)
        self._ear.heard.clear()
        return [response, response] if self._script.repeats_finals else [response]

    def _response(self, *, final: bool, end_ms: float) -> Response:
        words = self._ear.heard
        # As the service does, in several results while it is unsure, and with a space before all but the first.
        texts = [" ".join(words)] if final or len(words) < 2 else [" ".join(words[:-1]), f" {words[-1]}"]
        results = [
            cloud_speech.StreamingRecognitionResult(
                alternatives=[
                    cloud_speech.SpeechRecognitionAlternative(
                        transcript=text, confidence=self._script.confidence if final else 0.0
                    )
                ],
                is_final=final,
                stability=0.0 if final else 0.9,
                result_end_offset=self._offset(end_ms),
                language_code=self._seen.codes[0],
            )
            for text in texts
        ]
        return Response(results=results)

    def _event(self, event: Any, at_ms: float) -> Response:
        return Response(speech_event_type=event, speech_event_offset=self._offset(at_ms))

    def _offset(self, at_ms: float) -> dict[str, int]:
        skewed_ms = at_ms + self._script.skew_ms
        seconds = math.floor(skewed_ms / 1000)
        return {"seconds": seconds, "nanos": int((skewed_ms - seconds * 1000) * 1e6)}


@asynccontextmanager
async def serve_google_speech(
    script: SpeechScript, *, tls: tuple[bytes, bytes] | None = None, port: int = 0
) -> AsyncIterator[GoogleSpeechDouble]:
    """A stand-in on this machine, by default on a free port; `tls` is its private key and certificate, in PEM."""
    double = GoogleSpeechDouble(script)

    async def streaming_recognize(requests: AsyncIterator[Request], context: Any) -> AsyncIterator[Response | bytes]:
        metadata = {str(key): str(value) for key, value in context.invocation_metadata()}
        try:
            async for response in double.recognise(_lazily(requests), metadata.get("authorization", "")):
                yield response
        except StreamError as error:
            if error.retry_after_s is not None:
                context.set_trailing_metadata((("grpc-status-details-bin", _rich(error)),))
            await context.abort(grpc.StatusCode[error.status], error.details)

    handler = grpc.stream_stream_rpc_method_handler(
        streaming_recognize, request_deserializer=Request.deserialize, response_serializer=_serialized
    )
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, {"StreamingRecognize": handler}),))
    if tls is None:
        port = server.add_insecure_port(f"127.0.0.1:{port}")
    else:
        port = server.add_secure_port(f"127.0.0.1:{port}", grpc.ssl_server_credentials((tls,)))
    double.address = f"127.0.0.1:{port}"
    await server.start()
    try:
        yield double
    finally:
        with anyio.CancelScope(shield=True):
            await server.stop(None)


async def _lazily(requests: AsyncIterator[Request]) -> AsyncIterator[Request]:
    """The same, touched only when the first one is asked for: gRPC complains of readers that never read."""
    async for request in requests:
        yield request


def _serialized(response: Response | bytes) -> bytes:
    return response if isinstance(response, bytes) else Response.serialize(response)


def _rich(error: StreamError) -> bytes:
    info = RetryInfo()
    info.retry_delay.FromTimedelta(timedelta(seconds=error.retry_after_s or 0.0))
    details = AnyMessage()
    details.Pack(info)
    return bytes(Status(code=8, message=error.details, details=[details]).SerializeToString())
