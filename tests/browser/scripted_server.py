"""A server that speaks the live-stand protocol from a script, so that the page is tested without the engine.

It sends the real server's security headers, so that a page which breaks their policy fails here.
"""

from __future__ import annotations

import array
import io
import json
import math
import threading
import wave
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket, WebSocketDisconnect

from kamerton.webapi.security import SiteGuard

FRONTEND = Path(__file__).resolve().parents[2] / "frontend"
PLAIN_HOST = "stand.test"
"""A name that no browser takes for its own machine: over http, a page from it is not a secure context."""
RATE_HZ = 16000
FRAME_SAMPLES = 320
FRAME_S = 0.02
SILENCE = bytes(2 * FRAME_SAMPLES)
SPEECH_PEAK = 1000
"""A frame with a sample beyond this is taken for speech."""

SAMPLES = [
    ("hello", "здравствуйте"),
    ("number-150", "сто пятьдесят"),
    ("number-2", "два"),
    ("number-25", "двадцать пять"),
    ("yes", "да, всё верно"),
    ("bye", "спасибо, до свидания"),
    ("documents", "какие документы нужны для оформления"),
    ("correct-150", "нет, не сто, а сто пятьдесят"),
    ("operator", "соедините с оператором"),
    ("repeat", "повторите, пожалуйста"),
    ("uhu", "угу"),
    ("weather", "какая завтра погода"),
]


def tone(hz: float, seconds: float, rate_hz: int = RATE_HZ, amplitude: float = 0.4) -> bytes:
    """A sine as 16-bit PCM."""
    step = 2 * math.pi * hz / rate_hz
    samples = (round(32767 * amplitude * math.sin(step * n)) for n in range(round(seconds * rate_hz)))
    return array.array("h", samples).tobytes()


def wav(pcm: bytes, rate_hz: int) -> bytes:
    """The PCM as a WAV file."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(rate_hz)
        writer.writeframes(pcm)
    return file.getvalue()


def peak(frame: bytes) -> int:
    """The loudest sample."""
    return max((abs(sample) for sample in array.array("h", frame)), default=0)


@dataclass
class CallRecord:
    """What the page sent in one call."""

    messages: list[dict[str, Any]] = field(default_factory=list)
    frames: list[bytes] = field(default_factory=list)
    news: anyio.Event = field(default_factory=anyio.Event)

    def take(self, message: str | bytes) -> None:
        """Write one message down."""
        if isinstance(message, bytes):
            self.frames.append(message)
        else:
            self.messages.append(json.loads(message))
        self.news.set()
        self.news = anyio.Event()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until what was sent fulfils a condition."""
        while not condition():
            await self.news.wait()

    def payloads(self, kind: str) -> list[dict[str, Any]]:
        """Payloads of all messages of a type, in order."""
        return [message["payload"] for message in self.messages if message["type"] == kind]


class Line:
    """The server's end of one call, for scripts. A frame leaves every 20 ms: what was said, else silence."""

    def __init__(self, socket: WebSocket, record: CallRecord) -> None:
        self._socket = socket
        self._record = record
        self._pending = bytearray()
        self._sending = True
        self.sent_samples = 0

    async def tell(self, kind: str, **payload: Any) -> None:
        """Send one JSON message."""
        await self._socket.send_text(json.dumps({"type": kind, "payload": payload}, ensure_ascii=False))

    async def start(self) -> None:
        """Wait for the page's start and answer it."""
        await self.wait_for("start_demo_call")
        await self.tell("demo_call_started", session_id="s-1", protocol_version=1, sample_rate_hz=RATE_HZ)

    async def mind(self, state: str, details: str = "") -> None:
        """Show a state of mind for long enough to be seen."""
        await self.tell("bot_mind_state_update", state=state, details=details)
        await anyio.sleep(0.12)

    async def speak(self, text: str, turn: int, seconds: float = 0.5) -> None:
        """Say something: the transcript, a tone for its sound, and the silence after it."""
        await self.mind("SPEAKING")
        await self.tell("transcript", speaker="bot", text=text, final=False, turn=turn)
        self._pending += tone(440, seconds)
        await anyio.sleep(seconds)
        await self.tell("transcript", speaker="bot", text=text, final=True, turn=turn)
        await self.mind("LISTENING")

    def queue(self, pcm: bytes) -> None:
        """Have this sent, in real time."""
        self._pending += pcm

    async def send_at_once(self, pcm: bytes) -> None:
        """Send audio ahead of real time."""
        for start in range(0, len(pcm), len(SILENCE)):
            await self._socket.send_bytes(pcm[start : start + len(SILENCE)])
        self.sent_samples += len(pcm) // 2

    def stop_sending(self) -> None:
        """No more audio, as after a break somewhere on the way."""
        self._sending = False

    async def clear_audio(self) -> None:
        """Recall what was said and not played; what had not even left counts as sent, as with the real server."""
        self.sent_samples += len(self._pending) // 2
        self._pending.clear()
        await self.tell("clear_audio", next_sample=self.sent_samples)

    async def wait_for(self, kind: str) -> None:
        """Wait until the page has sent a message of this type."""
        await self._record.until(lambda: bool(self._record.payloads(kind)))

    async def wait_for_speech(self) -> None:
        """Wait for speech, and then for 0.3 s without any."""
        frames = self._record.frames
        start = len(frames)
        await self._record.until(lambda: any(peak(frame) > SPEECH_PEAK for frame in frames[start:]))
        await self._record.until(lambda: all(peak(frame) <= SPEECH_PEAK for frame in frames[-15:]))

    async def end(self, ended_by: str = "bot", reason: str = "scenario_end") -> None:
        """End the call as calls end."""
        await self.tell("call_ended", ended_by=ended_by, reason=reason, duration_s=3.0, state="goodbye", variables={})

    async def close(self, code: int, reason: str = "") -> None:
        """Close the connection."""
        await self._socket.close(code, reason)

    async def read(self) -> None:
        """Record what the page sends, until it closes."""
        while True:
            message = await self._socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            self._record.take(message["text"] if message.get("bytes") is None else message["bytes"])

    async def pace(self) -> None:
        """Send a frame every 20 ms once the call is up."""
        await self.wait_for("start_demo_call")
        due_s = anyio.current_time()
        while self._sending:
            frame = bytes(self._pending[: len(SILENCE)]).ljust(len(SILENCE), b"\0")
            del self._pending[: len(SILENCE)]
            await self._socket.send_bytes(frame)
            self.sent_samples += FRAME_SAMPLES
            due_s += FRAME_S
            await anyio.sleep_until(due_s)


