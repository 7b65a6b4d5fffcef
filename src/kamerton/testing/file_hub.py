"""A stand-in for the Hugging Face hub and its content host, that also misbehaves: two HTTP servers on loopback ports.

It answers as the real ones do (`models/hub.py` says how): a large file's metadata with its sha256 and a redirect to the
content host, which knows tags of its own and ranges; a small file with a redirect to the hub's own cache, and there
with its Git blob's SHA-1 as tag. It shares no code with the client.
"""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Literal

import anyio
from anyio.abc import ByteStream, Listener, SocketAttribute
from anyio.streams.tls import TLSListener

COMMIT: Final = "0123456789abcdef0123456789abcdef01234567"

HubFaultKind = Literal[
    "cut", "stall", "trickle", "hang", "reset", "garbage", "status", "compressed", "wrong_bytes", "other_range"
]
"""`cut` closes and `stall` falls silent after `after` bytes of the body; `trickle` goes on from there with a byte every
10 ms; `hang` never answers; `reset` closes before the head; `garbage` is no HTTP; `status` answers `status`;
`compressed` claims gzip; `wrong_bytes` sends as many others; `other_range` says that its bytes are the first ones."""


@dataclass(frozen=True, slots=True)
class HubFault:
    """What goes wrong with one request for a file's bytes, or for its metadata."""

    kind: HubFaultKind
    after: int = 0
    status: int = 500
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file that the hub has."""

    content: bytes
    large: bool = True
    """It lies on the content host."""
    tag: str = ""
    """The tag in its metadata, if not its true hash."""
    serves: bytes | None = None
    """What is sent, if not the content."""


@dataclass(frozen=True, slots=True)
class HubRequest:
    """What was asked."""

    method: str
    host: Literal["hub", "content"]
    path: str
    headers: Mapping[str, str]


@dataclass(slots=True)
class FileHub:
    """The state of both servers: tests fill in `files` and `faults`, and read what was asked and what came of it."""

    url: str = ""
    content_url: str = ""
    files: dict[str, HubFile] = field(default_factory=dict)
    """By `REPOSITORY/PATH`."""
    faults: list[HubFault | None] = field(default_factory=list)
    """One for each coming request for bytes; None and what is beyond the list go well."""
    metadata_faults: list[HubFault | None] = field(default_factory=list)
    ranges: bool = True
    """The content host knows ranges."""
    version: str = "1"
    """Part of the content host's tags: another one makes every file another one."""
    requests: list[HubRequest] = field(default_factory=list)
    left: int = 0
    """Transfers that the client gave up."""

    def reads(self) -> list[HubRequest]:
        """The requests for bytes that reached the host that has them."""
        return [request for request in self.requests if request.method == "GET" and not self._elsewhere(request)]

    def _elsewhere(self, request: HubRequest) -> bool:
        """Whether the answer is a redirect: of large files to the content host, of small ones to a cache."""
        file = self.files.get(_file_of(request.path))
        return request.host == "hub" and file is not None and (file.large or "/resolve/" in request.path)

    async def serve(self, stream: ByteStream, host: Literal["hub", "content"]) -> None:
        """Answer one connection's request, and close it."""
        async with stream:
            try:
                request = _parsed(await _head(stream), host)
                self.requests.append(request)
                await self._answer(stream, request)
            except (anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream):
                self.left += 1

    async def _answer(self, stream: ByteStream, request: HubRequest) -> None:
        file = self.files.get(_file_of(request.path))
        faults = self.metadata_faults if request.method == "HEAD" else self.faults
        fault = None
        if request.method == "HEAD" or not self._elsewhere(request):
            fault = faults.pop(0) if faults else None
        if fault is not None and fault.kind in ("hang", "reset", "garbage", "status"):
            await _misbehave(stream, fault)
        elif file is None:
            await _send_head(stream, 404, {"content-length": "0"})
        elif self._elsewhere(request):
            await self._point_elsewhere(stream, request, file)
        else:
            await self._send(stream, request, file, fault)

    async def _point_elsewhere(self, stream: ByteStream, request: HubRequest, file: HubFile) -> None:
        if not file.large:
            owner, name, path = _file_of(request.path).split("/", 2)
            cached = f"/api/resolve-cache/models/{owner}/{name}/{COMMIT}/{path}"
            await _send_head(stream, 307, {"location": cached, "content-length": "0"})
            return
        headers = {
            "location": f"{self.content_url}/{_file_of(request.path)}?signature=secret",
            "x-repo-commit": COMMIT,
            "x-linked-etag": f'"{file.tag or hashlib.sha256(file.content).hexdigest()}"',
            "x-linked-size": str(len(file.content)),
            "content-length": "0",
        }
        await _send_head(stream, 302, headers)

    async def _send(self, stream: ByteStream, request: HubRequest, file: HubFile, fault: HubFault | None) -> None:
        body = file.content if file.serves is None else file.serves
        etag = f'"{self.version}-{len(body)}"' if file.large else f'"{file.tag or _git_blob(file.content)}"'
        headers = {"etag": etag, "x-repo-commit": COMMIT, "accept-ranges": "bytes"}
        first = self._first(request, etag)
        if fault is not None and fault.kind == "compressed":
            headers["content-encoding"] = "gzip"
        if first >= len(body) and first:
            await _send_head(stream, 416, {"content-range": f"bytes */{len(body)}", "content-length": "0"})
            return
        status = 206 if first else 200
        if first:
            told = 0 if fault is not None and fault.kind == "other_range" else first
            headers["content-range"] = f"bytes {told}-{len(body) - 1}/{len(body)}"
        headers["content-length"] = str(len(body) - first)
        await _send_head(stream, status, headers)
        if request.method == "GET":
            await _send_body(stream, body[first:], fault)

    def _first(self, request: HubRequest, etag: str) -> int:
        wanted = request.headers.get("range", "")
        if not (self.ranges and wanted) or request.headers.get("if-range", etag) != etag:
            return 0
        return int(wanted.removeprefix("bytes=").partition("-")[0])


