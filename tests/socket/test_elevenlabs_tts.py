"""What ElevenLabs may do to a speech, over real sockets, and what a caller then hears."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator

import anyio
import pytest
from elevenlabs_stage import KEY, TEXT, stage, words_of

from kamerton.domain.audio import PHONE, WIDEBAND
from kamerton.domain.errors import Fault, VendorError
from kamerton.tts.voice_chain import VoiceChain
from kamerton.tts.voices.elevenlabs.wire_double import Trouble, VendorScript, Where, serve_elevenlabs
from kamerton.tts.voices.standin import IndexedToneTextToSpeech

pytestmark = [pytest.mark.socket, pytest.mark.anyio]

WHERE: tuple[Where, ...] = ("handshake", "http")
BEFORE_AUDIO = [
    Trouble("refuse", "handshake", status=503),
    Trouble("hang", "handshake"),
    Trouble("reset", "handshake"),
    Trouble("half_close", "handshake"),
    Trouble("garbage", "handshake"),
    Trouble("not_json", "handshake"),
    Trouble("slow", "handshake"),
    Trouble("hang"),
    Trouble("reset"),
    Trouble("half_close"),
    Trouble("close"),
    Trouble("error"),
    Trouble("error", word="input_timeout_exceeded"),
    Trouble("error", word="max_active_conversations"),
    Trouble("garbage"),
    Trouble("not_json"),
    Trouble("bad_base64"),
    Trouble("slow"),
    Trouble("short"),
]
IN_MID_STREAM: list[tuple[Trouble, Fault]] = [
    (Trouble("hang", after=2), "timeout"),
    (Trouble("reset", after=2), "connection"),
    (Trouble("half_close", after=2), "connection"),
    (Trouble("close", after=2), "connection"),
    (Trouble("error", after=2), "failed"),
    (Trouble("error", after=2, word="quota_exceeded"), "quota"),
    (Trouble("garbage", after=2), "connection"),
    (Trouble("not_json", after=2), "broken"),
    (Trouble("bad_base64", after=2), "broken"),
    (Trouble("slow", after=2), "timeout"),
    (Trouble("short", after=2), "broken"),
]
OVER_HTTP: list[tuple[Trouble, Fault]] = [
    (Trouble("refuse", "http", status=401, word="quota_exceeded"), "quota"),
    (Trouble("refuse", "http", status=503), "failed"),
    (Trouble("refuse", "http", status=422, word="voice_not_found"), "rejected"),
    (Trouble("hang", "http"), "timeout"),
    (Trouble("reset", "http"), "connection"),
    (Trouble("half_close", "http"), "connection"),
    (Trouble("garbage", "http"), "broken"),
    (Trouble("not_json", "http"), "broken"),
    (Trouble("slow", "http"), "timeout"),
    (Trouble("hang", "http", after=2), "timeout"),
    (Trouble("reset", "http", after=2), "connection"),
    (Trouble("half_close", "http", after=2), "connection"),
    (Trouble("garbage", "http", after=2), "broken"),
    (Trouble("not_json", "http", after=2), "broken"),
    (Trouble("bad_base64", "http", after=2), "broken"),
    (Trouble("slow", "http", after=2), "timeout"),
    (Trouble("short", "http", after=2), "broken"),
]


def named(value: object) -> str:
    return f"{value.where}-{value.kind}-{value.after}" if isinstance(value, Trouble) else str(value)


@pytest.mark.parametrize("trouble", BEFORE_AUDIO, ids=named)
async def test_a_websocket_that_fails_before_any_audio_is_replaced_by_http_within_the_speech(trouble: Trouble) -> None:
    async with stage(VendorScript(troubles=(trouble,))) as at:
        assert await at.say() == TEXT
        assert len(at.vendor.seen.requests) == 1, "one switch, one request"
        assert at.voice.figures["switched"] == 1
        assert at.vendor.seen.breaches == []


@pytest.mark.parametrize(("trouble", "fault"), IN_MID_STREAM, ids=named)
async def test_a_websocket_that_fails_in_mid_speech_tells_so_after_whole_words(trouble: Trouble, fault: Fault) -> None:
    async with stage(VendorScript(troubles=(trouble,))) as at:
        chunks, error = await at.until_failure()
        assert isinstance(error, VendorError)
        assert error.fault == fault
        said = words_of(chunks)
        assert said
        assert TEXT.startswith(said)
        assert len(said) < len(TEXT)
        assert at.vendor.seen.requests == [], "what was heard is not said again"
        assert await at.say() == TEXT


@pytest.mark.parametrize(("trouble", "fault"), OVER_HTTP, ids=named)
async def test_http_that_fails_is_told_as_what_it_is(trouble: Trouble, fault: Fault) -> None:
    async with stage(VendorScript(troubles=(trouble,)), websocket=False) as at:
        chunks, error = await at.until_failure()
        assert isinstance(error, VendorError)
        assert error.fault == fault
        assert bool(chunks) == bool(trouble.after)
        assert await at.say() == TEXT


@pytest.mark.parametrize("trouble", [trouble for trouble, _ in IN_MID_STREAM], ids=named)
async def test_the_next_voice_goes_on_with_the_word_at_which_it_stopped(trouble: Trouble) -> None:
    async with stage(VendorScript(troubles=(trouble,))) as at:
        chain = VoiceChain.of_voices([at.voice, IndexedToneTextToSpeech()])
        spoken = [item async for item in chain.speak(TEXT, "ru", PHONE)]
        assert words_of([chunk for _, chunk in spoken]) == TEXT
        assert {voice for voice, _ in spoken} == {at.voice.name, "indexed-tones"}


async def test_a_wrong_key_is_told_and_shown_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for websocket in (True, False):
        async with stage(key="xi-secret-key", websocket=websocket) as at:
            _, error = await at.until_failure()
            assert isinstance(error, VendorError)
            assert error.fault == "unauthorised"
            assert "accounts.elevenlabs.api_key" in str(error)
            assert len(at.vendor.seen.requests) == (0 if websocket else 1), "HTTP would refuse it as well"
            shown = [repr(error), repr(error.__cause__), repr(error.__context__), repr(at.voice), caplog.text]
            shown += [str(vars(record)) for record in caplog.records]
            assert not [text for text in shown if "xi-secret-key" in text]


async def test_a_key_that_works_is_in_no_log_either(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with stage(
        VendorScript(troubles=(Trouble("reset"), Trouble("reset", after=1), Trouble("hang", "http")))
    ) as at:
        for _ in range(3):
            await at.until_failure()
    assert KEY not in caplog.text
    assert not [record for record in caplog.records if KEY in str(vars(record))]


async def test_the_key_is_not_carried_to_where_a_redirect_points() -> None:
    async with serve_elevenlabs() as elsewhere:
        address = f"{elsewhere.url}/v1/text-to-speech/{VendorScript().voices[0]}"
        query = "model_id=eleven_flash_v2_5&output_format=pcm_8000"
        websocket = address.replace("http", "ws", 1) + f"/multi-stream-input?{query}"
        troubles = (
            Trouble("refuse", "handshake", status=307, location=websocket),
            Trouble("refuse", "http", status=307, location=f"{address}/stream/with-timestamps?{query}"),
        )
        async with stage(VendorScript(troubles=troubles)) as at:
            _, error = await at.until_failure()
            assert isinstance(error, VendorError)
            assert await at.say() == TEXT
        assert (elsewhere.seen.handshakes, elsewhere.seen.requests) == (0, [])


@pytest.mark.parametrize(
    ("word", "fault"),
    [("invalid_api_key", "unauthorised"), ("quota_exceeded", "quota"), ("voice_not_found", "rejected")],
)
async def test_what_http_would_refuse_as_well_is_raised_at_once(word: str, fault: Fault) -> None:
    async with stage(VendorScript(troubles=(Trouble("error", word=word),))) as at:
        _, error = await at.until_failure()
        assert isinstance(error, VendorError)
        assert error.fault == fault
        assert at.vendor.seen.requests == []


@pytest.mark.parametrize("where", WHERE)
async def test_429_is_told_with_the_pause_that_is_asked_for(where: Where) -> None:
    trouble = Trouble("refuse", where, status=429, word="too_many_concurrent_requests", retry_after="7")
    async with stage(VendorScript(troubles=(trouble,)), websocket=where == "handshake") as at:
        _, error = await at.until_failure()
        assert isinstance(error, VendorError)
        assert (error.fault, error.retry_after_s) == ("rate_limited", 7.0)
        assert "concurrency" in str(error)
        assert len(at.vendor.seen.requests) == (where == "http"), "nothing is asked again before the pause is over"


async def test_when_http_fails_as_well_the_speech_has_failed() -> None:
    troubles = (Trouble("reset"), Trouble("refuse", "http", status=503))
    async with stage(VendorScript(troubles=troubles)) as at:
        chunks, error = await at.until_failure()
        assert chunks == []
        assert isinstance(error, VendorError)
        assert error.fault == "failed"
        assert len(at.vendor.seen.requests) == 1


async def test_a_websocket_that_failed_twice_rests_and_is_taken_again_later() -> None:
    async with stage(VendorScript(troubles=(Trouble("close", times=2),)), websocket_rest_s=0.3) as at:
        for _ in range(2):
            assert await at.say() == TEXT
        contexts = len(at.vendor.seen.contexts)
        assert await at.say() == TEXT
        assert len(at.vendor.seen.contexts) == contexts, "while it rests it is not asked"
        with anyio.fail_after(10):
            while not at.voice.figures["over_websocket"]:
                assert await at.say() == TEXT
        assert len(at.vendor.seen.contexts) > contexts


async def test_texts_that_are_being_written_go_on_over_http() -> None:
    async def pieces() -> AsyncIterator[str]:
        for word in TEXT.split():
            yield word + " "

    async with stage(VendorScript(troubles=(Trouble("reset"),))) as at:
        assert await at.say(pieces()) == TEXT
        bodies = [request.body for request in at.vendor.seen.requests]
        assert bodies[0]["text"] == "Добрый день!"
        assert " ".join(body["text"] for body in bodies) == TEXT
        assert bodies[1]["previous_text"] == "Добрый день!"


async def test_models_and_rates_are_asked_for_as_they_want_it() -> None:
    async with stage(stability=0.4, similarity=0.7, speed=1.1) as at:
        await at.say(audio_format=WIDEBAND)
        await at.say(language="uk")
        first, second = at.vendor.seen.contexts
        assert first.query["output_format"] == "pcm_16000"
        assert second.query["output_format"] == "pcm_8000"
        assert (first.query["language_code"], second.query["language_code"]) == ("ru", "uk")
        assert first.query["sync_alignment"] == "true"
        assert first.first["voice_settings"] == {"stability": 0.4, "similarity_boost": 0.7, "speed": 1.1}
        assert at.vendor.seen.handshakes == 2, "voice, language and rate are fixed for a WebSocket"
    async with stage(model="eleven_multilingual_v2") as at:
        await at.say()
        assert "language_code" not in at.vendor.seen.contexts[0].query
    async with stage(model="eleven_v3") as at:
        assert await at.say() == TEXT
        assert at.vendor.seen.handshakes == 0
        assert at.vendor.seen.requests[0].body["language_code"] == "ru"
        assert at.vendor.seen.requests[0].query["output_format"] == "pcm_8000"


async def test_characters_are_counted_where_they_are_sent() -> None:
    async with stage() as at:
        await at.say()
        assert {(usage.part, usage.engine, usage.unit) for usage in at.bill.usages} == {
            ("voice", "elevenlabs", "characters")
        }
        assert sum(usage.amount for usage in at.bill.usages) == len(TEXT) + 1


async def test_an_answer_that_is_not_ended_is_taken_as_it_is_and_the_connection_replaced() -> None:
    script = VendorScript(troubles=(Trouble("no_final", after=99),))
    async with stage(script, wire={"drain_s": 0.2}) as at:
        assert await at.say() == TEXT
        with anyio.fail_after(5):
            await at.vendor.seen.until(lambda seen: seen.sockets_open == 0)
        assert await at.say() == TEXT
        assert at.vendor.seen.handshakes == 2


async def test_a_connection_that_died_in_silence_is_noticed_and_replaced() -> None:
    async with stage(VendorScript(troubles=(Trouble("hang"),)), wire={"ping_s": 0.2}) as at:
        at.voice.expect(1)
        assert await at.say() == TEXT
        with anyio.fail_after(5):
            await at.vendor.seen.until(lambda seen: seen.handshakes == 2 and seen.sockets_open == 1)
        assert await at.say() == TEXT
        assert at.voice.figures["over_websocket"] == 1
        assert at.voice.figures["lost"] == 1
