"""A long answer ends with a sentence, or as gently as its text allows."""

import pytest

from kamerton.llm.answer_length import AnswerLength


def passed(answer: str, limit: int) -> tuple[str, bool]:
    length = AnswerLength(limit)
    words = [word for part in answer.split() for word in length.push(f" {part}")]
    return "".join(words + length.finish()).strip(), length.full


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("Раз два три. Четыре пять. Шесть семь девять. Десять и ещё.", "Раз два три. Четыре пять. Шесть семь девять."),
        (
            "Раз два три. Четыре пять шесть. Семь девять десять одиннадцать двенадцать.",
            "Раз два три. Четыре пять шесть.",
        ),
        ("А б в г д е ж, з и к л м н", "А б в г д е ж,"),
        ("А б в г д е ж з и к л м н", "А б в г д е ж з и к…"),
        ("А б в — г д е ж — з и к — л", "А б в — г д е ж — з и к —"),
        ("Это 5 тыс. рублей и на ул. Садовой. Ещё раз. Всё это так.", "Это 5 тыс. рублей и на ул. Садовой. Ещё раз."),
    ],
)
def test_where_a_long_answer_ends(answer: str, said: str) -> None:
    assert passed(answer, 10) == (said, True)


def test_an_answer_within_the_limit_is_left_alone() -> None:
    answer = "Один два три. Четыре пять шесть — семь. Восемь девять десять"
    assert passed(answer, 10) == (answer, False)


def test_the_first_half_passes_word_by_word() -> None:
    length = AnswerLength(6)
    assert [length.push(word) for word in ("раз", " два", " три.", " Четыре", " пять.", " Шесть.")] == [
        ["раз"],
        [" два"],
        [" три."],
        [],
        [],
        [" Четыре", " пять."],
    ]
    assert length.push(" Семь") == [" Шесть."]
    assert length.full
    assert length.push(" Восемь") == []
    assert length.finish() == []


@pytest.mark.parametrize("sentence", ["Слово слово слово слово.", "слово слово слово", "слово, слово слово,"])
def test_an_endless_answer_never_passes_the_limit(sentence: str) -> None:
    said, full = passed(f"{sentence} " * 1000, 70)
    assert full
    assert 30 <= len(said.split()) <= 70
