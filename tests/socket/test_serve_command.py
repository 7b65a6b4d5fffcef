"""`kamerton serve --stand-ins` as an operator and its callers meet it: a child process, real sockets, real signals."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from urllib.error import HTTPError

import anyio
import psutil
import pytest
from paths import REPO
from served import ServedKamerton, refused, served

from kamerton.domain.audio import PHONE, AudioFormat
from kamerton.domain.errors import CallEnded
from kamerton.testing.caller.line import CallerLine, LineNoise, connect
from kamerton.testing.caller.metronome import Metronome
from kamerton.testing.caller.recordings import load_recording
from kamerton.testing.caller.wire import encode_uuid
from kamerton.testing.caller.wire_measure import bot_segments
from kamerton.transports.audiosocket.client import AudioSocketCaller

pytestmark = [pytest.mark.socket, pytest.mark.timeout(90)]

NUMBER = REPO / "bench" / "callers" / "number-125.wav"
TONE_S = 3.0
FRAMES_PER_S = 50


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedKamerton]:
    with served(tmp_path_factory.mktemp("served"), "--stand-ins") as running:
        yield running


@pytest.fixture
def busy_port() -> Iterator[int]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port: int = taken.getsockname()[1]
        yield port


async def dial(server: ServedKamerton) -> AudioSocketCaller:
    return await AudioSocketCaller.dial("127.0.0.1", server.audiosocket_port, uuid.uuid4(), PHONE)


async def frames(caller: AudioSocketCaller, count: int) -> list[bytes]:
    """The next frames that the caller hears, at the pace of the wire."""
    return [await caller.hear(PHONE.frame_bytes) for _ in range(count)]


async def tone_comes(caller: AudioSocketCaller) -> None:
    """Wait until the greeting is heard."""
    with anyio.fail_after(5):
        while not any(await caller.hear(PHONE.frame_bytes)):
            pass


async def eventually(condition: Callable[[], bool]) -> bool:
    """Whether something that is asked over HTTP comes true within 5 s."""
    with anyio.move_on_after(5):
        while True:
            if await anyio.to_thread.run_sync(condition):
                return True
            await anyio.sleep(0.05)
    return False


async def until(condition: Callable[[], bool], seconds: float) -> None:
    """Wait for something that the line notices; a `TimeoutError` when it does not come in time."""
    with anyio.fail_after(seconds):
        while True:
            if condition():
                return
            await anyio.sleep(0.02)


@asynccontextmanager
async def calling(server: ServedKamerton) -> AsyncIterator[CallerLine]:
    """A call that sends a frame every 20 ms, as Asterisk does."""
    line = CallerLine(uuid.uuid4(), LineNoise(), clock=asyncio.get_running_loop().time)
    metronome = Metronome(slots=1)
    await connect(line, "127.0.0.1", server.audiosocket_port)
    detach = metronome.attach(line.tick)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(metronome.run)
        yield line
        line.hang_up()
        tasks.cancel_scope.cancel()
    detach()


async def heard(line: CallerLine, seconds: float) -> None:
    """Wait until this much of the bot's audio has come."""
    await until(lambda: len(line.arrivals_s) >= seconds * FRAMES_PER_S, seconds + 5)


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("/", "<html"),
        ("/healthz", '"ok"'),
        ("/readyz", '"ready":true'),
        ("/metrics", "kamerton_"),
        ("/api/v1/debug/runtime", '"late_frames"'),
        ("/api/v1/assistants", '"stand_in_assistant"'),
        ("/api/v1/samples", "["),
    ],
)
def test_the_web_door_answers(server: ServedKamerton, path: str, content: str) -> None:
    status, body = server.get(path)
    assert status == 200
    assert content in body


