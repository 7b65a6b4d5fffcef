import pytest
from hypothesis import given
from hypothesis import strategies as st

from kamerton.tts.clauses import MAX_CHARS, pause_after_ms, split_clauses

CASES = [
    ("", ()),
    (" \n ", ()),
    ("Да.", ("Да.",)),
    ("Добрый день! Как дела?", ("Добрый день!", "Как дела?")),
    ("Что?! Нет... да… ну", ("Что?!", "Нет... да… ну")),
    ("Первая строка\nвторая строка", ("Первая строка", "вторая строка")),
    ("Цена 1.5 млн руб. за г. Москва. Далее.", ("Цена 1.5 млн руб. за г. Москва.", "Далее.")),
    ("Это 5 руб. Оплатите, т. е. внесите.", ("Это 5 руб.", "Оплатите, т. е. внесите.")),
    ("Живёт на ул. Мира, д. 5. Знаете?", ("Живёт на ул. Мира, д. 5.", "Знаете?")),
    ("А. С. Пушкин писал. Да", ("А. С. Пушкин писал.", "Да")),
    ("Смотрите п. 5 договора. Там всё.", ("Смотрите п. 5 договора.", "Там всё.")),
    ("Он сказал «Нет.» И ушёл.", ("Он сказал «Нет.»", "И ушёл.")),
    (
        "По нашему расчёту стоимость полиса составит шестнадцать тысяч рублей в год, "
        "это с учётом двух водителей — верно?",
        (
            "По нашему расчёту стоимость полиса составит шестнадцать тысяч рублей в год,",
            "это с учётом двух водителей — верно?",
        ),
    ),
    (
        "Он ответил так: «это очень длинная цитата, которую, как известно, не режут, и всё», "
        "а потом всё-таки замолчал.",
        (
            "Он ответил так: «это очень длинная цитата, которую, как известно, не режут, и всё»,",
            "а потом всё-таки замолчал.",
        ),
    ),
]


@pytest.mark.parametrize(("text", "clauses"), CASES)
def test_text_is_cut_where_a_reader_breathes(text: str, clauses: tuple[str, ...]) -> None:
    assert split_clauses(text) == clauses


@pytest.mark.parametrize("text", ["слово " * 100, "а" * 500, "слово, слово слово " * 40])
def test_endless_sentences_are_cut_at_a_space_where_there_is_one(text: str) -> None:
    clauses = split_clauses(text)
    assert all(len(clause) <= MAX_CHARS for clause in clauses)
    joined = "".join(clauses) if " " not in text else " ".join(clauses)
    assert joined == text.strip()


@given(st.text(alphabet="аб .,!?—«»\n1", max_size=400))
def test_nothing_is_lost_and_nothing_is_too_long(text: str) -> None:
    clauses = split_clauses(text)
    assert "".join("".join(clauses).split()) == "".join(text.split())
    assert all(0 < len(clause) <= MAX_CHARS for clause in clauses)
    assert all(clause == clause.strip() for clause in clauses)


def test_pauses_follow_the_punctuation() -> None:
    assert pause_after_ms("Всё.»") > pause_after_ms("Всё,") > pause_after_ms("Всё") > 0
    assert pause_after_ms("") > 0
