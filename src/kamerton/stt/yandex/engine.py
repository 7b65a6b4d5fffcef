"""Yandex SpeechKit among the recognisers that can be chosen by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kamerton.domain.errors import ConfigurationError
from kamerton.stt.yandex.options import CODES, YandexSttOptions
from kamerton.vendors.accounts.yandex import YandexAccount
from kamerton.vendors.check import Check
from kamerton.vendors.engine import EngineContext, EngineType

if TYPE_CHECKING:
    from kamerton.domain.recognition import SpeechToText


async def open_recognizer(options: YandexSttOptions, context: EngineContext) -> SpeechToText:
    """Make the recogniser; sends nothing.

    Raises:
        ConfigurationError: the language is not SpeechKit's, a credential is missing, or a file cannot be read.
        ModelError: the package `yandexcloud` is missing.
    """
    from kamerton.stt.yandex.recognizer import YandexSpeechToText, refusal
    from kamerton.vendors.rpc.channels import read_roots
    from kamerton.vendors.yandex.credentials import open_credentials
    from kamerton.vendors.yandex.stubs import load_stubs

    if context.language not in CODES:
        raise ConfigurationError(refusal(context.language))
    await load_stubs("stt")
    roots = await read_roots(options.ca_file)
    credentials = await open_credentials(context.account(YandexAccount))
    return YandexSpeechToText(options, credentials, language=context.language, roots=roots, usage=context.usage)


async def check(options: YandexSttOptions, context: EngineContext) -> Check:
    """Open a session with 100 ms of silence, which is paid for, and see that it is served. Never raises."""
    from kamerton.stt.yandex.checking import check_service

    return await check_service(options, context)


ENGINE: Final = EngineType("yandex", YandexSttOptions, open_recognizer, check, tuple(CODES))
