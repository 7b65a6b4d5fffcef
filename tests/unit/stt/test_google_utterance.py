from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kamerton.domain.audio import PHONE
from kamerton.domain.recognition import Final, Partial, SttEvent, SttFailed, UtteranceEnded
from kamerton.stt.google.answers import Heard, Result
from kamerton.stt.google.options import GoogleSttOptions
from kamerton.stt.google.utterance import KEEP_MS, LAST_S, Utterance

OPTIONS = GoogleSttOptions()


def second(value: int = 1) -> bytes:
    return bytes((value, 0)) * 8000


def utterance(seconds: int = 0, options: GoogleSttOptions = OPTIONS) -> Utterance:
    """A turn in its first stream, with so much audio sent."""
    made = Utterance(7, "uk", (), PHONE, options)
    made.carried(0.0)
    push(made, seconds)
    return made


def push(made: Utterance, seconds: int, now_s: float = 0.0) -> bytes:
    for _ in range(seconds):
        made.push(second())
    return sent(made, now_s)


def sent(made: Utterance, now_s: float = 0.0) -> bytes:
    parts = []
    while pcm := made.next_audio(now_s):
        parts.append(pcm)
    return b"".join(parts)


def interim(text: str, end_ms: float) -> Heard:
    return Heard((Result(text, False, end_ms),))


def final(text: str, end_ms: float, *others: str, confidence: float = 0.0) -> Heard:
    return Heard((Result(text, True, end_ms, others, confidence),))


def flushed(made: Utterance) -> int:
    """Bytes that go when the caller pauses."""
    made.pause()
    count = len(sent(made))
    made.resume()
    return count


def texts(events: list[SttEvent]) -> list[str]:
    return [event.text for event in events if isinstance(event, Partial)]


def outcome(made: Utterance) -> Final:
    made.end(9.0)
    sent(made)
    assert made.to_be_closed()
    made.closed(9.0)
    made.over()
    assert isinstance(made.outcome, Final)
    return made.outcome


def test_results_of_one_answer_are_one_hypothesis() -> None:
    made = utterance(2)
    events = made.heard(Heard((Result("сто", False, 900.0), Result("двести", False, 1500.0))), 0.0)
    assert events == [Partial(7, "сто двести", covers_ms=1500.0)]


def test_the_same_words_are_told_again_when_they_cover_more() -> None:
    made = utterance(2)
    assert texts(made.heard(interim("сто", 900.0), 0.0)) == ["сто"]
    assert made.heard(interim("сто", 950.0), 0.0) == []
    assert made.heard(interim("сто", 1300.0), 0.0) == [Partial(7, "сто", covers_ms=1300.0)]


def test_finals_stay_and_hypotheses_follow_them() -> None:
    made = utterance(3)
    made.heard(interim("сто двести", 1400.0), 0.0)
    assert made.heard(final("Сто двести.", 1500.0), 0.0) == [UtteranceEnded(7, 1500.0)]
    assert texts(made.heard(interim("три", 2500.0), 0.0)) == ["Сто двести. три"]
    assert outcome(made).text == "Сто двести. три"


def test_a_final_that_comes_twice_is_taken_once() -> None:
    made = utterance(3)
    for _ in range(2):
        made.heard(final("сто", 1500.0), 0.0)
    for _ in range(2):
        made.heard(final("двести", 9e9), 0.0)
    made.heard(final("сто", 2500.0), 0.0)
    assert outcome(made).text == "сто двести сто"


def test_a_new_stream_begins_where_the_last_final_ended_and_old_hypotheses_hold_until_it_is_as_far() -> None:
    made = utterance(3)
    made.heard(final("сто", 1000.0), 0.0)
    made.heard(interim("двести три", 2900.0), 0.0)
    assert made.left() == 0.0
    made.carried(5.0)
    assert flushed(made) == 2 * 16_000
    assert made.heard(interim("двести", 900.0), 5.0) == []
    assert texts(made.heard(interim("двести триста", 1950.0), 5.0)) == ["сто двести триста"]
    assert outcome(made).text == "сто двести триста"


def test_what_comes_after_a_stream_was_left_is_heard_by_nobody() -> None:
    made = utterance(2)
    made.heard(interim("сто", 900.0), 0.0)
    made.left()
    assert made.heard(final("двести", 1900.0), 0.0) == []
    assert made.text == "сто"


