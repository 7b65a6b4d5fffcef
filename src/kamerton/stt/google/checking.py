"""Whether Google Speech would serve a call, and with which model."""

from __future__ import annotations

from kamerton.stt.google.lines import GrpcLines
from kamerton.stt.google.options import CODES, GoogleSttOptions
from kamerton.stt.google.recognizer import GoogleSpeechToText
from kamerton.vendors.check import Check
from kamerton.vendors.engine import EngineContext
from kamerton.vendors.google.checks import checked
from kamerton.vendors.google.credentials import GoogleCredentials
from kamerton.vendors.google.stubs import SPEECH
from kamerton.vendors.rpc.channels import read_roots


async def check_service(options: GoogleSttOptions, context: EngineContext) -> Check:
    """Look for the model that serves the language. Never raises; safe to cancel."""
    language = context.language if context.language in CODES else "ru"

    async def probe(credentials: GoogleCredentials) -> str:
        lines = GrpcLines(options, credentials, await read_roots(options.ca_file))
        stt = GoogleSpeechToText(options, lines, language=language, usage=context.usage)
        try:
            return await stt.find_model()
        finally:
            await stt.aclose()

    return await checked(SPEECH, context, probe, timeout_s=options.open_s + options.first_answer_s)
