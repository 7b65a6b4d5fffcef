"""A browser call of which one part fails, hangs or falls silent: it ends in bounded time, and the others go on."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import anyio
import anyio.lowlevel
import pytest
from memory_link import FRAME, START, MemoryLink

from kamerton.domain.audio import AudioFrame
from kamerton.domain.media import CallHandler, CallMedia
from kamerton.domain.notices import CallFinished, ErrorOccurred, TurnFinished
from kamerton.testing.media_stage import Operator, RecordingSink
from kamerton.testing.virtual_loop import VirtualLoop
from kamerton.transports.admission import CallGate
from kamerton.transports.browser.server import BrowserTransport
from kamerton.transports.browser.settings import BrowserSettings

pytestmark = pytest.mark.anyio

LEAVE_S = 5.0


@pytest.fixture
def anyio_backend() -> object:
    return ("asyncio", {"loop_factory": VirtualLoop})


class Switchboard:
    """Serves pages, each with a handler of its own, and keeps one healthy call beside the one under test."""

    def __init__(self) -> None:
        self.gate = CallGate()
        self.transport = BrowserTransport(BrowserSettings(leave_timeout_s=LEAVE_S), gate=self.gate)
        self._healthy = Operator()
        self._healthy_link = MemoryLink()
        self._handlers: list[CallHandler] = []

    async def __call__(self, media: CallMedia) -> None:
        await self._handlers.pop()(media)

    async def with_call(
        self, handler: CallHandler, scene: Callable[[MemoryLink], Awaitable[None]], link: MemoryLink | None = None
    ) -> MemoryLink:
        """Run a call beside the healthy one while the scene plays; when the scene is over it must leave by itself."""
        page = link or MemoryLink()
        async with anyio.create_task_group() as serving:
            await serving.start(self.transport.serve, self)
            async with anyio.create_task_group() as pages:
                self._handlers.append(self._healthy)
                pages.start_soon(self.transport.connect, self._healthy_link, "page:1")
                await self._healthy_link.say.send(START)
                await self._healthy.answer()
                self._handlers.append(handler)
                pages.start_soon(self.transport.connect, page, "page:2")
                await page.say.send(START)
                with anyio.fail_after(100):
                    await self._until(lambda: self.transport.counters["served"] == 2)
                    await scene(page)
                    await self._until(lambda: self.gate.live == 1)
                    await self._the_healthy_call_goes_on()
                self._healthy.released.set()
            serving.cancel_scope.cancel()
        for end in (page, self._healthy_link):
            end.leave()
            end.said.close()
        return page

    @staticmethod
    async def _until(holds: Callable[[], bool]) -> None:
        while not holds():
            await anyio.lowlevel.checkpoint()
            await anyio.sleep(0.1)

    async def _the_healthy_call_goes_on(self) -> None:
        media = await self._healthy.answer()
        assert self._healthy.sink.hang_ups == []
        await self._healthy_link.say.send(FRAME)
        await self._healthy.sink.until(lambda sink: bool(sink.frames))
        media.send(FRAME)
        while FRAME not in self._healthy_link.got:
            await self._healthy_link.changed.wait()


class BrokenEars(RecordingSink):
    """A sink that raises at what is named."""

    def __init__(self, *broken: str) -> None:
        super().__init__()
        self._broken = broken

    def on_audio(self, frame: AudioFrame) -> None:
        super().on_audio(frame)
        self._break("audio")

    def on_interrupt(self) -> None:
        super().on_interrupt()
        self._break("interrupt")

    def on_hang_up(self, reason: str) -> None:
        super().on_hang_up(reason)
        self._break("hang_up")

    def _break(self, what: str) -> None:
        if what in self._broken:
            raise LookupError(f"a bug at {what}")


@pytest.mark.parametrize("message", [FRAME, '{"type": "user_interrupted", "payload": {}}'], ids=["audio", "interrupt"])
@pytest.mark.parametrize("deaf", [False, True], ids=["told", "not told"])
async def test_a_sink_that_raises_ends_its_own_call(
    message: str | bytes, deaf: bool, caplog: pytest.LogCaptureFixture
) -> None:
    ears = BrokenEars("audio", "interrupt", *(["hang_up"] if deaf else []))

    async def handler(media: CallMedia) -> None:
        media.start(ears)
        if deaf:
            await anyio.sleep_forever()
        await ears.until(lambda sink: bool(sink.hang_ups))

    async def scene(link: MemoryLink) -> None:
        await link.say.send(message)
        await link.say.send(message)
        await link.until_told("call_ended")

    with caplog.at_level(logging.ERROR):
        link = await Switchboard().with_call(handler, scene)
    assert len(ears.events) == 2, "after the fault it hears that the call is over, and nothing else"
    assert ears.hang_ups == [("hang_up", "error")]
    assert link.closed == (1011, "error")
    assert link.told("call_ended")[0]["ended_by"] == "error"
    assert "a call ended by an error in what takes its audio" in caplog.text
    assert ("its handler does not return" in caplog.text) is deaf


async def test_a_sink_that_raises_at_what_had_waited_for_it_ends_its_own_call() -> None:
    ears = BrokenEars("audio")

    async def handler(media: CallMedia) -> None:
        await anyio.sleep(0.5)
        media.start(ears)
        await ears.until(lambda sink: bool(sink.hang_ups))

    async def scene(link: MemoryLink) -> None:
        await link.say.send(FRAME)
        await link.say.send(FRAME)
        await link.until_told("call_ended")

    await Switchboard().with_call(handler, scene)
    assert [type(event) for event in ears.events] == [AudioFrame, tuple]


class FaultyLink(MemoryLink):
    """A page whose link raises or hangs where it should do neither."""

    def __init__(self, fault: str) -> None:
        super().__init__()
        self._fault = fault

    async def receive(self) -> str | bytes | None:
        message = await super().receive()
        if self._fault == "receive raises" and isinstance(message, bytes):
            raise LookupError(self._fault)
        return message

    async def send(self, message: str | bytes) -> None:
        if self._fault == "start raises" or (self._fault == "send raises" and isinstance(message, bytes)):
            raise LookupError(self._fault)
        await super().send(message)

    async def close(self, code: int, reason: str) -> None:
        if self._fault == "close raises":
            raise LookupError(self._fault)
        if self._fault == "close hangs":
            await anyio.sleep_forever()
        await super().close(code, reason)


@pytest.mark.parametrize("fault", ["receive raises", "send raises", "start raises", "close raises", "close hangs"])
async def test_a_link_that_raises_or_hangs_ends_its_own_call(fault: str) -> None:
    ears = RecordingSink()

    async def handler(media: CallMedia) -> None:
        media.start(ears)
        media.send(FRAME)
        if fault.startswith("close"):
            await media.hang_up("done")
        await ears.until(lambda sink: bool(sink.hang_ups))

    async def scene(link: MemoryLink) -> None:
        await link.say.send(FRAME)

    await Switchboard().with_call(handler, scene, FaultyLink(fault))
    if fault != "start raises":
        assert len(ears.hang_ups) == 1


@pytest.mark.parametrize("stubborn", [False, True], ids=["hangs", "hangs when told to end"])
async def test_a_handler_that_hangs_is_cut_off_once_its_page_is_gone(stubborn: bool) -> None:
    async def handler(media: CallMedia) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            if stubborn:
                with anyio.move_on_after(7, shield=True):
                    await anyio.sleep_forever()

    async def scene(link: MemoryLink) -> None:
        link.leave()

    switchboard = Switchboard()
    await switchboard.with_call(handler, scene)
    assert anyio.current_time() == pytest.approx(LEAVE_S + (7 if stubborn else 0), abs=1)
    assert switchboard.transport.counters["ended_hung_up"] == 1


async def test_a_notice_that_cannot_be_shown_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    class Hostile:
        def __str__(self) -> str:
            raise LookupError("what scenario code may leave in a variable")

    async def handler(media: CallMedia) -> None:
        for _ in range(3):
            media.notify(TurnFinished(0, "scenario", entities={"number": Hostile()}))
        media.notify(ErrorOccurred("shown"))
        media.notify(CallFinished(media.info.call_id, "shutdown", "stopping", 1.0, {"price": Hostile()}))
        await media.hang_up("stopping")

    async def scene(link: MemoryLink) -> None:
        await link.until_told("call_ended")

    link = await Switchboard().with_call(handler, scene)
    assert link.told("error_occurred") == [{"message": "shown", "where": ""}]
    assert link.closed == (1001, "stopping")
    assert caplog.text.count("a notice cannot be shown on the page") == 1
