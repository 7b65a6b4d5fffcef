"""16 kHz from the phone to Kamerton and back: proved with a tone that 8 kHz cannot carry."""

from __future__ import annotations

from dataclasses import dataclass, field

import anyio
import pytest
from asterisk_server import AsteriskServer
from phone_calls import Manager, calling, until, watching

from kamerton.audio.levels import rms_dbfs
from kamerton.audio.tone import tone, tone_frequency_hz
from kamerton.domain.audio import FRAME_MS, WIDEBAND, AudioFormat, AudioFrame
from kamerton.domain.media import CallMedia
from kamerton.testing.caller.recordings import Recording
from kamerton.testing.phone.phone import PhoneModel
from kamerton.testing.phone.rtp import LINEAR16
from kamerton.transports.audiosocket.server import AudioSocketTransport
from kamerton.transports.audiosocket.settings import AudioSocketSettings

pytestmark = [pytest.mark.asterisk, pytest.mark.anyio, pytest.mark.timeout(60)]

HIGH_HZ = 6000.0
SPOKEN_HZ = 5000.0
LOUD_FRAMES = 25


@dataclass
class ToneBot:
    """Says one high tone over and over, and keeps the loud frames that it hears."""

    format: AudioFormat | None = None
    heard: list[bytes] = field(default_factory=list)
    over: anyio.Event = field(default_factory=anyio.Event)

    async def answer(self, media: CallMedia) -> None:
        self.format = media.info.format
        media.start(self)
        sound = tone(HIGH_HZ, FRAME_MS, self.format)
        due_s = anyio.current_time()
        while not self.over.is_set():
            media.send(sound)
            due_s += FRAME_MS / 1000
            await anyio.sleep_until(due_s)

    def on_audio(self, frame: AudioFrame) -> None:
        if rms_dbfs(frame.pcm) > -40:
            self.heard.append(frame.pcm)

    def on_dtmf(self, digit: str) -> None:
        raise AssertionError("nobody pressed a key")

    def on_interrupt(self) -> None:
        raise AssertionError("a phone has no such button")

    def on_hold(self, held: bool) -> None:
        raise AssertionError("nobody holds")

    def on_hang_up(self, reason: str) -> None:
        self.over.set()


async def test_calls_at_16_khz_keep_them_both_ways_also_when_their_sound_comes_late(exchange: AsteriskServer) -> None:
    """The first call tells the rate of this Asterisk, and those whose sound is late are taken for the same."""
    bot = ToneBot()
    async with anyio.create_task_group() as tasks, watching(exchange) as manager:
        settings = AudioSocketSettings(port=exchange.kamerton_port)
        await tasks.start(AudioSocketTransport(settings).serve, bot.answer)
        for late in (False, True):
            await talk_in_tones(exchange, manager, bot, late=late)
        tasks.cancel_scope.cancel()


async def test_a_fixed_rate_needs_no_sound(exchange: AsteriskServer) -> None:
    bot = ToneBot()
    async with anyio.create_task_group() as tasks, watching(exchange) as manager:
        settings = AudioSocketSettings(port=exchange.kamerton_port, rate_hz=16000)
        await tasks.start(AudioSocketTransport(settings).serve, bot.answer)
        await talk_in_tones(exchange, manager, bot, late=True)
        tasks.cancel_scope.cancel()


async def talk_in_tones(exchange: AsteriskServer, manager: Manager, bot: ToneBot, *, late: bool) -> None:
    """A call in which both sides hear the other's tone; `late`: the phone sends nothing for a second."""
    bot.heard.clear()
    bot.over = anyio.Event()
    spoken = Recording.from_pcm("tone", tone(SPOKEN_HZ, 1000.0, WIDEBAND), WIDEBAND)
    async with calling(exchange, manager, "716", PhoneModel(LINEAR16), muted=late) as caller:
        await caller.hears(1.0, 5, "the bot's tone")
        caller.phone.muted = False
        caller.line.say(spoken)
        await until(lambda: len(bot.heard) >= LOUD_FRAMES, 5, "the caller's tone at the bot")
        heard = bytes(caller.line.audio[-20 * WIDEBAND.frame_bytes :])
    await until(bot.over.is_set, 5, "the end of the call at the bot")
    assert bot.format == WIDEBAND
    assert tone_frequency_hz(heard, WIDEBAND) == pytest.approx(HIGH_HZ, abs=30)
    assert tone_frequency_hz(b"".join(bot.heard[5:LOUD_FRAMES]), WIDEBAND) == pytest.approx(SPOKEN_HZ, abs=30)
