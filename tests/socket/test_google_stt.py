"""Google Speech at the wire, where everything goes wrong that can: what a call then gets, and what the vendor sees."""

from __future__ import annotations

import logging
import math
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import anyio
import pytest
from certificates import self_signed
from google_speech import TOKEN, WORDS, FixedTokens, at, framed, recogniser
from rude_servers import Rudeness, rude_server

from kamerton.domain.audio import PHONE
from kamerton.domain.errors import VendorError
from kamerton.domain.recognition import (
    Final,
    Partial,
    RecognitionHint,
    SttEvent,
    SttFailed,
    SttReconnected,
    SttStream,
)
from kamerton.stt.google.lines import GrpcLines
from kamerton.stt.google.models import ModelChoice
from kamerton.stt.google.options import GoogleSttOptions
from kamerton.stt.google.wire_double import (
    GoogleSpeechDouble,
    Misdeed,
    SpeechScript,
    serve_google_speech,
    spoken,
)
from kamerton.vendors.google.credentials import GoogleCredentials
from kamerton.vendors.rpc.channels import read_roots
from kamerton.vendors.usage import Usage

pytestmark = [pytest.mark.anyio, pytest.mark.socket, pytest.mark.usefixtures("grpc_settles")]

TEXT = "сто двести три"
HINT = RecognitionHint("uk", ("сто двести",))
PER_DAY = "Quota exceeded for quota metric 'Audio seconds' and limit 'Audio seconds per day' of service"


def say(stream: SttStream, turn: int = 1, text: str = TEXT, *, silence_ms: int = 300) -> None:
    stream.begin_turn(turn, HINT)
    for frame in framed(spoken(text, WORDS, 8000, silence_ms=silence_ms)):
        stream.push(frame)


async def heard(stream: SttStream, until: Callable[[SttEvent], bool]) -> list[SttEvent]:
    """Events up to one of this kind."""
    events: list[SttEvent] = []
    with anyio.fail_after(15):
        async for event in stream:
            events.append(event)
            if until(event):
                return events
    raise AssertionError(f"the stream ended after {events}")


def has_messages(vendor: GoogleSpeechDouble, count: int) -> bool:
    return bool(vendor.streams) and len(vendor.streams[0].messages) == count


def is_outcome(event: SttEvent) -> bool:
    return isinstance(event, Final | SttFailed)


async def whole_turn(stream: SttStream, turn: int = 1, text: str = TEXT) -> list[SttEvent]:
    say(stream, turn, text)
    stream.end_of_turn()
    return await heard(stream, is_outcome)


async def loss(options: GoogleSttOptions, vendor: GoogleSpeechDouble, roots: bytes | None = None) -> VendorError:
    """How a call learns that the service is lost."""
    stt = recogniser(vendor, options, roots=roots)
    try:
        async with stt.open(PHONE) as stream:
            say(stream)
            stream.end_of_turn()
            with pytest.raises(VendorError) as caught:
                await heard(stream, is_outcome)
        return caught.value
    finally:
        await stt.aclose()


@asynccontextmanager
async def call(vendor: GoogleSpeechDouble, options: GoogleSttOptions | None = None) -> AsyncIterator[SttStream]:
    stt = recogniser(vendor, options)
    try:
        async with stt.open(PHONE) as stream:
            yield stream
    finally:
        await stt.aclose()


async def seen(vendor: GoogleSpeechDouble, condition: Callable[[], bool]) -> None:
    with anyio.fail_after(5):
        await vendor.until(condition)


