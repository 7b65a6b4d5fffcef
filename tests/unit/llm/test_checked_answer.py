"""An answer is spoken the same whether it comes in one piece or letter by letter."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kamerton.domain.errors import EngineError
from kamerton.llm.checked_answer import CheckedAnswer
from kamerton.llm.limits import TalkLimits

ENDINGS = [
    "",
    "\n",
    " ",
    "\n\n",
    " 🙂",
    "🙂",
    " https://kamerton.ru/kasko",
    " [сайт](https://kamerton.ru)",
    "**",
    "\t",
    " —",
]
ANSWERS = ["Да.", "Да", "Полис стоит **12 500 ₽**", "Да, на год", "Спасибо!"]


def spoken(answer: str, cuts: set[int]) -> str:
    raw = json.dumps({"is_safe": True, "answer": answer}, ensure_ascii=False)
    checked = CheckedAnswer("Ты помощник.", "ru", TalkLimits())
    places = [0, *sorted(cut for cut in cuts if cut < len(raw)), len(raw)]
    text = "".join(checked.push(raw[a:b]) for a, b in pairwise(places) if not checked.over)
    checked.end()
    return text


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("answer", ANSWERS)
def test_one_piece_is_spoken_like_many(answer: str, ending: str) -> None:
    whole = spoken(answer + ending, set())
    assert whole
    assert whole == spoken(answer + ending, set(range(1, 200)))


@given(st.sampled_from(ANSWERS), st.sampled_from(ENDINGS), st.sets(st.integers(1, 80)))
def test_however_it_is_split(answer: str, ending: str, cuts: set[int]) -> None:
    assert spoken(answer + ending, cuts) == spoken(answer + ending, set())


@pytest.mark.parametrize("answer", ["", "\n", "🙂", "**", "https://kamerton.ru"])
def test_an_answer_of_nothing_is_empty_in_every_split(answer: str) -> None:
    for cuts in (set[int](), set(range(1, 80))):
        with pytest.raises(EngineError, match="empty") as caught:
            spoken(answer, cuts)
        assert caught.value.code == "model_answer"


@pytest.mark.parametrize(
    "answer",
    [
        "Пишите на ivan.petrov@mail.ru.",
        "Наш адрес: info@kamerton-insurance.example.",
        "Оплатить можно через paypal.",
        "Да, принимаем mastercard, webmoney и paypal.",
        "Это iPhone 15 Pro.",
        "Откройте kamerton.ru и нажмите «Оплатить».",
        "Volkswagen.",
        "Страхуем bmw x5 тоже.",
    ],
)
def test_addresses_and_brands_are_spoken(answer: str) -> None:
    assert spoken(answer, set()) == spoken(answer, set(range(1, 200))) == answer