Script = Callable[[Line], Awaitable[None]]


class ScriptedServer:
    """The page, twelve sample phrases (tones), and calls that run `script`."""

    def __init__(self) -> None:
        self.script: Script = _idle_call
        self.calls: list[CallRecord] = []
        self.url = ""
        routes = [
            Route("/api/v1/assistants", _list_assistants),
            Route("/api/v1/samples", _list_samples),
            Route("/api/v1/samples/{name}.wav", _sample),
            WebSocketRoute("/api/v1/call", self._call),
            Mount("/", StaticFiles(directory=FRONTEND, html=True)),
        ]
        guard = Middleware(SiteGuard, allowed_hosts=["127.0.0.1", PLAIN_HOST], allowed_origins=[])
        app = Starlette(routes=routes, middleware=[guard])
        config = uvicorn.Config(
            app, host="127.0.0.1", port=0, log_level="error", ws="websockets-sansio", lifespan="off"
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, name="scripted-server")

    def start(self) -> None:
        """Serve on a free port."""
        self._thread.start()
        while not self._server.started and self._thread.is_alive():
            threading.Event().wait(0.01)
        if not self._server.started:
            raise RuntimeError("the scripted server did not start; its log above says why")
        port = self._server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}/"

    def stop(self) -> None:
        """Stop serving; harmless when stopped already."""
        self._server.should_exit = True
        self._server.force_exit = True
        self._thread.join(10)

    async def _call(self, socket: WebSocket) -> None:
        await socket.accept()
        record = CallRecord()
        self.calls.append(record)
        line = Line(socket, record)
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._until_gone, line, tasks.cancel_scope)
                tasks.start_soon(line.pace)
                await self.script(line)
                tasks.cancel_scope.cancel()
        except* (WebSocketDisconnect, RuntimeError):
            pass

    async def _until_gone(self, line: Line, scope: anyio.CancelScope) -> None:
        await line.read()
        scope.cancel()


async def _idle_call(line: Line) -> None:
    await line.start()
    await line.mind("LISTENING")
    await line.wait_for("hang_up")
    await line.end("caller", "hang_up")


async def _list_assistants(request: Request) -> Response:
    return JSONResponse([{"name": "insurance", "title": "Страховая компания «Камертон»", "language": "ru"}])


async def _list_samples(request: Request) -> Response:
    return JSONResponse([{"name": name, "text": text, "url": f"./api/v1/samples/{name}.wav"} for name, text in SAMPLES])


async def _sample(request: Request) -> Response:
    order = [name for name, _ in SAMPLES].index(request.path_params["name"])
    rate_hz = 8000 if order % 2 else 16000
    silence = bytes(2 * rate_hz // 5)
    return Response(wav(silence + tone(300 + 50 * order, 0.4, rate_hz) + silence, rate_hz), media_type="audio/wav")


@contextmanager
def scripted_server() -> Iterator[ScriptedServer]:
    """A running server, stopped at the end."""
    server = ScriptedServer()
    server.start()
    try:
        yield server
    finally:
        server.stop()
