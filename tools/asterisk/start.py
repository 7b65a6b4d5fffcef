#!/usr/bin/env python3
"""Starts the Asterisk that get.sh unpacked: on this machine's loopback only, as any user, until it is told to stop.

Ports that are not given are free ones. Ends with Ctrl-C or SIGTERM; calls are hung up. Needs nothing but Python.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

HERE = Path(__file__).resolve().parent
DOCUMENTED_ADDRESS = "127.0.0.1:9092"
"""Where the dialplans expect Kamerton."""
EMPTY = ("acl", "ccss", "cdr", "cel", "codecs", "dnsmgr", "features", "http", "pjproject", "sorcery")
EMPTY_TOO = ("stasis", "udptl", "websocket_client")
"""Files that Asterisk complains about when they are not there."""
RTP_PORTS = 400
START_S = 20.0
STOP_S = 10.0
LONGEST_RUN_PATH = 90
"""The console's socket lies in the run folder, and the name of a socket has 107 characters at most."""


class CannotStart(Exception):
    """Asterisk could not be started; the message says why and what to do."""


@dataclass(frozen=True)
class Unpacked:
    """What get.sh left."""

    root: Path

    @property
    def library(self) -> Path:
        """The folder of its libraries, with the loader that fits them."""
        return self._only("usr/lib/*-linux-gnu*/ld-linux*.so.*").parent

    def command(self, *arguments: str) -> list[str]:
        """Asterisk with its own loader and libraries: the machine's may be older."""
        loader = self._only("usr/lib/*-linux-gnu*/ld-linux*.so.*")
        program = str(self.root / "usr/sbin/asterisk")
        return [str(loader), "--library-path", str(self.library), program, *arguments]

    def _only(self, pattern: str) -> Path:
        found = sorted(self.root.glob(pattern))
        if not found:
            raise CannotStart(f"there is no Asterisk in {self.root}: run tools/asterisk/get.sh {self.root}")
        return found[0]


