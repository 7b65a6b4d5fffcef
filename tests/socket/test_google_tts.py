"""What Google's Text-to-Speech may do to a speech, over real sockets, and what a caller then hears."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from certificates import self_signed
from cut_relay import Cut, cut_off
from google_voice import TEXT, TOKEN, FixedTokens, stage, words_of
from rude_servers import Rudeness, rude_server

from kamerton.domain.audio import PHONE, WIDEBAND
from kamerton.domain.errors import Fault, VendorError
from kamerton.tts.voice_chain import VoiceChain
from kamerton.tts.voices.google.wire_double import Misdeed, VoiceScript, serve_google_voice
from kamerton.tts.voices.google.wire_double_script import Method
from kamerton.tts.voices.standin import IndexedToneTextToSpeech
from kamerton.vendors.rpc.channels import read_roots

pytestmark = [pytest.mark.socket, pytest.mark.anyio, pytest.mark.usefixtures("grpc_settles")]

PER_DAY = "Quota exceeded for quota metric 'Characters' and limit 'Characters per day' of service"
LONG = "Слово за слово, и разговор идёт дальше. " * 20
EVERY = 99
METHODS: tuple[Method, ...] = ("stream", "whole", "list")

GOES_WHOLE = [
    Misdeed("refuse", status="INVALID_ARGUMENT", details="not supported for streaming"),
    Misdeed("refuse", status="UNIMPLEMENTED", details="no such method"),
    Misdeed("refuse", status="INTERNAL", details="Internal error encountered."),
    Misdeed("refuse", status="ABORTED", details="Stream aborted due to long duration elapsed without input sent."),
    Misdeed("end"),
    Misdeed("garbage"),
    Misdeed("silence"),
]
ENDS_A_STREAM: list[tuple[Misdeed, Fault]] = [
    (Misdeed("refuse", status="PERMISSION_DENIED", details="API has not been used in project 1"), "unauthorised"),
    (Misdeed("refuse", status="RESOURCE_EXHAUSTED", details=PER_DAY), "quota"),
    (Misdeed("refuse", status="UNAVAILABLE"), "connection"),
    (Misdeed("hang"), "timeout"),
    (Misdeed("slow"), "timeout"),
]
IN_MID_STREAM: list[tuple[Misdeed, Fault]] = [
    (Misdeed("hang", after_pieces=20), "timeout"),
    (Misdeed("end", after_pieces=3), "broken"),
    (Misdeed("garbage", after_pieces=20), "broken"),
    (Misdeed("slow", after_pieces=20), "timeout"),
    (Misdeed("endless", after_pieces=20), "broken"),
    (Misdeed("refuse", after_pieces=20, status="INTERNAL", details="Internal error"), "failed"),
    (Misdeed("refuse", after_pieces=20), "connection"),
]
WHOLE: list[tuple[Misdeed, Fault]] = [
    (Misdeed("refuse", "whole", status="INVALID_ARGUMENT", details="sentences that are too long"), "rejected"),
    (Misdeed("refuse", "whole", status="INTERNAL", details="Internal error"), "failed"),
    (Misdeed("refuse", "whole", status="RESOURCE_EXHAUSTED", details=PER_DAY), "quota"),
    (Misdeed("refuse", "whole"), "connection"),
    (Misdeed("hang", "whole"), "timeout"),
    (Misdeed("end", "whole"), "broken"),
    (Misdeed("garbage", "whole"), "broken"),
    (Misdeed("short_wav", "whole"), "broken"),
    (Misdeed("silence", "whole"), "broken"),
    (Misdeed("endless", "whole"), "broken"),
]


FOR_GOOD = ("INVALID_ARGUMENT", "UNIMPLEMENTED")
"""Refusals of streaming itself."""


class SkippingLoop(asyncio.SelectorEventLoop):
    """The clock of a loop that was busy with something else for a while."""

    skipped_s = 0.0

    def time(self) -> float:
        return super().time() + self.skipped_s


@pytest.fixture(scope="module")
def anyio_backend() -> object:
    return ("asyncio", {"loop_factory": SkippingLoop})


def named(value: object) -> str:
    return f"{value.method}-{value.kind}-{value.status}-{value.after_pieces}" if isinstance(value, Misdeed) else ""


@pytest.mark.parametrize("misdeed", GOES_WHOLE, ids=named)
async def test_a_stream_that_fails_before_any_audio_is_replaced_by_a_whole_sentence(misdeed: Misdeed) -> None:
    async with stage(VoiceScript(misdeeds=[misdeed])) as at:
        assert await at.say() == TEXT
        assert at.vendor.of("whole")[0].text == "Добрый день!"
        assert (len(at.vendor.of("stream")), len(at.vendor.of("whole"))) in (
            [(1, 3), (3, 1)] if misdeed.status in FOR_GOOD else [(3, 1)]
        ), "gRPC may lose the status of a refusal, and then streaming is tried again"
        assert at.voice.figures["switched"] == 1


@pytest.mark.parametrize("status", FOR_GOOD)
async def test_a_voice_that_cannot_be_streamed_is_not_asked_to_for_ever(status: str) -> None:
    async with stage(VoiceScript(misdeeds=[Misdeed("refuse", status=status, requests=99)])) as at:
        for _ in range(3):
            assert await at.say() == TEXT
        assert len(at.vendor.of("whole")) == 9
        assert 1 <= len(at.vendor.of("stream")) <= 3, "as soon as gRPC has told the status, or lost it three times"


@pytest.mark.parametrize(("misdeed", "fault"), ENDS_A_STREAM, ids=named)
async def test_what_a_whole_sentence_would_meet_as_well_is_raised_at_once(misdeed: Misdeed, fault: Fault) -> None:
    # A refusal that comes while the text is sent is lost by gRPC: then the whole sentence is asked for, and meets it.
    async with stage(VoiceScript(misdeeds=[misdeed, replace(misdeed, method="whole")])) as at:
        chunks, error = await at.until_failure()
        assert isinstance(error, VendorError)
        assert error.fault == fault
        assert chunks == [] or misdeed.kind == "slow"
        assert len(at.vendor.of("stream")) == 1
        assert len(at.vendor.of("whole")) <= (misdeed.kind == "refuse")
        at.vendor.script.misdeeds.clear()
        assert await at.say() == TEXT


@pytest.mark.parametrize(("misdeed", "fault"), IN_MID_STREAM, ids=named)
async def test_a_stream_that_fails_in_mid_speech_tells_so_and_the_next_voice_goes_on(
    misdeed: Misdeed, fault: Fault
) -> None:
    text = "Вас приветствует страховая компания, самая большая в городе. Сколько лошадиных сил у вашей машины?"
    async with stage(VoiceScript(misdeeds=[misdeed, misdeed])) as at:
        chunks, error = await at.until_failure(text)
        assert isinstance(error, VendorError)
        assert error.fault == fault
        said = words_of(chunks)
        assert said
        assert text.startswith(said)
        assert len(said) < len(text)
        assert at.vendor.of("whole") == [], "what was heard is not said again"
        chain = VoiceChain.of_voices([at.voice, IndexedToneTextToSpeech()])
        spoken = [item async for item in chain.speak(text, "ru", PHONE)]
        assert words_of([chunk for _, chunk in spoken]) == text
        assert {voice for voice, _ in spoken} == {at.voice.name, "indexed-tones"}


@pytest.mark.parametrize(("misdeed", "fault"), WHOLE, ids=named)
async def test_a_whole_sentence_that_fails_is_told_as_what_it_is(misdeed: Misdeed, fault: Fault) -> None:
    async with stage(VoiceScript(misdeeds=[misdeed]), streaming=False) as at:
        chunks, error = await at.until_failure()
        assert isinstance(error, VendorError)
        assert error.fault == fault
        assert chunks == []
        assert await at.say() == TEXT


@pytest.mark.parametrize("method", METHODS)
async def test_a_wait_that_the_service_asks_for_is_told(method: Method) -> None:
    misdeed = Misdeed("refuse", method, status="RESOURCE_EXHAUSTED", details="Resource exhausted", retry_after_s=7.0)
    later = replace(misdeed, method="whole")
    async with stage(VoiceScript(misdeeds=[misdeed, later]), streaming=method != "whole") as at:
        _, error = await at.until_failure()
        assert isinstance(error, VendorError)
        assert (error.fault, error.retry_after_s) == ("rate_limited", 7.0)
        assert all(len(at.vendor.of(one)) <= 1 for one in METHODS)


@pytest.mark.parametrize("streaming", [True, False])
async def test_a_wrong_token_is_told_and_shown_nowhere(caplog: pytest.LogCaptureFixture, streaming: bool) -> None:
    caplog.set_level(logging.DEBUG)
    async with stage(VoiceScript(), streaming=streaming) as at:
        assert await at.say() == TEXT
        at.vendor.script.token = "another"
        _, error = await at.until_failure()
        assert isinstance(error, VendorError)
        assert error.fault == "unauthorised"
        assert "accounts.google" in str(error)
        shown = [repr(error), repr(at.voice), caplog.text, "".join(traceback.format_exception(error))]
        shown += [str(vars(record)) for record in caplog.records]
        assert not [text for text in shown if TOKEN in text]
        assert error.__context__ is None
        assert error.__cause__ is None


@pytest.mark.parametrize("streaming", [True, False])
async def test_a_token_that_was_taken_back_is_replaced_once(streaming: bool) -> None:
    tokens = FixedTokens((TOKEN, "ya29.second", "ya29.third"))
    async with stage(tokens=tokens, streaming=streaming) as at:
        assert await at.say() == TEXT
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SkippingLoop)
        loop.skipped_s += 60
        at.vendor.script.token = "ya29.second"
        assert await at.say() == TEXT
        assert tokens.given == 2
        loop.skipped_s += 60
        at.vendor.script.token = "of somebody else"
        _, error = await at.until_failure()
        assert isinstance(error, VendorError)
        assert error.fault == "unauthorised"
        assert tokens.given == 3


async def test_a_list_that_fails_fails_the_speech_and_is_asked_for_again() -> None:
    for misdeed, fault in [
        (Misdeed("hang", "list"), "timeout"),
        (Misdeed("garbage", "list"), "broken"),
        (Misdeed("refuse", "list"), "connection"),
    ]:
        async with stage(VoiceScript(misdeeds=[misdeed])) as at:
            _, error = await at.until_failure()
            assert isinstance(error, VendorError)
            assert error.fault == fault
            assert await at.say() == TEXT
            assert len(at.vendor.of("list")) == 2


async def test_a_voice_that_is_named_in_full_speaks_without_the_list() -> None:
    script = VoiceScript(misdeeds=[Misdeed("refuse", "list", status="INTERNAL", requests=EVERY)])
    async with stage(script, voice="ru-RU-Chirp3-HD-Charon") as at:
        assert await at.say() == TEXT
        assert {request.voice for request in at.vendor.of("stream")} == {"ru-RU-Chirp3-HD-Charon"}


async def test_an_unknown_voice_is_refused_with_those_of_the_language() -> None:
    async with stage(voice="ru-RU-Wavenet-Z") as at:
        _, error = await at.until_failure()
        assert isinstance(error, VendorError)
        assert error.fault == "rejected"
        assert "ru-RU-Wavenet-Z" in str(error)
        assert "ru-RU-Chirp3-HD-Kore, ru-RU-Chirp3-HD-Charon, ru-RU-Wavenet-A, ru-RU-Standard-A" in str(error)
        assert "uk-UA" not in str(error)
        assert at.vendor.of("stream") == []


async def test_what_is_asked_for_is_what_was_set() -> None:
    async with stage(speaking_rate=1.2, voice_uk="Wavenet-B") as at:
        await at.say(audio_format=WIDEBAND)
        await at.say(language="uk")
        first, second = at.vendor.of("stream")[0], at.vendor.of("whole")[0]
        assert (first.voice, first.code, first.rate_hz, first.encoding) == ("ru-RU-Chirp3-HD-Kore", "ru-RU", 16000, 7)
        assert (second.voice, second.code, second.rate_hz, second.encoding) == ("uk-UA-Wavenet-B", "uk-UA", 8000, 1)
        assert first.speaking_rate == second.speaking_rate == 1.2
        assert len(at.vendor.of("list")) == 2
        assert first.authorization == f"Bearer {TOKEN}"


async def test_a_long_text_goes_in_requests_within_the_limit() -> None:
    text = "слово за слово, " * 300
    for streaming in (True, False):
        async with stage(streaming=streaming, whole_s=5.0) as at:
            assert await at.say(text) == " ".join(text.split())
            asked = at.vendor.of("stream" if streaming else "whole")
            assert 5 < len(asked) < 15
            assert all(len(request.text.encode()) <= 900 for request in asked)


async def test_closing_a_speech_frees_its_request_at_once() -> None:
    async with stage(VoiceScript(misdeeds=[Misdeed("hang", after_pieces=5)]), gap_s=20.0) as at:
        async with aclosing(at.voice.speak(LONG, language="ru", audio_format=PHONE)) as chunks:
            await anext(chunks)
            assert at.vendor.under_way == 1
        with anyio.fail_after(2):
            await at.vendor.until(lambda: at.vendor.requests[-1].ended == "cancelled")
        assert at.voice.figures["busy"] == 0
        assert await at.say() == TEXT, "nothing of the speech before is heard"


@pytest.mark.parametrize("method", METHODS)
async def test_cancelling_a_speech_frees_its_request_at_once(method: Method) -> None:
    script = VoiceScript(misdeeds=[Misdeed("hang", method)])
    bounds: dict[str, Any] = {"first_audio_s": 20.0, "whole_s": 20.0, "open_s": 20.0}
    async with stage(script, streaming=method != "whole", **bounds) as at:
        async with anyio.create_task_group() as group:
            group.start_soon(at.say)
            await at.vendor.until(lambda: bool(at.vendor.requests) and at.vendor.requests[-1].method == method)
            group.cancel_scope.cancel()
        with anyio.fail_after(2):
            await at.vendor.until(lambda: at.vendor.requests[-1].ended == "cancelled")
        assert await at.say() == TEXT


async def test_closing_the_voice_ends_its_speeches() -> None:
    async with stage(VoiceScript(misdeeds=[Misdeed("hang", after_pieces=5)]), gap_s=20.0) as at:
        errors: list[object] = []

        async def speak() -> None:
            errors.append((await at.until_failure())[1])

        async with anyio.create_task_group() as group:
            group.start_soon(speak)
            await at.vendor.until(lambda: bool(at.vendor.of("stream")) and at.vendor.requests[-1].pieces == 5)
            await at.voice.aclose()
        (error,) = errors
        assert isinstance(error, VendorError)
        assert error.fault == "connection"


async def test_who_finds_no_place_in_time_is_told() -> None:
    async with stage(VoiceScript(misdeeds=[Misdeed("hang")]), concurrency=1, queue_s=0.2, first_audio_s=20.0) as at:
        async with anyio.create_task_group() as group:
            group.start_soon(at.say)
            await at.vendor.until(lambda: bool(at.vendor.of("stream")))
            _, error = await at.until_failure()
            group.cancel_scope.cancel()
        assert isinstance(error, VendorError)
        assert error.fault == "rate_limited"
        assert "concurrency" in str(error)


async def test_texts_that_are_being_written_are_said_as_they_come() -> None:
    async with stage() as at:
        written, go_on = 0, anyio.Event()

        async def pieces() -> AsyncIterator[str]:
            nonlocal written
            for word in TEXT.split():
                written += 1
                if written == 5:
                    await go_on.wait()
                yield f"{word} "

        async with aclosing(at.voice.speak(pieces(), language="ru", audio_format=PHONE)) as chunks:
            first = await anext(chunks)
            assert first.text
            assert at.vendor.of("stream")[0].text == "Добрый день!"
            go_on.set()
            rest = [chunk async for chunk in chunks]
        assert words_of([first, *rest]) == TEXT


async def test_characters_are_counted_where_they_are_sent() -> None:
    async with stage(VoiceScript(misdeeds=[Misdeed("end")])) as at:
        await at.say()
        assert {(one.part, one.engine, one.unit, one.model) for one in at.bill.usages} == {
            ("voice", "google", "characters", "Chirp3-HD")
        }
        sent = [request.text for request in at.vendor.requests]
        assert sum(one.amount for one in at.bill.usages) == sum(len(text) for text in sent)


async def test_a_run_voice_lists_at_the_start_and_connects_when_a_call_rings() -> None:
    async with stage() as at, anyio.create_task_group() as group:
        await group.start(at.voice.run)
        with anyio.fail_after(5):
            await at.vendor.until(lambda: [one.ended for one in at.vendor.of("list")] == ["well"])
        at.voice.expect(1)
        assert await at.say() == TEXT
        assert len(at.vendor.of("list")) == 1
        assert at.voice.figures["open"] == 1
        await at.voice.aclose()


async def test_a_start_that_fails_is_made_good_when_a_call_rings() -> None:
    async with stage(VoiceScript(misdeeds=[Misdeed("refuse", "list")])) as at, anyio.create_task_group() as group:
        await group.start(at.voice.run)
        with anyio.fail_after(5):
            await at.vendor.until(lambda: [one.ended for one in at.vendor.of("list")] == ["status"])
            while len(at.vendor.of("list")) < 2:
                at.voice.expect(1)
                await anyio.lowlevel.checkpoint()
            await at.vendor.until(lambda: at.vendor.of("list")[-1].ended == "well")
        await at.voice.aclose()


@pytest.mark.parametrize("how", ["reset", "half_close"])
async def test_a_connection_that_is_cut_in_mid_speech_is_told_and_made_again(how: Cut) -> None:
    script = VoiceScript(misdeeds=[Misdeed("hang", after_pieces=60)])
    async with (
        serve_google_voice(script) as vendor,
        cut_off(vendor.address, how) as relay,
        stage(address=relay.address, gap_s=10.0) as at,
    ):
        told: list[tuple[str, object]] = []

        async def speak() -> None:
            chunks, error = await at.until_failure(LONG)
            told.append((words_of(chunks), error))

        async with anyio.create_task_group() as group:
            group.start_soon(speak)
            await vendor.until(lambda: bool(vendor.of("stream")) and vendor.of("stream")[-1].pieces >= 20)
            relay.cut()
        ((said, error),) = told
        assert isinstance(error, VendorError)
        assert error.fault == "connection"
        assert LONG.startswith(said)
        assert await at.say() == TEXT


async def test_who_waits_for_a_list_that_fails_does_not_wait_for_another() -> None:
    async with stage(VoiceScript(misdeeds=[Misdeed("hang", "list", requests=EVERY)])) as at:
        errors: list[object] = []

        async def speak() -> None:
            errors.append((await at.until_failure())[1])

        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(speak)
        assert [isinstance(error, VendorError) and error.fault for error in errors] == ["timeout"] * 5
        assert len(at.vendor.of("list")) == 1


@pytest.mark.parametrize(
    ("rudeness", "fault"),
    [("silence", "timeout"), ("slow", "timeout"), ("reset", "connection"), ("garbage", "connection")],
)
async def test_a_server_that_is_none_is_told_in_time(rudeness: Rudeness, fault: Fault) -> None:
    async with rude_server(rudeness) as address, stage(address=address) as at:
        _, error = await at.until_failure()
        assert isinstance(error, VendorError)
        assert error.fault in (fault, "timeout")
        assert address in str(error)


async def test_a_certificate_that_is_not_trusted_is_told(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    pair = (key.read_bytes(), certificate.read_bytes())
    async with stage(tls=pair, open_s=3.0) as at:
        _, error = await at.until_failure()
        assert isinstance(error, VendorError)
        assert error.fault == "connection"
        assert "certificate" in str(error).lower()
        assert at.vendor.requests == []
    async with stage(tls=pair, roots=await read_roots(certificate)) as at:
        assert await at.say() == TEXT
