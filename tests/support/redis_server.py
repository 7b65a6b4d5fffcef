"""A real `redis-server` on a free port: no persistence, killed and restarted at will, stopped in the end."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

START_DEADLINE_S = 15.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class RedisServer:
    """The server's process; `start` after `kill` brings it back, empty, on the same port."""

    def __init__(self, *options: str) -> None:
        program = shutil.which("redis-server")
        assert program, "redis-server is not on PATH; install it (Debian: apt-get install redis-server)"
        self.port = free_port()
        self._command = (
            program,
            *("--port", str(self.port), "--bind", "127.0.0.1"),
            *("--save", "", "--appendonly", "no", "--loglevel", "warning"),
            *options,
        )
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it and wait until it accepts connections; it says so by answering, not by time."""
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        for _ in range(int(START_DEADLINE_S / 0.05)):
            if self._answers():
                return
            try:
                self._process.wait(0.05)
            except subprocess.TimeoutExpired:
                continue
            break
        output = self._end(signal.SIGKILL)
        raise AssertionError(f"redis-server on port {self.port} did not start:\n{output}")

    def kill(self) -> None:
        """End it as a crash would: its connections break, and nothing is written."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """Let it hang: connections stay, nothing is answered."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Go on after `freeze`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        if self._process is not None:
            self._end(signal.SIGKILL)

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1.0) as line:
                line.sendall(b"PING\r\n")
                return line.recv(64).startswith((b"+PONG", b"-NOAUTH"))
        except OSError:
            return False

    def _end(self, how: signal.Signals) -> str:
        assert self._process is not None, "redis-server is not running"
        self._process.send_signal(how)
        output, _ = self._process.communicate(timeout=START_DEADLINE_S)
        self._process = None
        return output.decode("utf-8", "replace")


@contextmanager
def redis_server(*options: str) -> Iterator[RedisServer]:
    """A running server; stopped on the way out, also after a failure."""
    server = RedisServer(*options)
    server.start()
    try:
        yield server
    finally:
        server.stop()
