import struct
import wave
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kamerton.audio.wav import read_wav, read_wav_file, wav_bytes, write_wav_file
from kamerton.domain.audio import PHONE, WIDEBAND, AudioFormat
from kamerton.domain.errors import ConfigurationError

SAMPLES = np.array([0, 1, -1, 1000, -32768, 32767], "<i2")


def riff(*chunks: tuple[bytes, bytes], sizes: dict[bytes, int] | None = None) -> bytes:
    body = b""
    for chunk_id, content in chunks:
        size = (sizes or {}).get(chunk_id, len(content))
        body += struct.pack("<4sI", chunk_id, size) + content + b"\0" * (len(content) & 1)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WAVE" + body


def fmt(bits: int, *, tag: int = 1, channels: int = 1, rate: int = 16000) -> tuple[bytes, bytes]:
    frame = channels * bits // 8
    return b"fmt ", struct.pack("<HHIIHH", tag, channels, rate, rate * frame, frame, bits)


def test_own_files_come_back_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    write_wav_file(path, SAMPLES.tobytes(), PHONE)
    audio = read_wav_file(path)
    assert (audio.pcm, audio.format) == (SAMPLES.tobytes(), PHONE)
    assert audio.duration_ms == len(SAMPLES) / 8
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.wav"]


def test_an_odd_last_byte_is_not_written() -> None:
    assert read_wav(wav_bytes(b"\1\2\3", PHONE)).pcm == b"\1\2"


@pytest.mark.parametrize(
    ("bits", "tag", "body"),
    [
        (8, 1, (SAMPLES // 256 + 128).astype(np.uint8).tobytes()),
        (24, 1, b"".join((int(value) << 8).to_bytes(3, "little", signed=True) for value in SAMPLES)),
        (32, 1, (SAMPLES.astype("<i4") << 16).tobytes()),
        (32, 3, (SAMPLES / 32768).astype("<f4").tobytes()),
        (64, 3, (SAMPLES / 32768).astype("<f8").tobytes()),
    ],
)
def test_every_sample_type_becomes_16_bit(bits: int, tag: int, body: bytes) -> None:
    read = np.frombuffer(read_wav(riff(fmt(bits, tag=tag), (b"data", body))).pcm, "<i2")
    tolerance = 255 if bits == 8 else 0
    assert np.abs(read.astype(int) - SAMPLES).max() <= tolerance


def test_channels_are_averaged() -> None:
    pairs = np.array([[100, 300], [-32768, -32768], [32767, -32767]], "<i2")
    read = read_wav(riff(fmt(16, channels=2, rate=44100), (b"data", pairs.tobytes())))
    assert np.frombuffer(read.pcm, "<i2").tolist() == [200, -32768, 0]
    assert read.format == AudioFormat(44100)


def test_extensible_format_and_foreign_chunks() -> None:
    base = fmt(16, tag=0xFFFE)[1] + struct.pack("<HHIH", 22, 16, 4, 1) + bytes(14)
    data = riff((b"LIST", b"odd"), (b"fmt ", base), (b"fact", bytes(4)), (b"data", SAMPLES.tobytes()), (b"id3 ", b"x"))
    assert read_wav(data).pcm == SAMPLES.tobytes()


@pytest.mark.parametrize("lie", [0, 0xFFFFFFFF, 0x7FFFFFFF - 36])
def test_sizes_left_open_by_streaming_writers_mean_the_rest(lie: int) -> None:
    data = riff(fmt(16), (b"data", SAMPLES.tobytes()), sizes={b"data": lie})
    assert read_wav(data).pcm == SAMPLES.tobytes()


def test_not_a_number_is_silence_and_overshoot_is_clipped() -> None:
    values = np.array([np.nan, 3.0, -np.inf], "<f4")
    read = np.frombuffer(read_wav(riff(fmt(32, tag=3), (b"data", values.tobytes()))).pcm, "<i2")
    assert read.tolist() == [0, 32767, -32768]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "not a WAV"),
        (b"ID3\x03" + bytes(100), "not a WAV"),
        (riff(fmt(16)), "no audio chunk"),
        (riff((b"LIST", b"1234")), "no format chunk"),
        (riff(fmt(16), (b"data", b"")), "holds no audio"),
        (riff(fmt(16), (b"data", b"\1")), "holds no audio"),
        (riff((b"fmt ", b"short"), (b"data", b"12")), "format chunk"),
        (riff((b"data", b"12"), fmt(16)), "before its format"),
        (riff(fmt(16), (b"data", bytes(10)), sizes={b"data": 5000}), "truncated"),
        (riff(fmt(8, tag=7), (b"data", bytes(10))), "not supported"),
        (riff(fmt(12), (b"data", bytes(10))), "not supported"),
        (riff(fmt(16, channels=0), (b"data", bytes(10))), "damaged"),
        (riff(fmt(16, rate=0), (b"data", bytes(10))), "damaged"),
        (riff(fmt(16), (b"data", bytes(32000 * 2))), "at most 1 s"),
    ],
)
def test_bad_files_are_refused_by_name(data: bytes, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as refused:
        read_wav(data, name="greeting.wav", max_duration_s=1.0)
    assert "greeting.wav" in str(refused.value)


def test_a_missing_file_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nothing\.wav"):
        read_wav_file(tmp_path / "nothing.wav")


@given(st.binary(max_size=200), st.integers(0, 60), st.binary(max_size=8))
def test_damage_is_never_more_than_a_configuration_error(noise: bytes, at: int, patch: bytes) -> None:
    whole = wav_bytes(SAMPLES.tobytes(), WIDEBAND)
    for data in (noise, b"RIFF1234WAVE" + noise, whole[:at] + patch + whole[at + len(patch) :], whole[:at]):
        try:
            read = read_wav(data)
        except ConfigurationError:
            continue
        assert len(read.pcm) % 2 == 0
        assert read.pcm


def test_our_wav_files_are_read_by_others(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    pcm = bytes(range(200))
    write_wav_file(path, pcm, PHONE)
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (8000, 1, 2)
        assert file.readframes(1000) == pcm
