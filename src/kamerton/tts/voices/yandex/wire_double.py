"""A stand-in for SpeechKit's synthesis at the wire, of the vendor's own stubs, which also misbehaves as it is told.

It holds the client to the vendor's documents: one hint in a message, raw samples of 8 to 48 kHz, 250 characters and
24 s without `unsafe_mode`, roles that the voice has, no markup.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import anyio

from kamerton.tts.voices.yandex.wire_double_script import Seen, SeenSynthesis, SpeechKitScript, Trouble
from kamerton.tts.voices.yandex.wire_double_speech import SpokenPiece, odd_parts, pieces_of, speakable, wav_file

_SERVICE: Final = "speechkit.tts.v3.Synthesizer"
_MARKUP: Final = re.compile(r"[+*\[\]<>]")
_CUT_BY_VENDOR: Final = 5000
_DRIP_S: Final = 0.02
_STOP_S: Final = 0.0


@dataclass(frozen=True, slots=True)
class SpeechKitDouble:
    """A running stand-in."""

    address: str
    """`host:port`."""
    script: SpeechKitScript
    seen: Seen


@asynccontextmanager
async def serve_speechkit_tts(
    script: SpeechKitScript | None = None, *, tls: tuple[bytes, bytes] | None = None
) -> AsyncIterator[SpeechKitDouble]:
    """Serve on a free loopback port for as long as the context lasts.

    Args:
        script: how it behaves.
        tls: private key and certificate (PEM); without them the connection is not encrypted.
    """
    import grpc
    import grpc.aio

    script = script or SpeechKitScript()
    seen = Seen()
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((_handlers(_Synthesizer(script, seen)),))
    if tls is None:
        port = server.add_insecure_port("127.0.0.1:0")
    else:
        port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([tls]))
    await server.start()
    try:
        yield SpeechKitDouble(f"127.0.0.1:{port}", script, seen)
    finally:
        with anyio.CancelScope(shield=True):
            await server.stop(_STOP_S)


def _handlers(synthesizer: _Synthesizer) -> Any:
    """The vendor's service, except that an answer may also be bytes that are none."""
    import grpc
    from yandex.cloud.ai.tts.v3 import tts_pb2 as tts

    def serialised(message: Any) -> bytes:
        return message if isinstance(message, bytes) else message.SerializeToString()

    handler = grpc.unary_stream_rpc_method_handler(
        synthesizer.synthesise,
        request_deserializer=tts.UtteranceSynthesisRequest.FromString,
        response_serializer=serialised,
    )
    return grpc.method_handlers_generic_handler(_SERVICE, {"UtteranceSynthesis": handler})


