"""The suite that every transport must pass, from the handler's side and from the caller's.

A test module makes a subclass of `MediaConformance` with a fixture `transport_under_test` that gives a
`TransportUnderTest` (media_stage). Tests run in real time on real sockets, or on the virtual loop where there is none;
no test sleeps.
"""

from __future__ import annotations

import anyio
import pytest

from kamerton.domain.media import CallMedia
from kamerton.testing.media_stage import (
    DEADLINE_S,
    EVERY_NOTICE,
    CallFactory,
    Operator,
    TransportUnderTest,
    numbered_frames,
)

HANG_UP_TRAVEL_S = 0.3


class AudioConformance:
    """The half of the suite about audio, clearing and notices."""

    pytestmark = pytest.mark.anyio

    async def test_what_the_caller_says_arrives_in_exact_frames(self, transport_under_test: TransportUnderTest) -> None:
        """Audio in pieces of any length becomes 20 ms frames without a gap."""
        operator = Operator()

        async def scene(calls: CallFactory) -> None:
            caller = await calls.dial()
            said = b"".join(numbered_frames(caller.format, 12))
            piece = caller.format.frame_bytes * 3 // 2
            for offset in range(0, len(said), piece):
                await caller.speak(said[offset : offset + piece])
            await operator.sink.until(lambda sink: len(sink.frames) >= 12)
            frames = operator.sink.frames
            assert b"".join(frame.pcm for frame in frames) == said
            assert {len(frame.pcm) for frame in frames} == {caller.format.frame_bytes}
            assert {frame.format for frame in frames} == {caller.format}
            assert [frame.start_sample for frame in frames] == [n * caller.format.frame_samples for n in range(12)]

        await transport_under_test.run(operator, scene)

    async def test_what_is_said_before_the_start_is_not_lost(self, transport_under_test: TransportUnderTest) -> None:
        """What arrives before the handler listens waits for it."""
        operator = Operator(start_at_once=False)

        async def scene(calls: CallFactory) -> None:
            caller = await calls.dial()
            frames = numbered_frames(caller.format, 10)
            for frame in frames[:5]:
                await caller.speak(frame)
            media = await operator.answer()
            media.start(operator.sink)
            for frame in frames[5:]:
                await caller.speak(frame)
            await operator.sink.until(lambda sink: len(sink.frames) >= 10)
            assert [frame.pcm for frame in operator.sink.frames] == frames

        await transport_under_test.run(operator, scene)

    async def test_what_is_sent_is_heard_in_order(self, transport_under_test: TransportUnderTest) -> None:
        """Frames reach the caller complete and in order."""
        operator = Operator()

        async def scene(calls: CallFactory) -> None:
            caller = await calls.dial()
            media = await operator.answer()
            frames = numbered_frames(media.info.format, 20)
            for frame in frames:
                media.send(frame)
            assert await caller.hear(len(frames) * len(frames[0])) == b"".join(frames)

        await transport_under_test.run(operator, scene)

    async def test_a_frame_of_another_length_is_an_error(self, transport_under_test: TransportUnderTest) -> None:
        """Only frames of exactly 20 ms may be sent."""
        operator = Operator()

        async def scene(calls: CallFactory) -> None:
            await calls.dial()
            media = await operator.answer()
            for size in (0, 2, media.info.format.frame_bytes - 2, media.info.format.frame_bytes + 2):
                with pytest.raises(ValueError, match="bytes"):
                    media.send(bytes(size))

        await transport_under_test.run(operator, scene)

    async def test_the_position_counts_what_was_sent_and_never_runs_back(
        self, transport_under_test: TransportUnderTest
    ) -> None:
        """The position is exact in what was sent and monotone in what was heard."""
        operator = Operator()

        async def scene(calls: CallFactory) -> None:
            caller = await calls.dial()
            media = await operator.answer()
            heard = 0
            for number, frame in enumerate(numbered_frames(media.info.format, 25), start=1):
                media.send(frame)
                await caller.hear(len(frame))
                position = media.position()
                assert position.sent_samples == number * media.info.format.frame_samples
                assert 0 <= position.far_queued_samples <= position.sent_samples
                assert position.sent_samples - position.far_queued_samples >= heard
                heard = position.sent_samples - position.far_queued_samples

        await transport_under_test.run(operator, scene)

    async def test_clearing_recalls_what_was_sent_where_it_can(self, transport_under_test: TransportUnderTest) -> None:
        """Nothing sent before a clear is heard after what was sent later."""
        operator = Operator()

        async def scene(calls: CallFactory) -> None:
            caller = await calls.dial()
            media = await operator.answer()
            before = numbered_frames(media.info.format, 10)
            after = numbered_frames(media.info.format, 3, first=100)
            for frame in before:
                media.send(frame)
            media.clear()
            sent = media.position().sent_samples
            if media.capabilities.can_clear:
                assert media.position().far_queued_samples == 0
            for frame in after:
                media.send(frame)
            assert media.position().sent_samples == sent + 3 * media.info.format.frame_samples
            got = b""
            while not got.endswith(after[-1]):
                got += await caller.hear(len(after[0]))
            assert got.endswith(b"".join(after))
            assert b"".join(before).startswith(got[: -3 * len(after[0])])
            assert caller.clearings() == (1 if media.capabilities.can_clear else 0)

        await transport_under_test.run(operator, scene)

    async def test_every_notice_is_taken_without_waiting(self, transport_under_test: TransportUnderTest) -> None:
        """Notices never hold up the audio, whatever the transport does with them."""
        operator = Operator()

        async def scene(calls: CallFactory) -> None:
            caller = await calls.dial()
            media = await operator.answer()
            for _ in range(20):
                for notice in EVERY_NOTICE:
                    media.notify(notice)
            frame = numbered_frames(media.info.format, 1)[0]
            media.send(frame)
            assert await caller.hear(len(frame)) == frame
            operator.released.set()
            assert await caller.goodbye()
            media.notify(EVERY_NOTICE[0])

        await transport_under_test.run(operator, scene)


