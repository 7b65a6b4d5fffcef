"""Browser calls over a link in memory, on the virtual clock: openings, faults and ends."""

from collections.abc import Awaitable, Callable
from typing import Literal

import anyio
import pytest
from memory_link import FRAME, START, MemoryLink

from kamerton.domain.media import CallHandler, CallMedia
from kamerton.domain.notices import AudioCleared, CallFinished, ErrorOccurred
from kamerton.testing.media_stage import Operator
from kamerton.testing.virtual_loop import VirtualLoop
from kamerton.transports.admission import CallGate, CallLimits
from kamerton.transports.browser.protocol import Playback, encode_client_message
from kamerton.transports.browser.server import BrowserTransport
from kamerton.transports.browser.settings import BrowserSettings
from kamerton.transports.refusal import BusyLine

pytestmark = pytest.mark.anyio

Ender = Literal["caller", "bot", "error", "shutdown"]

HANG_UP = '{"type": "hang_up", "payload": {}}'


@pytest.fixture
def anyio_backend() -> object:
    return ("asyncio", {"loop_factory": VirtualLoop})


async def served(
    transport: BrowserTransport, handler: CallHandler, scene: Callable[[MemoryLink], Awaitable[None]]
) -> MemoryLink:
    """Serve one page's connection while the scene plays; the connection must be over when the page is."""
    link = MemoryLink()
    async with anyio.create_task_group() as group:
        serving = anyio.create_task_group()
        async with serving:
            await serving.start(transport.serve, handler)
            group.start_soon(transport.connect, link, "page:1")
            with anyio.fail_after(1000):
                await scene(link)
            serving.cancel_scope.cancel()
    link.leave()
    link.said.close()
    return link


async def test_a_page_that_never_starts_is_told_and_closed() -> None:
    async def scene(link: MemoryLink) -> None:
        await link.say.send(FRAME)
        await anyio.sleep(11)

    transport = BrowserTransport()
    link = await served(transport, Operator(), scene)
    assert link.closed is not None
    assert link.closed[0] == 1008
    assert "start_demo_call" in link.told("error_occurred")[0]["message"]
    assert transport.counters["not_started"] == 1


@pytest.mark.parametrize("first", ["garbage", '{"type": "playback", "payload": {"played_samples": 0}}'])
async def test_a_wrong_first_message_is_explained_and_may_be_corrected(first: str) -> None:
    operator = Operator()

    async def scene(link: MemoryLink) -> None:
        await link.say.send(first)
        await link.until_told("error_occurred")
        await link.say.send(START)
        await link.until_told("demo_call_started")
        media = await operator.answer()
        assert media.info.user_name == "Анна"
        assert media.info.call_id == link.told("demo_call_started")[0]["session_id"]

    await served(BrowserTransport(), operator, scene)


async def test_hanging_up_or_leaving_before_the_start_is_no_call() -> None:
    async def hang_up(link: MemoryLink) -> None:
        await link.say.send(HANG_UP)
        await anyio.sleep(1)

    async def leave(link: MemoryLink) -> None:
        link.leave()
        await anyio.sleep(1)

    for scene in (hang_up, leave):
        transport = BrowserTransport()
        await served(transport, Operator(), scene)
        assert "served" not in transport.counters


async def test_bad_messages_are_answered_and_too_many_end_the_call() -> None:
    operator = Operator()

    async def scene(link: MemoryLink) -> None:
        await link.say.send(START)
        await operator.answer()
        for message in ("{", b"odd", b"", bytes(40_000), START):
            await link.say.send(message)
        while len(link.told("error_occurred")) < 5:
            await link.changed.wait()
        await link.say.send(FRAME)
        await operator.sink.until(lambda sink: len(sink.frames) == 1)
        for _ in range(16):
            await link.say.send("{")
        await operator.sink.until(lambda sink: bool(sink.hang_ups))
        operator.released.set()
        await link.until_told("call_ended")

    link = await served(BrowserTransport(), operator, scene)
    assert operator.sink.hang_ups == [("hang_up", "protocol_error")]
    assert link.told("call_ended")[0]["ended_by"] == "error"
    assert link.closed == (1008, "protocol_error")


