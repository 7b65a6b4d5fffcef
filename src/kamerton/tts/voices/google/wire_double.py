"""A stand-in for Google's Text-to-Speech at the wire: a gRPC server of Google's own messages, misbehaving as scripted.

Written from the vendor's types and documents and from reported issues; it shares no code with the adapter. It runs
offline: `async with serve_google_voice(VoiceScript()) as vendor: … vendor.address`.
"""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final, NoReturn

import anyio
import grpc
import grpc.aio
import numpy as np
from google.cloud.texttospeech_v1.types import cloud_tts
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from kamerton.tts.voices.google.wire_double_script import VOICES, Method, Misdeed, SeenRequest, VoiceScript

__all__ = ["VOICES", "GoogleVoiceDouble", "Misdeed", "SeenRequest", "VoiceScript", "serve_google_voice"]

_SERVICE: Final = "google.cloud.texttospeech.v1.TextToSpeech"
_MOST_BYTES: Final = 5000
_IDLE_S: Final = 5.0
_STREAMED: Final = (cloud_tts.AudioEncoding.PCM, cloud_tts.AudioEncoding.MULAW, cloud_tts.AudioEncoding.ALAW)
_GARBAGE: Final = b"\xff\xff\xff\xff"


class GoogleVoiceDouble:
    """A running stand-in; `serve_google_voice` makes it."""

    def __init__(self, script: VoiceScript) -> None:
        self.script = script
        self.address = ""
        """What the voice is given as `endpoint`."""
        self.requests: list[SeenRequest] = []
        """All, in order of their beginning."""
        self._changed = anyio.Event()

    @property
    def under_way(self) -> int:
        """Requests that have not ended."""
        return sum(not request.ended for request in self.requests)

    def of(self, method: Method) -> list[SeenRequest]:
        """Requests of one method."""
        return [request for request in self.requests if request.method == method]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until what it has seen is so."""
        while not condition():
            self._changed = anyio.Event()
            await self._changed.wait()

    def note(self) -> None:
        """Something was seen."""
        self._changed.set()

    def misdeed(self, method: Method) -> Misdeed | None:
        """What is to befall the next request of a method."""
        for at, misdeed in enumerate(self.script.misdeeds):
            if misdeed.method == method:
                if misdeed.requests > 1:
                    self.script.misdeeds[at] = replace(misdeed, requests=misdeed.requests - 1)
                else:
                    del self.script.misdeeds[at]
                return misdeed
        return None


class _Asked:
    """A request under way."""

    def __init__(self, double: GoogleVoiceDouble, method: Method, context: Any) -> None:
        metadata = {str(key): str(value) for key, value in context.invocation_metadata()}
        self.seen = SeenRequest(method, metadata.get("authorization", ""))
        self.misdeed = double.misdeed(method)
        self._double = double
        self._context = context

    async def __aenter__(self) -> _Asked:
        self._double.requests.append(self.seen)
        self._double.note()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if not self.seen.ended:
            self.seen.ended = "cancelled" if kind is not None else "well"
        self._double.note()

    async def refuse(self, status: str, details: str, retry_after_s: float | None = None) -> NoReturn:
        """End with a status."""
        self.seen.ended = "status"
        if retry_after_s is not None:
            self._context.set_trailing_metadata((("grpc-status-details-bin", _rich(details, retry_after_s)),))
        await self._context.abort(grpc.StatusCode[status], details)
        raise AssertionError("abort raises")

    async def admit(self) -> None:
        """Refuse wrong tokens, and do what is scripted for the beginning."""
        token = self._double.script.token
        if token is not None and self.seen.authorization != f"Bearer {token}":
            await self.refuse("UNAUTHENTICATED", f"Request had invalid credentials: {self.seen.authorization}")
        if self.misdeed is not None and not self.misdeed.after_pieces:
            await self.misbehave(self.misdeed)

    async def misbehave(self, misdeed: Misdeed) -> None:
        """Refuse or hang; the rest is done with the audio."""
        if misdeed.kind == "refuse":
            await self.refuse(misdeed.status, misdeed.details, misdeed.retry_after_s)
        if misdeed.kind == "hang":
            await anyio.sleep_forever()

    async def check_voice(self, selection: Any) -> None:
        """Refuse a voice that is not there, or not for this language."""
        seen, voices = self.seen, self._double.script.voices
        seen.voice, seen.code = selection.name, selection.language_code
        if seen.voice not in voices:
            await self.refuse("INVALID_ARGUMENT", f"Voice '{seen.voice}' does not exist. Is it misspelled?")
        if seen.code not in voices[seen.voice]:
            await self.refuse("INVALID_ARGUMENT", f"Requested language code '{seen.code}' doesn't match the voice.")

    async def check_text(self, text: str) -> None:
        """Refuse what is empty or too long."""
        self.seen.text = text
        if not text.strip():
            await self.refuse("INVALID_ARGUMENT", "Either `input.text` or `input.ssml` is empty.")
        if len(text.encode()) > _MOST_BYTES:
            await self.refuse(
                "INVALID_ARGUMENT", "Either `input.text` or `input.ssml` is longer than the limit of 5000."
            )

    async def check_pace(self, speaking_rate: float) -> None:
        """Refuse an impossible one."""
        self.seen.speaking_rate = speaking_rate
        if speaking_rate and not 0.25 <= speaking_rate <= 2.0:
            await self.refuse("INVALID_ARGUMENT", "speaking_rate must be within 0.25 and 2.0")

    def audio(self, rate_hz: int) -> bytes:
        """The speech: silence, a sound, silence."""
        loud_ms = len(self.seen.text) * self._double.script.ms_per_character / (self.seen.speaking_rate or 1.0)
        time_s = np.arange(int(rate_hz * loud_ms / 1000)) / rate_hz
        silent = self.misdeed is not None and self.misdeed.kind == "silence"
        sound = (0 if silent else 6000) * np.sin(2 * np.pi * 220 * time_s)
        around = bytes(2 * (rate_hz // 10))
        return around + sound.astype("<i2").tobytes() + around


class _Service:
    def __init__(self, double: GoogleVoiceDouble) -> None:
        self._double = double

    async def list_voices(self, request: Any, context: Any) -> Any:
        async with _Asked(self._double, "list", context) as asked:
            asked.seen.code = request.language_code
            await asked.admit()
            if asked.misdeed is not None and asked.misdeed.kind == "garbage":
                return _GARBAGE
            listed = self._double.script.voices.items()
            voices = [
                cloud_tts.Voice(name=name, language_codes=codes, natural_sample_rate_hertz=24000)
                for name, codes in listed
                if not request.language_code or request.language_code in codes
            ]
            return cloud_tts.ListVoicesResponse(voices=voices)

    async def synthesize_speech(self, request: Any, context: Any) -> Any:
        async with _Asked(self._double, "whole", context) as asked:
            config = request.audio_config
            asked.seen.rate_hz, asked.seen.encoding = config.sample_rate_hertz, int(config.audio_encoding)
            await asked.check_voice(request.voice)
            await asked.check_text(request.input.text)
            await asked.check_pace(config.speaking_rate)
            await asked.admit()
            if config.audio_encoding != cloud_tts.AudioEncoding.LINEAR16:
                await asked.refuse("INVALID_ARGUMENT", "this stand-in makes LINEAR16 only")
            kind = asked.misdeed.kind if asked.misdeed is not None else ""
            if kind == "garbage":
                return _GARBAGE
            rate_hz = self._double.script.natural_rate_hz or config.sample_rate_hertz
            pcm = b"" if kind == "end" else asked.audio(rate_hz)
            content = _wav(pcm, rate_hz) if pcm else b""
            if kind == "endless":
                content = _wav(pcm * 40, rate_hz)
            asked.seen.pieces = 1
            return cloud_tts.SynthesizeSpeechResponse(
                audio_content=content[: len(content) // 2] if kind == "short_wav" else content
            )

    async def streaming_synthesize(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        async with _Asked(self._double, "stream", context) as asked:
            await asked.admit()
            opening = await self._next(requests, asked)
            if opening is None:
                asked.seen.ended = "cancelled"  # so gRPC tells of a client that left before it said anything
                return
            if "streaming_config" not in opening:
                await asked.refuse("INVALID_ARGUMENT", "The first message must be a streaming_config.")
            await self._configure(opening.streaming_config, asked)
            while (request := await self._next(requests, asked)) is not None:
                if "streaming_config" in request or "input" not in request:
                    await asked.refuse("INVALID_ARGUMENT", "Messages after the first must be input.")
                await asked.check_text(request.input.text)
                async for answer in self._answers(asked):
                    yield answer

    async def _next(self, requests: AsyncIterator[Any], asked: _Asked) -> Any:
        """The next message; None when the client has half-closed."""
        with anyio.move_on_after(_IDLE_S):
            return await anext(requests, None)
        await asked.refuse("ABORTED", "Stream aborted due to long duration elapsed without input sent.")

    async def _configure(self, config: Any, asked: _Asked) -> None:
        audio = config.streaming_audio_config
        asked.seen.rate_hz, asked.seen.encoding = audio.sample_rate_hertz, int(audio.audio_encoding)
        await asked.check_voice(config.voice)
        await asked.check_pace(audio.speaking_rate)
        if "-Chirp3-HD-" not in config.voice.name:
            await asked.refuse("INVALID_ARGUMENT", "Currently, only Chirp 3: HD voices are supported for streaming.")
        if audio.audio_encoding not in _STREAMED:
            await asked.refuse("INVALID_ARGUMENT", "Unsupported audio encoding.")
        if audio.sample_rate_hertz not in self._double.script.stream_rates_hz:
            await asked.refuse("INVALID_ARGUMENT", "Unsupported sample rate.")

    async def _answers(self, asked: _Asked) -> AsyncIterator[Any]:
        """The audio in pieces, and what is scripted for the middle of it."""
        script, misdeed = self._double.script, asked.misdeed
        pcm = asked.audio(asked.seen.rate_hz)
        size = 2 * int(asked.seen.rate_hz * script.piece_ms / 1000) + (1 if script.odd_pieces else 0)
        at = 0
        while at < len(pcm):
            if misdeed is not None and asked.seen.pieces >= misdeed.after_pieces:
                await asked.misbehave(misdeed)
                if misdeed.kind == "end":
                    return
                if misdeed.kind == "garbage":
                    yield _GARBAGE
                if misdeed.kind == "slow":
                    await anyio.sleep(0.05)
                    size = 2
                if misdeed.kind == "endless":
                    pcm += bytes(size)
            yield cloud_tts.StreamingSynthesizeResponse(audio_content=pcm[at : at + size])
            at += size
            asked.seen.pieces += 1
            self._double.note()


@asynccontextmanager
async def serve_google_voice(
    script: VoiceScript | None = None, *, tls: tuple[bytes, bytes] | None = None
) -> AsyncIterator[GoogleVoiceDouble]:
    """A stand-in on a free port of this machine; `tls` is its private key and certificate, in PEM."""
    double = GoogleVoiceDouble(script or VoiceScript())
    service = _Service(double)

    async def stream(requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        async for answer in service.streaming_synthesize(_lazily(requests), context):
            yield answer

    unary: Any = grpc.unary_unary_rpc_method_handler
    handlers = {
        "ListVoices": unary(service.list_voices, cloud_tts.ListVoicesRequest.deserialize, _serialized),
        "SynthesizeSpeech": unary(
            service.synthesize_speech, cloud_tts.SynthesizeSpeechRequest.deserialize, _serialized
        ),
        "StreamingSynthesize": grpc.stream_stream_rpc_method_handler(
            stream, cloud_tts.StreamingSynthesizeRequest.deserialize, _serialized
        ),
    }
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, handlers),))
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


async def _lazily(requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
    """The same, touched only when the first one is asked for: gRPC complains of readers that never read."""
    async for request in requests:
        yield request


def _serialized(response: Any) -> bytes:
    return response if isinstance(response, bytes) else bytes(type(response).serialize(response))


def _wav(pcm: bytes, rate_hz: int) -> bytes:
    layout = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, rate_hz, rate_hz * 2, 2, 16)
    return b"RIFF" + struct.pack("<I", 36 + len(pcm)) + b"WAVE" + layout + struct.pack("<4sI", b"data", len(pcm)) + pcm


def _rich(details: str, retry_after_s: float) -> bytes:
    info, packed = RetryInfo(), AnyMessage()
    info.retry_delay.FromTimedelta(timedelta(seconds=retry_after_s))
    packed.Pack(info)
    return bytes(Status(code=8, message=details, details=[packed]).SerializeToString())
