"""The stand-in model server as a process of its own, which tells at its end what it saw and when.

Its script comes as one line of JSON on standard input; it ends when that input does. On standard output it says first
where it listens, and last what became of each request. Instants are those of the system's monotonic clock, which
processes of one machine share.
"""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from subprocess import PIPE
from typing import Final

import anyio
import anyio.to_thread
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from kamerton.domain.errors import EngineError
from kamerton.testing.model_server import ModelScript, ServedRequest, serve_model
from kamerton.testing.model_server.script import last_user_text

COMMAND: Final = (sys.executable, "-m", "kamerton.testing.caller.model_process")
READY_DEADLINE_S: Final = 30.0
REPORT_DEADLINE_S: Final = 10.0
_LONGEST_LINE: Final = 2**20


@dataclass(frozen=True, slots=True)
class SeenRequest:
    """A request as the server saw it. Instants in seconds on the monotonic clock."""

    question: str
    """What the caller said."""
    received_at_s: float
    ended_at_s: float | None
    outcome: str
    """`closed_early` when the client gave its stream up; else see `ServedRequest`."""


@dataclass(slots=True)
class ModelProcess:
    """A running server."""

    base_url: str
    seen: list[SeenRequest] = field(default_factory=list)
    """Its requests; empty before it has ended."""


@asynccontextmanager
async def model_process(script: ModelScript) -> AsyncIterator[ModelProcess]:
    """Run a server while the context lasts; at its end `seen` is filled. Cancelling ends the process.

    Raises:
        EngineError: the process did not start, or did not tell what it saw.
    """
    async with await anyio.open_process(COMMAND, stdin=PIPE, stdout=PIPE, stderr=None) as process:
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            said = BufferedByteReceiveStream(process.stdout)
            await process.stdin.send(script.model_dump_json().encode() + b"\n")
            running = ModelProcess(await _line(said, READY_DEADLINE_S))
            yield running
            await process.stdin.aclose()
            running.seen.extend(SeenRequest(**one) for one in json.loads(await _line(said, REPORT_DEADLINE_S)))
        finally:
            _end(process)


async def _line(said: BufferedByteReceiveStream, deadline_s: float) -> str:
    try:
        with anyio.fail_after(deadline_s):
            return (await said.receive_until(b"\n", _LONGEST_LINE)).decode()
    except (TimeoutError, anyio.IncompleteRead, anyio.DelimiterNotFound) as error:
        message = "the process of the stand-in model ended or fell silent; its own messages say why"
        raise EngineError(message) from error


def _end(process: Process) -> None:
    if process.returncode is None:
        process.kill()


async def _serve() -> None:
    script = ModelScript.model_validate_json(await anyio.to_thread.run_sync(sys.stdin.readline))
    async with serve_model(script) as server:
        _say(server.base_url)
        await anyio.to_thread.run_sync(sys.stdin.read)
        _say(json.dumps([asdict(_seen(request)) for request in server.requests]))


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _seen(request: ServedRequest) -> SeenRequest:
    question = last_user_text(request.messages)
    return SeenRequest(question, request.received_at_s, request.ended_at_s, request.outcome)


if __name__ == "__main__":
    anyio.run(_serve)
