"""Calls of many minutes on SpeechKit's stand-in, on the virtual clock: sessions are renewed and no word is lost."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import anyio
import grpc.aio
import pytest
from pydantic import SecretStr
from yandex_inside import InsideChannel
from yandex_speech import KEY, WORDS, Meter, frames

from kamerton.domain.audio import PHONE, WIDEBAND, AudioFormat, AudioFrame
from kamerton.domain.errors import VendorError
from kamerton.domain.recognition import Final, RecognitionHint, SttEvent, SttFailed, SttReconnected, SttStream
from kamerton.stt.chain import ChainLink, RecognizerChain
from kamerton.stt.standins.scripted import ScriptedSpeechToText, ScriptedTurn
from kamerton.stt.yandex.options import YandexSttOptions
from kamerton.stt.yandex.recognizer import YandexSpeechToText
from kamerton.stt.yandex.wire_double import SpeechKitDouble, SpeechKitScript, Trouble
from kamerton.testing.virtual_loop import VirtualLoop
from kamerton.vendors.accounts.yandex import YandexAccount
from kamerton.vendors.yandex.credentials import open_credentials

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> object:
    return ("asyncio", {"loop_factory": VirtualLoop})


@dataclass
class Call:
    """One call and what came of it."""

    stream: SttStream
    audio_format: AudioFormat
    vendor: SpeechKitDouble
    meter: Meter
    events: list[SttEvent] = field(default_factory=list)
    turns: int = 0

    async def says(self, text: str, *, pause: bool = True) -> None:
        """One turn in real time: speech, a pause, its end."""
        self.turns += 1
        turn = frames(text, self.audio_format, silence_ms=200)
        self.stream.begin_turn(self.turns, RecognitionHint(), turn[:5])
        await self._heard(turn[5:-10])
        if pause:
            self.stream.pause()
            await self._heard(turn[-10:])
        self.stream.end_of_turn()

    async def _heard(self, audio: Sequence[AudioFrame]) -> None:
        for frame in audio:
            self.stream.push(frame)
            await anyio.sleep(0.02)

    async def until(self, instant_s: float) -> None:
        await anyio.sleep_until(instant_s)

    @property
    def said(self) -> list[str]:
        return [event.text for event in self.events if isinstance(event, Final)]

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


@asynccontextmanager
async def call_of(script: SpeechKitScript, audio_format: AudioFormat = PHONE, **options: Any) -> AsyncIterator[Call]:
    vendor, meter = SpeechKitDouble(script), Meter()
    credentials = await open_credentials(YandexAccount(api_key=SecretStr(KEY)))
    stt = YandexSpeechToText(
        YandexSttOptions(**options),
        credentials,
        usage=meter,
        connect=lambda: cast(grpc.aio.Channel, InsideChannel(vendor)),
    )
    async with stt.open(audio_format) as stream, anyio.create_task_group() as group:
        call = Call(stream, audio_format, vendor, meter)

        async def listen() -> None:
            async for event in stream:
                call.events.append(event)

        group.start_soon(listen)
        yield call
        await anyio.sleep(2)
        group.cancel_scope.cancel()
    await stt.aclose()


def sentence(number: int, length: int = 12) -> str:
    """Words in an order of their own."""
    return " ".join(WORDS[(number + at * (1 + number % 3)) % len(WORDS)] for at in range(length))


@pytest.mark.parametrize("audio_format", [PHONE, WIDEBAND], ids=["8 kHz", "16 kHz"])
async def test_a_call_of_twelve_minutes_crosses_two_renewals_and_loses_no_word(audio_format: AudioFormat) -> None:
    async with call_of(SpeechKitScript(WORDS), audio_format) as call:
        expected = []
        while anyio.current_time() < 720:
            expected.append(sentence(call.turns))
            await call.says(expected[-1])
            await anyio.sleep(1.5)
    assert call.said == expected
    assert len(call.vendor.sessions) == 3
    assert not call.of(SttFailed)
    assert not call.of(SttReconnected), "a renewal that loses nothing is nobody's business"
    assert {session.ended for session in call.vendor.sessions} == {"cancelled"}, "the vendor ended a session"
    assert all(session.audio_ms < 300_000 for session in call.vendor.sessions)
    assert call.meter.seconds == pytest.approx(sum(s.audio_ms for s in call.vendor.sessions) / 1000)


@pytest.mark.parametrize("gap_s", [0.0, 0.3, 0.9, 1.1])
async def test_a_caller_who_talks_across_the_limit_loses_no_word_and_says_none_twice(gap_s: float) -> None:
    """No moment between turns comes in time: the audio without a final goes to the next session."""
    async with call_of(SpeechKitScript(WORDS)) as call:
        expected = []
        while anyio.current_time() < 620:
            expected.append(sentence(call.turns, 70))
            await call.says(expected[-1], pause=call.turns % 2 == 0)
            await anyio.sleep(gap_s)
    assert call.said == expected
    assert len(call.vendor.sessions) >= 3
    assert {session.ended for session in call.vendor.sessions} == {"cancelled"}


async def test_turns_at_the_very_moment_of_a_renewal_are_all_there() -> None:
    """Whatever the phase between turns and renewals."""
    for phase in range(12):
        async with call_of(SpeechKitScript(WORDS), renew_after_s=30) as call:
            expected = []
            await anyio.sleep(phase * 0.37)
            start_s = anyio.current_time()
            while anyio.current_time() < start_s + 100:
                expected.append(sentence(call.turns, 3 + phase % 5))
                await call.says(expected[-1], pause=bool(phase % 2))
                await anyio.sleep(0.05 * phase)
        assert call.said == expected
        assert len(call.vendor.sessions) >= 3


async def test_a_caller_who_is_silent_keeps_the_session_for_little_money() -> None:
    async with call_of(SpeechKitScript(WORDS)) as call:
        await call.says("раз два")
        await anyio.sleep(60)
        await call.says("три")
    assert call.said == ["раз два", "три"]
    assert len(call.vendor.sessions) == 1, "a session without a message for 5 s is ended by the vendor"
    assert call.meter.seconds < 1.5 + 60 / 2 * 0.1 + 1.5


async def test_a_muted_caller_in_mid_turn_is_silence_for_the_service() -> None:
    """The transport may stop sending for a while: the turn goes on where it was."""
    async with call_of(SpeechKitScript(WORDS)) as call:
        first, second = frames("раз два"), frames("три четыре")
        call.stream.begin_turn(1, RecognitionHint())
        for frame in first:
            call.stream.push(frame)
            await anyio.sleep(0.02)
        await anyio.sleep(20)
        for frame in second:
            call.stream.push(frame)
            await anyio.sleep(0.02)
        call.stream.end_of_turn()
    assert call.said == ["раз два три четыре"]
    assert len(call.vendor.sessions) == 1


async def test_audio_goes_in_messages_of_the_size_that_is_set_and_the_rest_at_the_end() -> None:
    async with call_of(SpeechKitScript(WORDS), chunk_ms=400) as call:
        await call.says("раз два три", pause=False)
    messages = [size for size in call.vendor.sessions[0].messages if size]
    assert messages[:-1] == [6400] * (len(messages) - 1)
    assert 0 < messages[-1] < 6400
    assert call.said == ["раз два три"]


@pytest.mark.parametrize("kind", ["hang", "half_close", "refuse"])
@pytest.mark.parametrize("after", [1, 4, 9])
async def test_a_session_that_ends_badly_in_mid_turn_costs_no_word(kind: Any, after: int) -> None:
    script = SpeechKitScript(WORDS, troubles=[Trouble(kind, after)])
    async with call_of(script, first_answer_s=1) as call:
        await call.says("раз два три четыре пять шесть")
        await anyio.sleep(4)
        await call.says("семь")
    assert call.said == ["раз два три четыре пять шесть", "семь"]
    assert [event.lost_ms for event in call.of(SttReconnected)] == [0]
    assert len(call.vendor.sessions) == 2


async def test_what_was_final_is_not_sent_again() -> None:
    """Of a turn with an utterance that the service ended by itself, only the tail goes to the next session."""
    script = SpeechKitScript(WORDS, own_ends_after_ms=500)
    async with call_of(script) as call:
        first, second = frames("раз два три четыре", silence_ms=800), frames("пять шесть")
        call.stream.begin_turn(1, RecognitionHint())
        for frame in first:
            call.stream.push(frame)
            await anyio.sleep(0.02)
        call.vendor.interrupt()
        for frame in second:
            call.stream.push(frame)
            await anyio.sleep(0.02)
        call.stream.end_of_turn()
    assert call.said == ["раз два три четыре пять шесть"]
    assert call.vendor.sessions[1].audio_ms < 1500


@pytest.mark.parametrize("skew_ms", [3_600_000, 700, -700, -3_600_000])
async def test_times_that_make_no_sense_cost_no_word(skew_ms: int) -> None:
    async with call_of(SpeechKitScript(WORDS, skew_ms=skew_ms)) as call:
        for number in range(6):
            await call.says(sentence(number, 4))
            await anyio.sleep(3)
    assert call.said == [sentence(number, 4) for number in range(6)]


async def test_results_that_come_late_and_twice_are_in_no_other_turn() -> None:
    script = SpeechKitScript(WORDS, repeats=True, repeats_late=True, finals_each=1, orphan_refinements=True)
    async with call_of(script, normalization=True) as call:
        for number in range(6):
            await call.says(sentence(number, 3))
            await anyio.sleep(0.1)
    assert [text.casefold() for text in call.said] == [sentence(number, 3) for number in range(6)]


async def test_normalised_words_that_never_come_are_not_waited_for() -> None:
    async with call_of(SpeechKitScript(WORDS, refines=False), normalization=True) as call:
        await call.says("раз два")
    assert call.said == ["раз два"]


@pytest.mark.parametrize("confirms_silence", [True, False])
async def test_noise_that_was_no_turn_is_in_no_transcript(confirms_silence: bool) -> None:
    async with call_of(SpeechKitScript(WORDS, confirms_silence=confirms_silence)) as call:
        for number in range(3):
            call.stream.begin_turn(10 * number + 100, RecognitionHint())
            for frame in frames("", silence_ms=500):
                call.stream.push(frame)
                await anyio.sleep(0.02)
            call.stream.abandon_turn()
            await anyio.sleep(0.2 + 1.5 * number)
            call.turns = 10 * number + 100
            await call.says("раз два")
            await anyio.sleep(1)
    assert call.said == ["раз два"] * 3
    assert len(call.vendor.sessions) == 1


async def test_a_service_that_confirms_nothing_still_costs_no_turn() -> None:
    """The last hypothesis covers the turn: it is the transcript."""
    async with call_of(SpeechKitScript(WORDS, confirms=False)) as call:
        await call.says("раз два три")
        await anyio.sleep(2)
        await call.says("четыре")
        await anyio.sleep(2)
    assert call.said == ["раз два три", "четыре"]


async def test_a_chain_reads_the_turn_that_speechkit_was_lost_in() -> None:
    """The key is revoked in mid-turn: the local engine is told the turn from its beginning."""
    trouble = Trouble("refuse", 3, status="UNAUTHENTICATED", details="revoked", sessions=9)
    vendor = SpeechKitDouble(SpeechKitScript(WORDS, troubles=[trouble]))
    local = ScriptedSpeechToText((ScriptedTurn("да."),))
    yandex = YandexSpeechToText(
        YandexSttOptions(),
        await open_credentials(YandexAccount(api_key=SecretStr(KEY))),
        connect=lambda: cast(grpc.aio.Channel, InsideChannel(vendor)),
    )
    chain = RecognizerChain([ChainLink("yandex", yandex, is_service=True), ChainLink("local", local, is_service=False)])
    async with chain.open(PHONE) as stream:
        call = Call(stream, PHONE, vendor, Meter())
        await call.says("раз два три четыре")
        with anyio.fail_after(5):
            events = [event async for event in _until_final(stream)]
    await chain.aclose()
    assert isinstance(events[-1], Final)
    assert events[-1].text == "да."
    assert len(vendor.sessions) == 1
    assert "UNAUTHENTICATED" in chain.links[0].breaker.last_reason


async def test_after_speechkit_is_lost_nothing_is_kept_for_it() -> None:
    trouble = Trouble("refuse", status="UNAUTHENTICATED", details="revoked", sessions=9)
    vendor = SpeechKitDouble(SpeechKitScript(WORDS, troubles=[trouble]))
    yandex = YandexSpeechToText(
        YandexSttOptions(),
        await open_credentials(YandexAccount(api_key=SecretStr(KEY))),
        connect=lambda: cast(grpc.aio.Channel, InsideChannel(vendor)),
    )
    minute = [frame for number in range(12) for frame in frames(sentence(number), PHONE)]
    async with yandex.open(PHONE) as stream:
        stream.begin_turn(1, RecognitionHint(), minute[:100])
        with pytest.raises(VendorError, match="UNAUTHENTICATED"), anyio.fail_after(5):
            await anext(aiter(stream))
        for frame in minute:
            stream.push(frame)
        stream.begin_turn(2, RecognitionHint(), minute)
        assert stream.dropped_ms == 0, "what is not kept is not dropped for want of room"
    await yandex.aclose()


async def _until_final(stream: SttStream) -> AsyncIterator[SttEvent]:
    async for event in stream:
        yield event
        if isinstance(event, Final):
            return
