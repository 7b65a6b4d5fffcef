"""Server-sent events, however the body is split; what is no stream of events says so."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kamerton.llm.openai.event_stream import LONGEST_LINE, EventStream, NoEventStream, ServerEvent

BODY = (
    '\ufeff: hello\n\ndata: {"a": 1}\n\nevent: ping\ndata: {}\r\n\r\nid: 7\n: comment\n\ndata:\n\ndata: \n\n'
    "retry: 5\n\ndata: раз\ndata: два\u2028три\r\rdata:без пробела\n\ndata: [DONE]"
).encode()
EVENTS = [
    ServerEvent("", '{"a": 1}'),
    ServerEvent("ping", "{}"),
    ServerEvent("", "раз\nдва\u2028три"),
    ServerEvent("", "без пробела"),
    ServerEvent("", "[DONE]"),
]


@given(st.sets(st.integers(1, len(BODY) - 1)))
def test_events_come_out_the_same_however_the_body_is_split(cuts: set[int]) -> None:
    places = [0, *sorted(cuts), len(BODY)]
    stream = EventStream()
    found = [event for a, b in itertools.pairwise(places) for event in stream.push(BODY[a:b])]
    assert found + stream.finish() == EVENTS


@pytest.mark.parametrize("body", ["<html>\n", "\n  <!doctype html>\n", '{"id": 1}\n', "[1, 2]\n"])
def test_a_document_is_no_stream(body: str) -> None:
    with pytest.raises(NoEventStream):
        EventStream().push(body.encode())


def test_a_document_without_a_line_break_is_noticed_at_its_end() -> None:
    stream = EventStream()
    assert stream.push(b'{"id": 1}') == []
    with pytest.raises(NoEventStream):
        stream.finish()


def test_a_line_without_end_is_given_up() -> None:
    with pytest.raises(NoEventStream):
        EventStream().push(b"data: " + b"x" * LONGEST_LINE)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    stream = EventStream()
    try:
        found = stream.push(body) + stream.finish()
    except NoEventStream:
        return
    assert all(event.data.strip() for event in found)
