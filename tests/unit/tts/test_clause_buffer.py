"""Clauses of a text that is still being written."""

from collections.abc import AsyncIterator, Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kamerton.tts.clause_buffer import FIRST_CHARS, ClauseBuffer, clauses_of
from kamerton.tts.clauses import COMFORTABLE_CHARS, MAX_CHARS, MIN_CHARS, split_clauses

PRICE = (
    "Полис стоит от 16 500,50 руб. в год, т. е. дешевле, чем у многих других страховых компаний города, "
    "и оформить его можно на ул. Мира, д. 5 — 10 минут пешком от метро. Приходите!"
)
TEXTS = st.one_of(
    st.text(alphabet='абВ 1.,!?…—-«»("):;\n', max_size=500),
    st.lists(
        st.sampled_from(
            [
                *("да,", "нет.", "1 500,50", "руб.", "т. е.", "ул.", "Мира", "«так,", "и. так»", "…", "..", "— ", "5"),
                *("\n", "конечно", "Потом", "(см.", "выше)", "12.05.2024", "? ", "очень длинное слово", "10:30;", '"'),
            ]
        ),
        max_size=60,
    ).map(" ".join),
)


def clauses(pieces: Sequence[str]) -> tuple[str, ...]:
    buffer = ClauseBuffer()
    ready = [clause for piece in pieces for clause in buffer.push(piece)]
    return (*ready, *buffer.flush())


def cut_at(text: str, places: Sequence[int]) -> list[str]:
    edges = [0, *sorted(min(place, len(text)) for place in places), len(text)]
    return [text[start:end] for start, end in pairwise(edges)]


@given(TEXTS, st.lists(st.integers(0, 500), max_size=30))
def test_the_clauses_are_the_same_however_the_text_comes(text: str, places: list[int]) -> None:
    assert clauses(cut_at(text, places)) == clauses([text]) == clauses(list(text))


@given(TEXTS)
def test_nothing_is_lost_and_nothing_is_too_long(text: str) -> None:
    got = clauses(list(text))
    assert " ".join(" ".join(got).split()) == " ".join(text.split()) or any(len(clause) == MAX_CHARS for clause in got)
    assert "".join("".join(got).split()) == "".join(text.split())
    assert all(clause == clause.strip() and 0 < len(clause) <= MAX_CHARS for clause in got)


@given(TEXTS)
def test_what_is_given_out_is_never_taken_back(text: str) -> None:
    buffer = ClauseBuffer()
    early = [clause for character in text for clause in buffer.push(character)]
    assert tuple(early) == clauses([text])[: len(early)]
    torn = buffer.flush_torn()
    assert (*early, *torn) == clauses([text])[: len(early) + len(torn)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Да. Оформить можно сегодня.", ("Да.", "Оформить можно сегодня.")),
        ("Да, конечно, оформить можно сегодня.", ("Да, конечно,", "оформить можно сегодня.")),
        ("Да, да, оформить можно.", ("Да, да, оформить можно.",)),
        ("Понадобятся: паспорт и права.", ("Понадобятся:", "паспорт и права.")),
        ("Страховка — это просто.", ("Страховка — это просто.",)),
        ("Страхование — это просто.", ("Страхование — это просто.",)),
        ("Это страхование — оно простое.", ("Это страхование", "— оно простое.")),
        ("Это займёт 5 — 10 дней, не больше.", ("Это займёт 5 — 10 дней,", "не больше.")),
        ("Цена 1 500,50 рублей, и всё.", ("Цена 1 500,50 рублей,", "и всё.")),
        ("Получится примерно 1, 5 тысячи.", ("Получится примерно 1, 5 тысячи.",)),
        ("Встретимся 12.05.2024 г. в 10:30, хорошо?", ("Встретимся 12.05.2024 г. в 10:30,", "хорошо?")),
        ("Это страховка, т. е. защита.", ("Это страховка,", "т. е. защита.")),
        ("Живу на ул. Мира, д. 5. Знаете?", ("Живу на ул. Мира,", "д. 5.", "Знаете?")),
        ("Это 5 руб. Платите.", ("Это 5 руб.", "Платите.")),
        ("Это 5 руб. за штуку.", ("Это 5 руб. за штуку.",)),
        ("Ну... да. Хм… Нет", ("Ну... да.", "Хм…", "Нет")),
        ("Он сказал: «Нет. Никогда, ни за что.» И ушёл.", ("Он сказал: «Нет. Никогда, ни за что.»", "И ушёл.")),
        ('Он сказал: "Нет. Никогда, ни за что." И ушёл.', ('Он сказал: "Нет. Никогда, ни за что."', "И ушёл.")),
        ('Диск 16" подходит, берите.', ('Диск 16" подходит,', "берите.")),
        ("Жаль :( Но что делать. Ждём.", ("Жаль :( Но что делать.", "Ждём.")),
        ("Нужны (паспорт, права. И СТС) бумаги, да.", ("Нужны (паспорт, права. И СТС) бумаги,", "да.")),
        ("1. Паспорт\n2. Права", ("1. Паспорт", "2. Права")),
        ("Так\n\n\nэдак", ("Так", "эдак")),
        (" \n \n", ()),
        ("", ()),
    ],
)
def test_cuts(text: str, expected: tuple[str, ...]) -> None:
    assert clauses(list(text)) == expected


