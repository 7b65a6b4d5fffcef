"""What other servers wrote is shown on one line, without anything that a terminal obeys."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kamerton.domain.foreign_text import shown_line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("out of memory", "out of memory"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("\x9b2Jtext", "text"),
        ("one\r\ntwo\u2028three", "one two three"),
        ("a\x00b\u202ec", "a b c"),
        ("кириллица, 100 %", "кириллица, 100 %"),
        ("", ""),
    ],
)
def test_one_clean_line(text: str, shown: str) -> None:
    assert shown_line(text, 100) == shown


@given(st.text(max_size=300))
def test_any_text_is_printable_and_short(text: str) -> None:
    line = shown_line(text, 50)
    assert line.isprintable()
    assert len(line) <= 50
