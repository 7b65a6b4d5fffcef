"""What is said to us: no sign-off to an audience, no «пока» that means «for now», nothing that is negated."""

from __future__ import annotations

import pytest

from kamerton.intent_classifier.addressed import addressed
from kamerton.intent_classifier.negated import Turnarounds

OPERATOR = ["позовите оператора", "переключите меня на человека", "не хочу говорить с роботом", "оператор"]


@pytest.mark.parametrize(
    "text",
    [
        "Всем пока!",
        "Всем спасибо, всем пока!",
        "До новых встреч!",
        "Спасибо за просмотр!",
        "Продолжение следует...",
        "пока что",
        "Подписывайтесь на мой канал и ставьте лайки.",
    ],
)
def test_nothing_of_it_is_said_to_us(text: str) -> None:
    assert addressed(text) == ""


@pytest.mark.parametrize("text", ["Дякую за перегляд!", "Всім пока!", "Далі буде", "До нових зустрічей!"])
def test_nor_of_this_in_ukrainian(text: str) -> None:
    assert addressed(text, "uk") == ""


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("пока не надо", "не надо"),
        ("Пока думаю.", "думаю"),
        ("пока один", "один"),
        ("подождите, пока я найду", "подождите я найду"),
        ("пока что нет", "нет"),
        ("пока так", "так"),
        ("Продолжение следует. Сто пятьдесят.", "сто пятьдесят"),
    ],
)
def test_for_now_is_left_out(text: str, left: str) -> None:
    assert addressed(text) == left


@pytest.mark.parametrize(
    "text", ["пока", "Пока-пока!", "ну всё, пока", "Ладно, пока!", "Пока, спасибо", "спасибо, я потом перезвоню, пока"]
)
def test_a_good_bye_stays(text: str) -> None:
    assert "пока" in addressed(text)


@pytest.mark.parametrize(
    ("text", "turned"),
    [
        ("не надо оператора", True),
        ("без оператора", True),
        ("только не оператор", True),
        ("оператор не нужен", True),
        ("не переключайте меня", True),
        ("не зовите оператора", True),
        ("зачем мне оператор", True),
        ("не хочу говорить с роботом", False),
        ("не слышу вас, позовите оператора", False),
        ("позовите оператора", False),
    ],
)
def test_a_negated_wish_is_not_that_wish(text: str, turned: bool) -> None:
    assert Turnarounds([(0, example) for example in OPERATOR], "ru").turned(0, text) is turned
