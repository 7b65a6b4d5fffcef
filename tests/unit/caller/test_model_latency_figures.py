from __future__ import annotations

from dataclasses import replace

import pytest

from kamerton.testing.caller.model_latency import (
    FIRST_TOKEN_MS,
    TOKEN_MS,
    VOICE_MS,
    ToldCall,
    figures_of,
    first_clause,
    script_for,
)
from kamerton.testing.caller.model_process import SeenRequest
from kamerton.testing.model_server import Rule

CLAUSE_S = (first_clause(1).written_ms + VOICE_MS) / 1000
TOLD = ToldCall(1, "вопрос", audio_at_s=100.0 + CLAUSE_S + 0.03, frame_at_s=100.0 + CLAUSE_S + 0.04, cut_at_s=102.0)
SEEN = SeenRequest("вопрос", received_at_s=100.0, ended_at_s=102.005, outcome="closed_early")


def test_both_sides_of_a_call_make_its_figures() -> None:
    figures = figures_of([TOLD], {"вопрос": SEEN})
    assert figures["audio_in_hand_ms"]["p50"] == pytest.approx(30.0)
    assert figures["first_audio_ms"]["p95"] == pytest.approx(40.0)
    assert figures["stream_freed_ms"]["p95"] == pytest.approx(5.0)
    assert figures["calls_failed"] == 0


@pytest.mark.parametrize(
    ("told", "seen"),
    [
        (replace(TOLD, cut_at_s=None), SEEN),
        (replace(TOLD, frame_at_s=None), SEEN),
        (replace(TOLD, question="другой"), SEEN),
        (TOLD, replace(SEEN, outcome="completed")),
        (TOLD, replace(SEEN, ended_at_s=None)),
    ],
)
def test_a_call_that_lacks_an_instant_is_no_measure_but_a_failure(told: ToldCall, seen: SeenRequest) -> None:
    figures = figures_of([told], {seen.question: seen})
    assert figures["calls_failed"] == 1
    assert figures["stream_freed_ms"]["count"] == figures["first_audio_ms"]["count"] == 0


def test_the_first_clause_is_there_while_the_model_goes_on_writing() -> None:
    clause = first_clause(7)
    assert FIRST_TOKEN_MS < clause.written_ms <= clause.checked_ms
    assert (clause.written_ms - FIRST_TOKEN_MS) % TOKEN_MS == 0


def test_each_call_has_an_answer_of_its_own() -> None:
    rules = script_for(12).rules
    assert len({rule.answer for rule in rules}) == 12

    def answering(text: str) -> list[Rule]:
        return [rule for rule in rules if rule.matches(text)]

    assert answering("вопрос номер 1 про полис.") == [rules[0]]
    assert answering("вопрос номер 11 про полис.") == [rules[10]]
