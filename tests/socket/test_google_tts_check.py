"""What `kamerton ping` tells of Google's voice, opened and asked as the settings do."""

from __future__ import annotations

from contextlib import aclosing
from pathlib import Path
from typing import Any

import anyio
import pytest
from google_keys import service_account
from pydantic import SecretStr

from kamerton.domain.audio import PHONE
from kamerton.tts.voices.google.engine import ENGINE, GoogleVoiceOptions
from kamerton.tts.voices.google.wire_double import GoogleVoiceDouble, Misdeed, VoiceScript, serve_google_voice
from kamerton.vendors.accounts.google import GoogleAccount
from kamerton.vendors.check import Check
from kamerton.vendors.engine import EngineContext

pytestmark = [pytest.mark.socket, pytest.mark.anyio, pytest.mark.usefixtures("grpc_settles")]


def context(language: str = "uk") -> EngineContext:
    return EngineContext(language, Path("unused"), (GoogleAccount(credentials_json=SecretStr(service_account())),))


async def looked_at(vendor: GoogleVoiceDouble, language: str = "uk", **options: Any) -> Check:
    assert ENGINE.check is not None
    with anyio.fail_after(20):
        return await ENGINE.check(GoogleVoiceOptions(endpoint=vendor.address, tls=False, **options), context(language))


async def test_it_tells_which_voice_speaks_and_how() -> None:
    async with serve_google_voice() as vendor:
        found = await looked_at(vendor)
        assert found.well
        assert found.authorised
        assert found.latency_ms is not None
        assert found.detail == "uk-UA-Chirp3-HD-Kore, streamed, 2 voices for uk-UA"
        assert (await looked_at(vendor, voice="Wavenet-B")).detail.startswith("uk-UA-Wavenet-B, whole sentences")
        assert {request.method for request in vendor.requests} == {"list"}, "nothing is paid for"


async def test_an_unknown_voice_is_no_good_although_the_service_is_there() -> None:
    async with serve_google_voice() as vendor:
        found = await looked_at(vendor, voice="Kora")
        assert found.reachable
        assert not found.well
        assert "uk-UA-Chirp3-HD-Kore, uk-UA-Wavenet-B" in found.fix


@pytest.mark.parametrize(
    ("misdeed", "reachable", "authorised"),
    [
        (Misdeed("refuse", "list", status="PERMISSION_DENIED", details="API is disabled"), True, False),
        (Misdeed("refuse", "list", status="INTERNAL"), True, None),
        (Misdeed("hang", "list"), False, None),
        (Misdeed("refuse", "list"), False, None),
    ],
)
async def test_what_is_wrong_is_told(misdeed: Misdeed, reachable: bool, authorised: bool | None) -> None:
    async with serve_google_voice(VoiceScript(misdeeds=[misdeed])) as vendor:
        found = await looked_at(vendor, open_s=0.8)
        assert (found.reachable, found.authorised) == (reachable, authorised)
        assert not found.well
        assert found.fix


async def test_without_voices_for_the_language_it_says_so() -> None:
    async with serve_google_voice(VoiceScript(voices={"uk-UA-Wavenet-B": ("uk-UA",)})) as vendor:
        found = await looked_at(vendor, "ru")
        assert "no voice for ru-RU" in found.fix


async def test_opened_from_the_settings_it_speaks() -> None:
    async with serve_google_voice() as vendor:
        voice = await ENGINE.open(GoogleVoiceOptions(endpoint=vendor.address, tls=False), context())
        assert vendor.requests == [], "opening sends nothing"
        async with aclosing(voice.speak("Добрий день!", language="uk", audio_format=PHONE)) as chunks:
            assert [chunk.text async for chunk in chunks if chunk.text] == ["Добрий", "день!"]
        await voice.aclose()
        assert vendor.requests[-1].authorization.startswith("Bearer ey")
