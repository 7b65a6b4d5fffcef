"""What SpeechKit's synthesis may do to a speech, over real sockets, and what a caller then hears."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator

import anyio
import pytest
from pydantic import SecretStr
from yandex_voice_stage import KEY, TEXT, Stage, stage, words_of

from kamerton.domain.audio import PHONE, WIDEBAND
from kamerton.domain.errors import EngineError, Fault, VendorError
from kamerton.tts.voice_chain import VoiceChain
from kamerton.tts.voices.standin import IndexedToneTextToSpeech
from kamerton.tts.voices.yandex.wire_double_relay import Spoil
from kamerton.tts.voices.yandex.wire_double_script import SpeechKitScript, Trouble
from kamerton.vendors.accounts.yandex import YandexAccount

pytestmark = [pytest.mark.socket, pytest.mark.anyio, pytest.mark.usefixtures("grpc_settles")]

LONG = " ".join([TEXT] * 3)
REFUSALS: list[tuple[Trouble, Fault]] = [
    (Trouble("refuse", status="PERMISSION_DENIED"), "unauthorised"),
    (Trouble("refuse", status="RESOURCE_EXHAUSTED", message="Too many requests"), "rate_limited"),
    (Trouble("refuse", status="RESOURCE_EXHAUSTED", message="Quota ai.speechSynthesis exceeded"), "quota"),
    (Trouble("refuse", status="INVALID_ARGUMENT"), "rejected"),
    (Trouble("refuse", status="INTERNAL"), "failed"),
    (Trouble("refuse", status="UNAVAILABLE", times=2), "connection"),
    (Trouble("refuse", status="CANCELLED", times=2), "connection"),
    (Trouble("hang"), "timeout"),
    (Trouble("talk"), "timeout"),
    (Trouble("short"), "broken"),
    (Trouble("garbage"), "broken"),
    (Trouble("wav"), "broken"),
    (Trouble("flood"), "broken"),
]
IN_MID_SPEECH: list[tuple[Trouble, Fault]] = [
    (Trouble("refuse", after=3, status="UNAUTHENTICATED"), "unauthorised"),
    (Trouble("refuse", after=3, status="UNAVAILABLE"), "connection"),
    (Trouble("refuse", after=3, status="CANCELLED"), "connection"),
    (Trouble("refuse", after=3, status="RESOURCE_EXHAUSTED"), "rate_limited"),
    (Trouble("hang", after=3), "timeout"),
    (Trouble("drip", after=3), "timeout"),
    (Trouble("talk", after=3), "timeout"),
    (Trouble("garbage", after=3), "broken"),
    (Trouble("flood", after=3), "broken"),
]
MID_BYTES = 40_000
"""Behind the first words: 2.5 s of audio."""
BELOW_GRPC: list[tuple[Spoil, Fault]] = [
    (Spoil("reset", times=9), "connection"),
    (Spoil("half_close", times=9), "connection"),
    (Spoil("garbage", times=9), "connection"),
    (Spoil("hang", times=9), "timeout"),
    (Spoil("slow", times=9), "timeout"),
    (Spoil("reset", MID_BYTES), "connection"),
    (Spoil("half_close", MID_BYTES), "connection"),
    (Spoil("garbage", MID_BYTES), "timeout"),
    (Spoil("hang", MID_BYTES), "timeout"),
    (Spoil("slow", MID_BYTES), "timeout"),
]


def named(value: object) -> str:
    if isinstance(value, Trouble):
        return f"{value.kind}-{value.status}-{value.after}"
    return f"{value.kind}-{value.after}" if isinstance(value, Spoil) else str(value)


async def failure(at: Stage, fault: Fault) -> tuple[str, VendorError]:
    """The words that were said before a speech failed as expected; the voice speaks again afterwards."""
    chunks, error = await at.until_failure(LONG)
    assert isinstance(error, VendorError)
    assert error.fault == fault, str(error)
    assert at.voice.figures["busy"] == 0
    said = words_of(chunks)
    assert LONG.startswith(said)
    assert len(said) < len(LONG)
    assert str(error).startswith("Yandex SpeechKit at 127.0.0.1:")
    return said, error


@pytest.mark.parametrize(("trouble", "fault"), REFUSALS, ids=named)
async def test_a_request_that_fails_before_its_audio_is_told_as_what_it_is(trouble: Trouble, fault: Fault) -> None:
    async with stage(SpeechKitScript(troubles=(trouble,)), quick_start=False) as at:
        said, error = await failure(at, fault)
        assert said == "" or trouble.kind == "flood"
        assert "; " in str(error), "it says what to do"
        assert await at.say() == TEXT


@pytest.mark.parametrize(("trouble", "fault"), IN_MID_SPEECH, ids=named)
async def test_a_request_that_fails_in_mid_speech_tells_so_after_whole_words(trouble: Trouble, fault: Fault) -> None:
    async with stage(SpeechKitScript(troubles=(trouble,)), quick_start=False) as at:
        said, _ = await failure(at, fault)
        assert said
        assert len(at.vendor.seen.requests) == 1, "what was heard is not said again"
        assert await at.say() == TEXT


@pytest.mark.parametrize(("spoil", "fault"), BELOW_GRPC, ids=named)
async def test_a_connection_that_fails_is_told_and_left(spoil: Spoil, fault: Fault) -> None:
    async with stage(spoil=spoil, quick_start=False) as at:
        said, _ = await failure(at, fault)
        assert bool(said) == bool(spoil.after)
        assert at.relay is not None
        if spoil.after:
            assert await at.say() == TEXT, "over a new connection"
            assert at.relay.connections == 2


@pytest.mark.parametrize("trouble", [Trouble("refuse", status="UNAVAILABLE"), Trouble("refuse", status="CANCELLED")])
async def test_a_connection_that_breaks_before_the_audio_is_tried_once_more(trouble: Trouble) -> None:
    async with stage(SpeechKitScript(troubles=(trouble,))) as at:
        assert await at.say() == TEXT
        assert at.voice.figures["second_attempts"] == 1
        assert at.bill.of("characters") == len(TEXT) - 1, "what was not served is not counted twice"


@pytest.mark.parametrize("trouble", [trouble for trouble, _ in IN_MID_SPEECH], ids=named)
async def test_the_next_voice_goes_on_with_the_word_at_which_it_stopped(trouble: Trouble) -> None:
    async with stage(SpeechKitScript(troubles=(trouble,)), quick_start=False) as at:
        chain = VoiceChain.of_voices([at.voice, IndexedToneTextToSpeech()])
        spoken = [item async for item in chain.speak(LONG, "ru", PHONE)]
        assert words_of([chunk for _, chunk in spoken]) == LONG
        assert {voice for voice, _ in spoken} == {at.voice.name, "indexed-tones"}


@pytest.mark.parametrize("told", ["details", "header"])
async def test_how_long_the_vendor_asks_to_wait_is_passed_on(told: str) -> None:
    trouble = Trouble("refuse", status="RESOURCE_EXHAUSTED", retry_after_s=7, retry_told=told)  # type: ignore[arg-type]
    async with stage(SpeechKitScript(troubles=(trouble,))) as at:
        _, error = await failure(at, "rate_limited")
        assert error.retry_after_s == 7
        assert "wait 7 s" in str(error)


async def test_a_wrong_key_is_told_and_shown_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    secret = "AQVN-secret-that-nobody-may-see"
    async with stage(account=YandexAccount(SecretStr(secret))) as at:
        _, error = await failure(at, "unauthorised")
        assert "accounts.yandex" in str(error)
        assert len(at.vendor.seen.requests) == 1, "a key does not change"
        shown = [repr(error), repr(error.__cause__), repr(error.__context__), repr(at.voice), caplog.text]
        shown += [str(vars(record)) for record in caplog.records]
        assert not [text for text in shown if secret in text]


async def test_a_vendor_that_repeats_the_key_does_not_make_it_known(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    troubles = (
        Trouble("refuse", status="UNAVAILABLE", message=f"no {KEY} here"),
        Trouble("refuse", message=f"no {KEY} here\x1b[31m"),
    )
    async with stage(SpeechKitScript(troubles=troubles)) as at:
        _, error = await failure(at, "failed")
        assert KEY not in str(error) + repr(error.__cause__) + repr(error.__context__)
        assert "\x1b" not in str(error)
        assert "sent once more" in caplog.text
        assert KEY not in caplog.text + "".join(str(vars(record)) for record in caplog.records)


async def test_closing_a_speech_frees_the_request_at_once() -> None:
    async with stage(SpeechKitScript(piece_s=0.05)) as at:
        speech = at.voice.speak(LONG, language="ru", audio_format=PHONE)
        assert (await anext(speech)).text
        await speech.aclose()
        with anyio.fail_after(2):
            await at.vendor.seen.until(lambda seen: seen.open == 0)
        assert at.voice.figures["busy"] == 0
        assert len(at.vendor.seen.requests) == 1


async def test_cancelling_a_speech_before_its_audio_frees_the_request_at_once() -> None:
    async with stage(SpeechKitScript(troubles=(Trouble("hang"),)), first_audio_s=10) as at:
        async with anyio.create_task_group() as group:
            group.start_soon(at.until_failure)
            with anyio.fail_after(2):
                await at.vendor.seen.until(lambda seen: seen.open == 1)
            group.cancel_scope.cancel()
        with anyio.fail_after(2):
            await at.vendor.seen.until(lambda seen: seen.requests[0].given_up and seen.open == 0)
        assert await at.say() == TEXT


async def test_what_a_cancelled_request_still_gets_is_heard_by_nobody() -> None:
    async with stage(SpeechKitScript(piece_s=0.05, stubborn=True)) as at:
        speech = at.voice.speak(LONG, language="ru", audio_format=PHONE)
        await anext(speech)
        await speech.aclose()
        assert await at.say() == TEXT


async def test_closing_the_voice_ends_its_speeches() -> None:
    async with stage(SpeechKitScript(troubles=(Trouble("hang", after=1),)), gap_s=10, quick_start=False) as at:
        async with anyio.create_task_group() as group:
            failures: list[EngineError | None] = []

            async def speak() -> None:
                failures.append((await at.until_failure())[1])

            group.start_soon(speak)
            with anyio.fail_after(2):
                await at.vendor.seen.until(lambda seen: bool(seen.requests) and seen.requests[0].pieces == 1)
            await at.voice.aclose()
        assert "closed" in str(failures[0])
        with pytest.raises(EngineError, match="open it again"):
            await at.say()


async def test_speeches_beyond_the_places_wait_their_turn_and_not_for_ever() -> None:
    script = SpeechKitScript(troubles=(Trouble("hang"),))
    async with stage(script, concurrency=1, queue_s=0.1, first_audio_s=5) as at, anyio.create_task_group() as group:
        group.start_soon(at.until_failure)
        with anyio.fail_after(2):
            await at.vendor.seen.until(lambda seen: seen.open == 1)
        _, error = await at.until_failure()
        assert isinstance(error, VendorError)
        assert error.fault == "rate_limited"
        assert "voice.yandex.concurrency" in str(error)
        group.cancel_scope.cancel()


async def test_a_slow_service_that_keeps_ahead_of_the_voice_is_waited_for() -> None:
    async with stage(SpeechKitScript(piece_s=0.15), gap_s=0.4, quick_start=False) as at:
        assert await at.say() == TEXT


async def test_a_service_slower_than_speech_is_given_up() -> None:
    script = SpeechKitScript(piece_s=0.2, ms_per_character=30, characters_in_piece=5)
    async with stage(script, gap_s=0.4, quick_start=False) as at:
        said, error = await failure(at, "timeout")
        assert said
        assert "fell more than 0.4 s behind" in str(error)


async def test_a_speech_that_was_said_to_its_last_word_needs_no_end(caplog: pytest.LogCaptureFixture) -> None:
    async with stage(SpeechKitScript(troubles=(Trouble("no_end"),)), quick_start=False) as at:
        assert await at.say() == TEXT
        assert "a speech was not ended" in caplog.text
    script = SpeechKitScript(times="none", troubles=(Trouble("no_end"),))
    async with stage(script, quick_start=False) as at:
        await failure(at, "timeout")


async def test_a_text_that_breaks_off_is_an_error_of_its_own() -> None:
    async def pieces() -> AsyncIterator[str]:
        yield "Добрый день! Вас "
        raise RuntimeError("the model is gone")

    async with stage() as at:
        chunks, error = await at.until_failure(pieces())
        assert words_of(chunks) == "Добрый день!"
        assert not isinstance(error, VendorError)
        assert "the model is gone" in str(error)


async def test_a_rate_that_calls_do_not_have_is_refused() -> None:
    async with stage() as at:
        with pytest.raises(EngineError, match="44100"):
            await at.say(audio_format=type(WIDEBAND)(44_100))
