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

from kamerton.domain.audio import FRAME_MS, AudioFormat, AudioFrame
from kamerton.domain.recognition import (
    Final,
    Partial,
    RecognitionHint,
    SpeechToText,
    SttEvent,
    SttFailed,
    SttReconnected,
    SttStream,
    UtteranceEnded,
)

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
    split: tuple[bytes, str] = (b"", "")
    """For `UtteranceEndingConformance`: PCM of a turn in which the engine itself ends an utterance before the turn's
    end, and the transcript of the whole. Scripted ones say it as the first turn of a call."""
    interrupt: Callable[[SpeechToText], None] | None = None
    """For `ConnectedSttConformance`: breaks the engine's connections, which come back by themselves."""

    def frames(self, index: int) -> list[AudioFrame]:
        """One of the turns as whole frames."""
        return self.framed(self.turns[index][0])

    def framed(self, pcm: bytes) -> list[AudioFrame]:
        """Audio as whole frames."""
        size = self.format.frame_bytes
        return [
            AudioFrame(pcm[at : at + size], self.format, at // 2) for at in range(0, len(pcm) - len(pcm) % size, size)
        ]

    def silence(self, frames: int) -> list[AudioFrame]:
        """So many frames in which nobody speaks."""
        return self.framed(self.format.silence() * frames)


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
    return (await until_outcome(stream))[1]


async def until_outcome(stream: SttStream) -> tuple[list[SttEvent], Final | SttFailed]:
    """The next event that ends a turn, and all that came before it."""
    before: list[SttEvent] = []
    while not isinstance(event := await next_event(stream), Final | SttFailed):
        before.append(event)
    return before, event


async def stable_partial(stream: SttStream) -> Partial:
    """The next hypothesis that is stable."""
    while not isinstance(event := await next_event(stream), Partial) or not event.stable:
        assert not isinstance(event, Final | SttFailed), f"the turn ended before it was asked to: {event}"
    return event


def say(stream: SttStream, turn: int, frames: Sequence[AudioFrame]) -> None:
    """Begin a turn with this audio."""
    stream.begin_turn(turn, HINT)
    for frame in frames:
        stream.push(frame)


async def rest(stream: SttStream) -> list[SttEvent]:
    """Outcomes that came although none was due, up to the end of an empty turn passed through behind them."""
    stream.begin_turn(1_000, HINT)
    stream.end_of_turn()
    events: list[SttEvent] = []
    while (event := await next_event(stream)).turn != 1_000:
        if isinstance(event, Final | SttFailed):
            events.append(event)
    return events


def _placed(events: Sequence[SttEvent]) -> list[Partial | UtteranceEnded]:
    return [event for event in events if isinstance(event, Partial | UtteranceEnded)]


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
            assert await rest(stream) == []

    async def test_a_pause_gives_a_stable_partial_and_the_end_its_final(self, stt_under_test: SttUnderTest) -> None:
        """The final that follows a pause says what the stable partial said."""
        async with engine(stt_under_test) as stt, stt.open(stt_under_test.format) as stream:
            say(stream, 1, stt_under_test.frames(0))
            stream.pause()
            assert_says(await stable_partial(stream), 1, stt_under_test.turns[0][1])
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
            assert await rest(stream) == []

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
            assert await rest(stream) == []

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
            assert await rest(stream) == []

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
            assert await rest(first) == []

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

    async def test_hypotheses_say_how_far_they_reach(self, stt_under_test: SttUnderTest) -> None:
        """Their coverage only grows and never passes what was pushed; a stable one in a pause covers all of it."""
        frames, pushed = stt_under_test.frames(0), 0
        async with engine(stt_under_test) as stt, stt.open(stt_under_test.format) as stream:
            stream.begin_turn(1, HINT)
            covered: list[float] = []
            for part in (frames[: len(frames) // 2], frames[len(frames) // 2 :]):
                for frame in part:
                    stream.push(frame)
                pushed += len(part) * FRAME_MS
                stream.pause()
                while True:
                    partial = await stable_partial(stream)
                    covered.append(pushed if partial.covers_ms is None else partial.covers_ms)
                    assert covered[-1] <= pushed
                    if covered[-1] == pushed:
                        break
                stream.resume()
            assert covered == sorted(covered)
            stream.end_of_turn()
            events, final = await until_outcome(stream)
            assert all(event.covers_ms is None or event.covers_ms <= pushed for event in _placed(events))
            assert_says(final, 1, stt_under_test.turns[0][1])

    async def test_the_look_back_belongs_to_the_turn(self, stt_under_test: SttUnderTest) -> None:
        """Audio from before the turn's beginning is in its transcript, whether the engine had heard it or not."""
        frames = stt_under_test.frames(0)
        async with engine(stt_under_test) as stt, stt.open(stt_under_test.format) as stream:
            look_back, more = frames[:20], frames[20:]
            if stt.capabilities.continuous:
                for frame in (*stt_under_test.silence(50), *look_back):
                    stream.push(frame)
            stream.begin_turn(1, HINT, look_back)
            for frame in more:
                stream.push(frame)
            stream.end_of_turn()
            assert_says(await outcome(stream), 1, stt_under_test.turns[0][1])
            assert await rest(stream) == []

    async def test_audio_between_turns_changes_no_turn(self, stt_under_test: SttUnderTest) -> None:
        """Silence before, between and after the turns, whether the engine wants it or not, is in none of them."""
        async with engine(stt_under_test) as stt, stt.open(stt_under_test.format) as stream:
            for index, turn in enumerate((1, 2)):
                for frame in stt_under_test.silence(60):
                    stream.push(frame)
                say(stream, turn, stt_under_test.frames(index))
                stream.end_of_turn()
                for frame in stt_under_test.silence(60):
                    stream.push(frame)
                assert_says(await outcome(stream), turn, stt_under_test.turns[index][1])
            assert await rest(stream) == []


class ConnectedSttConformance(SttConformance):
    """What every recogniser does alike that holds a connection."""

    async def test_a_connection_that_breaks_in_a_turn_costs_no_outcome(self, stt_under_test: SttUnderTest) -> None:
        """The turn that was open, one that waits for its final, and the one after it each have exactly one."""
        assert stt_under_test.interrupt is not None, "the suite needs to know how to break the connection"
        frames = stt_under_test.frames(0)
        async with engine(stt_under_test) as stt, stt.open(stt_under_test.format) as stream:
            say(stream, 1, frames[: len(frames) // 2])
            stt_under_test.interrupt(stt)
            event = await next_event(stream)
            while not isinstance(event, SttReconnected):
                event = await next_event(stream)
            assert event.turn == 1
            assert event.lost_ms >= 0
            for frame in frames[len(frames) // 2 :]:
                stream.push(frame)
            stream.end_of_turn()
            stt_under_test.interrupt(stt)
            assert (await outcome(stream)).turn == 1
            say(stream, 2, stt_under_test.frames(1))
            stream.end_of_turn()
            assert_says(await outcome(stream), 2, stt_under_test.turns[1][1])
            assert await rest(stream) == []


class UtteranceEndingConformance(SttConformance):
    """What every recogniser does alike that ends utterances itself."""

    async def test_the_engines_own_ends_of_utterances_end_no_turn(self, stt_under_test: SttUnderTest) -> None:
        """They are told, and the turn's one final joins everything that the engine made of it."""
        pcm, words = stt_under_test.split
        async with engine(stt_under_test) as stt, stt.open(stt_under_test.format) as stream:
            say(stream, 1, stt_under_test.framed(pcm))
            stream.pause()
            ends: list[UtteranceEnded] = []
            while not (isinstance(event := await next_event(stream), Partial) and event.stable):
                if isinstance(event, UtteranceEnded):
                    ends.append(event)
            assert [end.turn for end in ends] == [1] * len(ends)
            assert ends, "no end of an utterance was told"
            assert_says(event, 1, words)
            stream.end_of_turn()
            assert_says(await outcome(stream), 1, words)
            assert await rest(stream) == []
