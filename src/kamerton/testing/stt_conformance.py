"""The suite that every recogniser must pass, whatever it makes of the audio.

A test module makes a subclass of `SttConformance` with a fixture `stt_under_test` that gives a `SttUnderTest`: how to
make the recogniser, and speech that it understands. No test sleeps; every wait is for an event and has a deadline.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio
import pytest

from kamerton.domain.audio import AudioFormat, AudioFrame
from kamerton.domain.recognition import Final, Partial, RecognitionHint, SpeechToText, SttEvent, SttFailed, SttStream

DEADLINE_S = 20.0
LONG_TURN_FRAMES = 1750
"""35 s, more than any recogniser keeps."""

HINT = RecognitionHint()


@dataclass(frozen=True, slots=True)
class SttUnderTest:
    """A recogniser for the suite."""

    make: Callable[[], Awaitable[SpeechToText]]
    """Makes it on the running loop; the suite closes it."""
    format: AudioFormat
    turns: Sequence[tuple[bytes, str]]
    """PCM of two turns and a part of their transcripts in lower case. Scripted ones say the first, then the second, in
    a call; engines say each for its audio."""

    def frames(self, index: int) -> list[AudioFrame]:
        """One of the turns as whole frames."""
        pcm, size = self.turns[index][0], self.format.frame_bytes
        return [
            AudioFrame(pcm[at : at + size], self.format, at // 2) for at in range(0, len(pcm) - len(pcm) % size, size)
        ]


@asynccontextmanager
async def engine(subject: SttUnderTest) -> AsyncIterator[SpeechToText]:
    """Make the recogniser and close it again, and see that it leaves no thread behind."""
    before = set(threading.enumerate())
    stt = await subject.make()
    try:
        yield stt
    finally:
        with anyio.fail_after(DEADLINE_S, shield=True):
            await stt.aclose()
    left = [thread.name for thread in set(threading.enumerate()) - before if not thread.name.startswith("AnyIO worker")]
    assert left == [], "threads outlive the recogniser"


async def next_event(stream: SttStream) -> SttEvent:
    """The next event, which must come."""
    with anyio.fail_after(DEADLINE_S):
        return await anext(aiter(stream))


async def outcome(stream: SttStream) -> Final | SttFailed:
    """The next event that ends a turn."""
    while not isinstance(event := await next_event(stream), Final | SttFailed):
        pass
    return event


def say(stream: SttStream, turn: int, frames: Sequence[AudioFrame]) -> None:
    """Begin a turn with this audio."""
    stream.begin_turn(turn, HINT)
    for frame in frames:
        stream.push(frame)


def assert_says(event: SttEvent, turn: int, words: str) -> None:
    """The event is the turn's transcript with these words in one of its readings."""
    assert isinstance(event, (Final, Partial)), f"turn {turn} failed: {event}"
    assert event.turn == turn
    readings = [reading.casefold() for reading in (event.text, *event.alternatives)]
    assert any(words in reading for reading in readings), f"{words!r} is in none of {readings}"


