"""The life of the voice's connections: opened ahead, shared, bounded, kept alive, given up at once, closed."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import anyio
import pytest
from certificates import server_tls
from elevenlabs_stage import TEXT, Stage, context_for, stage

from kamerton.domain.audio import PHONE
from kamerton.domain.errors import ConfigurationError, EngineError, VendorError
from kamerton.domain.synthesis import KeepsWarm
from kamerton.tts.voices.elevenlabs.engine import ENGINE, ElevenLabsVoiceOptions
from kamerton.tts.voices.elevenlabs.wire_double import Trouble, VendorScript, serve_elevenlabs

pytestmark = [pytest.mark.socket, pytest.mark.anyio]

LONG = "Слово за слово, и разговор идёт дальше. " * 20


async def first_chunk(at: Stage, text: object = LONG) -> None:
    """A speech that is given up at its first chunk: a barge-in."""
    async with aclosing(at.voice.speak(text, language="ru", audio_format=PHONE)) as chunks:  # type: ignore[arg-type]
        async for _ in chunks:
            return


async def test_a_call_that_rings_finds_a_connection_open() -> None:
    async with stage() as at:
        assert isinstance(at.voice, KeepsWarm)
        at.voice.expect(1)
        with anyio.fail_after(5):
            await at.vendor.seen.until(lambda seen: seen.sockets_open == 1)
        assert await at.say() == TEXT
        assert at.vendor.seen.handshakes == 1
        figures = at.voice.figures
        assert (figures["opened"], figures["open"], figures["over_websocket"]) == (1, 1, 1)


async def test_calls_share_connections_within_the_bounds_and_no_slot_is_taken_before_it_is_free() -> None:
    script = VendorScript(piece_s=0.02, late_audio=1)
    async with stage(script, concurrency=12, sockets=2) as at:
        async with anyio.create_task_group() as group:
            for _ in range(12):
                group.start_soon(first_chunk, at)
        said: list[str] = []

        async def speak() -> None:
            said.append(await at.say())

        async with anyio.create_task_group() as group:
            for _ in range(12):
                group.start_soon(speak)
        assert said == [TEXT] * 12
        seen = at.vendor.seen
        assert (seen.breaches, seen.most_contexts, seen.most_sockets) == ([], 5, 2)
        assert at.voice.figures["late"] > 0


async def test_requests_at_once_are_bounded_and_who_waits_too_long_is_told() -> None:
    async with stage(VendorScript(piece_s=0.02), concurrency=2, queue_s=5.0) as at:
        async with anyio.create_task_group() as group:
            for _ in range(6):
                group.start_soon(at.say)
        assert at.vendor.seen.most_contexts == 2
    script = VendorScript(troubles=(Trouble("hang", after=1),))
    async with stage(script, concurrency=1, queue_s=0.2, gap_s=2.0) as at, anyio.create_task_group() as group:
        group.start_soon(at.until_failure)
        await at.vendor.seen.until(lambda seen: bool(seen.contexts))
        _, error = await at.until_failure()
        assert isinstance(error, VendorError)
        assert error.fault == "rate_limited"
        assert "concurrency" in str(error)


async def test_a_barge_in_closes_the_context_of_a_text_that_is_being_written() -> None:
    written: list[str] = []

    async def pieces() -> AsyncIterator[str]:
        yield "Добрый день! Вас приветствует "
        written.append("first")
        await anyio.sleep_forever()

    async with stage() as at:
        await first_chunk(at, pieces())
        with anyio.fail_after(5):
            await at.vendor.seen.until(lambda seen: seen.contexts[0].closed_by_client and seen.contexts[0].final)
        assert at.vendor.seen.contexts[0].text == "Добрый день!"
        assert await at.say() == TEXT
        assert at.vendor.seen.breaches == []
        assert at.voice.figures["places_held"] == 0


async def test_a_speech_that_is_cancelled_before_its_audio_frees_its_place_and_its_context() -> None:
    async with stage(VendorScript(first_audio_s=0.2), concurrency=1) as at:
        async with anyio.create_task_group() as group:
            group.start_soon(at.say)
            await at.vendor.seen.until(lambda seen: bool(seen.contexts))
            group.cancel_scope.cancel()
        assert at.voice.figures["places_held"] == 0
        assert await at.say() == TEXT
        assert at.vendor.seen.breaches == []


async def test_a_request_over_http_that_is_given_up_is_dropped_at_once() -> None:
    async with stage(VendorScript(piece_s=0.1), websocket=False) as at:
        await first_chunk(at)
        with anyio.fail_after(5):
            await at.vendor.seen.until(lambda seen: seen.requests[0].given_up)
        assert at.voice.figures["places_held"] == 0


async def test_a_context_whose_text_is_awaited_is_kept_alive_and_no_other() -> None:
    go_on = anyio.Event()

    async def pieces() -> AsyncIterator[str]:
        yield "Добрый день! Вас "
        await go_on.wait()
        yield "приветствует страховая компания."

    async with stage(wire={"keep_alive_s": 0.1}) as at:
        said: list[str] = []

        async def speak() -> None:
            said.append(await at.say(pieces()))

        async with anyio.create_task_group() as group:
            group.start_soon(speak)
            with anyio.fail_after(5):
                await at.vendor.seen.until(lambda seen: bool(seen.contexts) and seen.contexts[0].keep_alives >= 8)
            go_on.set()
        assert said == ["Добрый день! Вас приветствует страховая компания."]
        alive = at.vendor.seen.contexts[0].keep_alives
        assert await at.say() == TEXT
        assert at.vendor.seen.contexts[0].keep_alives == alive
        assert at.vendor.seen.breaches == [], "no context was opened by a keep-alive"


async def test_a_text_that_breaks_off_is_said_so_far_and_told() -> None:
    async def pieces() -> AsyncIterator[str]:
        yield "Добрый день! Вас "
        raise ValueError("the writer broke")

    async with stage() as at:
        chunks, error = await at.until_failure(pieces())
        assert isinstance(error, EngineError)
        assert "the writer broke" in str(error)
        assert [chunk.text for chunk in chunks if chunk.text] == ["Добрый", "день!"]


@pytest.mark.parametrize("websocket", [True, False])
async def test_draining_ends_speeches_and_closes_everything(websocket: bool) -> None:
    async with stage(VendorScript(piece_s=0.2), gap_s=2.0, websocket=websocket) as at:
        async with anyio.create_task_group() as group:
            results: list[EngineError | None] = []

            async def speak() -> None:
                results.append((await at.until_failure(LONG))[1])

            group.start_soon(speak)
            await at.vendor.seen.until(lambda seen: bool(seen.contexts or seen.requests))
            await at.voice.aclose()
        assert isinstance(results[0], VendorError)
        with anyio.fail_after(5):
            await at.vendor.seen.until(lambda seen: seen.sockets_open == 0)
        _, error = await at.until_failure()
        assert "closed" in str(error)


async def test_a_certificate_that_nobody_vouches_for_is_refused_and_one_that_is_trusted_works(tmp_path: Path) -> None:
    tls, trusted = server_tls(tmp_path)
    async with stage(server_tls=tls) as at:
        _, error = await at.until_failure()
        assert isinstance(error, VendorError)
        assert error.fault == "connection"
        assert "TLS" in str(error)
        assert at.vendor.seen.contexts == []
    async with stage(server_tls=tls, client_tls=ssl.create_default_context(cafile=trusted)) as at:
        assert await at.say() == TEXT
        assert at.voice.figures["over_websocket"] == 1


async def test_a_check_tells_what_would_serve() -> None:
    async with serve_elevenlabs() as vendor:
        check = ENGINE.check
        assert check is not None
        well = await check(ElevenLabsVoiceOptions(url=vendor.url), context_for())
        assert (well.well, well.authorised) == (True, True)
        assert "10000 of 30000 characters left" in well.detail
        assert well.latency_ms is not None

        wrong = await check(ElevenLabsVoiceOptions(url=vendor.url), context_for("xi-other-key"))
        assert (wrong.reachable, wrong.authorised) == (True, False)
        assert "accounts.elevenlabs.api_key" in wrong.fix
        assert "xi-other-key" not in repr(wrong)

        unknown = await check(ElevenLabsVoiceOptions(url=vendor.url, voice="nobody"), context_for())
        assert "voice 'nobody'" in unknown.fix
        model = await check(ElevenLabsVoiceOptions(url=vendor.url, model="eleven_v9"), context_for())
        assert "no model 'eleven_v9'" in model.fix

        vendor.script = VendorScript(characters_left=0)
        assert "used up" in (await check(ElevenLabsVoiceOptions(url=vendor.url), context_for())).fix
        vendor.script = VendorScript(restricted_key=True)
        restricted = await check(ElevenLabsVoiceOptions(url=vendor.url), context_for())
        assert restricted.well
        assert "characters left unknown" in restricted.detail
        assert restricted.authorised, "a key that may only speak is no wrong key"
        vendor.script = VendorScript(languages=("en",))
        assert "does not speak 'ru'" in (await check(ElevenLabsVoiceOptions(url=vendor.url), context_for())).fix
    away = await check(ElevenLabsVoiceOptions(url=vendor.url), context_for())
    assert (away.reachable, away.well) == (False, False)


async def test_what_is_missing_is_told_when_the_voice_is_opened(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="KAMERTON_ACCOUNTS__ELEVENLABS__API_KEY"):
        await ENGINE.open(ElevenLabsVoiceOptions(), context_for(""))
    with pytest.raises(ConfigurationError, match="has characters that no key has") as refusal:
        await ENGINE.open(ElevenLabsVoiceOptions(), context_for("xi-ключ"))
    assert "xi-ключ" not in str(refusal.value)
    missing = tmp_path / "nothing.pem"
    with pytest.raises(ConfigurationError, match="holds no certificates"):
        await ENGINE.open(ElevenLabsVoiceOptions(ca_file=missing), context_for())