class TestWhatIsAsked:
    async def test_the_configuration_says_model_place_languages_and_phrases(self) -> None:
        async with serve_google_speech(SpeechScript(WORDS)) as vendor, call(vendor) as stream:
            await whole_turn(stream)
        stream_seen = next(one for one in vendor.streams if one.messages)
        assert stream_seen.recognizer == "projects/project-1/locations/eu/recognizers/_"
        assert stream_seen.model == "chirp_3"
        assert stream_seen.codes == ("uk-UA", "ru-RU")
        assert stream_seen.phrases == ("сто двести",)
        assert stream_seen.rate_hz == 8000

    async def test_messages_have_the_size_that_was_set_and_the_rest_goes_at_the_end(self) -> None:
        async with (
            serve_google_speech(SpeechScript(WORDS)) as vendor,
            call(vendor, at(vendor, chunk_ms=200, warm_s=0)) as stream,
        ):
            stream.begin_turn(1, HINT)
            frames = framed(spoken("сто", WORDS, 8000))
            for start in range(0, len(frames), 10):
                for frame in frames[start : start + 10]:
                    stream.push(frame)
                full = (start + 10) // 10 if start + 10 <= len(frames) else start // 10
                await seen(vendor, partial(has_messages, vendor, full))
            stream.end_of_turn()
            await heard(stream, is_outcome)
        *whole, last = vendor.streams[0].messages
        assert set(whole) == {3200}
        assert sum(whole) + last == sum(len(frame.pcm) for frame in frames)

    async def test_the_next_turn_finds_its_stream_open(self) -> None:
        async with serve_google_speech(SpeechScript(WORDS)) as vendor, call(vendor) as stream:
            await whole_turn(stream, 1)
            await seen(vendor, lambda: len(vendor.streams) == 2)
            final = (await whole_turn(stream, 2))[-1]
            assert isinstance(final, Final)
            assert len([one for one in vendor.streams if one.messages]) == 2
            await seen(vendor, lambda: len(vendor.streams) == 3)

    async def test_a_stream_opened_ahead_is_not_used_for_other_phrases(self) -> None:
        async with serve_google_speech(SpeechScript(WORDS)) as vendor, call(vendor) as stream:
            await seen(vendor, lambda: len(vendor.streams) == 1)
            await whole_turn(stream)
        assert vendor.streams[0].messages == []
        assert vendor.streams[0].phrases == ()
        assert vendor.streams[1].phrases == HINT.phrases

    async def test_what_is_sent_is_counted(self) -> None:
        told: list[Usage] = []

        class Meter:
            def record(self, usage: Usage) -> None:
                told.append(usage)

        async with serve_google_speech(SpeechScript(WORDS)) as vendor:
            stt = recogniser(vendor, usage=Meter())
            async with stt.open(PHONE) as stream:
                await whole_turn(stream)
            await stt.aclose()
        sent_s = sum(sum(one.messages) for one in vendor.streams) / 16_000
        assert sum(usage.amount for usage in told) == pytest.approx(sent_s)
        assert {(usage.part, usage.engine, usage.unit, usage.model) for usage in told} == {
            ("recognizer", "google", "seconds", "chirp_3")
        }

    async def test_abandoning_and_leaving_free_the_request_at_once(self) -> None:
        async with serve_google_speech(SpeechScript(WORDS)) as vendor:
            stt = recogniser(vendor, at(vendor, warm_s=0))
            async with stt.open(PHONE) as stream:
                say(stream)
                await heard(stream, lambda event: isinstance(event, Partial))
                stream.abandon_turn()
                await seen(vendor, lambda: vendor.streams[0].ended == "cancelled")
                say(stream, 2)
                await heard(stream, lambda event: isinstance(event, Partial))
            await seen(vendor, lambda: vendor.streams[1].ended == "cancelled")
            await stt.aclose()


