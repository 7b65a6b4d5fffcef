"""Packets of the test phone: sound, pauses, keys."""

from __future__ import annotations

from itertools import pairwise

import pytest

from kamerton.audio.tone import tone_frequency_hz
from kamerton.domain.audio import PHONE, WIDEBAND, AudioFormat
from kamerton.testing.phone.rtp import (
    ALAW,
    KEY_FRAMES,
    KEY_GAP_FRAMES,
    KEY_PAYLOAD_TYPE,
    LINEAR16,
    ULAW,
    PhoneCodec,
    RtpPacket,
    RtpSender,
    key_sound,
    parse_rtp,
)


def packets(sender: RtpSender, frames: int, codec: PhoneCodec = ALAW) -> list[RtpPacket]:
    sent = [packet for _ in range(frames) for packet in sender.tick(codec.format.silence())]
    parsed = [parse_rtp(packet) for packet in sent]
    return [packet for packet in parsed if packet is not None]


@pytest.mark.parametrize("codec", [ALAW, ULAW, LINEAR16])
def test_sound_leaves_in_numbered_packets_on_the_stream_s_own_clock(codec: PhoneCodec) -> None:
    sent = packets(RtpSender(codec, 1, first_sequence=7), 3, codec)
    assert [packet.sequence for packet in sent] == [7, 8, 9]
    assert {packet.payload_type for packet in sent} == {codec.payload_type}
    steps = [(after.timestamp - before.timestamp) % 2**32 for before, after in pairwise(sent)]
    assert steps == [codec.format.frame_samples] * 2
    assert all(len(codec.decode(packet.payload)) == codec.format.frame_bytes for packet in sent)


def test_a_pause_passes_on_the_clock_and_is_followed_by_a_marked_packet() -> None:
    sender = RtpSender(ALAW, 1)
    (before,) = sender.tick(PHONE.silence())
    (between,) = sender.tick(PHONE.silence())
    sender.pause()
    (after,) = sender.tick(PHONE.silence())
    marks = [packet[1] & 0x80 for packet in (before, between, after)]
    assert marks == [0x80, 0, 0x80]
    first, last = parse_rtp(between), parse_rtp(after)
    assert first is not None
    assert last is not None
    assert (last.timestamp - first.timestamp) % 2**32 == 2 * PHONE.frame_samples
    assert (last.sequence - first.sequence) % 2**16 == 1


def test_numbers_begin_low_and_go_round() -> None:
    assert all(packets(RtpSender(ALAW, seed), 1)[0].sequence <= 2**14 for seed in range(50))
    assert [packet.sequence for packet in packets(RtpSender(ALAW, 1, first_sequence=65535), 2)] == [65535, 0]


def test_a_key_is_held_for_160_ms_and_its_end_is_sent_three_times() -> None:
    sender = RtpSender(ALAW, 1)
    packets(sender, 1)
    sender.press("#")
    keys = packets(sender, KEY_FRAMES)
    assert {packet.payload_type for packet in keys} == {KEY_PAYLOAD_TYPE}
    assert len({packet.timestamp for packet in keys}) == 1
    assert [packet.payload[0] for packet in keys] == [11] * (KEY_FRAMES + 2)
    assert [int.from_bytes(packet.payload[2:4], "big") for packet in keys[:3]] == [160, 320, 480]
    assert [packet.payload[1] & 0x80 for packet in keys] == [0] * (KEY_FRAMES - 1) + [0x80] * 3
    assert packets(sender, KEY_GAP_FRAMES) == []
    (sound,) = packets(sender, 1)
    assert sound.payload_type == ALAW.payload_type


def test_two_keys_go_down_at_two_instants() -> None:
    sender = RtpSender(ALAW, 1)
    sender.press("1")
    sender.press("5")
    sent = packets(sender, 2 * (KEY_FRAMES + KEY_GAP_FRAMES))
    assert [packet.payload[0] for packet in sent] == [1] * (KEY_FRAMES + 2) + [5] * (KEY_FRAMES + 2)
    instants = sorted({packet.timestamp for packet in sent})
    assert instants[1] - instants[0] == (KEY_FRAMES + KEY_GAP_FRAMES) * PHONE.frame_samples


@pytest.mark.parametrize("audio_format", [PHONE, WIDEBAND])
def test_a_key_as_sound_has_its_two_tones(audio_format: AudioFormat) -> None:
    sound = key_sound("5", audio_format)
    assert len(sound) == (KEY_FRAMES + KEY_GAP_FRAMES) * audio_format.frame_bytes
    assert tone_frequency_hz(sound, audio_format) == pytest.approx(770, abs=10) or tone_frequency_hz(
        sound, audio_format
    ) == pytest.approx(1336, abs=10)


@pytest.mark.parametrize("data", [b"", b"\x80" * 11, b"\x00" * 20, b"\x8f" + bytes(20), b"\x90" + bytes(13)])
def test_what_is_no_packet_is_none(data: bytes) -> None:
    assert parse_rtp(data) is None


def test_sources_and_extensions_are_skipped() -> None:
    head = bytes((0x91, 8)) + bytes(10)
    data = head + b"SRC1" + b"\xbe\xde\x00\x01" + b"EXT1" + b"sound"
    assert parse_rtp(data) == RtpPacket(8, 0, 0, b"sound")
