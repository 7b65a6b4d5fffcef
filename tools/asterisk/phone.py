#!/usr/bin/env python3
"""Calls an extension of a running Asterisk and says recordings, each when the far end has finished speaking.

Run it with the project's Python: `.venv/bin/python tools/asterisk/phone.py --sip-port PORT 700 WAV…`
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import anyio

from kamerton.audio.wav import write_wav_file
from kamerton.domain.errors import KamertonError
from kamerton.observability.turn_recorder import TurnRecorder
from kamerton.testing.caller.recordings import load_recording
from kamerton.testing.caller.talk import CallOutcome, Line, Patience, run_call
from kamerton.testing.phone.line import dialling
from kamerton.testing.phone.phone import PhoneModel, PoorNetwork, open_phone
from kamerton.testing.phone.rtp import ALAW, ULAW

CODECS = {"alaw": ALAW, "ulaw": ULAW}
UNHURRIED = Patience(quiet_s=1.5)
"""The server cannot be asked from here whether it has finished."""


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("extension", help="700, 701, 708, 716, or 600 to hear yourself")
    parser.add_argument("wavs", nargs="*", type=Path, metavar="WAV", help="what is said, in order")
    parser.add_argument("--sip-port", type=int, required=True, help="as start.py shows it")
    parser.add_argument("--codec", choices=sorted(CODECS), default="alaw")
    parser.add_argument("--loss", type=float, default=0.0, help="share of packets that are lost, 0 to 1")
    parser.add_argument("--delay-ms", type=float, default=0.0, help="each packet is late by up to so much")
    parser.add_argument("--out", type=Path, help="store what is heard as a WAV file")
    return parser.parse_args()


async def call(options: argparse.Namespace) -> CallOutcome:
    """Place the call and say everything.

    Raises:
        CallEnded: it is not answered.
    """
    network = PoorNetwork(delay_ms=options.delay_ms, lost_share=options.loss)
    lines = tuple(Line(load_recording(path)) for path in options.wavs)
    async with open_phone(options.sip_port, PhoneModel(CODECS[options.codec], network=network)) as phone:
        dial = dialling(phone, options.extension)
        return await run_call(dial, lines, TurnRecorder(), progress=shown, patience=UNHURRIED)


def shown(text: str) -> None:
    """A line for whoever watches."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> int:
    """Call, and tell how it ended."""
    options = parse()
    try:
        outcome = anyio.run(call, options)
    except KamertonError as error:
        sys.stderr.write(f"kamerton: {error}\n")
        return 1
    if options.out is not None:
        write_wav_file(options.out, outcome.audio, outcome.format)
    shown(outcome.trouble or f"the call was ended by the {outcome.report.ended_by}")
    return 1 if outcome.trouble else 0


if __name__ == "__main__":
    sys.exit(main())
