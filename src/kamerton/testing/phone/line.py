"""Puts a `CallerLine` on a telephone: the scripted callers of `kamerton call` then come through a real exchange.

A line speaks AudioSocket; what it writes becomes RTP and keys, and what the phone hears becomes its messages.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio

from kamerton.testing.caller.line import CallerLine
from kamerton.testing.caller.wire import AUDIO_RATES_HZ, KIND_DTMF, KIND_HANG_UP, WireReader, encode, encode_audio
from kamerton.testing.phone.phone import SipPhone


class PhoneWire(asyncio.Transport):
    """The line's connection, with a phone at its other end. Sound must have the rate of the phone's codec."""

    def __init__(self, phone: SipPhone, line: CallerLine) -> None:
        super().__init__()
        self._phone = phone
        self._line = line
        self._reader = WireReader()
        self._rate_hz = phone.model.codec.format.rate_hz
        self.closed = anyio.Event()
        """Set when the line has been hung up by its caller, or was told that the far end did."""
        phone.on_sound = self._heard
        phone.on_over = self._over

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Take messages of the line."""
        for kind, payload in self._reader.feed(bytes(data)):
            if AUDIO_RATES_HZ.get(kind) == self._rate_hz:
                self._phone.send(payload)
            elif kind == KIND_DTMF:
                self._phone.press(payload.decode("ascii"))

    def close(self) -> None:
        """The caller hangs up; whoever opened the phone sees it off."""
        self.closed.set()

    def is_closing(self) -> bool:
        """True once closed."""
        return self.closed.is_set()

    def _heard(self, pcm: bytes) -> None:
        if not self.closed.is_set():
            self._line.data_received(encode_audio(pcm, self._rate_hz))

    def _over(self) -> None:
        if not self.closed.is_set():
            self._line.data_received(encode(KIND_HANG_UP))


@asynccontextmanager
async def line_on(phone: SipPhone, line: CallerLine, extension: str) -> AsyncIterator[PhoneWire]:
    """Call an extension with a line; its hang-up becomes the phone's. Attach the line's `tick` to a metronome.

    Raises:
        CallEnded: the call is not answered.
    """
    wire = PhoneWire(phone, line)
    await phone.call(extension)
    line.connection_made(wire)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_hang_up_with, wire, phone)
        yield wire
        tasks.cancel_scope.cancel()


def dialling(phone: SipPhone, extension: str) -> Callable[[CallerLine], Awaitable[None]]:
    """What `run_call` takes as its way to dial. The phone is hung up when its own context is left."""

    async def dial(line: CallerLine) -> None:
        wire = PhoneWire(phone, line)
        await phone.call(extension)
        line.connection_made(wire)

    return dial


async def _hang_up_with(wire: PhoneWire, phone: SipPhone) -> None:
    await wire.closed.wait()
    await phone.hang_up()