class _Synthesizer:
    def __init__(self, script: SpeechKitScript, seen: Seen) -> None:
        self._script = script
        self._seen = seen
        self._troubles = [trouble for trouble in script.troubles for _ in range(trouble.times)]

    async def synthesise(self, request: Any, context: Any) -> AsyncIterator[Any]:
        """Answer a request as the vendor would, up to the trouble that is due."""
        seen = _seen_of(request, context)
        self._seen.requests.append(seen)
        self._seen.note()
        try:
            async for message in self._answers(request, seen, context):
                yield message
        except asyncio.CancelledError:
            seen.given_up = True
            self._seen.note()
            if self._script.stubborn:
                await self._go_on(seen, context)
            raise
        finally:
            seen.ended = True
            self._seen.note()

    async def _answers(self, request: Any, seen: SeenSynthesis, context: Any) -> AsyncIterator[Any]:
        await self._let_in(request, seen, context)
        trouble = self._troubles.pop(0) if self._troubles else None
        if not speakable(seen.text):
            yield _message(chunk_type="NO_SPEAKABLE_TEXT")
            return
        await anyio.sleep(self._script.first_audio_s)
        speed = float(seen.hints.get("speed", 1.0))
        for number, piece in enumerate(pieces_of(seen.text, seen.rate_hz, self._script, speed)):
            if trouble is not None and trouble.kind != "no_end" and trouble.after == number:
                async for message in self._troubled(trouble, piece, seen, context):
                    yield message
                return
            if number:
                await anyio.sleep(self._script.piece_s)
            for message in self._messages(piece, seen.model):
                yield message
            seen.pieces += 1
            self._seen.note()
        if trouble is not None and trouble.kind == "no_end":
            await anyio.sleep_forever()

    def _messages(self, piece: SpokenPiece, model: str) -> Sequence[Any]:
        parts = odd_parts(piece.pcm) if self._script.odd_bytes else (piece.pcm,)
        if model == "livetts":
            said = [_message(text=piece.text, chunk_type="TEXT_ONLY")]
            return [*said, *(_message(audio=part, chunk_type="AUDIO_ONLY") for part in parts)]
        first = _message(audio=parts[0], piece=piece, chunk_type="AUDIO_TEXT_COMBINED")
        rest = [_message(audio=part, chunk_type="AUDIO_ONLY") for part in parts[1:]]
        again = [_message(piece=piece, chunk_type="TEXT_ONLY")] if self._script.doubled else []
        return [first, *rest, *again]

    async def _troubled(
        self, trouble: Trouble, piece: SpokenPiece, seen: SeenSynthesis, context: Any
    ) -> AsyncIterator[Any]:
        match trouble.kind:
            case "refuse":
                await _abort(context, trouble)
            case "hang":
                await anyio.sleep_forever()
            case "garbage":
                yield b"\xff\xfe no message \x00"
            case "wav":
                yield _message(audio=wav_file(piece.pcm, seen.rate_hz), chunk_type="AUDIO_ONLY")
            case "flood":
                while True:
                    yield _message(audio=piece.pcm, piece=piece, chunk_type="AUDIO_TEXT_COMBINED")
            case "drip" | "talk":
                while True:
                    yield _message(audio=b"\x10\x00") if trouble.kind == "drip" else _message(text=piece.text)
                    await anyio.sleep(_DRIP_S)
            case "short":
                return

    async def _go_on(self, seen: SeenSynthesis, context: Any) -> None:
        """Write on although nobody reads."""
        import grpc

        for piece in pieces_of(seen.text, seen.rate_hz, self._script, 1.0):
            try:
                await context.write(_message(audio=piece.pcm, piece=piece))
            except (grpc.RpcError, asyncio.InvalidStateError):
                return

    async def _let_in(self, request: Any, seen: SeenSynthesis, context: Any) -> None:
        if seen.metadata.get("authorization") not in self._script.authorizations:
            await _abort(context, Trouble("refuse", status="UNAUTHENTICATED", message="Unknown api key"))
        wrong = self._breach(request, seen)
        if wrong:
            self._seen.breaches.append(wrong)
        refusal = wrong or self._refusal(seen)
        if refusal:
            await _abort(context, Trouble("refuse", status="INVALID_ARGUMENT", message=refusal))

    def _breach(self, request: Any, seen: SeenSynthesis) -> str:
        """A rule that no client should break, whatever its settings."""
        if any(hint.WhichOneof("Hint") is None for hint in request.hints) or len(seen.hints) != len(request.hints):
            return "each hint must be set once, and in a message of its own"
        if request.output_audio_spec.raw_audio.audio_encoding != 1 or not 8000 <= seen.rate_hz <= 48_000:
            return "raw samples of 8 to 48 kHz were not asked for"
        if _MARKUP.search(seen.text) or any(ord(char) < 32 for char in seen.text):
            return "the text has markup or control characters"
        said_ms = len(seen.text) * self._script.ms_per_character / float(seen.hints.get("speed", 1.0))
        if not seen.unsafe_mode and (len(seen.text) > 250 or said_ms > 24_000):
            return "the text is too long: 250 characters and 24 seconds at most"
        if not seen.text.strip() or len(seen.text) > _CUT_BY_VENDOR:
            return "the text is empty or longer than 5000 characters"
        return ""

    def _refusal(self, seen: SeenSynthesis) -> str:
        """A setting that the vendor does not have."""
        voice, role = str(seen.hints.get("voice", "marina")), seen.hints.get("role")
        if voice not in self._script.voices:
            return f"unsupported voice {voice}"
        if role is not None and role not in self._script.voices[voice]:
            return f"unsupported role {role} for voice {voice}"
        if seen.model not in self._script.models:
            return f"unknown model {seen.model}"
        if seen.model == "livetts" and (seen.loudness == "MAX_PEAK" or seen.hints.keys() & {"speed", "pitch_shift"}):
            return "not supported by the livetts model"
        return ""


def _seen_of(request: Any, context: Any) -> SeenSynthesis:
    hints = {name: getattr(hint, name) for hint in request.hints if (name := hint.WhichOneof("Hint"))}
    loudness = request.LoudnessNormalizationType.Name(request.loudness_normalization_type)
    metadata = {str(key): str(value) for key, value in context.invocation_metadata() or ()}
    return SeenSynthesis(
        metadata=metadata,
        text=request.text,
        hints=hints,
        rate_hz=request.output_audio_spec.raw_audio.sample_rate_hertz,
        loudness=loudness,
        model=request.model,
        unsafe_mode=request.unsafe_mode,
    )


def _message(audio: bytes = b"", piece: SpokenPiece | None = None, text: str = "", chunk_type: str = "") -> Any:
    """An answer: audio, and of a piece its text and times."""
    from yandex.cloud.ai.tts.v3 import tts_pb2 as tts

    message = tts.UtteranceSynthesisResponse()
    message.chunk_type = tts.UtteranceSynthesisResponse.ChunkType.Value(chunk_type or "AUDIO_ONLY")
    if audio:
        message.audio_chunk.data = audio
    if piece is not None:
        message.start_ms, message.length_ms = piece.start_ms, piece.length_ms
        for word, start_ms, length_ms in piece.words:
            message.word_timings.add(word=word, start_ms=start_ms, length_ms=length_ms)
    if text or piece is not None:
        message.text_chunk.text = text or (piece.text if piece is not None else "")
    return message


async def _abort(context: Any, trouble: Trouble) -> None:
    """End a request with a status, which may ask to wait."""
    import grpc

    metadata: tuple[tuple[str, str | bytes], ...] = ()
    if trouble.retry_after_s is not None and trouble.retry_told == "header":
        metadata = (("retry-after", str(trouble.retry_after_s)),)
    elif trouble.retry_after_s is not None:
        metadata = (("grpc-status-details-bin", _rich_status(trouble)),)
    await context.abort(grpc.StatusCode[trouble.status], trouble.message, metadata)


def _rich_status(trouble: Trouble) -> bytes:
    import grpc
    from google.rpc.error_details_pb2 import RetryInfo
    from google.rpc.status_pb2 import Status

    number: int = grpc.StatusCode[trouble.status].value[0]
    status: Any = Status(code=number, message=trouble.message)
    wait: Any = RetryInfo()
    wait.retry_delay.seconds = trouble.retry_after_s or 0
    status.details.add().Pack(wait)
    data: bytes = status.SerializeToString()
    return data
