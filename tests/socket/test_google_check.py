"""What `kamerton ping` and the engine's own opening make of Google Speech."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from google_keys import private_key, service_account
from google_speech import WORDS, at, framed
from pydantic import SecretStr
from rude_servers import rude_server

from kamerton.domain.audio import PHONE
from kamerton.domain.errors import ConfigurationError
from kamerton.domain.recognition import Final, RecognitionHint
from kamerton.stt.google.engine import ENGINE
from kamerton.stt.google.wire_double import GoogleSpeechDouble, Misdeed, SpeechScript, serve_google_speech, spoken
from kamerton.vendors.accounts.google import GoogleAccount
from kamerton.vendors.check import Check
from kamerton.vendors.engine import EngineContext
from kamerton.vendors.registry import RECOGNIZERS, accounts, engines_in

pytestmark = [pytest.mark.anyio, pytest.mark.socket, pytest.mark.usefixtures("grpc_settles")]

ACCOUNT = GoogleAccount(credentials_json=SecretStr(service_account()))
CONTEXT = EngineContext("uk", Path("unused"), (ACCOUNT,))


async def check(vendor: GoogleSpeechDouble, context: EngineContext = CONTEXT, **changes: object) -> Check:
    assert ENGINE.check is not None
    found = await ENGINE.check(at(vendor, **changes), context)
    assert private_key()[40:80] not in str(found)
    return found


async def test_it_is_found_by_name_with_its_account() -> None:
    assert engines_in(RECOGNIZERS)["google"] is ENGINE
    assert accounts()["google"] is GoogleAccount
    assert ENGINE.is_service


async def test_a_service_that_serves_is_well_and_says_with_which_model() -> None:
    async with serve_google_speech(SpeechScript(WORDS)) as vendor:
        found = await check(vendor)
    assert found.well
    assert found.latency_ms is not None
    assert found.detail == "Speech v2, chirp_3@eu, uk-UA+ru-RU"
    assert vendor.streams[0].half_closed
    assert sum(vendor.streams[0].messages) == 1600


async def test_models_that_are_refused_are_named_beside_the_one_that_serves() -> None:
    script = SpeechScript(WORDS, served={"long@global": ("uk-UA",)}, takes_phrases=False)
    async with serve_google_speech(script) as vendor:
        found = await check(vendor)
    assert found.well
    assert found.detail.startswith("Speech v2, long@global, uk-UA+ru-RU, without phrase hints; refused: chirp_3@eu")


async def test_a_service_that_serves_none_of_the_models_says_so() -> None:
    async with serve_google_speech(SpeechScript(WORDS, served={})) as vendor:
        found = await check(vendor)
    assert (found.reachable, found.well, found.detail) == (True, False, "rejected")
    assert "does not exist in the location" in found.fix


async def test_a_token_that_is_not_accepted_is_told() -> None:
    async with serve_google_speech(SpeechScript(WORDS, token="another")) as vendor:
        found = await check(vendor)
    assert (found.reachable, found.authorised) == (True, False)
    assert "accounts.google" in found.fix


async def test_a_service_that_hangs_or_is_none_is_not_reachable() -> None:
    script = SpeechScript(WORDS, misdeeds=[Misdeed("hang")])
    async with serve_google_speech(script) as vendor:
        found = await check(vendor, open_s=0.2, first_answer_s=0.2)
    assert (found.reachable, found.detail) == (False, "timeout")
    async with rude_server("reset") as address:
        found = await check(GoogleSpeechDouble(SpeechScript(), address))
    assert not found.reachable
    assert address in found.fix


async def test_credentials_that_cannot_be_used_are_told_before_anything_is_asked() -> None:
    context = replace(CONTEXT, accounts=(GoogleAccount(credentials_file=Path("/nowhere/key.json")),))
    async with serve_google_speech(SpeechScript(WORDS)) as vendor:
        found = await check(vendor, context)
    assert (found.reachable, found.detail) == (False, "not asked")
    assert "/nowhere/key.json cannot be read" in found.fix
    assert vendor.streams == []


async def test_the_engine_opens_with_its_account_and_recognises() -> None:
    async with serve_google_speech(SpeechScript(WORDS)) as vendor:
        stt = await ENGINE.open(at(vendor), CONTEXT)
        async with stt.open(PHONE) as stream:
            stream.begin_turn(1, RecognitionHint("uk"))
            for frame in framed(spoken("сто", WORDS, 8000)):
                stream.push(frame)
            stream.end_of_turn()
            finals = []
            async for event in stream:
                if isinstance(event, Final):
                    finals.append(event.text)
                    break
        await stt.aclose()
    assert finals == ["сто"]
    assert vendor.streams[0].recognizer == "projects/of-the-key/locations/eu/recognizers/_"
    assert vendor.streams[0].authorization.startswith("Bearer ey")


async def test_the_engine_does_not_open_without_usable_credentials() -> None:
    context = replace(CONTEXT, accounts=(GoogleAccount(credentials_json=SecretStr("{}")),))
    with pytest.raises(ConfigurationError, match="credentials_json"):
        await ENGINE.open(ENGINE.options(), context)
