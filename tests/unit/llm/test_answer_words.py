"""Only what a voice can say is left of an answer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kamerton.llm.answer_words import LONGEST_WORD, SpokenWords


def spoken(*pieces: str) -> str:
    words = SpokenWords()
    return "".join([word for piece in pieces for word in words.push(piece)] + words.finish())


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("Да, конечно.", "Да, конечно."),
        ("  Да,\t конечно.  ", "Да, конечно."),
        ("**Важно**: _возьмите_ `паспорт`!", "Важно: возьмите паспорт!"),
        ("**ва**жно и *так*", "важно и так"),
        ("# Документы\nВозьмите паспорт.", "Документы, Возьмите паспорт."),
        ("Нужны:\n- паспорт\n- права\n\n* полис", "Нужны: паспорт, права. полис"),
        ("1. Паспорт\n2. Права", "Паспорт, Права"),
        ("2. марта", "2. марта"),
        ("От 5 до 10.", "От 5 до 10."),
        ("Готово ✅ 🙂👍🏽", "Готово"),
        ("Спасибо❤️!", "Спасибо!"),
        ("Смотрите на сайте https://example.test/a?b=1.", "Смотрите на сайте."),
        ("Адрес: www.example.test/ru, звоните", "Адрес: звоните"),
        ("Есть [наш сайт](https://example.test) и всё.", "Есть наш сайт и всё."),
        ("![схема](https://example.test/a.png)", "схема"),
        ("Строка<br>и <b>жирно</b>", "Строкаи жирно"),
        ("Если 3 < 5, то да", "Если 3 < 5, то да"),
        ("Цена — 12 500 ₽, 20 % и №7, +5 °C", "Цена — 12 500 ₽, 20 % и №7, +5 °C"),
        ("snake_case и 2*3", "snake case и 2 3"),
        ("[не ссылка] да", "не ссылка да"),
        ("[ бесконечная скобка и слова дальше", "бесконечная скобка и слова дальше"),
        ("| a | b |\n|---|---|", "a b"),
        ("за\u200bмок, за\u0301мок", "замок, за\u0301мок"),
        ("🙂", ""),
        ("https://example.test", ""),
        ("- ", ""),
        ("...", ""),
        ("", ""),
    ],
)
def test_what_is_said(written: str, said: str) -> None:
    assert spoken(written) == said


def test_a_word_is_given_out_when_it_is_certain() -> None:
    words = SpokenWords()
    assert words.push("Добрый де") == ["Добрый"]
    assert words.push("нь! ") == [" день!"]
    assert words.push("Вот [наш") == [" Вот"]
    assert words.push(" сайт](https://x.test) и") == [" наш", " сайт"]
    assert words.finish() == [" и"]


def test_a_word_without_end_is_cut() -> None:
    assert len(spoken("а" * 5000)) == LONGEST_WORD


MARKS = ["*", "**", "_", "[", "]", "](", "(", ")", "https://", "x.y", "\n", " ", "1.", "-", "да", "🙂", "<b>", "№", ","]
PIECES = st.lists(st.sampled_from(MARKS), max_size=16)


@given(PIECES)
def test_the_split_does_not_matter(pieces: list[str]) -> None:
    text = "".join(pieces)
    assert spoken(*pieces) == spoken(text) == spoken(*text)


@given(PIECES)
def test_no_mark_survives(pieces: list[str]) -> None:
    said = spoken("".join(pieces))
    assert not set(said) & set("*`[]|🙂\n")
    assert said == " ".join(said.split())
