from __future__ import annotations

import uuid

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kamerton.testing.caller.metronome import Metronome
from kamerton.testing.caller.wire import WireReader, encode, encode_audio, encode_dtmf, encode_uuid
from kamerton.testing.virtual_loop import VirtualLoop

MESSAGES = st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=700)), max_size=8)


@given(MESSAGES, st.lists(st.integers(1, 900), max_size=20))
def test_messages_are_the_same_however_the_stream_is_split(messages: list[tuple[int, bytes]], cuts: list[int]) -> None:
    stream = b"".join(encode(kind, payload) for kind, payload in messages)
    reader = WireReader()
    read = []
    for size in cuts:
        read += reader.feed(stream[:size])
        stream = stream[size:]
    read += reader.feed(stream)
    assert read == messages
    assert reader.partial_bytes == 0


def test_a_partial_message_waits() -> None:
    reader = WireReader()
    assert reader.feed(b"\x10\x01") == []
    assert reader.partial_bytes == 2


def test_kinds_and_lengths_are_as_asterisk_writes_them() -> None:
    call_id = uuid.UUID("4f0c2d1e-0000-4000-8000-000000000001")
    assert encode_uuid(call_id) == b"\x01\x00\x10" + call_id.bytes
    assert encode_audio(bytes(320), 8000)[:3] == b"\x10\x01\x40"
    assert encode_audio(bytes(640), 16000)[:3] == b"\x12\x02\x80"
    assert encode_dtmf("5") == b"\x03\x00\x015"


class TestMetronome:
    @pytest.fixture
    def anyio_backend(self) -> object:
        return ("asyncio", {"loop_factory": VirtualLoop})

    @pytest.mark.anyio
    async def test_every_caller_is_called_each_20_ms_in_a_phase_of_its_own(self) -> None:
        metronome = Metronome(slots=10)
        instants: list[list[float]] = [[], [], []]
        detach = [metronome.attach(seen.append) for seen in instants]
        with anyio.move_on_after(1.001):
            await metronome.run()
        assert [len(seen) for seen in instants] == [50, 50, 50]
        for seen in instants:
            assert seen[-1] - seen[0] == pytest.approx(49 * 0.02)
        assert len({round(seen[0] * 1000) for seen in instants}) == 3
        detach[0]()
        detach[0]()
        with anyio.move_on_after(0.101):
            await metronome.run()
        assert len(instants[0]) == 50
        assert len(instants[1]) == 55
        assert max(metronome.lateness_ms) == pytest.approx(0.0, abs=0.01)
