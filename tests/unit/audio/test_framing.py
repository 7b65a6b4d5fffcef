import pytest
from hypothesis import given
from hypothesis import strategies as st

from kamerton.audio.framing import FrameAssembler, frames_of
from kamerton.domain.audio import PHONE, WIDEBAND, AudioFormat


@given(st.binary(max_size=3000), st.lists(st.integers(0, 700), max_size=20))
def test_however_the_bytes_are_split_the_frames_are_the_same(data: bytes, sizes: list[int]) -> None:
    assembler = FrameAssembler(PHONE)
    frames, at = [], 0
    for size in sizes:
        frames += assembler.push(data[at : at + size])
        at += size
    frames += assembler.push(data[at:])
    assert all(len(frame) == 320 for frame in frames)
    assert b"".join(frames) == data[: len(data) // 320 * 320]
    assert assembler.pending_bytes == len(data) % 320


@pytest.mark.parametrize("audio_format", [PHONE, WIDEBAND])
def test_the_rest_is_filled_up_with_silence(audio_format: AudioFormat) -> None:
    size = audio_format.frame_bytes
    frames = frames_of(b"\1" * (size + 3), audio_format)
    assert frames == [b"\1" * size, b"\1\1" + bytes(size - 2)]


def test_flush_forgets_half_a_sample_and_leaves_nothing() -> None:
    assembler = FrameAssembler(PHONE)
    assembler.push(b"\1")
    assert assembler.flush() is None
    assert assembler.pending_bytes == 0
    assert frames_of(b"", PHONE) == []
