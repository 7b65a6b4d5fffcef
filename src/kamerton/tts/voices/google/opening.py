"""Opens the voice, and looks whether it would serve a call: what `engine.py` must not import."""

from __future__ import annotations

from kamerton.tts.voices.google.engine import CODES, GoogleVoiceOptions
from kamerton.tts.voices.google.listing import chosen_voice
from kamerton.tts.voices.google.requests import Requests
from kamerton.tts.voices.google.voice import GoogleVoice
from kamerton.vendors.accounts.google import GoogleAccount
from kamerton.vendors.check import Check
from kamerton.vendors.engine import EngineContext
from kamerton.vendors.google.checks import checked
from kamerton.vendors.google.credentials import GoogleCredentials, open_credentials
from kamerton.vendors.google.stubs import VOICE, load_stubs
from kamerton.vendors.rpc.channels import read_roots


async def open_voice(options: GoogleVoiceOptions, context: EngineContext) -> GoogleVoice:
    """The voice; sends nothing.

    Raises:
        ConfigurationError: credentials or certificates cannot be used.
        ModelError: the package `google-cloud-texttospeech` is missing.
    """
    await load_stubs(VOICE)
    roots = await read_roots(options.ca_file)
    credentials = await open_credentials(context.account(GoogleAccount), VOICE.service)
    requests = Requests(options, credentials, roots)
    return GoogleVoice(options, requests, language=context.language, usage=context.usage)


async def check_voice(options: GoogleVoiceOptions, context: EngineContext) -> Check:
    """Ask for the list of voices, which costs nothing, and say which one speaks. Never raises; safe to cancel."""
    language = context.language

    async def probe(credentials: GoogleCredentials) -> str:
        code = CODES.get(language, language)
        requests = Requests(options, credentials, await read_roots(options.ca_file))
        try:
            listed = await requests.voices(code)
        finally:
            await requests.aclose()
        voice = chosen_voice(listed, code, options.voice_for(language), requests.where)
        streams = options.streaming and voice.streams
        return f"{voice.name}{', streamed' if streams else ', whole sentences'}, {len(listed)} voices for {code}"

    return await checked(VOICE, context, probe, timeout_s=2 * options.open_s)
