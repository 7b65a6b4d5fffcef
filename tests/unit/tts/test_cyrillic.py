import pytest
from hypothesis import given
from hypothesis import strategies as st

from kamerton.testing.tts_conformance import UGLY
from kamerton.tts.spoken.cyrillic import russian_letters

ALPHABET = set("абвгдеёжзийклмнопрстуфхцчшщъыьэюя ,.!?")


@pytest.mark.parametrize(
    ("text", "letters"),
    [
        ("Добрый день!", "добрый день!"),
        ("«Ёлка» — тире… да; нет: всё-таки", "ёлка, тире. да, нет, всё таки"),
        ('") (quit)', "квит"),
        ("hello", "хелло"),
        ("Shchyokino, check", "щёкино, чек"),
        ("café É", "кафе е"),
        ("їжак ґанок є", "йижак ганок е"),
        ("5", "пять"),
        ("ъ ь . , !", ""),
        ("...Да", "да"),
        ("", ""),
    ],
)
def test_only_russian_letters_pass(text: str, letters: str) -> None:
    assert russian_letters(text) == letters


@given(st.one_of(st.text(max_size=80), st.sampled_from(UGLY)))
def test_the_alphabet_is_closed(text: str) -> None:
    letters = russian_letters(text)
    assert set(letters) <= ALPHABET
    assert not letters or letters[0] not in " .,!?"
    assert all(word.strip(".,!?ъь") for word in letters.split())
