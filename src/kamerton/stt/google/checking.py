"""Whether Google Speech would serve a call, and with which model."""

from __future__ import annotations

from kamerton.domain.audio import PHONE
from kamerton.domain.errors import VendorError
from kamerton.stt.google.lines import GrpcLines
from kamerton.stt.google.models import ModelChoice
from kamerton.stt.google.options import CODES, GoogleSttOptions
from kamerton.vendors.check import Check
from kamerton.vendors.engine import EngineContext
from kamerton.vendors.google.checks import checked
from kamerton.vendors.google.credentials import GoogleCredentials
from kamerton.vendors.google.stubs import SPEECH
from kamerton.vendors.rpc.channels import read_roots
from kamerton.vendors.usage import Usage

SILENCE_MS = 100


async def check_service(options: GoogleSttOptions, context: EngineContext) -> Check:
    """Send 100 ms of silence to the models in turn until one serves the language. Never raises; safe to cancel."""
    language = context.language if context.language in CODES else "ru"
    choice = ModelChoice(options)

    async def probe(credentials: GoogleCredentials) -> str:
        lines = GrpcLines(options, credentials, await read_roots(options.ca_file))
        refused: list[str] = []
        try:
            while True:
                setup = choice.setup(language, ("так",) if options.hints else ())
                try:
                    async with lines.line(setup, PHONE) as line:
                        await line.write(bytes(2 * PHONE.samples(SILENCE_MS)))
                        await line.half_close()
                        while await line.read() is not None:
                            pass
                except VendorError as error:
                    if error.fault != "rejected" or not choice.refused(language, setup, str(error)):
                        raise
                    refused.append(f"{setup.candidate} with {'+'.join(setup.codes)}")
                    continue
                seconds = SILENCE_MS / 1000
                context.usage.record(Usage("recognizer", "google", "seconds", seconds, setup.candidate.model))
                phrases = "" if setup.phrases or not options.hints else ", without phrase hints"
                passed = f"; refused: {', '.join(refused)}" if refused else ""
                return f"Speech v2, {setup.candidate}, {'+'.join(setup.codes)}{phrases}{passed}"
        finally:
            await lines.aclose()

    return await checked(SPEECH, context, probe, timeout_s=options.open_s + options.first_answer_s)
