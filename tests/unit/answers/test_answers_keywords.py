"""Keyword search: lemmas, synonyms, words without a topic, slips of the recogniser, and how well words fit."""

from __future__ import annotations

import pytest

from kamerton.answers.catalogue import AnswerEntry
from kamerton.answers.keyword_search import KeywordIndex
from kamerton.answers.keyword_search_words import lemmas, normalised
from kamerton.domain.errors import ConfigurationError
from kamerton.intent_classifier.words import normalised as classifier_normalised

ENTRIES = (
    AnswerEntry(
        "documents",
        "Какие нужны документы для полиса?",
        "Паспорт и права.",
        ("Какие бумаги подготовить",),
        (("полис", "страховка", "страховой договор"),),
    ),
    AnswerEntry("card", "Можно ли оплатить картой?", "Да.", ("Оплата банковской картой",)),
    AnswerEntry("inspection", "Нужен ли техосмотр?", "Нет."),
    AnswerEntry("europrotocol", "Как оформить европротокол?", "Вдвоём."),
    AnswerEntry("robot", "Вы робот?", "Да."),
    AnswerEntry("app", "Есть ли приложение для iPhone 15?", "Есть."),
)


@pytest.fixture(scope="module")
def index() -> KeywordIndex:
    return KeywordIndex(ENTRIES, "ru-RU")


@pytest.mark.parametrize(
    ("said", "answer_id"),
    [
        ("а какими документами подтвердить", "documents"),
        ("на страховку что", "documents"),
        ("договор страховой", "documents"),
        ("оплачу картами", "card"),
        ("техасмотр нужен", "inspection"),
        ("евро протокол", "europrotocol"),
        ("iphone", "app"),
        ("15", "app"),
        ("паспорт", "documents"),
    ],
)
def test_the_leader(index: KeywordIndex, said: str, answer_id: str) -> None:
    ranking = index.search(said, 3)
    assert ranking[0].answer_id == answer_id
    assert ranking[0].score > 0


@pytest.mark.parametrize("said", ["", "?!", "скажите пожалуйста а вы", "здравствуйте", "погода на улице", "🙂"])
def test_nothing_to_find(index: KeywordIndex, said: str) -> None:
    assert index.search(said, 3) == ()


def test_a_word_of_the_dictionary_is_no_slip() -> None:
    index = KeywordIndex([AnswerEntry("term", "Оформите на полгода?", "Да.")], "ru")
    assert index.search("какая погода", 3) == ()
    assert index.search("на полгада", 3)[0].answer_id == "term"


def test_synonyms_hold_for_their_entry_only() -> None:
    first = AnswerEntry("a", "Где взять полис?", "Тут.", synonyms=(("полис", "бумага"),))
    second = AnswerEntry("b", "Кто проверит полис?", "Мы.")
    assert [found.answer_id for found in KeywordIndex([first, second], "ru").search("бумага", 3)] == ["a"]


def test_the_limit_and_the_order(index: KeywordIndex) -> None:
    ranking = index.search("документы картой на техосмотр", 2)
    assert len(ranking) == 2
    assert ranking[0].score >= ranking[1].score


def test_the_same_words_are_wholly_alike(index: KeywordIndex) -> None:
    assert index.evidence("МОЖНО ЛИ, оплатить картой", "card").likeness == 1.0
    assert index.evidence("можно ли оплатить картой", "documents").likeness < 0.5


def test_courtesy_and_inflection_cost_little(index: KeywordIndex) -> None:
    assert index.evidence("скажите, картой можно оплатить", "card").likeness > 0.85


def test_an_unknown_topic_lowers_both(index: KeywordIndex) -> None:
    plain = index.evidence("оплатить картой", "card")
    other = index.evidence("оплатить картой ипотеку", "card")
    assert other.coverage < plain.coverage == 1.0
    assert other.likeness < plain.likeness


def test_a_negation_is_no_empty_word(index: KeywordIndex) -> None:
    assert index.evidence("нельзя оплатить картой", "card").likeness < 0.9


def test_words_without_a_topic_are_no_evidence(index: KeywordIndex) -> None:
    assert index.evidence("а вы это", "robot").coverage == 0.0


def test_an_empty_catalogue_finds_nothing() -> None:
    assert KeywordIndex([], "uk").search("поліс", 3) == ()


def test_endless_text_is_cut(index: KeywordIndex) -> None:
    assert index.search("картой " * 20_000, 1)[0].answer_id == "card"


def test_ukrainian_words_are_brought_to_their_form() -> None:
    entries = [AnswerEntry("pc", "Де купити комп'ютер?", "У місті."), AnswerEntry("tyre", "Чи є шини?", "Є.")]
    index = KeywordIndex(entries, "uk-UA")
    assert index.search("комп’ютери", 3)[0].answer_id == "pc"
    assert index.search("шиною", 3)[0].answer_id == "tyre"


def test_a_language_without_morphology_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="'de'"):
        KeywordIndex(ENTRIES, "de")


def test_latin_and_digits_stay_as_they_are() -> None:
    assert [lemma.text for lemma in lemmas("SMS на 2.5 Wi-Fi", "ru")] == ["sms", "на", "2.5", "wi", "fi"]


@pytest.mark.parametrize("text", ["Ёлка, П’ять!", "девя-носто 100-25", "ґанок 2,5", "", "комп'ютер - WI-FI", "ё"])
def test_texts_are_folded_as_the_classifier_does(text: str) -> None:
    """Else both would pay for the vector of the same words."""
    assert normalised(text) == classifier_normalised(text)