@pytest.mark.anyio
class SttConformance:
    """What every recogniser does alike."""

    async def test_it_says_what_it_is(self, stt_under_test: SttUnderTest) -> None:
        """Name and languages are there before the first call."""
        async with engine(stt_under_test) as stt:
            assert stt.name
            assert stt.capabilities.languages

    async def test_each_ended_turn_has_exactly_one_outcome_with_its_number(self, stt_under_test: SttUnderTest) -> None:
        """Turns end in order, without a pause before their end, and nothing else follows."""
        async with engine(stt_under_test) as stt, stt.open(stt_under_test.format) as stream:
            for index, turn in enumerate((3, 4)):
                say(stream, turn, stt_under_test.frames(index))
                stream.end_of_turn()
                assert_says(await outcome(stream), turn, stt_under_test.turns[index][1])
            assert await self._rest(stream) == []

    async def test_a_pause_gives_a_stable_partial_and_the_end_its_final(self, stt_under_test: SttUnderTest) -> None:
        """The final that follows a pause says what the stable partial said."""
        async with engine(stt_under_test) as stt, stt.open(stt_under_test.format) as stream:
            say(stream, 1, stt_under_test.frames(0))
            stream.pause()
            partial = await next_event(stream)
            while isinstance(partial, Partial) and not partial.stable:
                partial = await next_event(stream)
            assert_says(partial, 1, stt_under_test.turns[0][1])
            stream.push(AudioFrame(stt_under_test.format.silence(), stt_under_test.format, 0))
            stream.end_of_turn()
            assert_says(await outcome(stream), 1, stt_under_test.turns[0][1])

    async def test_a_turn_may_end_in_the_pause_before_its_partial(self, stt_under_test: SttUnderTest) -> None:
        """Pause and end at once still give one final."""
        async with engine(stt_under_test) as stt, stt.open(stt_under_test.format) as stream:
            say(stream, 1, stt_under_test.frames(0))
            stream.pause()
            stream.end_of_turn()
            assert_says(await outcome(stream), 1, stt_under_test.turns[0][1])
            assert await self._rest(stream) == []

    async def test_a_pause_in_the_middle_of_a_turn_loses_nothing(self, stt_under_test: SttUnderTest) -> None:
        """The final covers the audio before and after a pause."""
        frames = stt_under_test.frames(0)
        middle = len(frames) // 2
        async with engine(stt_under_test) as stt, stt.open(stt_under_test.format) as stream:
            say(stream, 1, frames[:middle])
            stream.pause()
            stream.resume()
            for frame in frames[middle:]:
                stream.push(frame)
            stream.end_of_turn()
            assert_says(await outcome(stream), 1, stt_under_test.turns[0][1])

    async def test_an_abandoned_turn_has_no_outcome(self, stt_under_test: SttUnderTest) -> None:
        """The next outcome is that of the turn after it, also when the abandoned one was being decoded."""
        async with engine(stt_under_test) as stt, stt.open(stt_under_test.format) as stream:
            say(stream, 1, stt_under_test.frames(1))
            stream.pause()
            stream.abandon_turn()
            say(stream, 2, stt_under_test.frames(0))
            stream.end_of_turn()
            assert_says(await outcome(stream), 2, stt_under_test.turns[0][1])
            assert await self._rest(stream) == []

    async def test_a_turn_without_audio_still_has_its_outcome(self, stt_under_test: SttUnderTest) -> None:
        """Ending an empty turn does not hang the call."""
        async with engine(stt_under_test) as stt, stt.open(stt_under_test.format) as stream:
            stream.begin_turn(1, HINT)
            stream.end_of_turn()
            assert (await outcome(stream)).turn == 1

    async def test_calls_out_of_place_are_harmless(self, stt_under_test: SttUnderTest) -> None:
        """Audio and ends outside a turn, and resumes without a pause, change nothing."""
        async with engine(stt_under_test) as stt, stt.open(stt_under_test.format) as stream:
            stream.push(stt_under_test.frames(0)[0])
            stream.pause()
            stream.resume()
            stream.end_of_turn()
            stream.abandon_turn()
            say(stream, 1, stt_under_test.frames(0))
            stream.resume()
            stream.end_of_turn()
            stream.end_of_turn()
            assert_says(await outcome(stream), 1, stt_under_test.turns[0][1])
            assert await self._rest(stream) == []

    async def test_endless_speech_is_bounded_and_counted(self, stt_under_test: SttUnderTest) -> None:
        """Too much audio never blocks or raises; what was let go is never negative and never all."""
        silence = AudioFrame(stt_under_test.format.silence(), stt_under_test.format, 0)
        async with engine(stt_under_test) as stt, stt.open(stt_under_test.format) as stream:
            assert stream.dropped_ms == 0
            stream.begin_turn(1, HINT)
            for _ in range(LONG_TURN_FRAMES):
                stream.push(silence)
            assert 0 <= stream.dropped_ms < LONG_TURN_FRAMES * 20
            stream.abandon_turn()

    async def test_two_calls_at_once_do_not_mix(self, stt_under_test: SttUnderTest) -> None:
        """Each call gets its own turns' words under its own turns' numbers."""
        subject = stt_under_test
        async with engine(subject) as stt, stt.open(subject.format) as first, stt.open(subject.format) as second:
            say(first, 10, subject.frames(0))
            say(second, 20, subject.frames(0))
            first.pause()
            second.pause()
            first.end_of_turn()
            second.end_of_turn()
            assert_says(await outcome(second), 20, subject.turns[0][1])
            assert_says(await outcome(first), 10, subject.turns[0][1])
            say(second, 21, subject.frames(1))
            second.end_of_turn()
            first.begin_turn(11, HINT)
            first.abandon_turn()
            assert_says(await outcome(second), 21, subject.turns[1][1])
            assert await self._rest(first) == []

    async def test_a_call_may_leave_while_its_turn_is_decoded(self, stt_under_test: SttUnderTest) -> None:
        """The iteration ends, the next call is served, and closing the recogniser finds nothing left."""
        async with engine(stt_under_test) as stt:
            async with stt.open(stt_under_test.format) as left:
                say(left, 1, stt_under_test.frames(0))
                left.end_of_turn()
            assert [event async for event in left if event.turn != 1] == []
            async with stt.open(stt_under_test.format) as stream:
                say(stream, 1, stt_under_test.frames(0))
                stream.end_of_turn()
                assert_says(await outcome(stream), 1, stt_under_test.turns[0][1])

    async def test_a_cancelled_call_frees_its_stream(self, stt_under_test: SttUnderTest) -> None:
        """Cancelling the reader in mid-turn leaves the recogniser fit for others."""
        async with engine(stt_under_test) as stt:
            with anyio.CancelScope() as call:
                async with stt.open(stt_under_test.format) as stream:
                    say(stream, 1, stt_under_test.frames(0))
                    stream.pause()
                    call.cancel()
                    await anyio.sleep_forever()
            assert call.cancelled_caught
            async with stt.open(stt_under_test.format) as stream:
                say(stream, 1, stt_under_test.frames(0))
                stream.end_of_turn()
                assert_says(await outcome(stream), 1, stt_under_test.turns[0][1])

    async def test_the_recogniser_may_close_under_running_work(self, stt_under_test: SttUnderTest) -> None:
        """A shutdown in mid-turn ends cleanly; closing twice is allowed."""
        async with engine(stt_under_test) as stt:
            async with stt.open(stt_under_test.format) as stream:
                say(stream, 1, stt_under_test.frames(0))
                stream.end_of_turn()
            await stt.aclose()

    @staticmethod
    async def _rest(stream: SttStream) -> list[SttEvent]:
        """Outcomes that came although none was due, up to the end of an empty turn passed through behind them."""
        stream.begin_turn(1_000, HINT)
        stream.end_of_turn()
        events: list[SttEvent] = []
        while (event := await next_event(stream)).turn != 1_000:
            if not isinstance(event, Partial):
                events.append(event)
        return events
