"""A server of embeddings over HTTP on loopback that can misbehave in every way; the vendors' doubles build on it.

It shares nothing with the clients: requests are read and answers written here, byte by byte where a fault needs it.
Threads of its own, so that blocking code can be tested against it; leaving the context ends them.
"""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Literal

import h11

Behaviour = Literal[
    "answer", "hang", "hang_in_headers", "hang_in_body", "cut", "half_close", "reset", "garbage", "drip", "huge_header"
]
"""What becomes of an answer: sent whole; never begun; stopped in its headers or in its body; closed in mid-body; closed
for writing only; reset; bytes that are no HTTP; a byte now and then; headers without end."""

_DRIP_S: Final = 0.02
_MOST: Final = 65536


@dataclass(frozen=True, slots=True)
class ScriptedReply:
    """How one request is answered."""

    behaviour: Behaviour = "answer"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    document: Any = None
    """The body as JSON; None: the genuine answer."""
    raw: bytes | None = None
    """The body as it is, instead of `document`."""
    after_s: float = 0.0
    """Think for so long first; leaving the server ends it."""


@dataclass(frozen=True, slots=True)
class SeenRequest:
    """What a client sent."""

    path: str
    headers: Mapping[str, str]
    body: Any
    """Parsed JSON; None when it is none."""


Answering = Callable[[SeenRequest], tuple[int, Any]]
"""The genuine answer of a vendor: status and document."""


