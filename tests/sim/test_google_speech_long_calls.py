"""Calls of twelve minutes with Google Speech on the virtual clock: its limits are crossed and no word is lost."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import anyio
import pytest
from google_speech import WORDS, MemoryLines, framed

from kamerton.domain.audio import FRAME_MS, PHONE, AudioFrame
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
from kamerton.stt.chain import ChainLink, RecognizerChain
from kamerton.stt.google.models import ModelChoice
from kamerton.stt.google.options import GoogleSttOptions
from kamerton.stt.google.recognizer import GoogleSpeechToText
from kamerton.stt.google.recovery import Recovery
from kamerton.stt.google.sessions import Session
from kamerton.stt.google.wire_double import GoogleSpeechDouble, Misdeed, SpeechScript, spoken
from kamerton.stt.standins.scripted import ScriptedSpeechToText, ScriptedTurn
from kamerton.testing.virtual_loop import VirtualLoop

TWELVE_MINUTES_S = 720.0
HINT = RecognitionHint("uk")


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": VirtualLoop}


class Call:
    """A caller in real time, and everything that the recogniser tells."""

    def __init__(self, stream: SttStream) -> None:
        self.stream = stream
        self.events: list[SttEvent] = []

    async def listen(self) -> None:
        async for event in self.stream:
            self.events.append(event)

    async def say(self, frames: Sequence[AudioFrame]) -> None:
        start_s = anyio.current_time()
        for number, frame in enumerate(frames):
            await anyio.sleep_until(start_s + number * FRAME_MS / 1000)
            self.stream.push(frame)

    async def final(self, turn: int) -> Final | SttFailed:
        with anyio.fail_after(10):
            while True:
                for event in self.events:
                    if isinstance(event, Final | SttFailed) and event.turn == turn:
                        return event
                await anyio.sleep(0.02)


@asynccontextmanager
async def call(
    vendor: GoogleSpeechDouble, options: GoogleSttOptions | None = None, *, renews: bool = False
) -> AsyncIterator[Call]:
    options = options or GoogleSttOptions()
    stt = GoogleSpeechToText(options, MemoryLines(options, vendor, renews=renews), language="uk")
    async with stt.open(PHONE) as stream, anyio.create_task_group() as group:
        under_way = Call(stream)
        group.start_soon(under_way.listen)
        yield under_way
        group.cancel_scope.cancel()


def long_text(words: int) -> str:
    return " ".join(WORDS[(number * 7 + number // 11) % len(WORDS)] for number in range(words))


def with_breaths(words: Sequence[str]) -> bytes:
    """Audio with a pause behind every 25 words."""
    sentences = [" ".join(words[start : start + 25]) for start in range(0, len(words), 25)]
    return b"".join(spoken(sentence, WORDS, 8000, silence_ms=700) for sentence in sentences)


@pytest.mark.anyio
class TestTwelveMinutes:
    async def test_one_endless_turn_crosses_renewals_and_loses_no_word(self) -> None:
        vendor = GoogleSpeechDouble(SpeechScript(WORDS))
        text = long_text(2060)
        pcm = with_breaths(text.split())
        assert len(pcm) / 16_000 == pytest.approx(TWELVE_MINUTES_S, abs=5)
        async with call(vendor) as caller:
            caller.stream.begin_turn(1, HINT)
            await caller.say(framed(pcm))
            caller.stream.end_of_turn()
            final = await caller.final(1)
        assert isinstance(final, Final)
        assert final.text == text
        carried = [stream for stream in vendor.streams if stream.messages]
        assert len(carried) == 3, "two renewals, each a little after 240 s"
        assert all(stream.ended != "status" for stream in vendor.streams), "the service itself ended none"
        assert max(sum(stream.messages) / 16 for stream in carried) < 300_000
        assert not any(isinstance(event, SttReconnected) for event in caller.events), "nothing broke"

    async def test_without_a_breath_the_stream_is_renewed_in_mid_word_and_none_is_lost_or_doubled(self) -> None:
        vendor = GoogleSpeechDouble(SpeechScript(WORDS))
        # A pause last at 236 s, then none until 298 s: at 285 s the stream is left, in whatever word that is.
        text = long_text(27 * 25 + 193)
        async with call(vendor) as caller:
            caller.stream.begin_turn(1, HINT)
            rest = " ".join(text.split()[27 * 25 :])
            await caller.say(framed(with_breaths(text.split()[: 27 * 25]) + spoken(rest, WORDS, 8000)))
            caller.stream.end_of_turn()
            final = await caller.final(1)
        assert isinstance(final, Final)
        assert final.text == text
        seconds = [sum(stream.messages) / 16_000 for stream in vendor.streams if stream.messages]
        assert seconds[0] == pytest.approx(285.0, abs=0.2)
        assert len(seconds) == 2

    async def test_many_turns_with_long_answers_between_them(self) -> None:
        vendor = GoogleSpeechDouble(SpeechScript(WORDS))
        spoken_texts: dict[int, str] = {}
        async with call(vendor) as caller:
            turn = 0
            while anyio.current_time() < TWELVE_MINUTES_S:
                turn += 1
                spoken_texts[turn] = long_text(3 + turn % 9)
                frames = framed(spoken(spoken_texts[turn], WORDS, 8000))
                caller.stream.begin_turn(turn, HINT, frames[:10])
                await caller.say(frames[10:])
                caller.stream.pause()
                await caller.say(framed(bytes(16 * 300)))
                caller.stream.end_of_turn()
                await anyio.sleep(3.0 + turn % 4 * 5.0)
            finals = {event.turn: event.text for event in caller.events if isinstance(event, Final)}
        assert turn > 40
        assert finals == spoken_texts
        assert not [stream for stream in vendor.streams if stream.ended == "status"], "none idled to its end"
        assert [event for event in caller.events if isinstance(event, SttReconnected | SttFailed)] == []

    async def test_the_service_ends_streams_early_and_no_word_is_lost(self) -> None:
        vendor = GoogleSpeechDouble(SpeechScript(WORDS, limit_s=60.0))
        text = long_text(2060)
        pcm = with_breaths(text.split())
        assert len(pcm) / 16_000 == pytest.approx(TWELVE_MINUTES_S, abs=5)
        async with call(vendor) as caller:
            caller.stream.begin_turn(1, HINT)
            await caller.say(framed(pcm))
            caller.stream.end_of_turn()
            final = await caller.final(1)
        assert isinstance(final, Final)
        assert final.text == text
        told = [event for event in caller.events if isinstance(event, SttReconnected)]
        assert len(told) >= 11
        assert {event.lost_ms for event in told} == {0.0}
        assert "Max duration" in told[0].reason

    async def test_a_stream_that_hangs_in_mid_turn_is_replaced_and_the_turn_is_whole(self) -> None:
        vendor = GoogleSpeechDouble(SpeechScript(WORDS, misdeeds=[Misdeed("hang")]))
        text = long_text(40)
        async with call(vendor, GoogleSttOptions(warm_s=0)) as caller:
            caller.stream.begin_turn(1, HINT)
            await caller.say(framed(spoken(text, WORDS, 8000)))
            assert any(isinstance(event, Partial) for event in caller.events), "words while the turn goes on"
            caller.stream.end_of_turn()
            final = await caller.final(1)
        assert isinstance(final, Final)
        assert final.text == text
        assert [stream.ended for stream in vendor.streams] == ["cancelled", "well"]

    async def test_a_service_that_never_gives_a_final_fails_the_turn_in_bounded_time(self) -> None:
        vendor = GoogleSpeechDouble(SpeechScript(WORDS, misdeeds=[Misdeed("hang", streams=50)]))
        options = GoogleSttOptions(warm_s=0, attempts=10)
        async with call(vendor, options) as caller:
            caller.stream.begin_turn(1, HINT)
            await caller.say(framed(spoken("раз", WORDS, 8000)))
            caller.stream.end_of_turn()
            ended_s = anyio.current_time()
            final = await caller.final(1)
        assert isinstance(final, SttFailed)
        assert final.retryable
        assert anyio.current_time() - ended_s == pytest.approx(options.turn_s, abs=0.05)

    async def test_the_last_hypothesis_counts_when_it_covers_what_was_said(self) -> None:
        vendor = GoogleSpeechDouble(SpeechScript(WORDS, misdeeds=[Misdeed("hang", after_messages=1_000)]))
        options = GoogleSttOptions(warm_s=0)
        async with call(vendor, options) as caller:
            caller.stream.begin_turn(1, HINT)
            await caller.say(framed(spoken("раз два", WORDS, 8000)))
            caller.stream.pause()
            await caller.say(framed(bytes(16 * 200)))
            caller.stream.end_of_turn()
            ended_s = anyio.current_time()
            final = await caller.final(1)
        assert final == Final(1, "раз два")
        assert anyio.current_time() - ended_s == pytest.approx(options.final_s, abs=0.05)

    async def test_a_service_that_is_impatient_with_streams_opened_ahead_is_not_given_up(self) -> None:
        vendor = GoogleSpeechDouble(SpeechScript(WORDS, idle_s=3.0))
        async with call(vendor) as caller:
            await anyio.sleep(30)
            caller.stream.begin_turn(1, HINT)
            await caller.say(framed(spoken("сто", WORDS, 8000)))
            caller.stream.end_of_turn()
            final = await caller.final(1)
            assert isinstance(final, Final)
            assert final.text == "сто"
            await anyio.sleep(30)
        assert [stream.ended for stream in vendor.streams] == ["status", "well", "status"]

    async def test_when_google_is_lost_the_next_recogniser_of_the_chain_reads_the_same_turn(self) -> None:
        vendor = GoogleSpeechDouble(SpeechScript(WORDS, misdeeds=[Misdeed("refuse", streams=99)]))
        options = GoogleSttOptions()
        google = GoogleSpeechToText(options, MemoryLines(options, vendor), language="uk")
        local = ScriptedSpeechToText((ScriptedTurn("сто двести"),))
        chain = RecognizerChain(
            (ChainLink("google", google, is_service=True), ChainLink("local", local, is_service=False))
        )
        async with chain.open(PHONE) as stream, anyio.create_task_group() as group:
            caller = Call(stream)
            group.start_soon(caller.listen)
            stream.begin_turn(1, HINT)
            await caller.say(framed(spoken("сто двести", WORDS, 8000)))
            stream.end_of_turn()
            ended_s = anyio.current_time()
            assert await caller.final(1) == Final(1, "сто двести")
            assert anyio.current_time() - ended_s < 0.1, "Google was given up while the caller spoke"
            group.cancel_scope.cancel()
        assert chain.links[0].counts["failures:connection"] == 1


@pytest.mark.anyio
class TestTokenThatDied:
    REFUSED = Misdeed("refuse", after_messages=1, status="UNAUTHENTICATED", details="token expired")

    async def test_a_stream_opened_ahead_that_is_refused_when_it_is_used_is_judged_once(self) -> None:
        vendor = GoogleSpeechDouble(SpeechScript(WORDS, misdeeds=[self.REFUSED]))
        async with call(vendor, renews=True) as caller:
            await anyio.sleep(1)
            caller.stream.begin_turn(1, HINT)
            await caller.say(framed(spoken("раз два", WORDS, 8000)))
            caller.stream.end_of_turn()
            final = await caller.final(1)
        assert isinstance(final, Final)
        assert final.text == "раз два"

    async def test_streams_that_were_opened_with_the_old_token_are_all_forgiven(self) -> None:
        options, vendor = GoogleSttOptions(), GoogleSpeechDouble(SpeechScript(WORDS))
        choice = ModelChoice(options)
        recovery = Recovery(options, choice, MemoryLines(options, vendor, renews=True))
        refusal = VendorError("token expired", "unauthorised")
        first, second = (Session(choice.setup("uk"), "uk", anyio.current_time()) for _ in range(2))
        await anyio.sleep(0.1)
        for session in (first, second):
            await recovery.judge(session, refusal)
            assert recovery.loss is None
        with_the_new_one = Session(choice.setup("uk"), "uk", anyio.current_time())
        await anyio.sleep(0.1)
        await recovery.judge(with_the_new_one, refusal)
        assert recovery.loss is refusal

    async def test_a_token_that_is_refused_again_and_again_is_not_tried_for_ever(self) -> None:
        vendor = GoogleSpeechDouble(SpeechScript(WORDS, misdeeds=[replace(self.REFUSED, streams=99)]))
        stt = GoogleSpeechToText(
            GoogleSttOptions(), MemoryLines(GoogleSttOptions(), vendor, renews=True), language="uk"
        )
        async with stt.open(PHONE) as stream:
            stream.begin_turn(1, HINT)
            for frame in framed(spoken("раз", WORDS, 8000)):
                stream.push(frame)
            stream.end_of_turn()
            with pytest.raises(VendorError) as caught, anyio.fail_after(10):
                async for _ in stream:
                    pass
        assert caught.value.fault == "unauthorised"
        assert len(vendor.streams) < 6
