from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kamerton.observability.timeline import MARK_NAMES, Timeline, mark_at_s, response_ms, span_ms

INSTANTS = st.floats(min_value=0, max_value=1e6, allow_nan=False)
MARKS = st.dictionaries(st.sampled_from(MARK_NAMES), INSTANTS)


def test_a_mark_is_set_once_and_the_first_counts() -> None:
    timeline = Timeline()
    assert timeline.mark("t1", 1.0)
    assert not timeline.mark("t1", 1.0)
    assert not timeline.mark("t1", 2.0)
    assert timeline.at_s("t1") == 1.0


def test_an_unknown_mark_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="t5_cache"):
        Timeline().mark("t7", 1.0)  # type: ignore[arg-type]


def test_response_runs_from_the_true_end_of_speech_to_the_first_reply_audio() -> None:
    timeline = Timeline()
    timeline.mark("t_eos", 10.0)
    assert timeline.response_ms is None
    timeline.mark("t6", 10.25)
    assert timeline.response_ms == pytest.approx(250.0)


def test_a_reply_before_the_end_of_speech_has_no_response_time() -> None:
    assert response_ms({"t_eos": 2.0, "t6": 1.9}) is None


def test_t5_is_the_earlier_of_its_kinds() -> None:
    assert mark_at_s({"t5_cache": 3.0, "t5_tts": 2.5}, "t5") == 2.5
    assert mark_at_s({"t5_tts": 2.5}, "t5") == 2.5
    assert mark_at_s({}, "t5") is None


def test_the_marks_are_a_copy() -> None:
    timeline = Timeline()
    timeline.mark("t1", 1.0)
    timeline.marks["t2"] = 5.0
    assert timeline.marks == {"t1": 1.0}


def test_nan_is_no_span() -> None:
    assert span_ms({"t1": float("nan"), "t2": 1.0}, "t1", "t2") is None


@given(MARKS, st.sampled_from(MARK_NAMES), st.sampled_from(MARK_NAMES))
def test_a_span_is_none_or_the_difference_and_never_negative(marks: dict[str, float], start: str, end: str) -> None:
    span = span_ms(marks, start, end)
    if start in marks and end in marks and marks[end] >= marks[start]:
        assert span == pytest.approx((marks[end] - marks[start]) * 1000)
    else:
        assert span is None


@given(st.lists(st.tuples(st.sampled_from(MARK_NAMES), INSTANTS)))
def test_a_timeline_keeps_the_first_of_each(calls: list[tuple[str, float]]) -> None:
    timeline = Timeline()
    expected: dict[str, float] = {}
    for name, at_s in calls:
        assert timeline.mark(name, at_s) is (name not in expected)  # type: ignore[arg-type]
        expected.setdefault(name, at_s)
    assert timeline.marks == expected