async def test_the_first_word_on_the_end_is_the_last_one_said() -> None:
    async def handler(media: CallMedia) -> None:
        media.notify(AudioCleared())
        media.notify(CallFinished(media.info.call_id, "bot", "scenario ended", 3.0, {"final_price": 13200}, "goodbye"))
        media.notify(ErrorOccurred("too late"))
        await media.hang_up("scenario ended")

    async def scene(link: MemoryLink) -> None:
        await link.say.send(START)
        await link.until_told("call_ended")
        await anyio.sleep(1)

    link = await served(BrowserTransport(), handler, scene)
    assert [payload["reason"] for payload in link.told("call_ended")] == ["scenario ended"]
    assert link.told("call_ended")[0]["variables"] == {"final_price": 13200}
    assert link.told("error_occurred") == []
    assert link.told("clear_audio") == []
    assert link.closed == (1000, "scenario ended")


async def test_a_page_that_stops_reading_loses_frames_and_then_the_call() -> None:
    operator = Operator()

    async def scene(link: MemoryLink) -> None:
        await link.say.send(START)
        media = await operator.answer()
        link.stuck = True
        for _ in range(400):
            media.send(FRAME)
            await anyio.sleep(0.02)
        assert operator.sink.hang_ups == [("hang_up", "not_reading")]
        assert media.position().sent_samples <= 52 * 320
        with anyio.fail_after(2):
            await media.hang_up("again")
        operator.released.set()

    transport = BrowserTransport()
    await served(transport, operator, scene)
    assert transport.counters["ended_not_reading"] == 1
    assert transport.counters["dropped_out_frames"] > 200


async def test_a_page_that_takes_no_messages_cannot_hold_up_the_notices() -> None:
    operator = Operator()

    async def scene(link: MemoryLink) -> None:
        await link.say.send(START)
        media = await operator.answer()
        link.stuck = True
        for number in range(2000):
            media.notify(ErrorOccurred(str(number)))
        assert operator.sink.hang_ups == [("hang_up", "not_reading")]
        operator.released.set()
        await anyio.sleep(2)

    await served(BrowserTransport(), operator, scene)


async def test_the_heard_position_follows_the_page() -> None:
    operator = Operator()

    async def scene(link: MemoryLink) -> None:
        await link.say.send(START)
        media = await operator.answer()
        for _ in range(20):
            media.send(FRAME)
        await link.say.send('{"type": "playback", "payload": {"played_samples": 1600}}')
        await link.say.send(FRAME)
        await operator.sink.until(lambda sink: bool(sink.frames))
        assert media.position().far_queued_samples == 20 * 320 - 1600
        media.clear()
        assert media.position().far_queued_samples == 0
        await link.until_told("clear_audio")
        assert link.told("clear_audio") == [{"next_sample": 20 * 320}]

    await served(BrowserTransport(), operator, scene)


@pytest.mark.parametrize("with_words", [True, False])
async def test_a_call_too_many_is_told_so_and_the_running_one_goes_on(with_words: bool) -> None:
    operator = Operator()
    refuse = BusyLine({16000: bytes(640 * 10)}, "Все линии заняты.") if with_words else None
    transport = BrowserTransport(gate=CallGate(CallLimits(max_calls=1)), refuse=refuse)

    async def scene(link: MemoryLink) -> None:
        await link.say.send(START)
        media = await operator.answer()
        second = MemoryLink()
        await second.say.send(START)
        await transport.connect(second, "page:2")
        assert second.closed is not None
        assert second.closed[0] == 1013
        assert second.told("error_occurred")[0]["where"] == "admission"
        if with_words:
            assert sum(len(message) for message in second.got if isinstance(message, bytes)) == 6400
            assert second.told("call_ended")[0]["reason"] == "busy"
        second.said.close()
        media.send(FRAME)
        while FRAME not in link.got:
            await link.changed.wait()

    await served(transport, operator, scene)
    assert operator.cancelled


