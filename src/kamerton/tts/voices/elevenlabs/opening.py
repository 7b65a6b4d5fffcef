"""Opens the voice and looks at its account: what `engine.py` must not import."""

from __future__ import annotations

import ssl
from typing import Any, Final
from urllib.parse import quote, urlsplit

import anyio
import anyio.to_thread

from kamerton.domain.errors import ConfigurationError, KamertonError, VendorError
from kamerton.domain.foreign_text import shown_line
from kamerton.tts.voices.elevenlabs import faults
from kamerton.tts.voices.elevenlabs.engine import ElevenLabsVoiceOptions
from kamerton.tts.voices.elevenlabs.http_stream import HttpSettings, HttpVoice
from kamerton.tts.voices.elevenlabs.models import languages_of
from kamerton.tts.voices.elevenlabs.socket import SocketSettings
from kamerton.tts.voices.elevenlabs.voice import ElevenLabsVoice
from kamerton.vendors.accounts.elevenlabs import ElevenLabsAccount
from kamerton.vendors.check import Check
from kamerton.vendors.engine import EngineContext
from kamerton.vendors.secrets import require_secret

_UNLISTED: Final = ("models unknown (the key may not list them)", "")


async def open_voice(options: ElevenLabsVoiceOptions, context: EngineContext) -> ElevenLabsVoice:
    """The voice; sends nothing.

    Raises:
        ConfigurationError: the key or the certificates are missing.
    """
    key, tls = await _credentials(options, context)
    settings = SocketSettings(key, _where(options), send_s=options.gap_s)
    http = _http(options, key, tls)
    return ElevenLabsVoice(options, http, settings, tls, language=context.language, usage=context.usage)


async def check_voice(options: ElevenLabsVoiceOptions, context: EngineContext) -> Check:
    """Whether it would serve a call: the key, the characters left, the model and the voice. Never raises."""
    started_s = anyio.current_time()
    try:
        key, tls = await _credentials(options, context)
    except KamertonError as error:
        return Check(reachable=False, authorised=False, detail=_where(options), fix=str(error))
    http = _http(options, key, tls)
    try:
        return await _looked_at(http, options, context.language, started_s)
    except VendorError as error:
        return Check(reachable=False, detail=_where(options), fix=str(error))
    finally:
        await http.aclose()


async def _looked_at(http: HttpVoice, options: ElevenLabsVoiceOptions, language: str, started_s: float) -> Check:
    status, models, refused = await http.ask("/v1/models")
    latency_ms = (anyio.current_time() - started_s) * 1000
    if refused is not None and faults.remark_of(models).word != "missing_permissions":
        authorised = False if refused.fault == "unauthorised" else None
        return Check(True, authorised, latency_ms, f"HTTP {status}", str(refused))
    details, fixes = [], []
    for detail, fix in (
        _about_model(models, options.model, language) if refused is None else _UNLISTED,
        await _about_voice(http, options.voice_for(language), language),
        await _about_quota(http),
    ):
        details.append(detail)
        fixes.append(fix)
    return Check(
        True, True, latency_ms, ", ".join(part for part in details if part), "; ".join(part for part in fixes if part)
    )


def _about_model(models: Any, model: str, language: str) -> tuple[str, str]:
    """What the list of models tells of ours."""
    listed = [found for found in models if isinstance(found, dict)] if isinstance(models, list) else []
    ours = next((found for found in listed if found.get("model_id") == model), None)
    if ours is None:
        return model, f"the account has no model '{shown_line(model, 60)}'; set voice.elevenlabs.model to one it has"
    spoken = [found.get("language_id") for found in ours.get("languages") or () if isinstance(found, dict)]
    if (spoken and language not in spoken) or language not in languages_of(model):
        return model, f"{model} does not speak '{language}'; choose eleven_flash_v2_5"
    return model, ""


async def _about_voice(http: HttpVoice, voice: str, language: str) -> tuple[str, str]:
    """What the account knows of the voice."""
    status, found, refused = await http.ask(f"/v1/voices/{quote(voice, safe='')}")
    if refused is not None:
        shown = shown_line(voice, 60)
        if status in (400, 404, 422):
            return f"voice {shown}", f"the account has no voice '{shown}'; set voice.elevenlabs.voice to an id it has"
        if refused.fault == "unauthorised":
            return f"voice {shown} (the key may not look it up)", ""
        return f"voice {shown}", str(refused)
    name = found.get("name") if isinstance(found, dict) else None
    verified = found.get("verified_languages") if isinstance(found, dict) else None
    tried = [one.get("language") for one in verified or () if isinstance(one, dict)]
    note = "" if not tried or language in tried else f" (not verified for '{language}'; listen to it)"
    return f"voice {shown_line(str(name or voice), 60)}{note}", ""


async def _about_quota(http: HttpVoice) -> tuple[str, str]:
    """Characters left; a key without the right to see them is no fault."""
    _, found, refused = await http.ask("/v1/user/subscription")
    if refused is not None or not isinstance(found, dict):
        return "characters left unknown (the key may not see the subscription)", ""
    used, limit = found.get("character_count"), found.get("character_limit")
    if not isinstance(used, int) or not isinstance(limit, int):
        return "characters left unknown", ""
    tier = shown_line(str(found.get("tier") or "?"), 30)
    left = max(0, limit - used)
    fix = "" if left else "the characters of the plan are used up; raise or renew it"
    return f"{left} of {limit} characters left, plan {tier}", fix


async def _credentials(options: ElevenLabsVoiceOptions, context: EngineContext) -> tuple[str, ssl.SSLContext]:
    """The key and what is trusted, both from files that are read in a thread."""
    account = context.account(ElevenLabsAccount)

    def read() -> tuple[str, ssl.SSLContext]:
        key = require_secret(account.api_key, account.api_key_file, "accounts.elevenlabs.api_key")
        if not key.isascii() or any(character.isspace() or not character.isprintable() for character in key):
            raise ConfigurationError("accounts.elevenlabs.api_key has characters that no key has; copy it again")
        try:
            return key, ssl.create_default_context(cafile=options.ca_file)
        except (OSError, ssl.SSLError) as error:
            raise ConfigurationError(
                f"voice.elevenlabs.ca_file {options.ca_file} holds no certificates ({error}); check the path"
            ) from None

    return await anyio.to_thread.run_sync(read)


def _http(options: ElevenLabsVoiceOptions, key: str, tls: ssl.SSLContext) -> HttpVoice:
    settings = HttpSettings(
        url=options.url,
        key=key,
        where=_where(options),
        connect_s=options.connect_s,
        first_audio_s=options.first_audio_s,
        gap_s=options.gap_s,
        connections=options.concurrency,
    )
    return HttpVoice(settings, tls)


def _where(options: ElevenLabsVoiceOptions) -> str:
    return f"ElevenLabs at {urlsplit(options.url).netloc}"