def test_finals_whose_end_is_not_known_are_recognised_anew() -> None:
    made = utterance(2)
    made.heard(final("сто", 0.0), 0.0)
    made.left()
    made.carried(5.0)
    assert flushed(made) == 2 * 16_000, "all of it, for nobody knows where the final ended"
    assert made.text == "сто"
    made.heard(final("сто двести", 1900.0), 5.0)
    assert outcome(made).text == "сто двести"


def test_a_known_end_makes_the_finals_before_it_firm() -> None:
    made = utterance(3)
    made.heard(final("сто", 0.0), 0.0)
    made.heard(final("двести", 2000.0), 0.0)
    made.left()
    made.carried(5.0)
    assert flushed(made) == 16_000
    assert made.text == "сто двести"


def test_a_stable_hypothesis_needs_all_that_was_said_before_the_pause() -> None:
    made = utterance(2)
    assert made.pause() == []
    assert texts(made.heard(interim("сто", 1500.0), 0.0)) == ["сто"]
    events = made.heard(interim("сто двести", 1960.0), 0.0)
    assert events == [Partial(7, "сто двести", stable=True, covers_ms=2000.0)]
    assert made.heard(interim("сто двести", 1990.0), 0.0) == [], "told once"


def test_silence_behind_the_words_settles_a_pause_when_the_service_heard_the_speech_end() -> None:
    made = utterance(2)
    made.heard(interim("сто", 1000.0), 0.0)
    made.pause()
    sent(made)
    assert made.settled_pause(10.0) == [], "it may yet have more words"
    made.heard(Heard((), "ended", 1100.0), 1.0)
    assert made.due_s(1.0) == pytest.approx(1.4)
    assert made.settled_pause(1.3) == []
    assert made.settled_pause(1.4) == [Partial(7, "сто", stable=True, covers_ms=2000.0)]
    assert made.due_s(1.5) > 100


def test_a_stable_hypothesis_waits_for_audio_that_was_not_sent() -> None:
    made = utterance(1)
    made.heard(final("сто", 900.0), 0.0)
    made.push(second())
    made.pause()
    assert made.settled_pause(100.0) == []


def test_the_end_of_speech_is_told_once() -> None:
    made = utterance(2)
    made.heard(Heard((), "began", 100.0), 0.0)
    made.heard(interim("сто", 1000.0), 0.0)
    assert made.heard(Heard((), "ended", 1100.0), 0.0) == [UtteranceEnded(7, 1100.0)]
    assert made.heard(final("сто", 1200.0), 0.0) == []


def test_readings_and_certainty_of_parts_make_those_of_the_whole() -> None:
    made = utterance(3)
    made.heard(final("сто", 1000.0, "что", confidence=0.9), 0.0)
    made.heard(final("двести", 2000.0, "вести", "двести", confidence=0.6), 0.0)
    assert outcome(made) == Final(7, "сто двести", ("что двести", "сто вести"), 0.6)


def test_a_final_that_reaches_the_end_needs_no_end_of_the_stream() -> None:
    made = utterance(2)
    made.end(1.0)
    sent(made)
    made.closed(1.0)
    made.heard(final("сто", 1500.0), 1.1)
    assert not made.settled(), "words may follow"
    made.heard(final("двести", 2000.0), 1.2)
    assert made.outcome == Final(7, "сто двести")
    assert made.heard(final("двести", 2000.0), 1.3) == []


def test_nothing_heard_is_an_empty_final() -> None:
    assert outcome(utterance(1)) == Final(7, "")


def test_what_is_not_full_waits_and_goes_at_a_pause_and_at_the_end() -> None:
    made = utterance()
    made.push(bytes(1000))
    assert not made.ready
    assert made.next_audio(0.0) == b""
    made.pause()
    assert len(made.next_audio(0.0)) == 1000
    made.resume()
    made.push(bytes(1000))
    assert not made.ready
    made.end(1.0)
    assert not made.to_be_closed()
    assert len(made.next_audio(0.0)) == 1000
    assert made.to_be_closed()


def test_a_backlog_goes_in_the_largest_messages() -> None:
    made = utterance()
    made.push(second() * 3)
    sizes = []
    while pcm := made.next_audio(0.0):
        sizes.append(len(pcm))
    assert sizes == [15_000, 15_000, 15_000, 1600], "what does not fill a message waits"


