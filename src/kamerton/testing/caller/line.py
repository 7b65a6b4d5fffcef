"""One call from the caller's end: it sends a frame every tick and notes when each frame came, and how loud."""

from __future__ import annotations

import asyncio
import random
import uuid
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal

import anyio
import numpy as np

from kamerton.domain.audio import PHONE, AudioFormat
from kamerton.domain.errors import CallEnded
from kamerton.testing.caller.line_impairment import LineImpairment
from kamerton.testing.caller.metronome import FRAME_S
from kamerton.testing.caller.recordings import Recording
from kamerton.testing.caller.speech_span import FULL_SCALE
from kamerton.testing.caller.wire import (
    AUDIO_RATES_HZ,
    KIND_HANG_UP,
    WireReader,
    encode_audio,
    encode_dtmf,
    encode_uuid,
)
from kamerton.testing.caller.wire_measure import AUDIBLE_DBFS, HANGOVER_S, ReceivedAudio

CONNECT_DEADLINE_S: Final = 5.0
NOISE_FRAMES: Final = 97
NOISE_AMPLITUDE: Final = 10.0
"""RMS of the line noise between utterances, about -70 dBFS: what the human recordings have."""

_AUDIBLE_POWER: Final = (FULL_SCALE * 10 ** (AUDIBLE_DBFS / 20)) ** 2

EndedBy = Literal["caller", "bot", "lost"]


@dataclass(slots=True)
class Utterance:
    """A recording being said, with the instant at which each of its frames left, or would have on a better line."""

    recording: Recording
    sent_at_s: list[float] = field(default_factory=list)

    @property
    def finished(self) -> bool:
        """True once its last frame has left."""
        return len(self.sent_at_s) >= len(self.recording.messages)

    @property
    def onset_at_s(self) -> float | None:
        """When its speech began on the wire; None as long as it has not."""
        return self._instant(self.recording.span.start_s)

    @property
    def end_at_s(self) -> float | None:
        """When its speech truly ended on the wire; None as long as it has not."""
        return self._instant(self.recording.span.end_s)

    def _instant(self, offset_s: float) -> float | None:
        frame = min(int(offset_s / FRAME_S), len(self.recording.messages) - 1)
        return self.sent_at_s[frame] + offset_s - frame * FRAME_S if frame < len(self.sent_at_s) else None


class LineNoise:
    """Frames of faint noise, sent while nobody speaks; `amplitude` 0 makes them digital silence."""

    def __init__(self, audio_format: AudioFormat = PHONE, amplitude: float = NOISE_AMPLITUDE, seed: int = 1) -> None:
        source = np.random.default_rng(seed)
        shape = (NOISE_FRAMES, audio_format.frame_samples)
        noise = np.round(source.normal(0.0, amplitude, shape)).astype("<i2") if amplitude else np.zeros(shape, "<i2")
        self.messages: Final = tuple(encode_audio(frame.tobytes(), audio_format.rate_hz) for frame in noise)