class TestModels:
    async def test_a_model_that_is_not_served_is_passed_over_for_all_calls(self) -> None:
        script = SpeechScript(WORDS, served={"long@global": ("uk-UA",)})
        async with serve_google_speech(script) as vendor:
            stt = recogniser(vendor, language="uk")
            for _ in range(2):
                async with stt.open(PHONE) as stream:
                    final = (await whole_turn(stream))[-1]
                    assert isinstance(final, Final)
                    assert final.text == TEXT
            await stt.aclose()
        models = [one.model for one in vendor.streams]
        assert models.index("long") == models.count("chirp_3")
        assert [one.model for one in vendor.streams if one.messages] == ["long", "long"]

    async def test_the_model_may_be_found_before_the_first_call(self) -> None:
        script = SpeechScript(WORDS, served={"long@global": ("uk-UA",)})
        async with serve_google_speech(script) as vendor:
            stt = recogniser(vendor, language="uk")
            assert "long@global" in await stt.find_model()
            before = len(vendor.streams)
            async with stt.open(PHONE) as stream:
                assert isinstance((await whole_turn(stream))[-1], Final)
            await stt.aclose()
        assert {one.model for one in vendor.streams[before:]} == {"long"}

    async def test_a_model_of_one_language_is_asked_for_the_turns_own(self) -> None:
        script = SpeechScript(WORDS, takes_several_languages=False)
        async with serve_google_speech(script) as vendor, call(vendor) as stream:
            final = (await whole_turn(stream))[-1]
        assert isinstance(final, Final)
        assert vendor.streams[-1].codes == ("uk-UA",)
        assert vendor.streams[-1].model == "chirp_3"

    async def test_a_model_without_phrases_is_not_told_any(self) -> None:
        script = SpeechScript(WORDS, takes_phrases=False)
        async with serve_google_speech(script) as vendor, call(vendor) as stream:
            final = (await whole_turn(stream))[-1]
        assert isinstance(final, Final)
        carried = [one for one in vendor.streams if one.messages]
        assert carried[-1].phrases == ()
        assert carried[-1].model == "chirp_3"

    async def test_when_nothing_is_served_the_call_is_told_which_was_asked_last(self) -> None:
        async with serve_google_speech(SpeechScript(WORDS, served={})) as vendor:
            error = await loss(at(vendor), vendor)
        assert error.fault == "rejected"
        assert "does not exist in the location" in str(error)
        assert {one.model for one in vendor.streams} == {"chirp_3", "long", "latest_long"}