async def test_pages_that_only_connect_push_out_each_other_and_no_call() -> None:
    transport = BrowserTransport(BrowserSettings(max_pending=3))
    operator = Operator()

    async def scene(link: MemoryLink) -> None:
        silent = [MemoryLink() for _ in range(3)]
        async with anyio.create_task_group() as group:
            for number, page in enumerate(silent):
                await anyio.sleep(0.1)
                group.start_soon(transport.connect, page, f"page:{number}")
            await anyio.sleep(0.1)
            assert link.closed is not None
            assert link.closed[0] == 1013
            await silent[0].say.send(START)
            await operator.answer()
            assert silent[0].closed is silent[1].closed is silent[2].closed is None
            for page in silent:
                page.leave()
            operator.released.set()
        for page in silent:
            page.said.close()

    await served(transport, operator, scene)
    assert transport.counters["crowded_out"] == 1


async def test_a_page_that_comes_while_nothing_is_served_is_sent_away() -> None:
    link = MemoryLink()
    await BrowserTransport().connect(link, "page:1")
    assert link.closed is not None
    assert link.closed[0] == 1013
    link.said.close()


async def test_a_page_that_stops_playing_is_settled_by_the_clock_and_cut_off_in_the_end() -> None:
    operator = Operator()

    async def scene(link: MemoryLink) -> None:
        await link.say.send(START)
        media = await operator.answer()
        frames = 0
        while not operator.sink.hang_ups:
            media.send(FRAME)
            frames += 1
            if frames == 50:
                await link.say.send('{"type": "playback", "payload": {"played_samples": 3200}}')
            if frames == 300:
                assert media.position().far_queued_samples <= 1600
            await anyio.sleep(0.02)
        assert 94 * 50 > frames > 90 * 50
        assert operator.sink.hang_ups == [("hang_up", "not_playing")]
        operator.released.set()

    transport = BrowserTransport()
    await served(transport, operator, scene)
    assert transport.counters["ended_not_playing"] == 1


@pytest.mark.parametrize("every_s", [0.1, 1.0, 60.0], ids=["shown", "hidden", "hidden for long"])
async def test_a_page_in_a_hidden_tab_keeps_its_call(every_s: float) -> None:
    operator = Operator()

    async def scene(link: MemoryLink) -> None:
        await link.say.send(START)
        media = await operator.answer()
        for number in range(1, 50 * 300):
            media.send(FRAME)
            if number % int(every_s * 50) == 0:
                await link.say.send(encode_client_message(Playback((number - 5) * 320)))
            await anyio.sleep(0.02)
        assert operator.sink.hang_ups == []

    await served(BrowserTransport(), operator, scene)


async def test_a_page_that_never_reports_keeps_its_call() -> None:
    operator = Operator()

    async def scene(link: MemoryLink) -> None:
        await link.say.send(START)
        media = await operator.answer()
        for _ in range(50 * 110):
            media.send(FRAME)
            await anyio.sleep(0.02)
        assert operator.sink.hang_ups == []
        assert media.position().far_queued_samples <= 1600

    await served(BrowserTransport(), operator, scene)


async def test_stopping_tells_the_page_who_ended_the_call() -> None:
    operator = Operator()

    async def scene(link: MemoryLink) -> None:
        await link.say.send(START)
        await operator.answer()

    link = await served(BrowserTransport(), operator, scene)
    assert link.told("call_ended")[0]["ended_by"] == "shutdown"
    assert link.closed == (1001, "shutdown")


@pytest.mark.parametrize(("ended_by", "code"), [("bot", 1000), ("caller", 1000), ("error", 1011), ("shutdown", 1001)])
async def test_the_close_code_tells_who_ended_the_call(ended_by: Ender, code: int) -> None:
    async def handler(media: CallMedia) -> None:
        media.notify(CallFinished(media.info.call_id, ended_by, "сервис останавливается на обслуживание", 3.0))
        await media.hang_up("сервис останавливается на обслуживание")

    async def scene(link: MemoryLink) -> None:
        await link.say.send(START)
        await link.until_told("call_ended")
        await anyio.sleep(1)

    link = await served(BrowserTransport(), handler, scene)
    assert link.closed is not None
    assert link.closed[0] == code
    assert len(link.closed[1].encode()) <= 123
