from hypothesis import given
from hypothesis import strategies as st

from kamerton.domain.audio import PHONE, WIDEBAND
from kamerton.stt.turn_buffer import TurnBuffer


def test_the_oldest_audio_goes_and_is_counted() -> None:
    buffer = TurnBuffer(PHONE, longest_ms=100)
    for mark in range(8):
        buffer.push(bytes([mark, 0]) * PHONE.frame_samples)
    assert buffer.snapshot() == b"".join(bytes([mark, 0]) * PHONE.frame_samples for mark in range(3, 8))
    assert buffer.dropped_ms == 60


def test_a_new_turn_starts_empty_and_goes_on_counting() -> None:
    buffer = TurnBuffer(WIDEBAND, longest_ms=20)
    buffer.push(WIDEBAND.silence() * 2)
    buffer.clear()
    assert buffer.snapshot() == b""
    assert buffer.dropped_ms == 20


def test_a_snapshot_does_not_change_with_the_buffer() -> None:
    buffer = TurnBuffer(PHONE)
    buffer.push(b"\1\0")
    before = buffer.snapshot()
    buffer.push(b"\2\0")
    assert before == b"\1\0"


def test_by_default_28_seconds_are_kept() -> None:
    buffer = TurnBuffer(PHONE)
    for _ in range(29 * 50):
        buffer.push(PHONE.silence())
    assert len(buffer.snapshot()) == 28 * 16_000
    assert buffer.dropped_ms == 1000


def test_the_beginning_is_cut_off_at_a_quiet_place() -> None:
    buffer = TurnBuffer(PHONE)
    loud, quiet = b"\x10\x20" * PHONE.frame_samples, PHONE.silence()
    spoken = [loud] * 30 + [quiet] * 20 + [loud] * 60 + [quiet] * 12 + [loud] * 80
    for frame in spoken:
        buffer.push(frame)
    head = buffer.cut(earliest_ms=1000)
    assert len(head) == (30 + 20 + 60 + 5) * PHONE.frame_bytes
    assert head + buffer.snapshot() == b"".join(spoken)
    assert (buffer.held_ms, buffer.dropped_ms) == ((12 - 5 + 80) * 20, 0)


@given(st.lists(st.integers(0, 400), max_size=40))
def test_kept_and_dropped_add_up(sizes: list[int]) -> None:
    buffer = TurnBuffer(PHONE, longest_ms=50)
    for samples in sizes:
        buffer.push(bytes(2 * samples))
    kept = len(buffer.snapshot()) // 2
    assert kept <= 400
    assert kept + buffer.dropped_ms * 8 == sum(sizes)