def test_a_stream_is_renewed_between_words_and_at_last_anywhere() -> None:
    made = utterance(1)
    made.heard(interim("сто", 900.0), 1.0)
    assert not made.near_limit(OPTIONS.renew_after_s + 1)
    assert made.near_limit(LAST_S)
    made.heard(final("сто", 1000.0), 1.0)
    assert not made.near_limit(OPTIONS.renew_after_s - 1)
    assert made.near_limit(OPTIONS.renew_after_s)
    made.end(240.0)
    assert not made.near_limit(OPTIONS.renew_after_s), "it is over in a moment"


def test_a_stream_that_answers_nothing_is_suspected_once_in_a_turn() -> None:
    made = utterance(1)
    assert not made.hangs(OPTIONS.first_answer_s - 0.1)
    assert made.hangs(OPTIONS.first_answer_s)
    made.left()
    made.carried(6.0)
    sent(made, 6.0)
    assert not made.hangs(100.0), "there may be no speech in it"


def test_a_late_final_gives_way_to_a_hypothesis_that_covers_what_was_said() -> None:
    made = utterance(2)
    made.pause()
    sent(made)
    made.heard(interim("сто", 1950.0), 0.0)
    made.end(1.0)
    made.closed(1.0)
    assert made.overdue(1.0 + OPTIONS.final_s - 0.01) == ""
    assert "no final" in made.overdue(1.0 + OPTIONS.final_s)
    assert made.outcome == Final(7, "сто")


def test_without_words_that_cover_it_a_turn_is_sent_anew_and_fails_at_last() -> None:
    made = utterance(2)
    made.heard(interim("сто", 500.0), 0.0)
    made.end(1.0)
    sent(made)
    made.closed(1.0)
    assert made.overdue(1.0 + OPTIONS.final_s)
    assert not made.settled()
    made.left()
    assert made.overdue(1.0 + OPTIONS.turn_s)
    assert isinstance(made.outcome, SttFailed)
    assert made.outcome.retryable


def test_a_turn_without_end_is_bounded_and_what_went_is_counted() -> None:
    made = Utterance(7, "uk", (), PHONE, OPTIONS)
    seconds = int(KEEP_MS / 1000) + 5
    assert sum(made.push(second()) for _ in range(seconds)) == pytest.approx(5000)
    assert made.pushed_ms == pytest.approx(seconds * 1000)
    carried = utterance()
    for _ in range(seconds):
        carried.push(second())
        flushed(carried)
    assert carried.left() == pytest.approx(5000), "sent, never final, and gone"


def test_the_next_instant_is_never_in_the_past() -> None:
    made = utterance(1)
    made.heard(interim("сто", 900.0), 1.0)
    assert made.due_s(0.0) == OPTIONS.renew_after_s
    assert made.due_s(250.0) == LAST_S
    assert math.isinf(made.due_s(LAST_S))


ANSWERS = st.lists(
    st.builds(
        lambda text, is_final, end_ms, speech: Heard((Result(text, is_final, end_ms),), speech, end_ms),
        st.sampled_from(["", "сто", "двести", "сто двести три"]),
        st.booleans(),
        st.one_of(st.floats(-1e7, 1e7), st.floats(0, 4000)),
        st.sampled_from(["", "began", "ended"]),
    ),
    max_size=12,
)


def done(made: Utterance, deed: str, now_s: float) -> list[SttEvent]:
    if deed == "push":
        push(made, 1)
    elif deed == "pause":
        return made.pause()
    elif deed == "resume":
        made.resume()
    elif deed == "left":
        made.left()
        made.carried(now_s)
    return []


@given(ANSWERS, st.lists(st.sampled_from(["push", "pause", "resume", "left"]), max_size=12))
def test_whatever_is_answered_coverage_grows_within_what_was_pushed(answers: list[Heard], deeds: list[str]) -> None:
    made = utterance(1)
    covered = 0.0
    for at in range(max(len(answers), len(deeds))):
        events = done(made, deeds[at] if at < len(deeds) else "", float(at))
        sent(made)
        if at < len(answers):
            events += made.heard(answers[at], float(at))
        for covers_ms in (event.covers_ms or 0.0 for event in events if isinstance(event, Partial)):
            assert covered <= covers_ms <= made.pushed_ms
            covered = covers_ms
    made.end(99.0)
    sent(made)
    made.closed(99.0)
    made.over()
    assert isinstance(made.outcome, Final)
