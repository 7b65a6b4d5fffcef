"""The server under test, as a child process of `kamerton bench`: started, probed, watched and ended."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import IO, Any, Final

import psutil

from kamerton.domain.errors import EngineError

READY_DEADLINE_S: Final = 180.0
"""The first start prepares models and prompts."""
PROBE_DEADLINE_S: Final = 5.0
STOP_DEADLINE_S: Final = 15.0
WATCH_PERIOD_S: Final = 0.5
TAIL_LINES: Final = 30

SERVE_COMMAND: Final = (
    sys.executable,
    "-c",
    "from kamerton.cli.main import main; main()",
    "serve",
    "--stand-ins",
    "--ready-json",
    "--port",
    "0",
    "--audiosocket-port",
    "0",
)

_METRIC: Final = re.compile(
    r'^(?P<name>kamerton_\w+_total)(?:\{\w+="(?P<label>[^"]*)"\})? (?P<value>\S+)$', re.MULTILINE
)


@dataclass(slots=True)
class ServerUnderTest:
    """A running server: where it listens, and what it costs."""

    process: psutil.Process
    audiosocket_port: int
    http_port: int
    rss_mb: list[float] = field(default_factory=list)
    """Resident memory, sampled each half second while watched."""

    def cpu_s(self) -> float:
        """CPU seconds spent so far, by all its threads and its children that still run."""
        total = 0.0
        for process in (self.process, *self.process.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                spent = process.cpu_times()
                total += spent.user + spent.system
        return total

    def memory_mb(self) -> float:
        """Resident memory now, without its children."""
        return float(self.process.memory_info().rss) / 2**20

    def runtime(self) -> dict[str, Any]:
        """What the server says of itself: tasks, calls, collector pauses, loop lag.

        Raises:
            EngineError: it does not answer.
        """
        fields: dict[str, Any] = json.loads(self._get("/api/v1/debug/runtime"))
        return fields

    def counters(self) -> dict[str, float]:
        """Its counters, as `name` or `name.label`.

        Raises:
            EngineError: it does not answer.
        """
        page = self._get("/metrics").decode("utf-8", "replace")
        return {
            ".".join(filter(None, (found["name"], found["label"]))): float(found["value"])
            for found in _METRIC.finditer(page)
        }

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Sample the memory while inside, from a thread."""
        stop = threading.Event()

        def sample() -> None:
            with contextlib.suppress(psutil.NoSuchProcess):
                while not stop.wait(WATCH_PERIOD_S):
                    self.rss_mb.append(self.memory_mb())

        thread = threading.Thread(target=sample, name="bench-memory", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def calls_over(self, deadline_s: float) -> dict[str, Any]:
        """Wait until the server has no call left; returns its last word, also when the deadline came first.

        Raises:
            EngineError: it does not answer.
        """
        until_s = time.monotonic() + deadline_s
        pause = threading.Event()
        while (state := self.runtime())["calls"] and time.monotonic() < until_s:
            pause.wait(0.2)
        return state

    def _get(self, path: str) -> bytes:
        url = f"http://127.0.0.1:{self.http_port}{path}"
        try:
            with urllib.request.urlopen(url, timeout=PROBE_DEADLINE_S) as answer:
                body: bytes = answer.read()
                return body
        except (urllib.error.URLError, OSError) as error:
            raise EngineError(f"the server under test did not answer {url}: {error}") from error


@contextlib.contextmanager
def server_under_test(command: Sequence[str] = SERVE_COMMAND) -> Iterator[ServerUnderTest]:
    """Start the server, wait until it is ready, and end it on the way out, whatever happened.

    Raises:
        EngineError: it ended, or was not ready within 3 minutes; the message holds its last log lines.
    """
    child = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace"
    )
    assert child.stdout is not None
    assert child.stderr is not None
    log = _Tail(child.stderr)
    spoken = _ReadyLine(child.stdout)
    try:
        ready = spoken.wait(READY_DEADLINE_S)
        if ready is None:
            raise EngineError(
                f"the server under test did not get ready ({' '.join(command)}); its last words:\n{log.text()}"
            )
        yield ServerUnderTest(psutil.Process(child.pid), int(ready["audiosocket_port"]), int(ready["http_port"]))
    finally:
        _end(child)
        log.thread.join(STOP_DEADLINE_S)
        spoken.thread.join(STOP_DEADLINE_S)
        child.stdout.close()
        child.stderr.close()


class _Tail:
    """Drains a pipe and keeps its last lines."""

    def __init__(self, pipe: IO[str]) -> None:
        self._lines: list[str] = []
        self._pipe = pipe
        self.thread = threading.Thread(target=self._drain, name="bench-log", daemon=True)
        self.thread.start()

    def text(self) -> str:
        return "".join(self._lines[-TAIL_LINES:]).strip() or "(nothing)"

    def _drain(self) -> None:
        for line in self._pipe:
            self._lines.append(line)
            del self._lines[:-TAIL_LINES]


class _ReadyLine:
    """Drains standard output and catches the line that says where the server listens."""

    def __init__(self, pipe: IO[str]) -> None:
        self._pipe = pipe
        self._ready: dict[str, Any] | None = None
        self._settled = threading.Event()
        self.thread = threading.Thread(target=self._drain, name="bench-ready", daemon=True)
        self.thread.start()

    def wait(self, deadline_s: float) -> dict[str, Any] | None:
        self._settled.wait(deadline_s)
        return self._ready

    def _drain(self) -> None:
        for line in self._pipe:
            if self._ready is None and line.lstrip().startswith("{"):
                with contextlib.suppress(json.JSONDecodeError):
                    said = json.loads(line)
                    if said.get("ready"):
                        self._ready = said
                        self._settled.set()
        self._settled.set()


def _end(child: subprocess.Popen[str]) -> None:
    child.terminate()
    try:
        child.wait(STOP_DEADLINE_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait(STOP_DEADLINE_S)
