"""The server under test, as a child process of `kamerton bench`: started, probed, watched and ended."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
import psutil

from kamerton.domain.errors import EngineError
from kamerton.testing.caller.server_turns import TURN_MESSAGE, ServerTurn

READY_DEADLINE_S: Final = 180.0
"""The first start prepares models and prompts."""
PROBE_DEADLINE_S: Final = 5.0
STOP_DEADLINE_S: Final = 15.0
WATCH_PERIOD_S: Final = 0.5
TAIL_LINES: Final = 30

_SERVE: Final = (sys.executable, "-c", "from kamerton.cli.main import main; main()", "serve", "--log-level", "info")
_FREE_PORTS: Final = ("--ready-json", "--port", "0", "--audiosocket-port", "0")
SERVE_COMMAND: Final = (*_SERVE, "--stand-ins", *_FREE_PORTS)

_METRIC: Final = re.compile(
    r'^(?P<name>kamerton_\w+_total)(?:\{\w+="(?P<label>[^"]*)"\})? (?P<value>\S+)$', re.MULTILINE
)


def serve_command(*, stand_ins: bool, config: Path | None) -> tuple[str, ...]:
    """How a server is started: with engines that cost nothing, or with those of the settings."""
    chosen = ("--stand-ins",) if stand_ins else ()
    return (*_SERVE, *chosen, *_FREE_PORTS, *(("--config", str(config)) if config else ()))


@dataclass(slots=True)
class ServerUnderTest:
    """A running server: where it listens, and what it costs."""

    process: psutil.Process
    audiosocket_port: int
    http_port: int
    turn_lines: list[str] = field(default_factory=list)
    """Its log lines about finished turns, in order."""
    rss_mb: list[float] = field(default_factory=list)
    """Resident memory, sampled each half second while watched."""
    spent: list[tuple[float, float]] = field(default_factory=list)
    """CPU seconds so far, sampled likewise, each with its instant on the system's monotonic clock."""

    def turns(self) -> list[ServerTurn]:
        """What it told of its turns so far."""
        return [turn for line in tuple(self.turn_lines) if (turn := ServerTurn.from_log(line)) is not None]

    def cpu_between_s(self, begun_s: float, ended_s: float) -> float:
        """CPU seconds spent between two instants (monotonic clock) while it was watched.

        The load process needs a while to start and to compute its figures; what the server does then is no call.
        """
        instants, spent = zip(*self.spent, strict=True)
        begun, ended = np.interp((begun_s, ended_s), instants, spent)
        return float(ended - begun)

    def idle_cpu_s_per_minute(self, seconds: float) -> float:
        """What it costs while nobody calls, measured for so long."""
        begun_s, before_s = time.monotonic(), self.cpu_s()
        threading.Event().wait(seconds)
        return (self.cpu_s() - before_s) * 60 / (time.monotonic() - begun_s)

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
        """Sample memory and CPU while inside, from a thread."""
        stop = threading.Event()

        def sample() -> None:
            with contextlib.suppress(psutil.NoSuchProcess):
                while not stop.wait(WATCH_PERIOD_S):
                    self.rss_mb.append(self.memory_mb())
                    self.spent.append((time.monotonic(), self.cpu_s()))

        thread = threading.Thread(target=sample, name="bench-watch", daemon=True)
        self.spent.append((time.monotonic(), self.cpu_s()))
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
            self.spent.append((time.monotonic(), self.cpu_s()))

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
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env=os.environ | {"KAMERTON_LOG__FORMAT": "json"},
    )
    assert child.stdout is not None
    assert child.stderr is not None
    turn_lines: list[str] = []
    log = _Tail(child.stderr, turn_lines)
    spoken = _ReadyLine(child.stdout)
    try:
        ready = spoken.wait(READY_DEADLINE_S)
        if ready is None:
            raise EngineError(
                f"the server under test did not get ready ({' '.join(command)}); its last words:\n{log.text()}"
            )
        ports = int(ready["audiosocket_port"]), int(ready["http_port"])
        yield ServerUnderTest(psutil.Process(child.pid), *ports, turn_lines)
    finally:
        _end(child)
        log.thread.join(STOP_DEADLINE_S)
        spoken.thread.join(STOP_DEADLINE_S)
        child.stdout.close()
        child.stderr.close()


class _Tail:
    """Drains a pipe and keeps its last lines, and every line about a finished turn."""

    def __init__(self, pipe: IO[str], turn_lines: list[str]) -> None:
        self._lines: list[str] = []
        self._turn_lines = turn_lines
        self._pipe = pipe
        self.thread = threading.Thread(target=self._drain, name="bench-log", daemon=True)
        self.thread.start()

    def text(self) -> str:
        return "".join(self._lines[-TAIL_LINES:]).strip() or "(nothing)"

    def _drain(self) -> None:
        for line in self._pipe:
            if TURN_MESSAGE in line:
                self._turn_lines.append(line)
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
