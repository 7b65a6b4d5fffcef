"""What a model thinks aloud before its answer is left out, however the text is split."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kamerton.llm.thoughts import ThoughtFilter

TEXTS = [
    ("<think>Hm. </thin Да?</think>\n\n{}", "\n\n{}"),
    ("\n <THINKING>a</thinking><think>b</think>{}", "{}"),
    ("<think></think>ответ", "ответ"),
    ("<think>never ends", ""),
    ('{"answer": "<think>a</think>"}', '{"answer": "<think>a</think>"}'),
    ("<thin", "<thin"),
    ("<b>важно</b>", "<b>важно</b>"),
    ("", ""),
    ("просто ответ", "просто ответ"),
]


@pytest.mark.parametrize(("text", "left"), TEXTS)
def test_thoughts_are_left_out(text: str, left: str) -> None:
    sieve = ThoughtFilter()
    assert sieve.push(text) + sieve.finish() == left


@given(st.sampled_from(TEXTS), st.sets(st.integers(1, 30)))
def test_however_the_text_is_split(pair: tuple[str, str], cuts: set[int]) -> None:
    text, left = pair
    places = [0, *sorted(cut for cut in cuts if cut < len(text)), len(text)]
    sieve = ThoughtFilter()
    passed = "".join(sieve.push(text[a:b]) for a, b in itertools.pairwise(places))
    assert passed + sieve.finish() == left
