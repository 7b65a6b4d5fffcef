from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kamerton.listening.own_words import repeats_own_words

SAID = "Здравствуйте! Я помогу рассчитать стоимость полиса. Скажите, сколько лошадиных сил в двигателе? Всё верно?"


@pytest.mark.parametrize(
    "heard",
    [
        "Здравствуйте! Я помогу рассчитать",
        "помогу рассчитать стоимость",
        "я помогу расчитать стоимасть полиса",
        "дравствуйте я помогу рас",
        "сколько лошадиных сил в двигатели",
        "сколько лошади ных сил",
        "СКАЖИТЕ СКОЛЬКО ЛОШАДИНЫХ СИЛ",
    ],
)
def test_a_run_of_what_was_said_is_our_own_with_a_recognisers_slips(heard: str) -> None:
    assert repeats_own_words(heard, SAID)


@pytest.mark.parametrize(
    "heard",
    [
        "сто пятьдесят лошадиных сил",
        "соедините меня с оператором",
        "а сколько стоит полис для грузовика",
        "нет, не верно, двигатель другой",
        "я хочу рассчитать каско на машину",
        "сколько это будет стоить в год",
        "",
        "...",
    ],
)
def test_a_callers_words_are_not(heard: str) -> None:
    assert not repeats_own_words(heard, SAID)
    assert not repeats_own_words(heard, SAID, echo_known=True)


@pytest.mark.parametrize("heard", ["да", "верно", "здравствуйте", "двигателе"])
@pytest.mark.parametrize("echo_known", [False, True])
def test_a_single_word_is_the_callers(heard: str, echo_known: bool) -> None:
    assert not repeats_own_words(heard, f"{SAID} Скажите да или нет.", echo_known=echo_known)


@pytest.mark.parametrize("heard", ["помогу рассчитать", "стоимость полиса"])
def test_two_words_are_our_own_only_where_the_line_is_known_to_echo(heard: str) -> None:
    assert not repeats_own_words(heard, SAID)
    assert repeats_own_words(heard, SAID, echo_known=True)


def test_nothing_repeats_silence() -> None:
    assert not repeats_own_words("здравствуйте я помогу", "")


@given(st.text(alphabet="абвгде ё,.!", max_size=40), st.integers(0, 30), st.integers(1, 30))
def test_every_run_of_three_words_is_found(text: str, start: int, length: int) -> None:
    words = [f"{word}длинное" for word in text.split()]
    run = words[start : start + length]
    if len(run) >= 3:
        assert repeats_own_words(" ".join(run), " ".join(words))
