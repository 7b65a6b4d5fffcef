"""Whether SpeechKit would serve a call."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import anyio

from kamerton.domain.audio import PHONE
from kamerton.stt.yandex.answers import Silence
from kamerton.stt.yandex.messages import first_message, message_of
from kamerton.stt.yandex.options import CODES, YandexSttOptions
from kamerton.vendors.check import Check
from kamerton.vendors.engine import EngineContext
from kamerton.vendors.rpc.channels import Channels
from kamerton.vendors.rpc.failures import CutOff, EndedUnseenError, answered
from kamerton.vendors.usage import Usage
from kamerton.vendors.yandex.checks import checked
from kamerton.vendors.yandex.credentials import secrets_of
from kamerton.vendors.yandex.failures import speechkit_at

SILENCE_MS: Final = 100
_LISTEN_S: Final = 0.3
"""When the status of a refusal was lost while something was sent: it arrives before the next time."""


async def check_service(options: YandexSttOptions, context: EngineContext) -> Check:
    """Open a session and end it. Never raises; safe to cancel."""
    code = CODES.get(context.language, CODES["ru"])

    async def probe(channels: Channels, metadata: tuple[tuple[str, str], ...]) -> str:
        try:
            await _asked(channels, metadata, options, code, listen_s=0.0)
        except EndedUnseenError:
            await _asked(channels, metadata, options, code, listen_s=_LISTEN_S)
        context.usage.record(Usage("recognizer", "yandex", "seconds", SILENCE_MS / 1000, options.model))
        return f"SpeechKit v3, model {options.model}, {code}"

    return await checked("stt", options.where, context, options.first_answer_s, probe)


async def _asked(
    channels: Channels, metadata: tuple[tuple[str, str], ...], options: YandexSttOptions, code: str, *, listen_s: float
) -> None:
    """Have an answer to a moment of silence, which is sent after so much time for a refusal to arrive.

    Raises:
        VendorError: the session was refused, or what answered is no SpeechKit.
    """
    import grpc.aio
    from yandex.cloud.ai.stt.v3.stt_service_pb2_grpc import RecognizerStub

    service = speechkit_at(options.endpoint)
    async with channels.channel() as channel:
        call: Any = RecognizerStub(channel).RecognizeStreaming(metadata=metadata)
        try:
            await _send(call, first_message(options, PHONE, code), listen_s)
            answer = await answered(call.read())
        except grpc.aio.AioRpcError as error:
            failure = service.failed(error, secrets_of(metadata))
        else:
            if answer is not None:
                return
            # So gRPC tells of bytes that it could not read as this message.
            failure = service.broken("sent what is no message of SpeechKit")
        finally:
            call.cancel()
    raise failure


async def _send(call: Any, first: Any, listen_s: float) -> None:
    """Send all there is. A session that is over takes nothing: why, reading tells."""
    import grpc.aio

    try:
        await answered(call.write(first))
        await anyio.sleep(listen_s)
        await answered(call.write(message_of(Silence(SILENCE_MS))))
        await answered(call.done_writing())
    except (asyncio.InvalidStateError, grpc.aio.AioRpcError, CutOff):
        return
