"""A real Asterisk for tests: unpacked if need be, started on free ports of this machine, stopped in the end."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from paths import REPO

from kamerton.transports.asterisk.settings import AmiSettings

TOOLS = REPO / "tools" / "asterisk"
GET_DEADLINE_S = 300.0
STOP_DEADLINE_S = 20.0


@dataclass(frozen=True)
class AsteriskServer:
    """A running Asterisk; its dialplans call `kamerton_port`."""

    sip_port: int
    ami_port: int
    kamerton_port: int
    secret: str
    run: Path

    @property
    def log(self) -> str:
        return (self.run / "log" / "full.log").read_text(encoding="utf-8", errors="replace")

    def manager(self, user: str) -> AmiSettings:
        return AmiSettings("127.0.0.1", user, self.secret, self.ami_port)


@contextmanager
def asterisk(run: Path, kamerton_port: int) -> Iterator[AsteriskServer]:
    """Asterisk, fully up. That it cannot be had is a failure, with what get.sh says about it."""
    unpacked = subprocess.run(
        [TOOLS / "get.sh"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=GET_DEADLINE_S,
        check=False,
    )
    assert unpacked.returncode == 0, f"no Asterisk for these tests:\n{unpacked.stdout}"
    command = [sys.executable, str(TOOLS / "start.py"), "--ready-json", "--run", str(run)]
    process = subprocess.Popen(
        [*command, "--kamerton", f"127.0.0.1:{kamerton_port}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            assert process.stdout is not None
            assert process.stderr is not None
            line = process.stdout.readline()
            assert line, f"Asterisk did not start:\n{process.stderr.read()}"
            ready = json.loads(line)
            yield AsteriskServer(
                ready["sip_port"], ready["ami_port"], kamerton_port, ready["secret"], Path(ready["run"])
            )
        finally:
            process.terminate()
            try:
                process.wait(STOP_DEADLINE_S)
            finally:
                if process.poll() is None:
                    process.kill()