class EndConformance:
    """The half of the suite about controls and the many ways in which a call ends."""

    pytestmark = pytest.mark.anyio

    async def test_our_hang_up_is_told_to_both_sides_once(self, transport_under_test: TransportUnderTest) -> None:
        """A hang-up may be repeated, reaches the caller, and ends everything."""
        operator = Operator()

        async def scene(calls: CallFactory) -> None:
            caller = await calls.dial()
            media = await operator.answer()
            with anyio.fail_after(DEADLINE_S):
                await media.hang_up("done")
                await media.hang_up("again")
            assert await caller.goodbye()
            media.send(bytes(media.info.format.frame_bytes))
            media.clear()
            assert operator.sink.hang_ups == [("hang_up", "done")]
            assert operator.sink.events[-1] == ("hang_up", "done")

        await transport_under_test.run(operator, scene)

    async def test_the_callers_hang_up_comes_once_and_last(self, transport_under_test: TransportUnderTest) -> None:
        """A caller who leaves in the middle of a frame is reported once, after all whole frames."""
        operator = Operator()

        async def scene(calls: CallFactory) -> None:
            caller = await calls.dial()
            media = await operator.answer()
            frames = numbered_frames(caller.format, 5)
            for frame in frames:
                await caller.speak(frame)
            await caller.speak(frames[0][: len(frames[0]) // 2])
            await caller.hang_up()
            await operator.sink.until(lambda sink: bool(sink.hang_ups))
            media.send(bytes(media.info.format.frame_bytes))
            with anyio.fail_after(DEADLINE_S):
                await media.hang_up("too late")
            assert [frame.pcm for frame in operator.sink.frames] == frames
            assert operator.sink.hang_ups == [("hang_up", "hung_up")]
            assert operator.sink.events[-1] == ("hang_up", "hung_up")

        await transport_under_test.run(operator, scene)

    async def test_a_hang_up_before_the_start_is_told_at_the_start(
        self, transport_under_test: TransportUnderTest
    ) -> None:
        """A call that is over before its handler listens still ends properly."""
        operator = Operator(start_at_once=False)

        async def scene(calls: CallFactory) -> None:
            caller = await calls.dial()
            media = await operator.answer()
            await caller.hang_up()
            with anyio.move_on_after(HANG_UP_TRAVEL_S):
                # A page stays for the last message, and so waits longer than this for a handler that does not act.
                await caller.goodbye()
            media.start(operator.sink)
            await operator.sink.until(lambda sink: bool(sink.hang_ups))
            assert operator.sink.hang_ups == [("hang_up", "hung_up")]

        await transport_under_test.run(operator, scene)

    async def test_a_handler_that_returns_ends_the_call(self, transport_under_test: TransportUnderTest) -> None:
        """A handler need not hang up itself."""
        operator = Operator()

        async def scene(calls: CallFactory) -> None:
            caller = await calls.dial()
            await operator.answer()
            operator.released.set()
            assert await caller.goodbye()
            assert len(operator.sink.hang_ups) == 1

        await transport_under_test.run(operator, scene)

    async def test_a_handler_that_fails_ends_its_own_call_only(self, transport_under_test: TransportUnderTest) -> None:
        """Other calls go on when one handler raises."""
        operators = [Operator(), Operator()]
        waiting = iter(operators)

        async def handler(media: CallMedia) -> None:
            operator = next(waiting)
            await operator(media)
            if operator is operators[1]:
                raise LookupError("a bug in a handler")

        async def scene(calls: CallFactory) -> None:
            first = await calls.dial()
            media = await operators[0].answer()
            second = await calls.dial()
            await operators[1].answer()
            operators[1].released.set()
            assert await second.goodbye()
            frame = numbered_frames(media.info.format, 1)[0]
            media.send(frame)
            assert await first.hear(len(frame)) == frame

        await transport_under_test.run(handler, scene)

    async def test_stopping_ends_every_call_politely(self, transport_under_test: TransportUnderTest) -> None:
        """Cancelling the transport cancels the handlers and tells every caller."""
        operators = [Operator(), Operator()]
        waiting = iter(operators)

        async def handler(media: CallMedia) -> None:
            await next(waiting)(media)

        async def scene(calls: CallFactory) -> None:
            callers = []
            for operator in operators:
                callers.append(await calls.dial())
                await operator.answer()
            await calls.stop_serving()
            for operator, caller in zip(operators, callers, strict=True):
                assert operator.cancelled
                assert len(operator.sink.hang_ups) == 1
                assert await caller.goodbye()

        await transport_under_test.run(handler, scene)

    async def test_keys_and_the_stop_button_arrive(self, transport_under_test: TransportUnderTest) -> None:
        """Controls arrive in order, where the transport has them."""
        operator = Operator()

        async def scene(calls: CallFactory) -> None:
            caller = await calls.dial()
            media = await operator.answer()
            expected: list[object] = []
            if media.capabilities.dtmf:
                for digit in "1*#0":
                    await caller.press(digit)
                    expected.append(("dtmf", digit))
            if transport_under_test.has_interrupt:
                await caller.interrupt()
                expected.append(("interrupt",))
            await operator.sink.until(lambda sink: len(sink.events) >= len(expected))
            assert operator.sink.events == expected

        await transport_under_test.run(operator, scene)


class MediaConformance(AudioConformance, EndConformance):
    """What every transport promises (domain.media)."""
