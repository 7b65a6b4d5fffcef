"""The AudioSocket wire format, byte by byte."""

from itertools import pairwise
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kamerton.transports.audiosocket.codec import (
    AUDIO_RATES_HZ,
    MAX_SKIPPED_IN_A_ROW,
    TERMINATE,
    AudioReceived,
    AudioSocketDecoder,
    AudioSocketEvent,
    CallIdentified,
    DtmfReceived,
    ErrorReceived,
    MessageSkipped,
    TerminateReceived,
    WireBroken,
    audio_header,
    encode_audio,
    encode_dtmf,
    encode_uuid,
)

CALL = UUID("3f2504e0-4f89-11d3-9a0c-0305e82c3301")
HELLO = bytes.fromhex("0100103f2504e04f8911d39a0c0305e82c3301")
FRAME = bytes(range(256)) + bytes(64)


def decode(*pieces: bytes, max_control_bytes: int = 1024) -> list[AudioSocketEvent]:
    decoder = AudioSocketDecoder(max_control_bytes=max_control_bytes)
    return [event for piece in pieces for event in decoder.feed(piece)]


@pytest.mark.parametrize(
    ("message", "event"),
    [
        (b"\x10\x01\x40" + FRAME, AudioReceived(8000, FRAME)),
        (b"\x12\x01\x40" + FRAME, AudioReceived(16000, FRAME)),
        (b"\x11\x00\x02\x01\x02", AudioReceived(12000, b"\x01\x02")),
        (b"\x15\x00\x02\x01\x02", AudioReceived(44100, b"\x01\x02")),
        (b"\x18\x00\x02\x01\x02", AudioReceived(192000, b"\x01\x02")),
        (b"\x03\x00\x01#", DtmfReceived("#")),
        (b"\x03\x00\x01d", DtmfReceived("D")),
        (b"\x03\x00\x01x", MessageSkipped(3, 1)),
        (b"\x00\x00\x00", TerminateReceived()),
        (b"\x00\x00\x02zz", TerminateReceived()),
        (b"\xff\x00\x01\x02", ErrorReceived(b"\x02")),
        (b"\xff\x00\x00", ErrorReceived(b"")),
        (b"\x10\x00\x00", MessageSkipped(0x10, 0)),
        (b"\x02\x00\x00", MessageSkipped(0x02, 0)),
        (b"\x19\x00\x03abc", MessageSkipped(0x19, 3)),
    ],
)
def test_each_kind(message: bytes, event: AudioSocketEvent) -> None:
    assert decode(HELLO + message) == [CallIdentified(CALL), event]


def test_the_largest_audio_message_passes() -> None:
    pcm = bytes(65534)
    assert decode(HELLO, b"\x10\xff\xfe", pcm) == [CallIdentified(CALL), AudioReceived(8000, pcm)]


def test_unknown_kinds_are_skipped_by_their_length() -> None:
    stream = HELLO + b"\x42\x00\x05" + b"\x10\x00\x02ab" + b"\x10\x00\x02cd"
    assert decode(stream)[1:] == [MessageSkipped(0x42, 5), AudioReceived(8000, b"cd")]


@pytest.mark.parametrize(
    ("garbage", "words"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "is this an AudioSocket client"),
        (b"\x16\x03\x01\x02\x00\x01", "is this an AudioSocket client"),
        (b"\x00\x00\x00", "instead of the call's UUID"),
        (b"\x10\x01\x40" + FRAME, "kind 0x10 and 320 bytes"),
        (b"\x01\x00\x24" + b"3f2504e0-4f89-11d3-9a0c-0305e82c3301", "36 bytes"),
        (HELLO + HELLO, "second UUID"),
        (HELLO + b"\x10\x00\x03abc", "whole 16-bit samples"),
        (HELLO + b"\x03\x00\x0212", "DTMF message of 2 bytes"),
        (HELLO + b"\x77\x04\x01", "at most 1024"),
        (HELLO + b"\x00\xff\xff", "at most 1024"),
    ],
)
def test_what_is_not_the_protocol_ends_with_one_reason(garbage: bytes, words: str) -> None:
    events = decode(garbage, HELLO, b"\x10\x00\x02ab")
    assert isinstance(events[-1], WireBroken)
    assert words in events[-1].reason
    assert sum(isinstance(event, WireBroken) for event in events) == 1


def test_a_bad_header_is_refused_before_its_payload_arrives() -> None:
    assert isinstance(decode(HELLO, b"\x77\xff\xff")[-1], WireBroken)


def test_the_limit_of_control_messages_can_be_set() -> None:
    assert decode(HELLO + b"\x77\x00\x05abcde", max_control_bytes=5)[-1] == MessageSkipped(0x77, 5)
    assert isinstance(decode(HELLO + b"\x77\x00\x06", max_control_bytes=5)[-1], WireBroken)


