"""Google Cloud Speech among the recognisers that can be chosen by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kamerton.stt.google.options import CODES, GoogleSttOptions
from kamerton.vendors.accounts.google import GoogleAccount
from kamerton.vendors.check import Check
from kamerton.vendors.engine import EngineContext, EngineType

if TYPE_CHECKING:
    from kamerton.domain.recognition import SpeechToText


async def open_recognizer(options: GoogleSttOptions, context: EngineContext) -> SpeechToText:
    """Make the recogniser; sends nothing.

    Raises:
        ConfigurationError: the language is none of Google's here, or credentials cannot be used.
        ModelError: the package `google-cloud-speech` is missing.
    """
    from kamerton.stt.google.lines import GrpcLines
    from kamerton.stt.google.recognizer import GoogleSpeechToText
    from kamerton.vendors.google.credentials import open_credentials
    from kamerton.vendors.google.stubs import SPEECH, load_stubs
    from kamerton.vendors.rpc.channels import read_roots

    await load_stubs(SPEECH)
    roots = await read_roots(options.ca_file)
    credentials = await open_credentials(context.account(GoogleAccount), SPEECH.service)
    lines = GrpcLines(options, credentials, roots)
    return GoogleSpeechToText(options, lines, language=context.language, usage=context.usage)


async def check(options: GoogleSttOptions, context: EngineContext) -> Check:
    """Find the model that serves the language, with 100 ms of silence: a second is paid for. Never raises."""
    from kamerton.stt.google.checking import check_service

    return await check_service(options, context)


ENGINE: Final = EngineType("google", GoogleSttOptions, open_recognizer, check, tuple(CODES))
