"""How the voice of SpeechKit is opened, looked at, let in and kept warm."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from certificates import self_signed
from pydantic import SecretStr
from yandex_voice_stage import KEY, TEXT, Bill, context_for, stage

from kamerton.domain.audio import PHONE, WIDEBAND
from kamerton.domain.errors import ConfigurationError, VendorError
from kamerton.tts.voices.yandex.engine import ENGINE, YandexVoiceOptions
from kamerton.tts.voices.yandex.wire_double import serve_speechkit_tts
from kamerton.tts.voices.yandex.wire_double_script import SpeechKitScript, Trouble
from kamerton.vendors.accounts.yandex import YandexAccount
from kamerton.vendors.check import Check

pytestmark = [pytest.mark.socket, pytest.mark.anyio, pytest.mark.usefixtures("grpc_settles")]


async def looked_at(script: SpeechKitScript, *, key: str = KEY, bill: Bill | None = None, **options: Any) -> Check:
    assert ENGINE.check is not None
    async with serve_speechkit_tts(script) as vendor:
        chosen = replace(YandexVoiceOptions(endpoint=vendor.address, tls=False, first_audio_s=0.5), **options)
        with anyio.fail_after(5):
            found = await ENGINE.check(chosen, context_for(YandexAccount(SecretStr(key)), bill))
        with anyio.fail_after(5):
            await vendor.seen.until(lambda seen: seen.open == 0)
        return found


async def test_the_request_says_what_was_set() -> None:
    settings: dict[str, Any] = {"role": "friendly", "speed": 1.2, "pitch_hz": 30.0, "loudness": "peak", "volume": 0.5}
    account = YandexAccount(SecretStr(KEY), folder="b1gfolder")
    async with stage(account=account, model="general", unsafe_mode=True, **settings) as at:
        await at.say(audio_format=WIDEBAND)
        seen = at.vendor.seen.requests[0]
        assert seen.hints == {"voice": "marina", "role": "friendly", "speed": 1.2, "pitch_shift": 30.0, "volume": 0.5}
        assert (seen.rate_hz, seen.loudness, seen.model, seen.unsafe_mode) == (16_000, "MAX_PEAK", "general", True)
        assert seen.metadata["x-folder-id"] == "b1gfolder"
        assert seen.metadata["authorization"] == f"Api-Key {KEY}"
        assert at.voice.name == "yandex-general-marina-friendly-speed1.2-pitch30-peak-volume0.5"


async def test_nothing_is_said_of_what_was_not_set() -> None:
    async with stage() as at:
        await at.say(audio_format=PHONE)
        seen = at.vendor.seen.requests[0]
        assert seen.hints == {"voice": "marina"}
        assert (seen.rate_hz, seen.loudness, seen.model, seen.unsafe_mode) == (8000, "LUFS", "", False)
        assert "x-folder-id" not in seen.metadata
        assert at.voice.name == "yandex-marina"


async def test_the_first_clause_goes_alone_and_the_rest_together() -> None:
    async with stage() as at:
        await at.say()
        assert [seen.text for seen in at.vendor.seen.requests] == ["Добрый день!", TEXT.partition("! ")[2]]
        assert at.bill.of("characters") == len(TEXT) - 1
        assert at.bill.of("requests") == 2
    async with stage(quick_start=False) as at:
        await at.say()
        assert [seen.text for seen in at.vendor.seen.requests] == [TEXT]


async def test_the_vendor_cuts_what_it_may_cut_and_is_paid_for_the_pieces() -> None:
    text = " ".join([TEXT] * 6)
    async with stage(unsafe_mode=True, quick_start=False) as at:
        assert await at.say(text) == text
        assert [seen.text for seen in at.vendor.seen.requests] == [text]
        assert at.bill.of("requests") == -(-len(text) // 250) == 3
    async with stage(quick_start=False) as at:
        assert await at.say(text) == text
        assert all(len(seen.text) <= 250 for seen in at.vendor.seen.requests)
        assert at.vendor.seen.breaches == []


async def test_a_token_that_is_refused_is_read_again_from_its_file(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("t1.old")
    account = YandexAccount(iam_token_file=file)
    async with stage(SpeechKitScript(authorizations=("Bearer t1.old", "Bearer t1.new")), account=account) as at:
        assert await at.say() == TEXT
    file.write_text("t1.old")
    async with stage(SpeechKitScript(authorizations=("Bearer t1.new",)), account=account) as at:
        file.write_text("t1.new")
        assert await at.say() == TEXT
        assert at.voice.figures["second_attempts"] == 1


async def test_a_token_that_cannot_be_read_any_more_is_told_to_the_chain(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("t1.old")
    async with stage(account=YandexAccount(iam_token_file=file)) as at:
        file.unlink()
        _, error = await at.until_failure()
        assert isinstance(error, VendorError)
        assert error.fault == "unauthorised"
        assert str(file) in str(error)


async def test_only_what_the_vendor_may_have_served_is_counted() -> None:
    troubles = (Trouble("refuse", status="RESOURCE_EXHAUSTED"), Trouble("hang"))
    async with stage(SpeechKitScript(troubles=troubles), quick_start=False) as at:
        await at.until_failure()
        assert at.bill.of("requests") == 0
        await at.until_failure()
        assert at.bill.of("requests") == 1
        speech = at.voice.speak(TEXT, language="ru", audio_format=PHONE)
        await anext(speech)
        await speech.aclose()
        assert at.bill.of("requests") == 2
    async with stage(endpoint="127.0.0.1:9") as at:
        await at.until_failure()
        assert at.bill.of("requests") == 0


async def test_a_connection_that_was_long_unused_is_replaced_when_a_call_rings() -> None:
    async with stage(relayed=True, idle_s=0.0) as at, anyio.create_task_group() as group:
        await group.start(at.voice.run)
        assert at.relay is not None
        assert await at.say() == TEXT
        at.voice.expect(1)
        with anyio.fail_after(5):
            await at.relay.until_connections(2)
            await at.relay.until_open(1)
        assert await at.say() == TEXT
        assert at.relay.connections == 2
        await at.voice.aclose()


async def test_a_call_that_rings_connects_before_anything_is_said() -> None:
    async with stage(relayed=True) as at, anyio.create_task_group() as group:
        await group.start(at.voice.run)
        assert at.relay is not None
        assert at.relay.connections == 0
        at.voice.expect(1)
        with anyio.fail_after(5):
            await at.relay.until_open(1)
        assert at.voice.figures["open"] == 1
        at.voice.expect(2)
        assert await at.say() == TEXT
        assert at.relay.connections == 1, "it was the open one"
        await at.voice.aclose()
        with anyio.fail_after(5):
            await at.relay.until_open(0)


async def test_a_certificate_that_nobody_trusts_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    certificate, key = self_signed(tmp_path)
    async with serve_speechkit_tts(tls=(key.read_bytes(), certificate.read_bytes())) as vendor:
        options = YandexVoiceOptions(endpoint=vendor.address, first_audio_s=1.0)
        voice = await ENGINE.open(options, context_for())
        with anyio.fail_after(5), pytest.raises(VendorError) as failed:
            await anext(voice.speak(TEXT, language="ru", audio_format=PHONE))
        await voice.aclose()
        assert failed.value.fault == "connection"
        assert "certificates" in str(failed.value)
        assert KEY not in str(failed.value) + caplog.text
        assert vendor.seen.requests == [], "nothing was sent, the key least of all"


async def test_certificates_of_ones_own_are_trusted(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    async with serve_speechkit_tts(tls=(key.read_bytes(), certificate.read_bytes())) as vendor:
        options = YandexVoiceOptions(endpoint=vendor.address, ca_file=certificate)
        voice = await ENGINE.open(options, context_for())
        try:
            with anyio.fail_after(5):
                chunks = [chunk async for chunk in voice.speak(TEXT, language="ru", audio_format=PHONE)]
        finally:
            await voice.aclose()
        assert " ".join(chunk.text for chunk in chunks if chunk.text) == TEXT


async def test_a_server_without_tls_is_told(tmp_path: Path) -> None:
    async with stage(tls=True, first_audio_s=0.5) as at:
        _, error = await at.until_failure()
        assert isinstance(error, VendorError)
        assert error.fault in ("connection", "timeout")


async def test_a_look_finds_a_service_that_would_serve() -> None:
    bill = Bill()
    found = await looked_at(SpeechKitScript(), bill=bill, role="friendly")
    assert found.well
    assert found.authorised
    assert found.latency_ms is not None
    assert found.detail == "SpeechKit v3, voice marina, role friendly"
    assert (bill.of("requests"), bill.of("characters")) == (1, 3)


async def test_a_look_tells_what_is_wrong() -> None:
    refused = await looked_at(SpeechKitScript(), key="AQVN-other")
    assert (refused.reachable, refused.authorised) == (True, False)
    assert "accounts.yandex" in refused.fix
    assert "AQVN-other" not in repr(refused)
    role = await looked_at(SpeechKitScript(), role="evil")
    assert (role.reachable, role.authorised) == (True, None)
    assert "has the roles neutral, whisper, friendly" in role.fix
    voice = await looked_at(SpeechKitScript(), voice="marinka")
    assert "'marinka' is not in the vendor's list" in voice.fix
    hung = await looked_at(SpeechKitScript(troubles=(Trouble("hang"),)))
    assert (hung.reachable, hung.well) == (False, False)
    assert "no answer within 0.5 s" in hung.fix
    for trouble in (Trouble("garbage"), Trouble("wav"), Trouble("short")):
        odd = await looked_at(SpeechKitScript(troubles=(trouble,)))
        assert odd.reachable
        assert not odd.well, trouble.kind


async def test_a_look_at_nothing_does_not_raise() -> None:
    assert ENGINE.check is not None
    options = YandexVoiceOptions(endpoint="127.0.0.1:9", tls=False, first_audio_s=0.5)
    found = await ENGINE.check(options, context_for())
    assert not found.reachable
    assert "127.0.0.1:9" in found.fix
    without = await ENGINE.check(options, context_for(YandexAccount()))
    assert "KAMERTON_ACCOUNTS__YANDEX__API_KEY" in without.fix
    ukrainian = await ENGINE.check(options, context_for(language="uk"))
    assert "no voice that speaks 'uk'" in ukrainian.fix


async def test_what_cannot_be_opened_says_why(tmp_path: Path) -> None:
    for options, language, why in (
        (YandexVoiceOptions(), "uk", "no voice that speaks 'uk'"),
        (YandexVoiceOptions(voice="john"), "ru", "'john' speaks 'en'"),
        (YandexVoiceOptions(ca_file=tmp_path / "none.pem"), "ru", "none.pem"),
    ):
        with pytest.raises(ConfigurationError, match=why):
            await ENGINE.open(options, context_for(language=language))
    with pytest.raises(ConfigurationError, match="KAMERTON_ACCOUNTS__YANDEX__API_KEY"):
        await ENGINE.open(YandexVoiceOptions(), context_for(YandexAccount()))
