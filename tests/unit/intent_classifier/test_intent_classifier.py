"""The classifier's rules, with a small embedder that sees letters only; real meaning is tested in tests/engine."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from kamerton.domain.dialogue import EntityKind, Expectation
from kamerton.domain.embedding import Vectors
from kamerton.intent_classifier import FaqEntry, IntentClassifier, IntentExamples
from kamerton.intent_classifier.calibration import Gate

INTENTS = (
    IntentExamples("repeat", ("повторите", "повторите, пожалуйста", "скажите ещё раз")),
    IntentExamples("operator", ("оператор", "позовите оператора", "переключите меня на живого человека")),
    IntentExamples("goodbye", ("до свидания", "всего доброго", "пока")),
    IntentExamples("acknowledge", ("угу", "понятно")),
    IntentExamples("question", ("у меня есть вопрос", "у меня два вопроса про оплату"), faq=True),
)
FAQ = (
    FaqEntry("documents", "Какие документы нужны?", "Паспорт.", ("какие нужны документы для оформления полиса",)),
    FaqEntry("card", "Можно ли оплатить картой?", "Да.", ("принимаете ли вы карты",)),
    FaqEntry("add_driver", "Можно ли вписать ещё одного водителя?", "Да.", ("как добавить водителя в полис",)),
)
NAMES = tuple(intent.name for intent in INTENTS)
POWER = Expectation(
    entity=EntityKind.NUMBER, minimum=10, maximum=2000, units=("лошадиных сил",), intents=("answer", "correct", *NAMES)
)
DRIVERS = Expectation(
    entity=EntityKind.NUMBER,
    minimum=1,
    maximum=10,
    units=("водителя", "человек"),
    intents=("answer", "correct", *NAMES),
)
AGE = Expectation(
    entity=EntityKind.NUMBER, minimum=16, maximum=99, units=("лет",), intents=("answer", "correct", *NAMES)
)
CONFIRM = Expectation(entity=EntityKind.YES_NO, intents=("yes", "no", "correct", *NAMES))
PLAIN_CONFIRM = Expectation(entity=EntityKind.YES_NO, intents=("yes", "no"))
CORRECT = Expectation(intents=("correct", *NAMES))
PHONE = Expectation(entity=EntityKind.PHONE, intents=("answer", *NAMES))


class LetterEmbedder:
    """Unit vectors of hashed letter triples; counts the texts it was given."""

    identity = "letters-1"

    def __init__(self) -> None:
        self.texts = 0

    def query(self, texts: Sequence[str]) -> Vectors:
        self.texts += len(texts)
        vectors = np.full((len(texts), 256), 0.05, dtype=np.float32)
        for row, text in enumerate(texts):
            for place in range(len(text) - 2):
                vectors[row, zlib.crc32(text[place : place + 3].encode()) % 256] += 1
        return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)

    def wordings(self, texts: Sequence[str]) -> Vectors:
        return self.query(texts)

    def passage(self, texts: Sequence[str]) -> Vectors:
        return self.query(texts)


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> IntentClassifier:
    return IntentClassifier.prepare(INTENTS, FAQ, LetterEmbedder(), tmp_path_factory.mktemp("vectors"), "ru")


def judged(classifier: IntentClassifier, expectation: Expectation, *readings: str) -> str | None:
    return classifier.understand(readings, expectation).intent


@pytest.mark.parametrize(
    ("expectation", "readings", "intent", "number"),
    [
        (POWER, ("сток двадцать пять",), "answer", 125),
        (POWER, ("ВтО, пятьдесят",), "answer", 150),
        (POWER, ("сурок",), "answer", 40),
        (POWER, ("сто пятьдесят лошадиных сил",), "answer", 150),
        (POWER, ("ну там по документам вроде сто двадцать пять лошадиных сил",), "answer", 125),
        (POWER, ("пять тысяч",), "out_of_range", 5000),
        (DRIVERS, ("два",), "answer", 2),
        (DRIVERS, ("не двое, а трое",), "answer", 3),
        (DRIVERS, ("сто",), "out_of_range", 100),
        (DRIVERS, ("Да.", "Два."), "answer", 2),
        (DRIVERS, ("", "двое"), "answer", 2),
        (DRIVERS, ("нет, сто пятьдесят лошадиных сил",), "correct", 150),
        (DRIVERS, ("я ошибся, мощность сто пятьдесят",), "correct", 150),
        (DRIVERS, ("нет, не сто, а сто пятьдесят",), "correct", 150),
        (AGE, ("двадцать два года",), "answer", 22),
        (AGE, ("водителей двое",), "correct", 2),
        (CONFIRM, ("нет, сто пятьдесят лошадиных сил",), "correct", 150),
        (CONFIRM, ("нет, не сто, а сто пятьдесят",), "correct", 150),
        (CONFIRM, ("да, но водителей трое",), "correct", 3),
        (CORRECT, ("мощность сто пятьдесят",), "correct", 150),
    ],
)
def test_numbers_in_their_place(
    classifier: IntentClassifier, expectation: Expectation, readings: tuple[str, ...], intent: str, number: float
) -> None:
    result = classifier.understand(readings, expectation)
    assert result.intent == intent
    assert result.entities.as_dict()["number"] == number


@pytest.mark.parametrize(
    ("text", "intent"),
    [
        ("да", "yes"),
        ("Два.", "yes"),
        ("угу", "yes"),
        ("да, всё верно", "yes"),
        ("нет", "no"),
        ("нет, неверно", "no"),
        ("вы неправильно поняли", "no"),
        ("мощность другая", "correct"),
        ("мощность неправильная", "correct"),
        ("я ошибся", "correct"),
        ("до свидания", "goodbye"),
        ("повторите", "repeat"),
    ],
)
def test_confirmation(classifier: IntentClassifier, text: str, intent: str) -> None:
    assert judged(classifier, CONFIRM, text) == intent


def test_nothing_is_corrected_where_the_scenario_cannot(classifier: IntentClassifier) -> None:
    assert judged(classifier, PLAIN_CONFIRM, "нет, сто пятьдесят лошадиных сил") == "no"


def test_a_yes_among_the_readings_wins_when_one_is_expected(classifier: IntentClassifier) -> None:
    assert judged(classifier, CONFIRM, "Два.", "Да.") == "yes"
    assert judged(classifier, CONFIRM, "Да.", "Два.") == "yes"


def test_the_likeliest_reading_is_not_overruled_by_an_example_further_down(classifier: IntentClassifier) -> None:
    assert judged(classifier, DRIVERS, "двое", "пока") == "answer"


@pytest.mark.parametrize("text", ["у меня два вопроса про оплату", "один вопрос", "подождите пять минут"])
def test_a_number_of_something_else_is_no_answer(classifier: IntentClassifier, text: str) -> None:
    assert judged(classifier, DRIVERS, text) != "answer"


def test_a_question_that_holds_a_number_goes_to_the_prepared_answers(classifier: IntentClassifier) -> None:
    result = classifier.understand(["можно ли вписать ещё одного водителя"], DRIVERS)
    assert (result.intent, result.reason, result.leader) == (None, "faq", "faq:add_driver")


def test_an_announced_question_is_handed_over(classifier: IntentClassifier) -> None:
    result = classifier.understand(["у меня есть вопрос"], CORRECT)
    assert (result.intent, result.reason) == (None, "faq")


def test_a_phone_number_answers(classifier: IntentClassifier) -> None:
    result = classifier.understand(["восемь 912 345-67-89"], PHONE)
    assert (result.intent, result.entities.phone) == ("answer", "+79123456789")


def test_words_match_without_the_model(tmp_path: Path) -> None:
    embedder = LetterEmbedder()
    classifier = IntentClassifier.prepare(INTENTS, FAQ, embedder, tmp_path, "ru")
    prepared = embedder.texts
    for text, reason in (("ПОВТОРИТЕ!", "exact"), ("ну повторите", "fuzzy"), ("повторитe", "fuzzy")):
        result = classifier.classify_intent(text, None)
        assert (result.intent, result.reason) == ("repeat", reason)
    assert embedder.texts == prepared


def test_equal_texts_are_embedded_once(tmp_path: Path) -> None:
    embedder = LetterEmbedder()
    classifier = IntentClassifier.prepare(INTENTS, FAQ, embedder, tmp_path, "ru")
    prepared = embedder.texts
    classifier.understand(["расскажите о своих планах"], CORRECT)
    classifier.find_faq_answer("Расскажите о своих планах?")
    assert embedder.texts == prepared + 1


def test_vectors_are_prepared_once(tmp_path: Path) -> None:
    first, second = LetterEmbedder(), LetterEmbedder()
    gates = IntentClassifier.prepare(INTENTS, FAQ, first, tmp_path, "ru").gates
    assert IntentClassifier.prepare(INTENTS, FAQ, second, tmp_path, "ru").gates == gates
    assert first.texts > 0
    assert second.texts == 0
    IntentClassifier.prepare(INTENTS[1:], FAQ, second, tmp_path, "ru")
    assert second.texts > 0


def test_an_intent_that_is_not_expected_is_refused(classifier: IntentClassifier) -> None:
    result = classifier.classify_intent("до свидания", ["repeat"])
    assert (result.intent, result.leader, result.reason) == (None, "goodbye", "unexpected")


def test_a_negated_question_is_another_question(classifier: IntentClassifier) -> None:
    assert classifier.find_faq_answer("можно ли оплатить картой") is not None
    result = classifier.classify_intent("нельзя ли оплатить картой", None)
    assert result.reason not in {"exact", "fuzzy"}


def test_a_single_word_asks_nothing(classifier: IntentClassifier) -> None:
    assert classifier.find_faq_answer("документы") is None


@pytest.mark.parametrize("readings", [[], [""], ["…", " "]])
def test_silence(classifier: IntentClassifier, readings: list[str]) -> None:
    result = classifier.understand(readings, POWER)
    assert (result.intent, result.reason) == (None, "empty")


def test_an_empty_catalogue_understands_entities_only(tmp_path: Path) -> None:
    classifier = IntentClassifier.prepare((), (), LetterEmbedder(), tmp_path, "ru")
    assert judged(classifier, POWER, "сто пятьдесят") == "answer"
    assert classifier.classify_intent("расскажите о себе", None).reason == "no_examples"
    assert classifier.find_faq_answer("расскажите о себе") is None


def test_an_own_threshold_replaces_the_calibrated_one(tmp_path: Path) -> None:
    strict = tuple(IntentExamples(i.name, i.examples, i.faq, threshold=1.0) for i in INTENTS)
    text = "переключите меня на какого-нибудь живого человека"
    usual = IntentClassifier.prepare(INTENTS, FAQ, LetterEmbedder(), tmp_path / "a", "ru")
    assert usual.classify_intent(text, None).intent == "operator"
    stubborn = IntentClassifier.prepare(strict, FAQ, LetterEmbedder(), tmp_path / "b", "ru")
    assert stubborn.classify_intent(text, None).reason == "confidence"


def test_a_leader_that_repeats_passes_with_less() -> None:
    gate = Gate(confidence=0.5, gap=0.1, repeat_confidence=0.4, repeat_gap=0.05)
    assert gate.refusal(0.45, 0.06, repeated=False) == "confidence"
    assert gate.refusal(0.55, 0.06, repeated=False) == "gap"
    assert gate.refusal(0.45, 0.06, repeated=True) is None
    assert gate.refusal(0.45, 0.30, repeated=False) is None
    assert gate.refusal(0.30, 0.30, repeated=True) == "confidence"


def test_ukrainian(tmp_path: Path) -> None:
    intents = (IntentExamples("repeat", ("повторіть", "ще раз, будь ласка")),)
    classifier = IntentClassifier.prepare(intents, (), LetterEmbedder(), tmp_path, "uk")
    power = Expectation(entity=EntityKind.NUMBER, minimum=10, maximum=2000, intents=("answer", "correct", "repeat"))
    confirm = Expectation(entity=EntityKind.YES_NO, intents=("yes", "no", "correct"))
    assert judged(classifier, power, "сто п'ятдесят") == "answer"
    assert judged(classifier, confirm, "так, все вірно") == "yes"
    assert judged(classifier, confirm, "ні, не сто, а сто п'ятдесят") == "correct"
    assert judged(classifier, confirm, "ні") == "no"
    assert judged(classifier, power, "Повторіть!") == "repeat"
