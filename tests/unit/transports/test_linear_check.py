"""Audio that is not linear, though its label says so: found, named, and never mistaken for a call."""

from __future__ import annotations

import logging
from collections.abc import Callable
from uuid import UUID, uuid4

import anyio.lowlevel
import numpy as np
import pytest
from numpy.typing import NDArray
from paths import SHARED_AUDIO

from kamerton.audio.resampling import resample
from kamerton.audio.wav import read_wav_file
from kamerton.domain.audio import PHONE
from kamerton.testing.media_stage import RecordingSink
from kamerton.testing.virtual_loop import VirtualLoop
from kamerton.transports.audiosocket.codec import encode_audio, encode_uuid
from kamerton.transports.audiosocket.connection import AudioSocketConnection
from kamerton.transports.audiosocket.inbound import InboundAudio
from kamerton.transports.audiosocket.linear_check import LinearCheck
from kamerton.transports.audiosocket.reading import RowReader
from kamerton.transports.audiosocket.settings import AudioSocketSettings
from kamerton.transports.intake import Intake

Samples = NDArray[np.int64]


def recorded(name: str = "number-150.wav") -> Samples:
    """A recorded caller at 8 kHz, three times over."""
    audio = read_wav_file(SHARED_AUDIO / name)
    pcm = audio.pcm if audio.format == PHONE else resample(audio.pcm, audio.format, PHONE)
    return np.tile(np.frombuffer(pcm, "<i2").astype(np.int64), 3)


def linear(samples: Samples, gain: float) -> bytes:
    return bytes(np.clip(samples * gain, -32768, 32767).astype("<i2").tobytes())


def mu_law(samples: Samples, gain: float) -> bytes:
    scaled = np.clip(samples * gain, -32635, 32635).astype(np.int64)
    sign = np.where(scaled < 0, 0x80, 0)
    size = np.abs(scaled) + 132
    exponent = np.floor(np.log2(size)).astype(np.int64) - 7
    return bytes((~(sign | exponent << 4 | size >> exponent + 3 & 15) & 255).astype(np.uint8).tobytes())


def a_law(samples: Samples, gain: float) -> bytes:
    scaled = np.clip(samples * gain, -32635, 32635).astype(np.int64)
    sign = np.where(scaled >= 0, 0x80, 0)
    size = np.minimum(np.abs(scaled) >> 3, 4095)
    exponent = np.where(size >= 32, np.floor(np.log2(np.maximum(size, 1))).astype(np.int64) - 4, 0)
    mantissa = np.where(exponent > 0, size >> np.maximum(exponent, 1) & 15, size >> 1 & 15)
    return bytes(((sign | exponent << 4 | mantissa) ^ 0x55).astype(np.uint8).tobytes())


def found(audio: bytes, size: int, every_s: float = 0.02) -> bool:
    """Whether a stream of such messages is found out."""
    check = LinearCheck(8000)
    messages = (audio[at : at + size] for at in range(0, len(audio) - size, size))
    return any(check.suspicious(message, 10 + number * every_s) for number, message in enumerate(messages))


@pytest.mark.parametrize("gain_db", [-30, -12, 0, 6])
@pytest.mark.parametrize("law", [mu_law, a_law])
def test_a_compressed_stream_is_found(law: Callable[[Samples, float], bytes], gain_db: int) -> None:
    audio = law(recorded(), 10 ** (gain_db / 20))
    assert found(audio, 160)
    assert found(audio, 80, every_s=0.01)
    assert found(audio, 320, every_s=0.04)


@pytest.mark.parametrize("gain_db", [-30, 0, 12, 40])
@pytest.mark.parametrize(("size", "every_s"), [(160, 0.01), (320, 0.02), (960, 0.06)])
def test_a_linear_stream_passes_however_loud(gain_db: int, size: int, every_s: float) -> None:
    assert not found(linear(recorded(), 10 ** (gain_db / 20)), size, every_s)


def test_quiet_and_pausing_streams_pass() -> None:
    assert not found(linear(recorded(), 1.0), 320, every_s=0.04), "half of the packets lost"
    assert not found(bytes(160 * 5000), 160)
    assert not found(b"\xff" * 160 * 5000, 160), "silence in µ-law: nothing to hear, nothing to say"
    loud = linear(recorded(), 100.0)
    check = LinearCheck(8000)
    for number in range(300):
        pause_s = number // 40 * 0.5
        assert not check.suspicious(loud[number * 320 : number * 320 + 320], 10 + number * 0.02 + pause_s)


def test_a_stream_that_passed_often_is_not_looked_at_any_more() -> None:
    check = LinearCheck(8000)
    audio = linear(recorded(), 1.0)
    for number in range(4 * 25 + 1):
        assert not check.done
        at = number % 100 * 320
        check.suspicious(audio[at : at + 320], number * 0.02)
    assert check.done


class Owner:
    """Starts every call, and keeps its sink."""

    def __init__(self) -> None:
        self.sink = RecordingSink()

    def connected(self, connection: AudioSocketConnection) -> None:
        pass

    def identified(self, connection: AudioSocketConnection, uuid: UUID) -> None:
        pass

    def begin(self, connection: AudioSocketConnection, rate_hz: int | None) -> InboundAudio | None:
        intake = Intake("call", PHONE, now_s=10.0)
        intake.start(self.sink)
        return InboundAudio("call", PHONE, intake)

    def closed(self, connection: AudioSocketConnection) -> None:
        pass


@pytest.fixture
def anyio_backend() -> object:
    return ("asyncio", {"loop_factory": VirtualLoop})


@pytest.mark.anyio
async def test_such_a_call_is_ended_and_the_log_says_what_to_change(caplog: pytest.LogCaptureFixture) -> None:
    reader, owner = RowReader(0.005), Owner()
    connection = AudioSocketConnection(AudioSocketSettings(rate_hz=8000), reader, owner)
    connection.received(encode_uuid(uuid4()), 10.0)
    audio = mu_law(recorded(), 1.0)
    with caplog.at_level(logging.WARNING):
        for number in range(200):
            connection.received(encode_audio(8000, audio[number * 160 : number * 160 + 160]), 10 + number * 0.02)
    assert connection.end_reason == "not_linear"
    assert owner.sink.hang_ups == [("hang_up", "not_linear")]
    (told,) = caplog.records
    assert "c(slin)" in str(vars(told)["reason"])
    reader.close()
    await anyio.lowlevel.checkpoint()


@pytest.mark.anyio
async def test_an_odd_message_names_the_same_cure(caplog: pytest.LogCaptureFixture) -> None:
    reader = RowReader(0.005)
    connection = AudioSocketConnection(AudioSocketSettings(rate_hz=8000), reader, Owner())
    connection.received(encode_uuid(uuid4()) + b"\x10\x00\x21" + bytes(33), 10.0)
    assert connection.end_reason == "protocol_error"
    assert "c(slin)" in str(vars(caplog.records[0])["reason"])
    reader.close()
    await anyio.lowlevel.checkpoint()
