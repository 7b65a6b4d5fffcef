"""`kamerton serve` as a child process: started, asked over HTTP, and stopped the way an operator stops it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import psutil
from paths import REPO

STOP_DEADLINE_S = 20.0
COMMAND = (sys.executable, "-m", "kamerton.cli.main", "serve")
FREE_PORTS = ("--port", "0", "--audiosocket-port", "0")


@dataclass
class ServedKamerton:
    """A running server. `log` is everything it wrote on stderr so far."""

    process: subprocess.Popen[str]
    http_port: int
    audiosocket_port: int
    log_file: Path
    killed: bool = False
    asked: bool = False
    """SIGTERM was sent; a second one would end the process at once, as it does with any program."""
    _log_read: int = 0
    _records: list[dict[str, Any]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http_port}/"

    @property
    def log(self) -> str:
        return self.log_file.read_text(encoding="utf-8")

    def log_records(self, message: str) -> list[dict[str, Any]]:
        """The JSON log lines with this text. Only what is new is read, so that it may be asked often."""
        with self.log_file.open("rb") as log:
            log.seek(self._log_read)
            *lines, unfinished = log.read().split(b"\n")
            self._log_read = log.tell() - len(unfinished)
        self._records += [json.loads(line) for line in lines if line.startswith(b"{")]
        return [record for record in self._records if record["msg"] == message]

    def get(self, path: str) -> tuple[int, str]:
        """Status and body of a page; a status of 400 and more raises `HTTPError`."""
        with urlopen(self.url + path.lstrip("/"), timeout=10) as answer:
            return answer.status, answer.read().decode("utf-8")

    def figures(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.get("/api/v1/debug/runtime")[1])
        return found

    def family(self) -> list[psutil.Process]:
        """The server's process and every process below it."""
        own = psutil.Process(self.process.pid)
        return [own, *own.children(recursive=True)]

    def ask_to_stop(self) -> None:
        if not self.asked and self.process.poll() is None:
            self.asked = True
            self.process.send_signal(signal.SIGTERM)

    def ask_again(self) -> None:
        """SIGTERM a second time."""
        self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a crash would: nothing is told to anybody."""
        self.killed = True
        self.process.kill()
        self.process.wait()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Let the process stand still: the system goes on, nothing is answered."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def stop(self) -> int:
        """SIGTERM, then the exit code; a server that does not end in time is killed and fails the test."""
        self.ask_to_stop()
        try:
            return self.process.wait(STOP_DEADLINE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"the server did not stop within {STOP_DEADLINE_S:.0f} s:\n{self.log}") from None


@contextmanager
def served(
    folder: Path, *options: str, env: Mapping[str, str] | None = None, files: str = ""
) -> Iterator[ServedKamerton]:
    """Start a server in an empty folder and wait until it is ready; stopped on the way out, also after a failure.

    `files` limits the files that it may open: arguments of the shell's `ulimit`, as "-n 64".
    """
    limited = ("sh", "-c", f'ulimit {files} && exec "$@"', "sh") if files else ()
    log_file = folder / "server.log"
    with log_file.open("w", encoding="utf-8") as log:
        process = subprocess.Popen(
            [*limited, *COMMAND, "--ready-json", *FREE_PORTS, *options],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            cwd=folder,
            env=environment(env),
        )
    with process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, f"the server ended before it was ready:\n{log_file.read_text(encoding='utf-8')}"
            ready = json.loads(line)
            assert ready["ready"] is True
            assert ready["pid"] == process.pid
            server = ServedKamerton(process, ready["http_port"], ready["audiosocket_port"], log_file)
            yield server
            code = server.stop()
            assert server.killed or code == 0, f"the server ended with {code}:\n{server.log}"
        finally:
            if process.poll() is None:
                process.kill()


def refused(folder: Path, *options: str, env: Mapping[str, str] | None = None) -> tuple[int, str]:
    """Run `serve` where it cannot start: its exit code and what it wrote for people."""
    ended = subprocess.run(
        [*COMMAND, *options], capture_output=True, text=True, cwd=folder, env=environment(env), timeout=45, check=False
    )
    return ended.returncode, ended.stdout + ended.stderr


def environment(further: Mapping[str, str] | None) -> dict[str, str]:
    """The caller's environment without settings of its own."""
    own = {name: value for name, value in os.environ.items() if not name.upper().startswith("KAMERTON_")}
    return {**own, "PYTHONPATH": str(REPO / "src"), **(further or {})}