def test_a_flood_of_empty_messages_is_cut_off() -> None:
    events = decode(HELLO + b"\x10\x00\x00" * 5000)
    assert isinstance(events[-1], WireBroken)
    assert len(events) == MAX_SKIPPED_IN_A_ROW + 3
    mixed = (b"\x42\x00\x00" * (MAX_SKIPPED_IN_A_ROW - 1) + b"\x10\x00\x02ab") * 3
    assert not any(isinstance(event, WireBroken) for event in decode(HELLO + mixed))


def test_nothing_follows_the_end() -> None:
    assert decode(HELLO + TERMINATE + b"\x10\x00\x02ab", b"\x10\x00\x02ab")[-1] == TerminateReceived()


def test_what_is_incomplete_waits() -> None:
    decoder = AudioSocketDecoder()
    assert decoder.feed(HELLO + b"\x10\x01") == [CallIdentified(CALL)]
    assert decoder.pending_bytes == 2
    assert decoder.feed(b"\x40" + FRAME[:100]) == []
    assert decoder.pending_bytes == 103
    assert decoder.feed(FRAME[100:]) == [AudioReceived(8000, FRAME)]
    assert decoder.pending_bytes == 0


STREAM = (
    HELLO
    + b"\x10\x00\x04abcd"
    + b"\x03\x00\x015"
    + b"\x42\x00\x02??"
    + b"\x12\x00\x02ef"
    + b"\x10\x00\x00"
    + b"\x10\x00\x06ghijkl"
    + TERMINATE
    + b"rest"
)


@pytest.mark.parametrize("stream", [STREAM, HELLO + b"\x10\x00\x02ab\x10\x00\x03abc", b"GET / HTTP/1.1\r\n"])
def test_a_stream_parses_identically_however_it_is_split(stream: bytes) -> None:
    whole = decode(stream)
    for first in range(len(stream) + 1):
        assert decode(stream[:first], stream[first:]) == whole
        for second in range(first, len(stream) + 1):
            assert decode(stream[:first], stream[first:second], stream[second:]) == whole
    assert decode(*(stream[at : at + 1] for at in range(len(stream)))) == whole


MESSAGES = st.one_of(
    st.tuples(st.sampled_from(sorted(AUDIO_RATES_HZ)), st.binary(max_size=40).map(lambda pcm: pcm[: len(pcm) & ~1])),
    st.tuples(st.just(3), st.sampled_from([b"0", b"9", b"*", b"a", b"\xfe"])),
    st.tuples(st.integers(0, 255), st.binary(max_size=20)),
).map(lambda message: bytes((message[0],)) + len(message[1]).to_bytes(2, "big") + message[1])


@given(st.lists(MESSAGES, max_size=12), st.lists(st.integers(0, 600), max_size=6), st.booleans())
def test_any_messages_parse_identically_in_any_pieces(messages: list[bytes], cuts: list[int], greeted: bool) -> None:
    stream = (HELLO if greeted else b"") + b"".join(messages)
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    pieces = [stream[start:end] for start, end in pairwise(edges)]
    assert decode(*pieces) == decode(stream)


@given(st.lists(st.binary(max_size=200), max_size=5))
def test_any_bytes_at_all_are_survived(pieces: list[bytes]) -> None:
    events = decode(*pieces)
    assert all(not isinstance(event, WireBroken) for event in events[:-1])


@given(st.sampled_from(sorted(AUDIO_RATES_HZ.values())), st.binary(min_size=1, max_size=200))
def test_audio_round_trips(rate_hz: int, samples: bytes) -> None:
    pcm = samples * 2
    assert decode(encode_uuid(CALL), encode_audio(rate_hz, pcm)) == [CallIdentified(CALL), AudioReceived(rate_hz, pcm)]


def test_encoders_write_the_documented_bytes() -> None:
    assert encode_uuid(CALL) == HELLO
    assert encode_dtmf("*") == b"\x03\x00\x01*"
    assert encode_audio(8000, b"ab") == b"\x10\x00\x02ab"
    assert audio_header(16000, 640) == b"\x12\x02\x80"
    assert TERMINATE == b"\x00\x00\x00"


def test_encoders_refuse_what_the_wire_cannot_carry() -> None:
    with pytest.raises(ValueError, match="no kind for audio at 22050 Hz"):
        audio_header(22050, 320)
    for size in (0, 3, 65536):
        with pytest.raises(ValueError, match="cannot be the audio"):
            encode_audio(8000, bytes(size))
    with pytest.raises(ValueError, match="not a telephone key"):
        encode_dtmf("x")
    with pytest.raises(ValueError, match="not a telephone key"):
        encode_dtmf("12")


def test_a_callers_decoder_needs_no_uuid() -> None:
    decoder = AudioSocketDecoder(expect_uuid=False)
    assert decoder.feed(encode_audio(8000, b"ab") + TERMINATE) == [AudioReceived(8000, b"ab"), TerminateReceived()]