def free_port(kind: socket.SocketKind) -> int:
    """A port of 127.0.0.1 that nobody uses now."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def lay_out(unpacked: Unpacked, run: Path, values: Mapping[str, str], kamerton: str) -> None:
    """Fill the run folder: the configuration with its values, the sounds, and one of them as music on hold."""
    for folder in ("etc", "log", "lib", "spool", "data/moh", "data/agi-bin"):
        (run / folder).mkdir(parents=True, exist_ok=True)
    for name in (*EMPTY, *EMPTY_TOO):
        (run / "etc" / f"{name}.conf").touch()
    for source in (HERE / "etc").glob("*.conf"):
        text = source.read_text(encoding="utf-8").replace(DOCUMENTED_ADDRESS, kamerton)
        for name, value in values.items():
            text = text.replace(f"@{name}@", value)
        (run / "etc" / source.name).write_text(text, encoding="utf-8")
    shared = unpacked.root / "usr/share/asterisk"
    link(run / "data/documentation", shared / "documentation")
    (run / "data/sounds").mkdir(exist_ok=True)
    for voice in (shared / "sounds").glob("ru_*"):
        link(run / "data/sounds/ru", voice)
        link(run / "data/moh/sentence.wav", voice / "vm-nobodyavail.wav")


def link(name: Path, target: Path) -> None:
    """A symbolic link, made anew."""
    name.unlink(missing_ok=True)
    name.symlink_to(target)


def write_console(run: Path, unpacked: Unpacked) -> Path:
    """A command for its console: `console core show channels`."""
    console = run / "console"
    command = " ".join(f"'{part}'" for part in unpacked.command("-C", str(run / "etc/asterisk.conf")))
    console.write_text(
        f'#!/bin/sh\nif [ $# -gt 0 ]; then exec {command} -rx "$*"; fi\nexec {command} -r\n', encoding="utf-8"
    )
    console.chmod(0o755)
    return console


@contextmanager
def running(unpacked: Unpacked, run: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Asterisk, fully up; ended on the way out.

    Raises:
        CannotStart: it ended or hung while it started; the message carries the end of what it wrote.
    """
    output = run / "log/output"
    console = write_console(run, unpacked)
    with output.open("wb") as written:
        process = subprocess.Popen(
            unpacked.command("-C", str(run / "etc/asterisk.conf"), "-f", "-T"),
            stdin=subprocess.DEVNULL,
            stdout=written,
            stderr=subprocess.STDOUT,
            env={"HOME": str(run), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"},
        )
    try:
        if not booted(process, console):
            said = output.read_text(encoding="utf-8", errors="replace").splitlines()[-15:]
            raise CannotStart("\n  ".join((f"Asterisk did not come up within {START_S:.0f} s; it wrote:", *said)))
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def booted(process: subprocess.Popen[bytes], console: Path) -> bool:
    """Whether it is fully up; asks its console until it says so."""
    for _ in range(int(START_S / 0.1)):
        asked = subprocess.run([console, "core", "waitfullybooted"], capture_output=True, timeout=START_S, check=False)
        if b"fully booted" in asked.stdout:
            return True
        try:
            process.wait(0.1)
        except subprocess.TimeoutExpired:
            continue
        return False
    return False


def tell(run: Path, values: Mapping[str, str], kamerton: str, *, as_json: bool) -> None:
    """Say where everything is."""
    if as_json:
        ready = {"ready": True, "sip_port": int(values["SIP"]), "ami_port": int(values["AMI"]), "run": str(run)}
        sys.stdout.write(json.dumps({**ready, "secret": values["SECRET"]}) + "\n")
    else:
        sys.stdout.write(
            f"Asterisk is up on 127.0.0.1.\n"
            f"  SIP:      UDP port {values['SIP']}: tools/asterisk/phone.py --sip-port {values['SIP']} 700 WAV…\n"
            f"  AMI:      port {values['AMI']}, users kamerton and watcher, secret {values['SECRET']}\n"
            f"  Console:  {run}/console core show channels\n"
            f"  Log:      {run}/log/full.log\n"
            f"  Kamerton is expected at {kamerton}. Stop with Ctrl-C.\n"
        )
    sys.stdout.flush()


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    folder = HERE.parents[1] / "var/asterisk"
    parser.add_argument("--folder", type=Path, default=folder, help="where get.sh unpacked it (var/asterisk)")
    parser.add_argument("--run", type=Path, help="folder of this run, kept; a temporary one otherwise")
    parser.add_argument("--kamerton", default=DOCUMENTED_ADDRESS, help="HOST:PORT of Kamerton's AudioSocket")
    parser.add_argument("--sip-port", type=int, default=0, help="UDP port for SIP; 0: any free one")
    parser.add_argument("--ami-port", type=int, default=0, help="TCP port of the manager interface; 0: any free one")
    parser.add_argument("--secret", default="kamerton-test", help="password of the manager's users")
    parser.add_argument("--ready-json", action="store_true", help="print one JSON line when it is up")
    return parser.parse_args()


def main() -> int:
    """Start, tell, wait, stop."""
    options = parse()
    stop = threading.Event()

    def stopping(number: int, frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stopping)
    run: Path = (options.run or Path(tempfile.mkdtemp(prefix="asterisk-"))).resolve()
    rtp = random.randrange(11000, 31000, RTP_PORTS)
    values = {
        "SIP": str(options.sip_port or free_port(socket.SOCK_DGRAM)),
        "AMI": str(options.ami_port or free_port(socket.SOCK_STREAM)),
        "RTP": str(rtp),
        "RTP_END": str(rtp + RTP_PORTS - 1),
        "SECRET": options.secret,
        "RUN": str(run),
    }
    try:
        if len(str(run)) > LONGEST_RUN_PATH:
            raise CannotStart(f"the path {run} is too long for a socket: give a shorter one with --run")
        unpacked = Unpacked(options.folder.resolve())
        values["MODULES"] = str(unpacked.library / "asterisk/modules")
        lay_out(unpacked, run, values, options.kamerton)
        with running(unpacked, run) as process:
            tell(run, values, options.kamerton, as_json=options.ready_json)
            while process.poll() is None and not stop.wait(0.2):
                pass
            if not stop.is_set():
                raise CannotStart(f"Asterisk ended by itself with code {process.returncode}; see {run}/log")
    except CannotStart as error:
        sys.stderr.write(f"kamerton: {error}\n")
        return 1
    finally:
        if options.run is None:
            shutil.rmtree(run, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