@pytest.mark.anyio
async def test_a_turn_is_answered_with_three_seconds_of_tone(server: ServedKamerton) -> None:
    recording = load_recording(NUMBER)
    async with calling(server) as line:
        await heard(line, TONE_S + 0.5)
        said = line.say(recording)
        await heard(line, TONE_S + 0.5 + len(recording.messages) / FRAMES_PER_S + TONE_S + 1.0)
    greeting, reply = bot_segments(line.received)
    assert said.end_at_s is not None
    assert greeting.end_s - greeting.start_s == pytest.approx(TONE_S, abs=0.06)
    assert reply.end_s - reply.start_s == pytest.approx(TONE_S, abs=0.06)
    assert reply.start_s > said.end_at_s

    def turns_told() -> list[str]:
        told = server.log_records("turn finished")
        return [turn["text"] for turn in told if turn["call_id"] == str(line.call_id)]

    assert await eventually(lambda: len(turns_told()) == 2)
    assert turns_told() == ["", "сто двадцать пять"]


@pytest.mark.anyio
@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\nHost: here\r\n\r\n",
        b"\xff" * 4096,
        struct.pack(">BH", 0x01, 3) + b"abc",
        struct.pack(">BH", 0x10, 4) + b"\0" * 4,
        encode_uuid(uuid.uuid4()) + struct.pack(">BH", 0x03, 0xFFFF) + b"1" * 2000,
    ],
    ids=["http", "noise", "short-uuid", "audio-first", "oversized"],
)
async def test_garbage_ends_its_own_connection_only(server: ServedKamerton, garbage: bytes) -> None:
    async with calling(server) as line:
        await heard(line, 0.2)
        async with await anyio.connect_tcp("127.0.0.1", server.audiosocket_port) as stranger:
            await stranger.send(garbage)
            with anyio.fail_after(8):
                assert await read_to_end(stranger) is not None
        await heard(line, 0.6 + len(line.arrivals_s) / FRAMES_PER_S)
        assert line.ended_by is None
    assert await eventually(lambda: server.figures()["calls"] == 0)


async def read_to_end(stream: anyio.abc.SocketStream) -> bytes:
    """Everything that comes until the far end closes, cleanly or not."""
    received = b""
    while True:
        try:
            received += await stream.receive()
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            return received


@pytest.mark.anyio
async def test_a_caller_that_closes_in_mid_frame_leaves_nothing(server: ServedKamerton) -> None:
    before = server.figures()["tasks"]
    async with calling(server) as line:
        async with await anyio.connect_tcp("127.0.0.1", server.audiosocket_port) as stream:
            await stream.send(encode_uuid(uuid.uuid4()) + struct.pack(">BH", 0x10, 320) + bytes(100))
        await heard(line, 0.5)
        assert await eventually(lambda: server.figures()["calls"] == 1)
        assert line.ended_by is None
    assert await eventually(lambda: server.figures()["calls"] == 0)
    assert await eventually(lambda: server.figures()["tasks"] <= before)


@pytest.mark.anyio
async def test_callers_at_both_rates_and_one_that_sends_nothing_are_greeted(server: ServedKamerton) -> None:
    for audio_format in (PHONE, AudioFormat(16000)):
        caller = await AudioSocketCaller.dial("127.0.0.1", server.audiosocket_port, uuid.uuid4(), audio_format)
        async with caller:
            await caller.speak(audio_format.silence())
            with anyio.fail_after(5):
                while not any(await caller.hear(audio_format.frame_bytes)):
                    pass
    async with await dial(server) as silent:
        await tone_comes(silent)


@pytest.mark.anyio
async def test_a_call_over_the_limit_is_told_so_and_the_running_one_goes_on(tmp_path: Path) -> None:
    with served(tmp_path, "--stand-ins", env={"KAMERTON_LIMITS__MAX_CALLS": "1"}) as server:
        async with calling(server) as first:
            await heard(first, 0.3)
            async with calling(server) as second:
                await until(lambda: second.ended_by is not None, 10)
            (busy,) = bot_segments(second.received)
            assert busy.end_s - busy.start_s == pytest.approx(TONE_S, abs=0.1)
            assert second.ended_by == "bot"
            assert first.ended_by is None
            (greeting,) = bot_segments(first.received)
            assert greeting.end_s - greeting.start_s == pytest.approx(TONE_S, abs=0.06)
            async with await dial(server) as third:
                with anyio.fail_after(10):
                    assert await third.goodbye(), "the refused caller is hung up with 0x00"
        assert await eventually(lambda: server.figures()["calls"] == 0)
        async with await dial(server) as fourth:
            await frames(fourth, 10)
            assert server.figures()["calls"] == 1


