"""The server's account beside the callers': who answered what, and what nobody had said."""

from __future__ import annotations

import json

import pytest

from kamerton.testing.caller.server_turns import ServerTurn, answers_ms, given_up, self_answered
from kamerton.testing.caller.wire_measure import Sound


def logged(**fields: object) -> str:
    marks = {"t1": None, "t_eos": None, "t6": None}
    return json.dumps({"msg": "turn finished", "call_id": "a", "path": "scenario", "text": "да", **marks, **fields})


def turn(
    path: str = "scenario",
    heard: tuple[float, float] | None = None,
    replied_s: float | None = None,
    *,
    call_id: str = "a",
    words: bool = True,
) -> ServerTurn:
    begun_s, over_s = heard or (None, None)
    return ServerTurn(call_id, path, words, begun_s, over_s, replied_s)


def test_a_turn_is_read_from_its_log_line() -> None:
    assert ServerTurn.from_log(logged(t1=1.5, t_eos=2.25, t6=2.5)) == turn(heard=(1.5, 2.25), replied_s=2.5)
    assert ServerTurn.from_log(logged(path="greeting", text="", t6=2)) == turn("greeting", None, 2.0, words=False)


@pytest.mark.parametrize(
    "line", ["", "kamerton: turn finished", '{"msg": "turn finished"', '{"msg": "turn finished soon"}', "[]"]
)
def test_other_lines_are_no_turns(line: str) -> None:
    assert ServerTurn.from_log(line) is None


def test_a_turn_that_nobody_spoke_was_answered_to_nobody() -> None:
    said = {"a": [Sound(10.0, 11.0)], "b": []}
    assert self_answered([turn(heard=(10.1, 11.0)), turn(heard=(9.6, 11.4)), turn(heard=(11.6, 11.7))], said) == 0
    assert self_answered([turn(heard=(5.0, 6.0)), turn(heard=(12.0, 13.0))], said) == 2
    assert self_answered([turn(heard=(5.0, 6.0), call_id="b")], said) == 1
    assert self_answered([turn(heard=(5.0, 6.0), call_id="warm-up"), turn("silence", (5.0, 6.0)), turn()], said) == 0


def test_the_real_answer_is_the_first_after_the_end_and_before_the_next_question() -> None:
    asked = {"a": [Sound(1.0, 2.0), Sound(8.0, 9.0), Sound(15.0, 16.0)]}
    turns = [turn("greeting", None, 0.5), turn("silence", None, 2.1), turn(replied_s=3.5), turn(replied_s=16.4)]
    assert answers_ms(turns, asked) == pytest.approx([1500, 400])
    assert answers_ms([turn(call_id="b", replied_s=3.0)], asked) == []


def test_an_apology_and_a_question_that_was_not_heard_are_given_up() -> None:
    turns = [turn("error"), turn("fallback", words=False), turn("fallback"), turn("scenario")]
    assert given_up(turns) == 2
