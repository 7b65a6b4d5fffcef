"""Instructions are not recited; honest answers pass without a wait to speak of."""

import pytest

from kamerton.llm.instructions import guarded_part, talk_instructions
from kamerton.llm.leak_guard import LEAK_WORDS, LeakGuard, plain_words

FACTS = "Мы работаем каждый день без выходных с девяти утра до девяти часов вечера по московскому времени."
PROMPT = talk_instructions("Страхование", "ru", facts=FACTS, persona="Тебя зовут Вера.")


def passed(answer: str, instructions: str = PROMPT) -> tuple[str, bool]:
    guard = LeakGuard(guarded_part(instructions))
    words = [word for part in answer.split() for word in guard.push(f" {part}")]
    return "".join(words + guard.finish()).strip(), guard.leaked


@pytest.mark.parametrize("language", ["ru", "uk"])
def test_any_run_of_the_instructions_is_withheld_before_its_first_word(language: str) -> None:
    prompt = talk_instructions("Страхование", language, facts=FACTS, persona="Тебя зовут Вера.")
    words = plain_words(guarded_part(prompt))
    for start in range(0, len(words) - LEAK_WORDS, 7):
        run = words[start : start + LEAK_WORDS]
        text, leaked = passed(f"Конечно-конечно, слушайте: {', '.join(run)} ещё слова", prompt)
        assert leaked
        assert text.startswith("Конечно-конечно")
        assert run[-1] not in plain_words(text.partition(":")[2])
        assert len(plain_words(text)) < len(run)


def test_case_marks_and_yo_do_not_hide_a_leak() -> None:
    leak = "ТЫ «ГОЛОСОВОЙ» ПОМОЩНИК, «СТРАХОВАНИЕ»! ТЫ — ГОВОРИШЬ: С ЧЕЛОВЕКОМ... ПО ТЕЛЕФОНУ; И КАЖДОЕ ТВОЕ СЛОВО"
    assert passed(leak) == ("", True)


def test_seven_words_are_no_leak() -> None:
    words = plain_words(guarded_part(PROMPT))[3 : 3 + LEAK_WORDS - 1]
    assert passed(" ".join(words)) == (" ".join(words), False)


def test_facts_may_be_repeated_word_for_word() -> None:
    assert passed(FACTS) == (FACTS, False)
    assert passed(FACTS, FACTS)[1], "the guard itself knows these words"


def test_a_run_that_breaks_is_released_whole_and_in_order() -> None:
    text = "Ты голосовой помощник, ты голосовой помощник страхование, ты голосовой автоответчик"
    assert passed(text) == (text, False)


def test_an_honest_answer_hardly_waits() -> None:
    guard = LeakGuard(guarded_part(PROMPT))
    answer = "Для оформления понадобятся паспорт и права. Если не знаете номер машины, скажите, мы найдём его по базе."
    waiting, longest = 0, 0
    for word in answer.split():
        waiting += 1 - len(guard.push(f" {word}"))
        longest = max(longest, waiting)
    assert longest <= 3
    assert not guard.leaked


def test_nothing_passes_after_a_leak() -> None:
    guard = LeakGuard(" ".join(str(number) for number in range(20)))
    for number in range(12):
        assert guard.push(f" {number}") == []
    assert guard.leaked
    assert guard.push(" слово") == []
    assert guard.finish() == []


def test_marks_without_words_pass_in_their_place() -> None:
    guard = LeakGuard("один два три")
    assert guard.push("один") == []
    assert guard.push(" —") == []
    assert guard.push(" пять") == ["один", " —", " пять"]


def test_instructions_too_short_to_leak() -> None:
    assert passed("Отвечай коротко. Отвечай коротко.", "Отвечай коротко.") == (
        "Отвечай коротко. Отвечай коротко.",
        False,
    )
