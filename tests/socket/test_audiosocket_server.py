"""Calls over AudioSocket, on real sockets: audio, formats, and the ways in which a call ends."""

import logging
import os
import socket
import struct
from typing import Any
from uuid import uuid4

import anyio
import anyio.lowlevel
import psutil
import pytest
from audiosocket_stage import HOST, QUICK, dial, served

from kamerton.domain.audio import PHONE, WIDEBAND, AudioFormat
from kamerton.domain.errors import CallEnded, ConfigurationError
from kamerton.domain.media import CallMedia
from kamerton.testing.media_stage import Operator, numbered_frames
from kamerton.transports.audiosocket.codec import encode_audio, encode_uuid
from kamerton.transports.audiosocket.server import AudioSocketTransport
from kamerton.transports.audiosocket.settings import AudioSocketSettings

pytestmark = [pytest.mark.anyio, pytest.mark.socket]


async def test_a_caller_who_sends_nothing_stays() -> None:
    operator = Operator()

    async def scene(port: int) -> None:
        async with await dial(port) as caller:
            media = await operator.answer()
            assert media.info.format == PHONE
            with anyio.move_on_after(1.5):
                await caller.goodbye()
            assert operator.sink.events == []
            frame = numbered_frames(PHONE, 1)[0]
            media.send(frame)
            assert await caller.hear(320) == frame

    settings = AudioSocketSettings(port=0, dead_peer_s=1.0, identify_timeout_s=0.5, close_timeout_s=0.3)
    await served(AudioSocketTransport(settings), operator, scene)


