from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kamerton.listening.segmenter import (
    Phase,
    SegmenterSettings,
    SegmenterState,
    SegmentEvent,
    SpeechPaused,
    SpeechResumed,
    SpeechStarted,
    SpeechSuspected,
    SuspicionDropped,
    step,
)
from kamerton.listening.vad_channel import VadWindow

WINDOW_MS = 32.0


def run(letters: str) -> list[tuple[int, SegmentEvent]]:
    """Events by window number. S speech, l loud without speech, . gated silence, m undecided, t speech, quiet tail."""
    kinds = {
        "S": (0.95, -20.0, 0.0),
        "t": (0.95, -20.0, 16.0),
        "l": (0.1, -30.0, 0.0),
        "m": (0.4, -30.0, 0.0),
        ".": (0.0, -70.0, WINDOW_MS),
    }
    windows = [
        VadWindow(probability, level, tail, WINDOW_MS, (number + 1) * WINDOW_MS / 1000)
        for number, (probability, level, tail) in enumerate(kinds[letter] for letter in letters)
    ]
    return segment(windows)


def segment(windows: Sequence[VadWindow]) -> list[tuple[int, SegmentEvent]]:
    state = SegmenterState()
    events: list[tuple[int, SegmentEvent]] = []
    for number, window in enumerate(windows):
        state, event = step(state, window, SegmenterSettings())
        if event is not None:
            events.append((number, event))
    return events


@pytest.mark.parametrize(
    ("letters", "expected"),
    [
        ("........", []),
        ("..S.....", [(2, SpeechSuspected), (7, SuspicionDropped)]),
        ("..SSS", [(2, SpeechSuspected), (4, SpeechStarted)]),
        ("..S.SS.SS", [(2, SpeechSuspected), (5, SpeechStarted)]),
        ("SSS...", [(0, SpeechSuspected), (2, SpeechStarted), (5, SpeechPaused)]),
        ("SSS..SSS", [(0, SpeechSuspected), (2, SpeechStarted)]),
        ("SSS...S", [(0, SpeechSuspected), (2, SpeechStarted), (5, SpeechPaused), (6, SpeechResumed)]),
        ("SSS...m...", [(0, SpeechSuspected), (2, SpeechStarted), (5, SpeechPaused)]),
        ("SSSmmmmmm", [(0, SpeechSuspected), (2, SpeechStarted)]),
        ("llSS", [(2, SpeechSuspected), (3, SpeechStarted)]),
        ("llllll", []),
        ("SSSt...", [(0, SpeechSuspected), (2, SpeechStarted), (5, SpeechPaused)]),
    ],
)
def test_events(letters: str, expected: list[tuple[int, type[SegmentEvent]]]) -> None:
    assert [(number, type(event)) for number, event in run(letters)] == expected


def onset(letters: str) -> float:
    ((_, event), *_) = run(letters)
    assert isinstance(event, SpeechSuspected)
    return event.onset_s * 1000


def test_the_onset_is_the_first_speech_window_after_silence() -> None:
    assert onset("..SS") == pytest.approx(2 * WINDOW_MS)


def test_a_loud_consonant_before_the_voice_moves_the_onset_back() -> None:
    assert onset("..llSS") == pytest.approx(2 * WINDOW_MS)


def test_a_short_closure_inside_the_lead_does_not_break_it() -> None:
    assert onset("..ll..lSS") == pytest.approx(2 * WINDOW_MS)


def test_a_long_gap_inside_the_lead_does() -> None:
    assert onset("..ll....SS") == pytest.approx(8 * WINDOW_MS)


def test_the_lead_is_bounded() -> None:
    assert onset("." * 2 + "l" * 30 + "SS") == pytest.approx(32 * WINDOW_MS - 300.0)


def test_the_end_lies_inside_the_window_where_the_sound_ended() -> None:
    ended = [event for _, event in run("SSSSt...") if isinstance(event, SpeechPaused)]
    assert [event.ended_s * 1000 for event in ended] == [pytest.approx(5 * WINDOW_MS - 16.0)]
    assert [event.spoken_ms for event in ended] == [pytest.approx(5 * WINDOW_MS - 16.0)]


FOLLOWERS: dict[type[SegmentEvent] | None, set[type[SegmentEvent]]] = {
    None: {SpeechSuspected},
    SpeechSuspected: {SuspicionDropped, SpeechStarted},
    SuspicionDropped: {SpeechSuspected},
    SpeechStarted: {SpeechPaused},
    SpeechPaused: {SpeechResumed},
    SpeechResumed: {SpeechPaused},
}

any_windows = st.lists(
    st.tuples(st.floats(0, 1), st.sampled_from([0.0, 8.0, 16.0, 24.0, WINDOW_MS])).map(
        lambda judged: (0.0 if judged[1] == WINDOW_MS else judged[0], judged[1])
    ),
    max_size=120,
)


def instant(event: SegmentEvent) -> float | None:
    match event:
        case SpeechPaused(ended_s):
            return ended_s
        case SpeechResumed(at_s):
            return at_s
        case SpeechSuspected(onset_s) | SpeechStarted(onset_s):
            return onset_s
    return None


@settings(max_examples=100, deadline=None)
@given(any_windows)
def test_any_windows_give_a_legal_order_of_events_with_growing_instants(judged: list[tuple[float, float]]) -> None:
    windows = [VadWindow(p, -30.0, tail, WINDOW_MS, (n + 1) * WINDOW_MS / 1000) for n, (p, tail) in enumerate(judged)]
    last: type[SegmentEvent] | None = None
    latest_s = 0.0
    for number, event in segment(windows):
        assert type(event) in FOLLOWERS[last]
        last = type(event)
        at_s = instant(event)
        if at_s is not None:
            assert latest_s - 1e-9 <= at_s <= windows[number].end_s
            latest_s = at_s
        if isinstance(event, SpeechPaused):
            assert event.spoken_ms >= 0


@pytest.mark.parametrize("state", [SegmenterState(), SegmenterState(silence_ms=64.0, last_speech_end_s=3.0)])
def test_at_rest_further_silence_changes_nothing(state: SegmenterState) -> None:
    assert state.at_rest
    assert step(state, VadWindow(0.0, -70.0, WINDOW_MS, WINDOW_MS, 5.0), SegmenterSettings()) == (state, None)
    assert not any(SegmenterState(phase).at_rest for phase in Phase if phase is not Phase.SILENCE)
    assert not SegmenterState(loud_since_s=4.0).at_rest