@asynccontextmanager
async def serve_files(*, tls: ssl.SSLContext | None = None) -> AsyncIterator[FileHub]:
    """Both servers on free loopback ports while the context is open."""
    hub = FileHub()
    async with AsyncExitStack() as stack:
        hub_door, hub.url = await stack.enter_async_context(_door(tls))
        content_door, hub.content_url = await stack.enter_async_context(_door(tls))
        tasks = await stack.enter_async_context(anyio.create_task_group())
        stack.callback(tasks.cancel_scope.cancel)
        tasks.start_soon(hub_door.serve, partial(hub.serve, host="hub"))
        tasks.start_soon(content_door.serve, partial(hub.serve, host="content"))
        yield hub


@asynccontextmanager
async def _door(tls: ssl.SSLContext | None) -> AsyncIterator[tuple[Listener[ByteStream], str]]:
    """A listener on a free port, and its address."""
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        port = listener.extra(SocketAttribute.local_port)
        door = TLSListener(listener, tls, standard_compatible=False) if tls else listener
        yield door, f"{'https' if tls else 'http'}://127.0.0.1:{port}"


async def _head(stream: ByteStream) -> str:
    received = b""
    while b"\r\n\r\n" not in received:
        received += await stream.receive()
    return received.decode("latin-1")


def _parsed(head: str, host: Literal["hub", "content"]) -> HubRequest:
    first, *lines = head.split("\r\n")
    method, target, _ = first.split(" ")
    pairs = (line.partition(":") for line in lines if line)
    return HubRequest(method, host, target, {name.strip().lower(): value.strip() for name, _, value in pairs})


def _file_of(path: str) -> str:
    """`OWNER/NAME/FILE` of an address of the hub, of its cache, or of the content host."""
    parts = path.partition("?")[0].strip("/").split("/")
    if parts[:2] == ["api", "resolve-cache"]:
        return "/".join(parts[3:5] + parts[6:])
    return "/".join(parts[:2] + parts[4:] if parts[2:3] == ["resolve"] else parts)


def _git_blob(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


async def _misbehave(stream: ByteStream, fault: HubFault) -> None:
    if fault.kind == "hang":
        await stream.receive()  # until the client leaves
    elif fault.kind == "garbage":
        await stream.send(b"SSH-2.0-OpenSSH_9.9\r\n\r\n")
    elif fault.kind == "status":
        await _send_head(stream, fault.status, {"content-length": "0", **dict(fault.headers)})


async def _send_head(stream: ByteStream, status: int, headers: Mapping[str, str]) -> None:
    lines = [f"HTTP/1.1 {status} Status", *(f"{name}: {value}" for name, value in headers.items()), "connection: close"]
    await stream.send(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))


async def _send_body(stream: ByteStream, body: bytes, fault: HubFault | None) -> None:
    if fault is None or fault.kind in ("compressed", "other_range"):
        await stream.send(body)
    elif fault.kind == "wrong_bytes":
        await stream.send(bytes(byte ^ 0xFF for byte in body))
    else:
        await stream.send(body[: fault.after])
        if fault.kind == "stall":
            await stream.receive()
        elif fault.kind == "trickle":
            for place in range(fault.after, len(body)):
                await stream.send(body[place : place + 1])
                await anyio.sleep(0.01)
