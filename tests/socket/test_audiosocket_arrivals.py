"""Who comes to the AudioSocket server, on real sockets: strangers, floods, bursts, one caller twice."""

import asyncio
import logging
import socket
from collections import Counter
from contextlib import AsyncExitStack, suppress
from uuid import uuid4

import anyio
import anyio.lowlevel
import psutil
import pytest
from audiosocket_stage import HOST, QUICK, dial, everything, served, until

from kamerton.domain.audio import PHONE, AudioFrame
from kamerton.domain.errors import CallEnded, ConfigurationError
from kamerton.domain.media import CallHandler, CallMedia
from kamerton.testing.media_stage import Operator, RecordingSink, numbered_frames
from kamerton.transports.admission import CallGate, CallLimits
from kamerton.transports.audiosocket.client import AudioSocketCaller
from kamerton.transports.audiosocket.codec import encode_audio, encode_uuid
from kamerton.transports.audiosocket.server import AudioSocketTransport
from kamerton.transports.audiosocket.settings import AudioSocketSettings
from kamerton.transports.refusal import BusyLine

pytestmark = [pytest.mark.anyio, pytest.mark.socket]


@pytest.mark.parametrize(
    "garbage",
    [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00" * 100, b"\0" * 1000, b"\x10\x01\x40" * 200],
)
async def test_garbage_ends_its_own_connection_with_a_clear_line(
    garbage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    operator = Operator()

    async def scene(port: int) -> None:
        async with await dial(port) as caller:
            media = await operator.answer()
            async with await anyio.connect_tcp(HOST, port) as stranger:
                await stranger.send(garbage)
                assert await everything(stranger) == b"\0\0\0"
            frame = numbered_frames(PHONE, 1)[0]
            media.send(frame)
            assert await caller.hear(320) == frame

    with caplog.at_level(logging.WARNING):
        transport = await served(AudioSocketTransport(QUICK), operator, scene)
    assert transport.counters["ended_protocol_error"] == 1
    assert [record.message for record in caplog.records] == [
        "an AudioSocket connection is closed: it breaks the protocol"
    ]
    assert "is this an AudioSocket client?" in str(vars(caplog.records[0])["reason"])


async def test_a_malformed_message_ends_that_call_only() -> None:
    operators = [Operator(), Operator()]
    waiting = iter(operators)

    async def handler(media: CallMedia) -> None:
        await next(waiting)(media)

    async def scene(port: int) -> None:
        async with await dial(port) as caller, await anyio.connect_tcp(HOST, port) as broken:
            await operators[0].answer()
            await broken.send(encode_uuid(uuid4()) + encode_audio(8000, bytes(320)) + b"\x10\x00\x03abc")
            assert (await everything(broken)).endswith(b"\0\0\0")
            await operators[1].sink.until(lambda sink: bool(sink.hang_ups))
            assert operators[1].sink.hang_ups == [("hang_up", "protocol_error")]
            assert operators[0].sink.hang_ups == []
            await caller.speak(bytes(320))
            await operators[0].sink.until(lambda sink: len(sink.frames) == 1)

    await served(AudioSocketTransport(QUICK), handler, scene)


async def test_a_stranger_that_says_nothing_is_closed_in_time() -> None:
    async def scene(port: int) -> None:
        async with await anyio.connect_tcp(HOST, port) as stranger:
            assert await everything(stranger) == b"\0\0\0"

    settings = AudioSocketSettings(port=0, identify_timeout_s=0.2)
    transport = await served(AudioSocketTransport(settings), Operator(), scene)
    assert transport.counters["ended_no_uuid"] == 1


async def test_strangers_that_only_connect_push_out_each_other_and_no_call(caplog: pytest.LogCaptureFixture) -> None:
    operator = Operator()

    async def scene(port: int) -> None:
        async with AsyncExitStack() as strangers:
            first, *_ = [await strangers.enter_async_context(await anyio.connect_tcp(HOST, port)) for _ in range(40)]
            assert await everything(first) == b"\0\0\0"
            async with await dial(port) as caller:
                media = await operator.answer()
                media.send(bytes(320))
                assert await caller.hear(320) == bytes(320)

    settings = AudioSocketSettings(port=0, max_pending=4, silence_grace_ms=10, rate_hz=8000)
    transport = await served(AudioSocketTransport(settings), operator, scene)
    assert transport.counters["crowded_out"] >= 37
    assert caplog.text.count("too many say nothing") == 1


async def test_a_flood_of_small_messages_ends_its_own_connection() -> None:
    operator = Operator()

    async def scene(port: int) -> None:
        async with await dial(port) as caller:
            await operator.answer()
            async with await anyio.connect_tcp(HOST, port) as flood:
                with suppress(anyio.BrokenResourceError):
                    await flood.send(encode_uuid(uuid4()) + encode_audio(8000, b"\0\0") * 100_000)
                assert (await everything(flood)).endswith(b"\0\0\0")
            await caller.speak(bytes(320))
            await operator.sink.until(lambda sink: len(sink.frames) == 1)

    handlers: list[CallHandler] = [Operator(), operator]

    async def handler(media: CallMedia) -> None:
        await handlers.pop()(media)

    transport = await served(AudioSocketTransport(QUICK), handler, scene)
    assert transport.counters["ended_protocol_error"] == 1


async def test_a_live_calls_id_cannot_be_taken_over(caplog: pytest.LogCaptureFixture) -> None:
    operator = Operator()

    async def scene(port: int) -> None:
        call_id = uuid4()
        async with await dial(port, call_id=call_id) as caller:
            media = await operator.answer()
            assert media.info.call_id == str(call_id)
            async with await dial(port, call_id=call_id) as thief, await dial(port, call_id=call_id) as second:
                assert await second.goodbye()
                assert await thief.goodbye()
            frame = numbered_frames(PHONE, 1)[0]
            media.send(frame)
            assert await caller.hear(320) == frame

    transport = await served(AudioSocketTransport(QUICK), operator, scene)
    assert transport.counters["duplicate"] == 2
    assert "an AudioSocket call is not served" in caplog.text


async def test_an_id_that_comes_back_is_served_as_soon_as_its_old_call_is_gone() -> None:
    operators = [Operator(), Operator()]
    waiting = iter(operators)

    async def handler(media: CallMedia) -> None:
        await next(waiting)(media)

    async def scene(port: int) -> None:
        call_id = uuid4()
        async with await dial(port, call_id=call_id) as caller:
            await operators[0].answer()
            await caller.hang_up()
            async with await dial(port, call_id=call_id) as again:
                await again.speak(b"\x01\x00" * 160)
                await operators[0].sink.until(lambda sink: bool(sink.hang_ups))
                with anyio.move_on_after(0.7):
                    await again.goodbye()
                assert operators[1].media is None, "the old call has not left yet"
                operators[0].released.set()
                media = await operators[1].answer()
                assert media.info.call_id == str(call_id)
                await operators[1].sink.until(lambda sink: len(sink.frames) == 1)
                media.send(bytes(320))
                assert await again.hear(320) == bytes(320)

    transport = await served(AudioSocketTransport(QUICK), handler, scene)
    assert (transport.counters["served"], transport.counters["duplicate"]) == (2, 0)


async def test_an_id_that_comes_back_in_vain_is_refused_in_the_end() -> None:
    operator = Operator()

    async def scene(port: int) -> None:
        call_id = uuid4()
        async with await dial(port, call_id=call_id) as caller:
            await operator.answer()
            await caller.hang_up()
            async with await dial(port, call_id=call_id) as again:
                assert await again.goodbye()

    settings = AudioSocketSettings(port=0, rate_hz=8000, rejoin_wait_s=0.2)
    transport = await served(AudioSocketTransport(settings), operator, scene)
    assert (transport.counters["served"], transport.counters["duplicate"]) == (1, 1)


class DeafSink(RecordingSink):
    def on_audio(self, frame: AudioFrame) -> None:
        raise LookupError("a bug in what hears")

    def on_hang_up(self, reason: str) -> None:
        super().on_hang_up(reason)
        raise LookupError("and in what is told")


async def test_a_sink_that_raises_and_a_handler_that_hangs_end_their_own_call() -> None:
    operator = Operator()
    sink = DeafSink()
    handlers: list[CallHandler] = [operator]

    async def deaf(media: CallMedia) -> None:
        media.start(sink)
        await anyio.sleep_forever()

    async def handler(media: CallMedia) -> None:
        await handlers.pop()(media)

    async def scene(port: int) -> None:
        async with await dial(port) as caller:
            media = await operator.answer()
            handlers.append(deaf)
            async with await dial(port) as unheard:
                await unheard.speak(bytes(320))
                assert await unheard.goodbye()
            await caller.speak(bytes(320))
            await operator.sink.until(lambda sink: len(sink.frames) == 1)
            await until(lambda: gate.live == 1)
            media.send(bytes(320))
            assert await caller.hear(320) == bytes(320)

    gate = CallGate()
    settings = AudioSocketSettings(port=0, rate_hz=8000, close_timeout_s=0.3, leave_timeout_s=0.3)
    transport = AudioSocketTransport(settings, gate=gate)
    await served(transport, handler, scene)
    assert transport.counters["ended_error"] == 1
    assert sink.hang_ups == [("hang_up", "error")]


async def test_calls_over_the_limit_hear_the_busy_line_and_further_ones_are_cut() -> None:
    operator = Operator()
    clip = b"".join(numbered_frames(PHONE, 25)) + b"\x01\x00"
    gate = CallGate(CallLimits(max_calls=1, max_refusals=1))

    async def scene(port: int) -> None:
        async with await dial(port) as caller:
            media = await operator.answer()
            async with await dial(port) as refused:
                assert await refused.hear(320) == clip[:320]
                async with await dial(port) as turned_away:
                    assert await turned_away.goodbye()
                    with pytest.raises(CallEnded):
                        await turned_away.hear(2)
                assert await refused.hear(320 * 25) == clip[320:].ljust(320 * 25, b"\0")
                assert await refused.goodbye()
            frame = numbered_frames(PHONE, 1)[0]
            media.send(frame)
            assert await caller.hear(320) == frame

    transport = AudioSocketTransport(QUICK, gate=gate, refuse=BusyLine({8000: clip}, "Все линии заняты."))
    await served(transport, operator, scene)
    assert (transport.counters["refused"], transport.counters["turned_away"]) == (1, 1)
    assert (gate.live, gate.refusing) == (0, 0)


@pytest.mark.parametrize("max_pending", [4, 256])
async def test_a_burst_beside_silent_sockets_is_served_up_to_the_limit_and_the_rest_is_told(max_pending: int) -> None:
    clip = b"\x05\x00" * 160
    done = anyio.Event()

    async def handler(media: CallMedia) -> None:
        media.send(b"\x07\x00" * 160)
        await done.wait()

    heard: Counter[int] = Counter()

    async def call(port: int) -> None:
        async with await dial(port) as caller:
            try:
                heard[(await caller.hear(320))[0]] += 1
            except CallEnded:
                heard[0] += 1
            if sum(heard.values()) == 250:
                done.set()
            assert await caller.goodbye()

    async def scene(port: int) -> None:
        async with AsyncExitStack() as strangers:
            for _ in range(20):
                await strangers.enter_async_context(await anyio.connect_tcp(HOST, port))
            async with anyio.create_task_group() as callers:
                for _ in range(250):
                    callers.start_soon(call, port)

    settings = AudioSocketSettings(port=0, rate_hz=8000, max_pending=max_pending)
    transport = AudioSocketTransport(settings, gate=CallGate(), refuse=BusyLine({8000: clip}, "Все линии заняты."))
    await served(transport, handler, scene)
    assert heard[7] == 200
    assert heard[5] >= 20
    assert sum(heard.values()) == 250
    assert transport.counters["served"] == 200
    assert transport.counters["refused"] + transport.counters["turned_away"] == 50


async def test_stopping_closes_strangers_too() -> None:
    transport = AudioSocketTransport(QUICK)
    async with anyio.create_task_group() as serving:
        port = await serving.start(transport.serve, Operator())
        stranger = await anyio.connect_tcp(HOST, port)
        async with stranger:
            await stranger.send(b"\x01")
            with anyio.fail_after(5):
                while not transport.counters["accepted"]:
                    await anyio.lowlevel.checkpoint()
                serving.cancel_scope.cancel()
                with anyio.CancelScope(shield=True):
                    assert await everything(stranger) == b"\0\0\0"


async def test_every_address_of_a_name_is_listened_on_until_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    async def two_addresses(*_: object, **__: object) -> list[tuple[object, ...]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, 0)) for host in ("127.0.0.1", "127.0.0.2")]

    operator = Operator()
    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", two_addresses)
    transport = AudioSocketTransport(AudioSocketSettings(host="two.example", port=0, rate_hz=8000))

    async def scene(port: int) -> None:
        ours = psutil.Process().net_connections("tcp")
        second = next(wire.laddr.port for wire in ours if wire.laddr.ip == "127.0.0.2" and wire.status == "LISTEN")
        monkeypatch.undo()
        places = (("127.0.0.1", port), ("127.0.0.2", second))
        for host, number in places:
            async with await AudioSocketCaller.dial(host, number, uuid4(), PHONE):
                await operator.answer()
        await until(lambda: transport.counters["served"] == 2)
        transport.stop_listening()
        await until(lambda: all(is_refused(host, number) for host, number in places))

    await served(transport, operator, scene)


def is_refused(host: str, port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((host, port)) != 0


async def test_a_busy_port_is_explained() -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"port {port}: the port is in use; stop the program"):
            await AudioSocketTransport(AudioSocketSettings(port=port)).serve(Operator())


async def test_an_address_of_another_machine_is_explained() -> None:
    with pytest.raises(ConfigurationError, match="set the host of the AudioSocket server"):
        await AudioSocketTransport(AudioSocketSettings(host="192.0.2.1", port=0)).serve(Operator())
