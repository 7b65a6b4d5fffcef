"""Whether SpeechKit would serve a call."""

from __future__ import annotations

from typing import Any

from kamerton.domain.audio import PHONE
from kamerton.stt.yandex.answers import Silence
from kamerton.stt.yandex.messages import first_message, message_of
from kamerton.stt.yandex.options import CODES, YandexSttOptions
from kamerton.vendors.check import Check
from kamerton.vendors.engine import EngineContext
from kamerton.vendors.rpc.channels import Channels
from kamerton.vendors.usage import Usage
from kamerton.vendors.yandex.checks import checked

SILENCE_MS = 100


async def check_service(options: YandexSttOptions, context: EngineContext) -> Check:
    """Open a session and end it. Never raises; safe to cancel."""

    async def probe(channels: Channels, metadata: tuple[tuple[str, str], ...]) -> str:
        from yandex.cloud.ai.stt.v3.stt_service_pb2_grpc import RecognizerStub

        async with channels.channel() as channel:
            call: Any = RecognizerStub(channel).RecognizeStreaming(metadata=metadata)
            try:
                code = CODES.get(context.language, CODES["ru"])
                await call.write(first_message(options, PHONE, code))
                await call.write(message_of(Silence(SILENCE_MS)))
                await call.done_writing()
                async for _ in call:
                    break
            finally:
                call.cancel()
        context.usage.record(Usage("recognizer", "yandex", "seconds", SILENCE_MS / 1000, options.model))
        return f"SpeechKit v3, model {options.model}, {code}"

    return await checked("stt", options.where, context, options.first_answer_s, probe)
