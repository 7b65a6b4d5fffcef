"""Opens the voice, and looks whether it would speak."""

from __future__ import annotations

from typing import Any, Final

from kamerton.domain.audio import PHONE
from kamerton.domain.errors import ConfigurationError
from kamerton.tts.voices.yandex.engine import YandexVoiceOptions
from kamerton.tts.voices.yandex.messages import answer_of, is_container, request_of
from kamerton.tts.voices.yandex.speakers import LANGUAGES, language_of
from kamerton.tts.voices.yandex.synthesis import explained
from kamerton.tts.voices.yandex.voice import YandexVoice
from kamerton.vendors.accounts.yandex import YandexAccount
from kamerton.vendors.check import Check
from kamerton.vendors.engine import EngineContext
from kamerton.vendors.rpc.channels import Channels, read_roots
from kamerton.vendors.rpc.failures import Service
from kamerton.vendors.usage import Usage
from kamerton.vendors.yandex.checks import checked
from kamerton.vendors.yandex.credentials import Metadata, open_credentials, secrets_of
from kamerton.vendors.yandex.failures import speechkit_at
from kamerton.vendors.yandex.stubs import load_stubs

_PROBE: Final = "Да."


async def open_voice(options: YandexVoiceOptions, context: EngineContext) -> YandexVoice:
    """Make the voice; sends nothing.

    Raises:
        ConfigurationError: the voice does not speak the language, a credential is missing, or a file cannot be read.
        ModelError: the package `yandexcloud` is missing.
    """
    if wrong := _wrong_language(options, context):
        raise ConfigurationError(wrong)
    await load_stubs("tts")
    roots = await read_roots(options.ca_file)
    credentials = await open_credentials(context.account(YandexAccount))
    return YandexVoice(options, credentials, roots=roots, usage=context.usage)


async def check_voice(options: YandexVoiceOptions, context: EngineContext) -> Check:
    """Ask for one short word, which costs one request, and take its first audio. Never raises; safe to cancel."""
    if wrong := _wrong_language(options, context):
        return Check(reachable=False, detail="not asked", fix=wrong)
    service = speechkit_at(options.endpoint)

    async def probe(channels: Channels, metadata: Metadata) -> str:
        import grpc.aio

        async with channels.channel() as channel:
            try:
                told = await _first_audio(channel, options, metadata, service)
            except grpc.aio.AioRpcError as error:
                raise explained(service.failed(error, secrets_of(metadata)), options) from None
        context.usage.record(Usage("voice", "yandex", "characters", len(_PROBE), options.model))
        context.usage.record(Usage("voice", "yandex", "requests", 1, options.model))
        return told

    return await checked("tts", options.where, context, options.first_audio_s, probe)


async def _first_audio(channel: Any, options: YandexVoiceOptions, metadata: Metadata, service: Service) -> str:
    from yandex.cloud.ai.tts.v3.tts_service_pb2_grpc import SynthesizerStub

    call: Any = SynthesizerStub(channel).UtteranceSynthesis(request_of(options, _PROBE, PHONE), metadata=metadata)
    try:
        async for message in call:
            audio = b"" if message is None else answer_of(message, 0.0).pcm
            if message is None or is_container(audio):
                raise service.broken("sent something that is no speech")
            if audio:
                return ", ".join(_told(options))
    finally:
        call.cancel()
    raise service.broken("gave no audio for a word")


def _told(options: YandexVoiceOptions) -> list[str]:
    told = ["SpeechKit v3", f"voice {options.voice}"]
    told += [f"role {options.role}"] if options.role else []
    return [*told, f"model {options.model}"] if options.model else told


def _wrong_language(options: YandexVoiceOptions, context: EngineContext) -> str:
    """Why the voice cannot serve the assistant; empty when it can."""
    language = context.language
    if language not in LANGUAGES:
        return (
            f"Yandex SpeechKit has no voice that speaks '{language}'; choose another engine for it: elevenlabs, "
            "google, or the local piper"
        )
    spoken = language_of(options.voice)
    if spoken != language:
        return f"voice.yandex.voice '{options.voice}' speaks '{spoken}', not '{language}'; choose 'marina'"
    return ""