async def test_a_dead_machine_is_left_to_the_kernel_to_find() -> None:
    """It cannot be taken off a loopback; what is told to the kernel can be read."""
    seen: list[dict[str, int]] = []

    class Looking(Operator):
        async def __call__(self, media: CallMedia) -> None:
            for connection in psutil.Process().net_connections("tcp"):
                if connection.raddr and connection.laddr[1] == ports[0]:
                    with socket.socket(fileno=os.dup(connection.fd)) as wire:
                        options = ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT", "TCP_USER_TIMEOUT")
                        tcp = socket.IPPROTO_TCP
                        seen.append({name: wire.getsockopt(tcp, getattr(socket, name)) for name in options})
            await super().__call__(media)

    ports: list[int] = []
    operator = Looking()

    async def scene(port: int) -> None:
        ports.append(port)
        async with await dial(port):
            await operator.answer()

    await served(AudioSocketTransport(QUICK), operator, scene)
    assert seen == [{"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 3, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 20_000}]


@pytest.mark.parametrize(
    ("said", "expected"), [(PHONE, PHONE), (WIDEBAND, WIDEBAND), (AudioFormat(48000), WIDEBAND)], ids=str
)
async def test_the_first_audio_decides_the_format(said: AudioFormat, expected: AudioFormat) -> None:
    operator = Operator()

    async def scene(port: int) -> None:
        async with await dial(port, said) as caller:
            for _ in range(30):
                await caller.speak(said.silence())
            await operator.sink.until(lambda sink: len(sink.frames) >= 20)
            assert {frame.format for frame in operator.sink.frames} == {expected}

    settings = AudioSocketSettings(port=0, format_wait_ms=5000, close_timeout_s=0.3)
    await served(AudioSocketTransport(settings), operator, scene)


async def test_audio_of_another_rate_within_a_call_is_resampled() -> None:
    operator = Operator()

    async def scene(port: int) -> None:
        call_id = uuid4()
        async with await anyio.connect_tcp(HOST, port) as stream:
            await stream.send(encode_uuid(call_id) + encode_audio(8000, bytes(320)))
            for _ in range(40):
                await stream.send(encode_audio(16000, bytes(640)))
            await operator.sink.until(lambda sink: len(sink.frames) >= 30)
            assert {(frame.format, len(frame.pcm)) for frame in operator.sink.frames} == {(PHONE, 320)}

    await served(AudioSocketTransport(QUICK), operator, scene)


async def test_every_ptime_is_cut_into_frames() -> None:
    operator = Operator()

    async def scene(port: int) -> None:
        async with await dial(port) as caller:
            said = b"".join(numbered_frames(PHONE, 24))
            at = 0
            for ptime_ms in (10, 30, 60, 40, 20, 80, 100, 10, 30, 100):
                await caller.speak(said[at : at + ptime_ms * 16])
                at += ptime_ms * 16
            assert at == len(said)
            await operator.sink.until(lambda sink: len(sink.frames) == 24)
            assert b"".join(frame.pcm for frame in operator.sink.frames) == said

    await served(AudioSocketTransport(QUICK), operator, scene)


async def test_a_flooding_caller_is_bounded() -> None:
    operator = Operator()

    async def scene(port: int) -> None:
        async with await dial(port) as caller:
            await operator.answer()
            for _ in range(100):
                await caller.speak(bytes(320 * 10))
            await caller.press("1")
            await operator.sink.until(lambda sink: ("dtmf", "1") in sink.events)
            assert 50 <= len(operator.sink.frames) < 500

    transport = await served(AudioSocketTransport(QUICK), operator, scene)
    assert transport.counters["dropped_in_ms"] == (1000 - len(operator.sink.frames)) * 20


async def test_a_caller_that_does_not_read_loses_frames_and_then_the_call() -> None:
    operator = Operator()

    async def scene(port: int) -> None:
        slow = socket.socket()
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect((HOST, port))
        try:
            slow.sendall(encode_uuid(uuid4()))
            media = await operator.answer()
            frame = bytes(320)
            frames = 0
            while not operator.sink.hang_ups:
                media.send(frame)
                frames += 1
                await anyio.lowlevel.checkpoint()
            assert 0 < media.position().sent_samples < frames * 160
            assert operator.sink.hang_ups == [("hang_up", "not_reading")]
            operator.released.set()
        finally:
            slow.close()

    settings = AudioSocketSettings(port=0, rate_hz=8000, not_reading_s=0.3)
    transport = await served(AudioSocketTransport(settings), operator, scene)
    assert transport.counters["dropped_out_frames"] > 0


async def test_a_slow_reader_that_catches_up_keeps_the_call() -> None:
    operator = Operator()

    async def scene(port: int) -> None:
        async with await dial(port) as caller:
            media = await operator.answer()
            for _ in range(3000):
                media.send(bytes(320))
            sent = media.position().sent_samples
            await caller.hear(sent * 2)
            frame = numbered_frames(PHONE, 1, first=7)[0]
            media.send(frame)
            assert await caller.hear(320) == frame
            assert operator.sink.hang_ups == []

    await served(AudioSocketTransport(QUICK), operator, scene)


async def test_a_reset_is_a_hang_up_like_any_other() -> None:
    operator = Operator()

    async def scene(port: int) -> None:
        with socket.create_connection((HOST, port)) as caller:
            caller.sendall(encode_uuid(uuid4()))
            media = await operator.answer()
            media.send(bytes(320))
            caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await operator.sink.until(lambda sink: bool(sink.hang_ups))
        operator.released.set()

    transport = await served(AudioSocketTransport(QUICK), operator, scene)
    assert operator.sink.hang_ups == [("hang_up", "hung_up")]
    assert transport.counters["ended_hung_up"] == 1


async def test_the_last_word_is_followed_by_silence_before_the_line_is_closed() -> None:
    async def handler(media: CallMedia) -> None:
        media.send(b"\x07\x00" * 160)
        await media.hang_up("done")

    async def scene(port: int) -> None:
        async with await dial(port) as caller:
            assert await caller.hear(320) == b"\x07\x00" * 160
            assert await caller.hear(10 * 320) == bytes(10 * 320)
            assert await caller.goodbye()
            with pytest.raises(CallEnded):
                await caller.hear(2)

    await served(AudioSocketTransport(QUICK), handler, scene)


async def test_hold_reaches_the_call_that_is_meant() -> None:
    operator = Operator()
    transport = AudioSocketTransport(QUICK)

    async def scene(port: int) -> None:
        async with await dial(port):
            media = await operator.answer()
            assert transport.hold(media.info.call_id, True)
            assert transport.hold(media.info.call_id, False)
            assert not transport.hold("another", True)
            assert operator.sink.events == [("hold", True), ("hold", False)]

    await served(transport, operator, scene)


async def test_wideband_that_comes_late_is_told_and_known_at_the_next_call(caplog: pytest.LogCaptureFixture) -> None:
    operators = [Operator(), Operator()]
    waiting = iter(operators)

    async def handler(media: CallMedia) -> None:
        await next(waiting)(media)

    async def scene(port: int) -> None:
        async with await dial(port, WIDEBAND) as late:
            assert (await operators[0].answer()).info.format == PHONE
            for _ in range(40):
                await late.speak(WIDEBAND.silence())
            await operators[0].sink.until(lambda sink: len(sink.frames) >= 30)
        async with await dial(port, WIDEBAND):
            assert (await operators[1].answer()).info.format == WIDEBAND

    transport = await served(AudioSocketTransport(AudioSocketSettings(port=0)), handler, scene)
    assert transport.counters["narrowed"] == 1
    (told,) = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert "audiosocket.rate_hz to 16000" in told
    assert "Answer()" in told


@pytest.mark.parametrize(
    "wrong",
    [
        {"rate_hz": 44100},
        {"port": -1},
        {"port": 70000},
        {"dead_peer_s": 0.0},
        {"hang_up_tail_ms": -1.0},
        {"unsent_ms": -1.0},
    ],
    ids=str,
)
async def test_settings_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        AudioSocketSettings(**wrong)
