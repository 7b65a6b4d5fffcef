"""Calls through a real Asterisk: a phone with a scripted caller on it, and what the manager interface tells."""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import anyio
import numpy as np
from asterisk_server import AsteriskServer
from paths import SHARED_AUDIO
from served import ServedKamerton

from kamerton.testing.caller.line import CallerLine, LineNoise
from kamerton.testing.caller.metronome import Metronome
from kamerton.testing.caller.recordings import Recording, load_recording
from kamerton.testing.phone.line import line_on
from kamerton.testing.phone.phone import PhoneModel, SipPhone, open_phone
from kamerton.transports.asterisk.ami_client import AmiClient, connect_ami
from kamerton.transports.asterisk.ami_codec import AmiMessage

FRAMES_PER_S = 50
AUDIBLE_POWER = 32768.0**2 * 10 ** (-50 / 10)
_NUMBERS = itertools.count(79990000001)
"""Every phone calls from a number of its own, by which Asterisk's events are told apart."""
LAST_EVENTS = 40
"""So many events are shown with a failure."""


async def until(condition: Callable[[], object], seconds: float, what: str) -> None:
    """Wait for something; it failing to come in time is a failure that says what was waited for."""
    with anyio.move_on_after(seconds):
        while True:
            if condition():
                return
            await anyio.sleep(0.02)
    raise AssertionError(f"within {seconds:g} s this did not come: {what}")


@dataclass
class Manager:
    """Everything that Asterisk told since the context was entered."""

    client: AmiClient
    events: list[AmiMessage] = field(default_factory=list)

    async def follow(self) -> None:
        while True:
            self.events.append(await self.client.next_event())

    def call_of(self, number: str) -> AmiMessage | None:
        """The dialplan's announcement of the call from a number."""
        return next(
            (e for e in self.events if e.value("UserEvent") == "KamertonCall" and e.value("Caller") == number), None
        )

    def variable(self, channel: str, name: str) -> str | None:
        """The value that a channel's variable got last."""
        values = [
            e.value("Value")
            for e in self.events
            if (e.event, e.value("Uniqueid"), e.value("Variable")) == ("VarSet", channel, name)
        ]
        return values[-1] if values else None


@asynccontextmanager
async def watching(exchange: AsteriskServer) -> AsyncIterator[Manager]:
    async with connect_ami(exchange.manager("watcher")) as client, anyio.create_task_group() as tasks:
        await client.action("Events", ("EventMask", "on"))
        manager = Manager(client)
        tasks.start_soon(manager.follow)
        yield manager
        tasks.cancel_scope.cancel()


@dataclass
class Caller:
    """Somebody with a phone in a call."""

    phone: SipPhone
    line: CallerLine
    manager: Manager

    @property
    def _announcement(self) -> AmiMessage:
        found = self.manager.call_of(self.phone.model.number)
        assert found is not None, "the dialplan did not announce the call"
        return found

    @property
    def call_id(self) -> str:
        """The UUID that the dialplan gave the call."""
        return self._announcement.value("UUID")

    def variable(self, name: str) -> str | None:
        """A variable of the caller's channel."""
        return self.manager.variable(self._announcement.value("Uniqueid"), name)

    def heard_s(self) -> float:
        """Seconds of sound in what was heard so far."""
        return float(np.count_nonzero(np.array(self.line.powers) >= AUDIBLE_POWER)) / FRAMES_PER_S

    async def hears(self, seconds: float, within_s: float, what: str) -> None:
        """Wait until there was so much sound in all."""
        await until(lambda: self.heard_s() >= seconds, within_s, f"{what} ({self.heard_s():.1f} s heard)")

    async def hung_up_on(self, within_s: float) -> None:
        await until(lambda: self.line.ended_by == "bot", within_s, "the exchange's hang-up")


async def _announced(caller: Caller, extension: str) -> None:
    """Wait for the dialplan's announcement; without it, say what Asterisk told instead."""
    manager, number = caller.manager, caller.phone.model.number
    try:
        await until(lambda: manager.call_of(number), 5, f"the dialplan's announcement of a call to {extension}")
    except AssertionError as missing:
        told = "\n".join(str(event) for event in manager.events[-LAST_EVENTS:])
        missing.add_note(f"the phone's number is {number}; Asterisk's last events:\n{told}")
        raise


@asynccontextmanager
async def calling(
    exchange: AsteriskServer, manager: Manager, extension: str, model: PhoneModel | None = None, *, muted: bool = False
) -> AsyncIterator[Caller]:
    """A call from a phone of this machine; hung up when the context is left."""
    model = replace(model or PhoneModel(), number=str(next(_NUMBERS)))
    audio_format = model.codec.format
    metronome = Metronome(slots=1)
    async with open_phone(exchange.sip_port, model) as phone, anyio.create_task_group() as tasks:
        phone.muted = muted
        clock = asyncio.get_running_loop().time
        line = CallerLine(uuid.uuid4(), LineNoise(audio_format), clock=clock, keep_audio=True)
        metronome.attach(line.tick)
        tasks.start_soon(metronome.run)
        async with line_on(phone, line, extension):
            caller = Caller(phone, line, manager)
            await _announced(caller, extension)
            yield caller
        tasks.cancel_scope.cancel()


def number_125(model: PhoneModel | None = None) -> Recording:
    return load_recording(SHARED_AUDIO / "number-125.wav", (model or PhoneModel()).codec.format)


def told(server: ServedKamerton, message: str, call_id: str) -> list[dict[str, Any]]:
    """What the server logged about a call under this text."""
    return [record for record in server.log_records(message) if record.get("call_id") == call_id]
