"""What a bot did to its own replies, from levels alone."""

from __future__ import annotations

import numpy as np
import pytest

from kamerton.testing.caller.floor_figures import CallerSound, OwnReplies
from kamerton.testing.caller.wire_measure import ReceivedAudio

SILENT, LOUD, DIP, DUCKED = -120.0, -20.0, -32.0, -34.0
VOICE = [(0.16, LOUD), (0.06, DIP)] * 13 + [(0.14, LOUD)]
"""A reply of 3 s as the stand-in speaks it."""


def heard(*parts: tuple[float, float]) -> ReceivedAudio:
    levels = np.concatenate([np.full(round(seconds * 50), level) for seconds, level in parts]).astype(np.float64)
    return ReceivedAudio((np.arange(len(levels)) * 0.02).astype(np.float64), levels)


def judged(received: ReceivedAudio, *sounds: CallerSound, ended_s: float = 60.0) -> OwnReplies:
    figures = OwnReplies()
    figures.add_call(received, sounds, ended_s, reply_s=3.0)
    return figures


def test_replies_spoken_to_their_end_are_whole() -> None:
    figures = judged(heard(*VOICE, (1.5, SILENT), *VOICE, (1.0, SILENT)))
    assert (figures.false_intrusions, figures.replies, figures.whole_replies) == (0, 2, 2)
    assert figures.spoken_s == pytest.approx(6.0, abs=0.05)


def test_a_duck_and_a_gap_that_nobody_caused_are_intrusions() -> None:
    ducked = [*VOICE[:9], (0.3, DUCKED), *VOICE[9:]]
    gap = [*VOICE[:9], (0.4, SILENT), *VOICE[9:]]
    figures = judged(heard(*ducked, (1.5, SILENT), *gap, (1.5, SILENT), *VOICE, (1.0, SILENT)))
    assert (figures.false_intrusions, figures.replies, figures.whole_replies) == (2, 3, 1)


def test_a_reply_cut_short_is_an_intrusion_unless_the_call_ended_with_it() -> None:
    received = heard(*VOICE, (1.5, SILENT), *VOICE[:12], (0.5, SILENT))
    assert judged(received).false_intrusions == 1
    hung_up = judged(received, ended_s=float(received.arrivals_s[-1]))
    assert (hung_up.false_intrusions, hung_up.replies) == (0, 1)


def test_reactions_to_the_caller_are_none_of_it() -> None:
    received = heard(*VOICE[:9], (0.3, DUCKED), *VOICE[9:], (1.5, SILENT), *VOICE[:12], (1.5, SILENT))
    murmur, sentence = CallerSound(0.9, 1.2, 2.0), CallerSound(5.5, 7.7, 8.0)
    figures = judged(received, murmur, sentence)
    assert (figures.false_intrusions, figures.replies) == (0, 0)
    assert figures.spoken_s == pytest.approx(3.3 + 1.32 - 1.1 - 0.6, abs=0.15)


def test_a_bot_that_never_comes_to_an_end_is_counted_while_it_stumbles() -> None:
    stumbling = [(0.3, LOUD), (0.3, SILENT)] * 30
    figures = judged(heard(*stumbling), ended_s=18.0)
    assert figures.false_intrusions == 29
    assert (figures.replies, figures.whole_replies) == (0, 0)


def test_silence_says_nothing() -> None:
    assert judged(heard((5.0, SILENT))) == OwnReplies()
    assert judged(ReceivedAudio(np.empty(0), np.empty(0))) == OwnReplies()


def test_a_reply_that_follows_close_on_a_sentence_is_one_that_nobody_spoke_into() -> None:
    sentence = CallerSound(-1.0, 0.0, 0.3)
    received = heard((0.2, SILENT), *VOICE, (1.5, SILENT))
    figures = judged(received, sentence)
    assert (figures.replies, figures.whole_replies) == (1, 1)
    assert figures.spoken_s == pytest.approx(2.9, abs=0.05)


def test_late_frames_make_no_dip_longer() -> None:
    steady = heard(*VOICE, (1.5, SILENT))
    late = steady.arrivals_s + np.where(np.arange(len(steady.arrivals_s)) % 11 == 0, 0.019, 0.0)
    late[60:] += 0.05
    assert judged(ReceivedAudio(late, steady.levels_dbfs)).false_intrusions == 0
