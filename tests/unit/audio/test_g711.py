"""G.711 against values of the standard's tables, and against itself."""

from collections.abc import Callable

import numpy as np
import pytest

from kamerton.audio.g711 import decode_alaw, decode_ulaw, encode_alaw, encode_ulaw

Coding = Callable[[bytes], bytes]

EVERY_CODE = bytes(range(256))


def pcm(*samples: int) -> bytes:
    return np.array(samples, "<i2").tobytes()


@pytest.mark.parametrize(
    ("sample", "alaw", "ulaw"),
    [
        (0, 0xD5, 0xFF),
        (-1, 0x55, 0x7F),
        (8, 0xD5, 0xFE),
        (-8, 0x55, 0x7E),
        (1000, 0xFA, 0xCE),
        (-1000, 0x7A, 0x4E),
        (32767, 0xAA, 0x80),
        (-32768, 0x2A, 0x00),
    ],
)
def test_samples_have_the_codes_of_the_standard(sample: int, alaw: int, ulaw: int) -> None:
    assert encode_alaw(pcm(sample)) == bytes((alaw,))
    assert encode_ulaw(pcm(sample)) == bytes((ulaw,))


@pytest.mark.parametrize(
    ("code", "alaw", "ulaw"),
    [
        (0x00, -5504, -32124),
        (0x80, 5504, 32124),
        (0x2A, -32256, -5372),
        (0xD5, 8, 716),
        (0x7F, -848, 0),
        (0xFF, 848, 0),
    ],
)
def test_codes_have_the_samples_of_the_standard(code: int, alaw: int, ulaw: int) -> None:
    assert decode_alaw(bytes((code,))) == pcm(alaw)
    assert decode_ulaw(bytes((code,))) == pcm(ulaw)


def test_every_code_survives_the_way_there_and_back() -> None:
    assert encode_alaw(decode_alaw(EVERY_CODE)) == EVERY_CODE
    # µ-law has two codes for zero; the positive one is written.
    assert encode_ulaw(decode_ulaw(EVERY_CODE)) == EVERY_CODE.replace(b"\x7f", b"\xff")


@pytest.mark.parametrize(
    ("encode", "decode"), [(encode_alaw, decode_alaw), (encode_ulaw, decode_ulaw)], ids=["alaw", "ulaw"]
)
def test_no_sample_is_off_by_more_than_its_step(encode: Coding, decode: Coding) -> None:
    samples = np.arange(-32768, 32768).astype("<i2")
    decoded = np.frombuffer(decode(encode(samples.tobytes())), "<i2").astype(np.int32)
    allowed = np.maximum(np.abs(samples.astype(np.int32)) // 16, 16)
    off = np.abs(decoded - samples)
    clipped = np.abs(samples.astype(np.int32)) > 32635
    assert (off <= allowed)[~clipped].all()


def test_half_a_sample_is_dropped() -> None:
    assert encode_alaw(b"\x00\x00\x01") == b"\xd5"
    assert encode_ulaw(b"\x00") == b""