def readiness(server: ServedKamerton) -> tuple[int, str]:
    try:
        return server.get("/readyz")
    except HTTPError as refused:
        with refused:
            return refused.code, refused.read().decode()


@pytest.mark.anyio
async def test_sigterm_lets_calls_end_and_leaves_no_process(tmp_path: Path) -> None:
    with served(tmp_path, "--stand-ins") as server:
        family = server.family()
        async with calling(server) as line:
            await until(lambda: any(bot_segments(line.received)), 5)
            server.ask_to_stop()
            assert await eventually(lambda: readiness(server)[0] == 503)
            assert "stopping: the service is stopping" in readiness(server)[1]
            assert "kamerton_ready 0.0" in server.get("/metrics")[1]
            assert 'kamerton_not_ready{part="stopping"} 1.0' in server.get("/metrics")[1]
            with pytest.raises(OSError, match=r"."):
                await anyio.connect_tcp("127.0.0.1", server.audiosocket_port)
            await until(lambda: line.ended_by is not None, 15)
        assert await anyio.to_thread.run_sync(server.stop) == 0
        assert line.ended_by == "bot", "0x00 comes before the end of the stream"
        (speech,) = bot_segments(line.received)
        assert speech.end_s - speech.start_s == pytest.approx(2 * TONE_S, abs=0.2), "the greeting and the good-bye"
        assert [process for process in family if psutil.pid_exists(process.pid)] == []
        assert "Traceback" not in server.log
        assert "stopping: 1 call finish" in server.log
        assert "stopping: all calls have ended" in server.log


@pytest.mark.anyio
@pytest.mark.parametrize("how", ["a second signal", "the deadline"])
async def test_draining_is_bounded(tmp_path: Path, how: str) -> None:
    drain_s = "60" if how == "a second signal" else "0.5"
    with served(tmp_path, "--stand-ins", env={"KAMERTON_LIMITS__DRAIN_S": drain_s}) as server:
        async with await dial(server) as caller:
            await tone_comes(caller)
            server.ask_to_stop()
            assert await eventually(lambda: "finish their sentence" in server.log)
            if how == "a second signal":
                server.ask_again()
            with anyio.fail_after(2.5):
                assert await caller.goodbye(), "0x00 comes before the end of the stream"
        assert await anyio.to_thread.run_sync(server.stop) == 0
        assert "Traceback" not in server.log
        (finished,) = server.log_records("call finished")
        assert finished["ended_by"] == "shutdown"


def test_a_stop_without_calls_is_immediate(tmp_path: Path) -> None:
    with served(tmp_path, "--stand-ins") as server:
        assert server.stop() == 0
        assert "stopping: there are no calls" in server.log


@pytest.mark.anyio
async def test_where_few_files_may_be_opened_nobody_is_left_without_an_answer(tmp_path: Path) -> None:
    answered = dict.fromkeys(("greeted", "closed"), 0)

    async def call(server: ServedKamerton) -> None:
        async with await dial(server) as caller:
            try:
                await tone_comes(caller)
                answered["greeted"] += 1
                await caller.goodbye()
            except CallEnded:
                answered["closed"] += 1

    with served(tmp_path, "--stand-ins", files="-n 64") as server:
        promised = server.figures()["max_calls"]
        assert 10 <= promised < 40
        (told,) = server.log_records(
            "few files may be opened: connections are held to less than is set; "
            "raise the limit of open files (ulimit -n)"
        )
        assert (told["max_calls"], told["max_calls_set"]) == (promised, 200)
        async with anyio.create_task_group() as callers:
            for _ in range(100):
                callers.start_soon(call, server)
            assert await eventually(lambda: server.figures()["calls"] == promised)
            assert await eventually(lambda: sum(answered.values()) == 100)
            callers.cancel_scope.cancel()
        assert answered["greeted"] >= promised
        assert "Too many open files" not in server.log
        assert 'kamerton_connections_total{door="audiosocket",what="turned_away"}' in server.get("/metrics")[1]