def test_a_whole_answer_of_a_model() -> None:
    assert clauses([PRICE]) == (
        "Полис стоит от 16 500,50 руб. в год,",
        "т. е. дешевле, чем у многих других страховых компаний города,",
        "и оформить его можно на ул. Мира, д. 5 — 10 минут пешком от метро.",
        "Приходите!",
    )


def test_a_clause_is_given_out_once_the_next_word_begins() -> None:
    buffer = ClauseBuffer()
    given_out = [buffer.push(piece) for piece in ("Доб", "рый день", "! ", "К", "ак дела?")]
    assert given_out == [(), (), (), ("Добрый день!",), ()]
    assert buffer.flush() == ("Как дела?",)
    assert buffer.flush() == ()


def test_a_line_ends_at_once() -> None:
    assert ClauseBuffer().push("Добрый день\n") == ("Добрый день",)


def test_only_the_first_clause_is_short() -> None:
    part = "а" * (FIRST_CHARS - 1) + ", "
    first, *later, last = clauses([part * 30])
    assert len(first) < MIN_CHARS
    assert all(COMFORTABLE_CHARS - len(part) <= len(clause) <= COMFORTABLE_CHARS for clause in later)
    assert len(last) <= COMFORTABLE_CHARS + MIN_CHARS


def test_a_symbol_that_says_nothing_does_not_use_up_the_short_clause() -> None:
    assert clauses(["🙂\nДа, конечно, оформить можно сегодня."])[:2] == ("🙂", "Да, конечно,")


@pytest.mark.parametrize(
    ("text", "longest"),
    [
        ("слово " * 100, MAX_CHARS),
        ("а" * 500, MAX_CHARS),
        ("«Начало цитаты без конца, " + "и так, " * 80, MAX_CHARS),
        ("Число " + "1 000 " * 25 + "и ещё слова " * 10, MAX_CHARS),
    ],
)
def test_endless_clauses_are_cut_outside_of_numbers(text: str, longest: int) -> None:
    got = clauses(list(text))
    assert all(len(clause) <= longest for clause in got)
    assert all(not (left[-1].isdigit() and right[0].isdigit()) for left, right in pairwise(got))


def test_an_endless_clause_is_not_cut_after_a_number() -> None:
    text = "слово " * 29 + "500 рублей и дальше"
    assert clauses([text]) == (("слово " * 29).rstrip(), "500 рублей и дальше")


def test_before_an_endless_word_the_comma_is_the_best_place() -> None:
    got = clauses(["Первое. Второе слово для начала, и " + "б" * 300])
    assert got[:2] == ("Первое.", "Второе слово для начала,")


def test_in_an_endless_quote_a_comma_is_the_best_place() -> None:
    text = "«Начало цитаты без конца, и дальше только " + "слова " * 40
    assert clauses([text])[0] == "«Начало цитаты без конца,"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Полис нужен всем. Его", ("Полис нужен всем.",)),
        ("Полис нужен всем.", ("Полис нужен всем.",)),
        ("Полис нужен всем, кто", ("Полис нужен всем,",)),
        ("Полис ну", ()),
        ("", ()),
    ],
)
def test_of_a_text_that_breaks_off_only_whole_clauses_are_said(text: str, kept: tuple[str, ...]) -> None:
    buffer = ClauseBuffer()
    assert (*buffer.push(text), *buffer.flush_torn()) == kept


@pytest.mark.anyio
async def test_texts_and_streams_of_text_give_the_same_clauses() -> None:
    async def stream() -> AsyncIterator[str]:
        for piece in ("Да. Н", "ет."):
            yield piece

    assert [clause async for clause in clauses_of("Да. Нет.")] == list(split_clauses("Да. Нет.")) == ["Да.", "Нет."]
    assert [clause async for clause in clauses_of(stream())] == ["Да.", "Нет."]