class TestFailures:
    async def test_a_wrong_key_is_told_without_showing_it(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        async with serve_google_speech(SpeechScript(WORDS, token="another")) as vendor:
            error = await loss(at(vendor), vendor)
        assert error.fault == "unauthorised"
        assert "accounts.google" in str(error)
        shown = [str(error), repr(error), caplog.text, *traceback.format_exception(error)]
        assert not any(TOKEN in text for text in shown)

    async def test_a_token_that_the_service_repeats_is_not_shown(self) -> None:
        misdeed = Misdeed("refuse", status="UNAUTHENTICATED", details=f"bad token {TOKEN}", streams=9)
        async with serve_google_speech(SpeechScript(WORDS, misdeeds=[misdeed])) as vendor:
            error = await loss(at(vendor), vendor)
        assert "bad token …" in str(error)
        assert TOKEN not in "".join(traceback.format_exception(error))
        chain: list[BaseException] = [error]
        while (before := chain[-1].__cause__ or chain[-1].__context__) is not None:
            chain.append(before)
        assert not any(TOKEN in str(link) or TOKEN in repr(vars(link)) for link in chain)

    @pytest.mark.parametrize(
        ("misdeed", "fault", "retry_after_s"),
        [
            (Misdeed("refuse", status="RESOURCE_EXHAUSTED", details=PER_DAY, streams=9), "quota", None),
            (
                Misdeed("refuse", status="RESOURCE_EXHAUSTED", details="slow down", retry_after_s=30.0, streams=9),
                "rate_limited",
                30.0,
            ),
            (Misdeed("refuse", status="PERMISSION_DENIED", details="API is disabled", streams=9), "unauthorised", None),
            (Misdeed("refuse", status="UNAVAILABLE", streams=9), "connection", None),
            (Misdeed("refuse", status="INTERNAL", details="oops", streams=9), "failed", None),
        ],
        ids=lambda value: value.status if isinstance(value, Misdeed) else "",
    )
    async def test_a_service_that_refuses_is_lost(
        self, misdeed: Misdeed, fault: str, retry_after_s: float | None
    ) -> None:
        async with serve_google_speech(SpeechScript(WORDS, misdeeds=[misdeed])) as vendor:
            error = await loss(at(vendor, warm_s=0), vendor)
        assert (error.fault, error.retry_after_s) == (fault, retry_after_s)
        assert vendor.address in str(error)
        assert len(vendor.streams) <= 4

    async def test_a_call_learns_of_a_wrong_key_before_its_first_turn(self) -> None:
        async with serve_google_speech(SpeechScript(WORDS, token="another")) as vendor, call(vendor) as stream:
            with pytest.raises(VendorError):
                await heard(stream, is_outcome)

    async def test_a_short_wait_that_the_service_asks_for_is_kept(self) -> None:
        misdeed = Misdeed("refuse", status="RESOURCE_EXHAUSTED", details="slow down", retry_after_s=0.2, streams=2)
        async with (
            serve_google_speech(SpeechScript(WORDS, misdeeds=[misdeed])) as vendor,
            call(vendor, at(vendor, warm_s=0)) as stream,
        ):
            events = await whole_turn(stream)
        assert isinstance(events[-1], Final)
        assert "slow down" in next(event.reason for event in events if isinstance(event, SttReconnected))

    @pytest.mark.parametrize("after_messages", [0, 1, 2, 1_000])
    async def test_a_stream_that_hangs_is_left_and_the_turn_is_sent_anew(self, after_messages: int) -> None:
        script = SpeechScript(WORDS, misdeeds=[Misdeed("hang", after_messages)])
        async with (
            serve_google_speech(script) as vendor,
            call(vendor, at(vendor, warm_s=0, final_s=0.3, chunk_ms=200)) as stream,
        ):
            events = await whole_turn(stream)
            final = events[-1]
            assert isinstance(final, Final)
            assert final.text == TEXT
            await seen(vendor, lambda: vendor.streams[0].ended == "cancelled")

    @pytest.mark.parametrize(
        "misdeed",
        [
            Misdeed("half_close", 1),
            Misdeed("break_off", 1),
            Misdeed("break_off", 1, status="ABORTED", details="Max duration of 5 minutes reached for stream."),
            Misdeed("break_off", 1, status="OUT_OF_RANGE", details="Exceeded maximum allowed stream duration"),
            Misdeed("break_off", 1, status="CANCELLED", details="cancelled"),
            Misdeed("garbage", 1),
        ],
        ids=lambda misdeed: f"{misdeed.kind} {misdeed.status}",
    )
    async def test_a_stream_that_breaks_costs_no_word(self, misdeed: Misdeed) -> None:
        script = SpeechScript(WORDS, misdeeds=[misdeed])
        async with (
            serve_google_speech(script) as vendor,
            call(vendor, at(vendor, warm_s=0, chunk_ms=20)) as stream,
        ):
            say(stream)
            told = await heard(stream, lambda event: isinstance(event, SttReconnected))
            stream.end_of_turn()
            final = (await heard(stream, is_outcome))[-1]
        assert isinstance(told[-1], SttReconnected)
        assert (told[-1].turn, told[-1].lost_ms) == (1, 0.0)
        assert isinstance(final, Final)
        assert final.text == TEXT
        assert {one.model for one in vendor.streams} == {"chirp_3"}

    async def test_finals_that_come_twice_are_taken_once(self) -> None:
        script = SpeechScript(WORDS, repeats_finals=True)
        async with serve_google_speech(script) as vendor, call(vendor) as stream:
            stream.begin_turn(1, HINT)
            for frame in framed(spoken(TEXT, WORDS, 8000, silence_ms=900) + spoken("нет", WORDS, 8000)):
                stream.push(frame)
            stream.end_of_turn()
            final = (await heard(stream, is_outcome))[-1]
        assert isinstance(final, Final)
        assert final.text == f"{TEXT} нет"

    @pytest.mark.parametrize("skew_ms", [-1e7, -900.0, 1e7])
    async def test_offsets_that_make_no_sense_cost_no_word(self, skew_ms: float) -> None:
        script = SpeechScript(WORDS, skew_ms=skew_ms, repeats_finals=True)
        async with serve_google_speech(script) as vendor, call(vendor) as stream:
            stream.begin_turn(1, HINT)
            for frame in framed(spoken(TEXT, WORDS, 8000, silence_ms=900) + spoken("нет", WORDS, 8000)):
                stream.push(frame)
            stream.end_of_turn()
            events = await heard(stream, is_outcome)
        final = events[-1]
        assert isinstance(final, Final)
        assert final.text == f"{TEXT} нет"
        assert all(0 <= (event.covers_ms or 0.0) <= 3_000 for event in events if isinstance(event, Partial))

    @pytest.mark.parametrize("rudeness", ["silence", "reset", "garbage", "slow"])
    async def test_what_is_no_such_service_is_lost_in_bounded_time(self, rudeness: Rudeness) -> None:
        async with rude_server(rudeness) as address:
            vendor = GoogleSpeechDouble(SpeechScript(WORDS), address)
            started_s = anyio.current_time()
            error = await loss(at(vendor, open_s=0.3, attempts=2), vendor)
            assert anyio.current_time() - started_s < 5
        assert error.fault in ("connection", "timeout")
        assert address in str(error)

    async def test_nothing_listens(self) -> None:
        async with rude_server("reset") as address:
            pass
        vendor = GoogleSpeechDouble(SpeechScript(WORDS), address)
        error = await loss(at(vendor), vendor)
        assert error.fault == "connection"
        assert "check the network, the endpoint and the certificates" in str(error)

    async def test_a_service_that_comes_back_is_there_for_the_next_call_at_once(self) -> None:
        async with serve_google_speech(SpeechScript(WORDS)) as vendor:
            port = int(vendor.address.rpartition(":")[2])
        stt = recogniser(vendor, at(vendor, warm_s=0))
        for _ in range(3):
            async with stt.open(PHONE) as stream:
                say(stream)
                with pytest.raises(VendorError):
                    await heard(stream, is_outcome)
        async with serve_google_speech(SpeechScript(WORDS), port=port):
            async with stt.open(PHONE) as stream:
                assert isinstance((await whole_turn(stream))[-1], Final)
            await stt.aclose()


class TestTls:
    async def test_a_certificate_of_nobody_is_refused_and_one_that_is_given_is_trusted(self, tmp_path: Path) -> None:
        certificate, key = self_signed(tmp_path)
        tls = (key.read_bytes(), certificate.read_bytes())
        async with serve_google_speech(SpeechScript(WORDS), tls=tls) as vendor:
            options = at(vendor, tls=True, open_s=1.0, attempts=2)
            error = await loss(options, vendor)
            assert error.fault in ("connection", "timeout")
            assert vendor.streams == []
            trusting = replace(options, ca_file=certificate)
            stt = recogniser(vendor, trusting, roots=await read_roots(certificate))
            async with stt.open(PHONE) as stream:
                final = (await whole_turn(stream))[-1]
            await stt.aclose()
        assert isinstance(final, Final)
        assert final.text == TEXT


class TestTogether:
    async def test_twenty_calls_at_once_over_few_connections(self) -> None:
        finals: dict[int, str] = {}
        async with serve_google_speech(SpeechScript(WORDS)) as vendor:
            stt = recogniser(vendor, at(vendor, streams_per_connection=8, warm_s=0))

            async def talk(number: int) -> None:
                async with stt.open(PHONE) as stream:
                    event = (await whole_turn(stream, 1, WORDS[number % len(WORDS)]))[-1]
                    assert isinstance(event, Final)
                    finals[number] = event.text

            async with anyio.create_task_group() as group:
                for number in range(20):
                    group.start_soon(talk, number)
            await stt.aclose()
        assert finals == {number: WORDS[number % len(WORDS)] for number in range(20)}
        assert vendor.under_way == 0

    async def test_a_token_is_asked_for_once(self) -> None:
        tokens = FixedTokens()
        async with serve_google_speech(SpeechScript(WORDS, token=TOKEN)) as vendor:
            stt = recogniser(vendor, tokens=tokens)
            for _ in range(3):
                async with stt.open(PHONE) as stream:
                    assert isinstance((await whole_turn(stream))[-1], Final)
            await stt.aclose()
        assert tokens.given == 1
        assert math.isfinite(sum(sum(one.messages) for one in vendor.streams))

    async def test_which_token_was_refused_is_known_although_another_call_has_a_newer_one(self) -> None:
        async with serve_google_speech(SpeechScript(WORDS)) as vendor:
            options = at(vendor)
            credentials = GoogleCredentials(FixedTokens(("ya29.old", "ya29.new"), life_s=0.0), "")
            lines = GrpcLines(options, credentials, None)
            setup = ModelChoice(options).setup("ru")
            async with lines.line(setup, PHONE) as older, lines.line(setup, PHONE) as newer:
                assert await lines.refused(older), "there is the newer one"
                assert not await lines.refused(newer), "it has just come"
                assert not await lines.refused(None), "none was sent"
            await lines.aclose()