@pytest.mark.anyio
async def test_half_sent_requests_do_not_stop_calls(tmp_path: Path) -> None:
    with served(tmp_path, "--stand-ins", files="-n 128") as server:
        async with AsyncExitStack() as stack:
            for _ in range(300):
                stream = await stack.enter_async_context(await anyio.connect_tcp("127.0.0.1", server.http_port))
                await stream.send(b"GET /readyz HTTP/1.1\r\nX-Slow: ")
            async with await dial(server) as caller:
                await tone_comes(caller)
            assert readiness(server)[0] == 200
        assert "Too many open files" not in server.log


@pytest.mark.anyio
async def test_a_server_that_stood_still_hangs_up_on_nobody(tmp_path: Path) -> None:
    deadlines = ("DEAD_PEER_S", "NOT_READING_S", "IDENTIFY_TIMEOUT_S")
    with served(tmp_path, "--stand-ins", env={f"KAMERTON_AUDIOSOCKET__{name}": "1" for name in deadlines}) as server:
        async with calling(server) as speaking, await dial(server) as silent:
            await tone_comes(silent)
            await heard(speaking, 0.5)
            with server.frozen(), anyio.move_on_after(3):
                await silent.goodbye()
            await heard(speaking, len(speaking.arrivals_s) / FRAMES_PER_S + 1)
            await frames(silent, 10)
            assert speaking.ended_by is None
            assert server.figures()["calls"] == 2


def test_a_low_soft_limit_of_files_is_raised(tmp_path: Path) -> None:
    with served(tmp_path, "--stand-ins", files="-S -n 64") as server:
        assert server.figures()["max_calls"] == 200
        assert server.log_records("few files may be opened") == []


@pytest.mark.parametrize(("option", "door"), [("--port", "web server"), ("--audiosocket-port", "AudioSocket server")])
def test_a_busy_port_is_named_with_what_to_do(tmp_path: Path, busy_port: int, option: str, door: str) -> None:
    other = "--audiosocket-port" if option == "--port" else "--port"
    code, told = refused(tmp_path, "--stand-ins", other, "0", option, str(busy_port))
    assert code == 1
    assert f"the {door} cannot listen on 127.0.0.1 port {busy_port}: the port is in use" in told
    assert f"set another port for the {door}" in told
    assert "Traceback" not in told


def test_an_unknown_assistant_is_answered_with_those_that_there_are(tmp_path: Path) -> None:
    code, told = refused(tmp_path, "--assistant", "insurence")
    assert code == 1
    assert "'insurence'" in told
    assert "available: insurance" in told
    assert "Traceback" not in told


@pytest.mark.parametrize(
    ("variable", "value", "place"),
    [
        ("KAMERTON_AUDIOSOCKET__PORT", "abc", "audiosocket.port"),
        ("KAMERTON_LIMITS__MAX_CALLS", "0", "limits"),
        ("KAMERTON_LIMIT__MAX_CALLS", "9", "KAMERTON_LIMIT__MAX_CALLS"),
    ],
)
def test_a_wrong_setting_is_told_with_its_place(tmp_path: Path, variable: str, value: str, place: str) -> None:
    code, told = refused(tmp_path, "--stand-ins", env={variable: value})
    assert code == 1
    assert place in told
    assert "Traceback" not in told


def test_a_broken_assistant_folder_is_told_file_by_file(tmp_path: Path) -> None:
    folder = tmp_path / "assistants" / "broken"
    folder.mkdir(parents=True)
    (folder / "assistant.yaml").write_text("name: broken\ntitle: Сломанный\nlanguage: ru\n", encoding="utf-8")
    (folder / "dialogue_map.json").write_text("{", encoding="utf-8")
    variables = {"KAMERTON_ASSISTANT_FOLDERS": f'["{folder.parent}"]'}
    code, told = refused(tmp_path, "--assistant", "broken", env=variables)
    assert code == 1
    assert "dialogue_map.json" in told
    assert "phrases.json" in told
    assert "Traceback" not in told
    assert os.listdir(folder.parent) == ["broken"]
