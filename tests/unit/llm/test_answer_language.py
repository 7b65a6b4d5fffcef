"""An answer in a script that the voice cannot speak is noticed before a word of it is released."""

import pytest

from kamerton.domain.errors import ConfigurationError
from kamerton.llm.answer_language import LanguageGuard


def passed(answer: str, language: str = "ru") -> tuple[str, bool]:
    guard = LanguageGuard(language)
    words = [word for part in answer.split() for word in guard.push(f" {part}")]
    return "".join(words + guard.finish()).strip(), guard.foreign


@pytest.mark.parametrize(
    "answer",
    [
        "I am sorry, but I cannot help you with that.",
        "Sure! Here is the answer.",
        "Lo siento, no puedo ayudarle con eso.",
        "抱歉,我无法帮助您处理这个问题。",
        "Δεν μπορώ να σας βοηθήσω.",
        "yes",
        "OK sure, да",
        "This Is A Whole Answer With Capital Letters Only And It Is Far Too Long To Be A Brand Name",
    ],
)
def test_another_script_is_refused_without_a_word(answer: str) -> None:
    assert passed(answer) == ("", True)


@pytest.mark.parametrize(
    "answer",
    [
        "Да.",
        "Здравствуйте, чем могу помочь?",
        "Volkswagen Passat и BMW X5 мы страхуем, конечно.",
        "Toyota Land Cruiser Prado.",
        "12 500",
        "Оплатить можно картой Visa или Mastercard, а также через Apple Pay и iPhone.",
        "",
    ],
)
def test_own_words_names_and_numbers_pass(answer: str) -> None:
    assert passed(answer) == (answer, False)


def test_ukrainian_passes() -> None:
    assert passed("Їжте, будь ласка, це ґречно.", "uk")[1] is False


def test_the_wait_ends_after_a_few_words() -> None:
    guard = LanguageGuard("ru")
    assert guard.push("Здравствуйте,") == []
    assert guard.push(" слушаю") == []
    assert guard.push(" вас!") == ["Здравствуйте,", " слушаю", " вас!"]
    assert guard.push(" Hello") == [" Hello"]
    assert guard.finish() == []


def test_an_unknown_language_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="'en'"):
        LanguageGuard("en")