class CallerLine(asyncio.Protocol):
    """An AudioSocket call as Asterisk makes it: UUID first, then a frame every tick until either side hangs up.

    What came is kept as arrival instants and mean squares (12 bytes a frame), the audio itself only with
    `keep_audio`. With an `impairment`, what is said goes through it, and what is heard comes back as it tells. Attach
    `tick` to a `Metronome`. Used on the event loop only.
    """

    def __init__(
        self,
        call_id: uuid.UUID,
        noise: LineNoise,
        *,
        clock: Callable[[], float],
        keep_audio: bool = False,
        impairment: LineImpairment | None = None,
    ) -> None:
        self.call_id: Final = call_id
        self.utterances: Final[list[Utterance]] = []
        self.arrivals_s: Final = array("d")
        self.powers: Final = array("f")
        self.audio: Final = bytearray()
        self.rate_hz: int | None = None
        """Rate of the bot's audio, once it came."""
        self.connected_at_s: float | None = None
        self.ended_at_s: float | None = None
        self.ended_by: EndedBy | None = None
        self.segment_started_s: float | None = None
        """First audible frame of what the bot says now, or said last."""
        self.last_audible_s: float | None = None
        self.unknown_messages = 0
        self.unsent_frames = 0
        """Frames not sent because the server did not read."""
        self._noise = noise.messages
        self._noise_at = random.Random(call_id.int).randrange(len(self._noise))
        self._clock = clock
        self._keep_audio = keep_audio
        self.impairment: Final = impairment
        """What is wrong with the line; None for a clean one."""
        self._reader = WireReader()
        self._transport: asyncio.Transport | None = None
        self._blocked = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The call is up: say who it is."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.connected_at_s = self._clock()
        transport.write(encode_uuid(self.call_id))

    def data_received(self, data: bytes) -> None:
        """Take what came."""
        now_s = self._clock()
        for kind, payload in self._reader.feed(data):
            if kind in AUDIO_RATES_HZ:
                self._take_audio(now_s, kind, payload)
            elif kind == KIND_HANG_UP:
                self._end("bot")
            else:
                self.unknown_messages += 1

    def connection_lost(self, exc: Exception | None) -> None:
        """The other side is gone."""
        self._end("lost" if exc else "bot")
        self._transport = None

    def pause_writing(self) -> None:
        """The server does not read: frames are dropped, as Asterisk's would be, and counted."""
        self._blocked = True

    def resume_writing(self) -> None:
        """The server reads again."""
        self._blocked = False

    def tick(self, now_s: float) -> None:
        """Send the next frame: of the utterance being said, else line noise."""
        if self._transport is None or self.ended_by is not None:
            return
        said = self.utterances[-1] if self.utterances and not self.utterances[-1].finished else None
        for message in self._messages(now_s, said):
            if self._blocked:
                self.unsent_frames += 1
            else:
                self._transport.write(message)
        if said is not None:
            said.sent_at_s.append(now_s)

    def say(self, recording: Recording) -> Utterance:
        """Begin a recording with the next tick; what was being said before is broken off."""
        said = Utterance(recording)
        self.utterances.append(said)
        return said

    def press(self, digit: str) -> None:
        """Press a key."""
        if self._transport is not None:
            self._transport.write(encode_dtmf(digit))

    def hang_up(self) -> None:
        """Hang up as a caller does in AudioSocket: by closing the connection. Safe to call twice."""
        self._end("caller")

    def quiet_for_s(self, now_s: float) -> float:
        """Seconds since the bot was last audible; 0 when it never was."""
        return 0.0 if self.last_audible_s is None else now_s - self.last_audible_s

    @property
    def received(self) -> ReceivedAudio:
        """Everything that came so far, for measuring."""
        return ReceivedAudio.from_powers(self.arrivals_s, self.powers)

    def _messages(self, now_s: float, said: Utterance | None) -> tuple[bytes, ...]:
        """What leaves at this tick: the next frame of what is being said, or of line noise."""
        frame = 0 if said is None else len(said.sent_at_s)
        if self.impairment is not None:
            return self.impairment.sent(now_s, None if said is None else said.recording, frame)
        if said is not None:
            return (said.recording.messages[frame],)
        self._noise_at = (self._noise_at + 1) % len(self._noise)
        return (self._noise[self._noise_at],)

    def _take_audio(self, now_s: float, kind: int, payload: bytes) -> None:
        power, samples = 0.0, None
        if payload.strip(b"\0"):
            samples = np.frombuffer(payload[: len(payload) & ~1], dtype="<i2").astype(np.float32)
            power = float(samples @ samples) / max(1, len(samples))
        if self.impairment is not None and AUDIO_RATES_HZ[kind] == PHONE.rate_hz:
            self.impairment.heard(now_s, samples)
        self.arrivals_s.append(now_s)
        self.powers.append(power)
        self.rate_hz = AUDIO_RATES_HZ[kind]
        if self._keep_audio:
            self.audio.extend(payload)
        if power >= _AUDIBLE_POWER:
            if self.last_audible_s is None or now_s - self.last_audible_s > HANGOVER_S + FRAME_S:
                self.segment_started_s = now_s
            self.last_audible_s = now_s

    def _end(self, by: EndedBy) -> None:
        if self.ended_by is None:
            self.ended_by = by
            self.ended_at_s = self._clock()
        if self._transport is not None:
            self._transport.close()


async def connect(line: CallerLine, host: str, port: int) -> None:
    """Place the call.

    Raises:
        CallEnded: nobody answers there within 5 s.
    """
    loop = asyncio.get_running_loop()
    try:
        with anyio.fail_after(CONNECT_DEADLINE_S):
            await loop.create_connection(lambda: line, host, port)
    except (OSError, TimeoutError) as error:
        raise CallEnded(
            f"no call could be placed to {host}:{port} ({error or 'no answer in 5 s'}): is the server running there?"
        ) from error
