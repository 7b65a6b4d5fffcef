"""A bot whose every reaction is known to the frame: what the caller's measurements are proved against.

It hears by level alone, replies a fixed time after the last loud frame, and ducks and falls silent a fixed time after
the first; what it really did is kept in `BotDeeds`.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Final

import anyio
import numpy as np

from kamerton.audio.tone import tone
from kamerton.domain.audio import PHONE
from kamerton.domain.notices import (
    BargeInDecided,
    CallFinished,
    CallObserver,
    CallStarted,
    MindState,
    MindStateChanged,
    TurnFinished,
)
from kamerton.testing.caller.line import CallerLine
from kamerton.testing.caller.metronome import FRAME_S, Metronome
from kamerton.testing.caller.wire import AUDIO_RATES_HZ, KIND_HANG_UP, KIND_UUID, WireReader, encode, encode_audio

LOUD_POWER: Final = 32768.0**2 * 10 ** (-45 / 10)
SHORT_GAP_S: Final = 0.3
"""Loud frames closer than this belong to one utterance."""
STILL_LOUD_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class BotPlan:
    """How the bot behaves; seconds. The greeting has index 0 in the deeds, replies follow."""

    greeting_after_s: float = 0.04
    greeting_s: float = 1.0
    reply_after_s: float = 0.4
    """After the last loud frame; must be longer than the pauses inside the caller's utterances."""
    reply_s: float = 2.0
    duck_after_s: float = 0.1
    silence_after_s: float = 0.4
    """After the first loud frame, if the caller is still loud; shorter sounds are murmurs and the bot speaks on."""
    duck_db: float = -12.0
    pause_at_s: float | None = None
    """Into every reply: there it pauses between words, for `pause_s`."""
    pause_s: float = 0.6
    hang_up_after_replies: int | None = None
    silent: bool = False
    """It never speaks: silence goes out all the time."""


@dataclass(slots=True)
class BotDeeds:
    """Instants (loop clock) at which the bot did things, as it left its hands."""

    spoke_at_s: list[float] = field(default_factory=list)
    ducked_at_s: list[float] = field(default_factory=list)
    silenced_at_s: list[float] = field(default_factory=list)
    heard_digits: list[bytes] = field(default_factory=list)