class WireDouble:
    """Serves on `127.0.0.1` until left. Thread-safe.

    Args:
        answering: the vendor's answer to a request.
        script: answers of the first requests, in order; afterwards `usual`.
        usual: how every other request is answered.
        tls: a server context; None: plain HTTP.
    """

    def __init__(
        self,
        answering: Answering,
        script: Sequence[ScriptedReply] = (),
        *,
        usual: ScriptedReply | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._answering = answering
        self._script = list(script)
        self._usual = usual or ScriptedReply()
        self._tls = tls
        self._lock = threading.Condition()
        self._leaving = threading.Event()
        self._requests: list[SeenRequest] = []
        self._dropped = 0
        self._connections: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))

    @property
    def url(self) -> str:
        """Its address without a path."""
        scheme = "https" if self._tls is not None else "http"
        return f"{scheme}://127.0.0.1:{self._listener.getsockname()[1]}"

    @property
    def requests(self) -> tuple[SeenRequest, ...]:
        """Every request so far."""
        with self._lock:
            return tuple(self._requests)

    @property
    def dropped(self) -> int:
        """Connections that a client closed while it was owed an answer."""
        with self._lock:
            return self._dropped

    def follow(self, *script: ScriptedReply, usual: ScriptedReply | None = None) -> None:
        """Answer the next requests so."""
        with self._lock:
            self._script = list(script)
            self._usual = usual or ScriptedReply()

    def wait_for(self, happened: Callable[[WireDouble], bool], within_s: float = 5.0) -> bool:
        """Block until something has happened; False when it does not."""
        with self._lock:
            return self._lock.wait_for(lambda: happened(self), within_s)

    def __enter__(self) -> WireDouble:
        self._begin(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leaving.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5.0)

    def _begin(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, name="wire-double", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._leaving.is_set():
            try:
                accepted, _ = self._listener.accept()
            except OSError:
                return
            self._begin(lambda connection=accepted: self._serve(connection))  # type: ignore[misc]

    def _serve(self, accepted: socket.socket) -> None:
        connection = accepted
        with self._lock:
            self._connections.add(accepted)
        try:
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is not None:
                connection = self._tls.wrap_socket(accepted, server_side=True)
                with self._lock:
                    self._connections.add(connection)
            while self._exchange(connection):
                pass
        except (OSError, h11.RemoteProtocolError):  # the client is gone, or refuses our certificate
            pass
        finally:
            with self._lock:
                self._connections -= {accepted, connection}
            with contextlib.suppress(OSError):
                connection.close()

    def _exchange(self, connection: socket.socket) -> bool:
        """One request and its answer; False at the end of the connection."""
        request = _received(connection)
        if request is None:
            return False
        with self._lock:
            self._requests.append(request)
            reply = self._script.pop(0) if self._script else self._usual
            self._lock.notify_all()
        if reply.after_s and self._waited(connection, reply.after_s):
            return False
        return self._replied(connection, request, reply)

    def _replied(self, connection: socket.socket, request: SeenRequest, reply: ScriptedReply) -> bool:
        status, document = (reply.status, reply.document)
        if document is None and reply.raw is None:
            genuine_status, document = self._answering(request)
            status = reply.status if reply.status != 200 else genuine_status
        body = reply.raw if reply.raw is not None else json.dumps(document).encode()
        head = _head(status, {"content-type": "application/json", **reply.headers}, len(body))
        return self._sent(connection, reply.behaviour, head, body)

    def _sent(self, connection: socket.socket, behaviour: Behaviour, head: bytes, body: bytes) -> bool:
        half = len(body) // 2
        if behaviour == "answer":
            connection.sendall(head + body)
            return True
        if behaviour == "drip":
            return self._dripped(connection, head + body)
        if behaviour == "huge_header":
            connection.sendall(head[: head.index(b"\r\n") + 2])
            while not self._waited(connection, 0.0):
                connection.sendall(b"x-padding: " + b"x" * 8000 + b"\r\n")
            return False
        begun = {
            "hang": b"",
            "hang_in_headers": head[:20],
            "hang_in_body": head + body[:half],
            "cut": head + body[:half],
            "half_close": head + body[:half],
            "garbage": b"\x16\x03\x01 this is no HTTP\r\n\r\n",
            "reset": head + body[:half],
        }[behaviour]
        connection.sendall(begun)
        if behaviour in ("hang", "hang_in_headers", "hang_in_body"):
            self._waited(connection, None)
        elif behaviour == "half_close":
            connection.shutdown(socket.SHUT_WR)
            self._waited(connection, None)
        elif behaviour == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False

    def _dripped(self, connection: socket.socket, content: bytes) -> bool:
        for place in range(len(content)):
            connection.sendall(content[place : place + 1])
            if self._waited(connection, _DRIP_S):
                return False
        return True

    def _waited(self, connection: socket.socket, seconds: float | None) -> bool:
        """Wait while the client does; True when it is gone, or we are leaving."""
        connection.settimeout(seconds if seconds is None or seconds > 0 else 1e-4)
        try:
            gone = connection.recv(_MOST) == b""
        except (TimeoutError, ssl.SSLWantReadError):
            return self._leaving.is_set()
        except OSError:
            gone = True
        finally:
            with contextlib.suppress(OSError):
                connection.settimeout(None)
        if gone and not self._leaving.is_set():
            with self._lock:
                self._dropped += 1
                self._lock.notify_all()
        return gone or self._leaving.is_set()


def _received(connection: socket.socket) -> SeenRequest | None:
    peer = h11.Connection(h11.SERVER)
    body = bytearray()
    request: h11.Request | None = None
    while True:
        event = peer.next_event()
        if event is h11.NEED_DATA:
            peer.receive_data(connection.recv(_MOST))
        elif isinstance(event, h11.Request):
            request = event
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage) and request is not None:
            break
        else:
            return None
    headers = {name.decode().lower(): value.decode() for name, value in request.headers}
    try:
        document = json.loads(body)
    except ValueError:
        document = None
    return SeenRequest(request.target.decode(), headers, document)


def _head(status: int, headers: Mapping[str, str], length: int) -> bytes:
    lines = [f"HTTP/1.1 {status} Scripted", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, f"content-length: {length}", "", ""]).encode()


def meaning(text: str, dimensions: int) -> list[float]:
    """A made-up vector: texts that share letters in a row are close; every one is of length one."""
    values = [0.0] * dimensions
    padded = f"  {text.casefold()} "
    for start in range(len(padded) - 2):
        seed = int.from_bytes(padded[start : start + 3].encode(), "big")
        for turn in range(4):
            seed = (seed * 6364136223846793005 + 1442695040888963407) % (1 << 64)
            values[(seed >> 33) % dimensions] += 1.0 if turn % 2 else -1.0
    length = sum(value * value for value in values) ** 0.5
    return [value / length for value in values] if length else [1.0] + [0.0] * (dimensions - 1)