class ScriptedBot(asyncio.Protocol):
    """The far end of one call. Attach `tick` to a metronome while it is up (`served` and `dial_in` do)."""

    def __init__(self, plan: BotPlan, clock: Callable[[], float], observer: CallObserver | None = None) -> None:
        self.deeds: Final = BotDeeds()
        self.call_id: uuid.UUID | None = None
        self._plan = plan
        self._clock = clock
        self._observer = observer
        self._reader = WireReader()
        self._transport: asyncio.Transport | None = None
        self._up_at_s = 0.0
        self._speaks_until_s: float | None = None
        self._onset_s: float | None = None
        self._loud_s = -math.inf
        self._owes_reply = False
        self._ducked = False
        self._finished = False
        self._silence = encode_audio(PHONE.silence(), PHONE.rate_hz)
        self._loud = encode_audio(tone(400.0, 20.0, PHONE, level_dbfs=-20.0), PHONE.rate_hz)
        self._quiet = encode_audio(tone(400.0, 20.0, PHONE, level_dbfs=-20.0 + plan.duck_db), PHONE.rate_hz)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A call came in."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._up_at_s = self._clock()

    def connection_lost(self, exc: Exception | None) -> None:
        """The call is over."""
        self._transport = None
        self._close_books("caller")

    def data_received(self, data: bytes) -> None:
        """Listen."""
        for kind, payload in self._reader.feed(data):
            if kind in AUDIO_RATES_HZ:
                self._hear(payload)
            elif kind == KIND_UUID:
                self.call_id = uuid.UUID(bytes=payload)
                self._tell(CallStarted(str(self.call_id), "scripted", "audiosocket"))
            else:
                self.deeds.heard_digits.append(payload)

    def tick(self, now_s: float) -> None:
        """Send the frame of this instant."""
        if self._transport is None or self._finished:
            return
        if not self._plan.silent:
            self._begin_what_is_due(now_s)
        message = self._silence
        if self._speaks_until_s is not None and now_s < self._speaks_until_s - 1e-9:
            message = self._spoken_frame(now_s)
        elif self._speaks_until_s is not None:
            self._finish_speaking("played")
        self._transport.write(message)
        done = self._plan.hang_up_after_replies
        if done is not None and len(self.deeds.spoke_at_s) > done and self._speaks_until_s is None:
            self._transport.write(encode(KIND_HANG_UP))
            self._transport.close()
            self._close_books("bot")

    def _hear(self, payload: bytes) -> None:
        samples = np.frombuffer(payload, dtype="<i2").astype(np.float32)
        if float(samples @ samples) / len(samples) < LOUD_POWER:
            return
        now_s = self._clock()
        if self._onset_s is None or now_s - self._loud_s > SHORT_GAP_S:
            self._onset_s = now_s
            self._owes_reply = self._speaks_until_s is None
            self._ducked = False
        self._loud_s = now_s

    def _begin_what_is_due(self, now_s: float) -> None:
        greets = not self.deeds.spoke_at_s and now_s >= self._up_at_s + self._plan.greeting_after_s - 1e-9
        replies = self._owes_reply and now_s >= self._loud_s + self._plan.reply_after_s - 1e-9
        if greets or replies:
            self._owes_reply = False
            length_s = self._plan.reply_s if replies else self._plan.greeting_s
            self._speaks_until_s = now_s + round(length_s / FRAME_S) * FRAME_S
            self.deeds.spoke_at_s.append(now_s)
            self._onset_s = None
            self._tell(MindStateChanged(MindState.SPEAKING))

    def _spoken_frame(self, now_s: float) -> bytes:
        into_s = now_s - self.deeds.spoke_at_s[-1]
        begins_s = self._plan.pause_at_s
        pausing = begins_s is not None and begins_s <= into_s + 1e-9 < begins_s + self._plan.pause_s
        frame = self._loud if self._onset_s is None else self._interrupted_frame(now_s, self._onset_s)
        return self._silence if pausing else frame

    def _interrupted_frame(self, now_s: float, onset_s: float) -> bytes:
        since_s = now_s - onset_s
        still_loud = now_s - self._loud_s < STILL_LOUD_S
        if since_s >= self._plan.silence_after_s - 1e-9 and still_loud:
            self.deeds.silenced_at_s.append(now_s)
            self._owes_reply = True
            self._tell(BargeInDecided("yielded", onset_s, silenced_at_s=now_s))
            self._finish_speaking("cut")
            return self._silence
        if since_s >= self._plan.duck_after_s - 1e-9 and now_s - self._loud_s < SHORT_GAP_S:
            if not self._ducked:
                self._ducked = True
                self.deeds.ducked_at_s.append(now_s)
            return self._quiet
        return self._loud

    def _finish_speaking(self, outcome: str) -> None:
        self._speaks_until_s = None
        index = len(self.deeds.spoke_at_s) - 1
        marks = {"t6": self.deeds.spoke_at_s[-1]}
        if index:
            marks["t2"] = self.deeds.spoke_at_s[-1] - 0.01
        self._tell(
            TurnFinished(
                index,
                "scenario" if index else "greeting",
                user_text="слышно" if index else "",
                reply_text="тон",
                outcome="cut" if outcome == "cut" else "played",
                marks=marks,
                spoken_from_s=self.deeds.spoke_at_s[-1],
                spoken_to_s=self._clock(),
            )
        )
        self._tell(MindStateChanged(MindState.LISTENING))

    def _close_books(self, ended_by: str) -> None:
        if not self._finished:
            self._finished = True
            by_bot = ended_by == "bot"
            self._tell(
                CallFinished(
                    str(self.call_id),
                    "bot" if by_bot else "caller",
                    "over",
                    0.0,
                    {"replies": len(self.deeds.spoke_at_s) - 1},
                )
            )

    def _tell(self, notice: CallStarted | TurnFinished | MindStateChanged | BargeInDecided | CallFinished) -> None:
        if self._observer is not None and self.call_id is not None:
            self._observer.observe(str(self.call_id), notice)


class LoopbackTransport(asyncio.Transport):
    """One end of a call inside a process: what is written arrives at once, in order, without a socket."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._loop = loop
        self._open = True
        self.far: asyncio.Protocol | None = None

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Hand the bytes to the far protocol in the loop's next round."""
        if self._open and self.far is not None:
            self._loop.call_soon(self.far.data_received, bytes(data))

    def close(self) -> None:
        """End the connection; the far end learns of it in the loop's next round."""
        if self._open and self.far is not None:
            self._open = False
            self._loop.call_soon(self.far.connection_lost, None)

    def is_closing(self) -> bool:
        """True once closed."""
        return not self._open


def dial_in(line: CallerLine, bot: ScriptedBot) -> None:
    """Connect a caller and a bot inside this process (for virtual time)."""
    loop = asyncio.get_running_loop()
    near, far = LoopbackTransport(loop), LoopbackTransport(loop)
    near.far, far.far = bot, line
    bot.connection_made(far)
    line.connection_made(near)


@contextlib.asynccontextmanager
async def served(plan: BotPlan, observer: CallObserver | None = None) -> AsyncIterator[tuple[int, list[ScriptedBot]]]:
    """Serve scripted bots on a free port of this machine; yields the port and the bots in order of their calls."""
    loop = asyncio.get_running_loop()
    metronome = Metronome()
    bots: list[ScriptedBot] = []

    def answer() -> ScriptedBot:
        bot = ScriptedBot(plan, loop.time, observer)
        bots.append(bot)
        metronome.attach(bot.tick)
        return bot

    server = await loop.create_server(answer, "127.0.0.1", 0)
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(metronome.run)
            yield server.sockets[0].getsockname()[1], bots
            tasks.cancel_scope.cancel()
    finally:
        server.close()
        await server.wait_closed()
