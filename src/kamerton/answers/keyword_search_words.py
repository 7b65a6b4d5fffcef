"""Words of a text as they are searched for: folded, brought to their dictionary form, without those that say nothing.

Russian and Ukrainian words become lemmas (pymorphy3); Latin words and digits stay as they are.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from kamerton.domain.errors import ConfigurationError

LANGUAGES: Final = ("ru", "uk")

_APOSTROPHES = "'’ʼ`´′"
_WORD = re.compile(rf"\d+(?:[.,]\d+)?|[^\W\d_]+(?:[{_APOSTROPHES}][^\W\d_]+)*")
_ONE_APOSTROPHE = str.maketrans(dict.fromkeys(_APOSTROPHES, "'"))
_FOLDED = str.maketrans({"ё": "е", "ґ": "г", "'": None})
_CYRILLIC = re.compile("[а-яёіїєґ']+")

_EMPTY_CLASSES: Final = frozenset({"PREP", "CONJ", "PRCL", "INTJ", "NPRO"})
"""Parts of speech that carry no topic: prepositions, conjunctions, particles, interjections, pronouns."""

_TELLING: Final = frozenset(
    ("не", "ни", "нет", "без", "нельзя", "сколько", "где", "куда", "когда", "ні", "немає", "скільки", "де", "коли")
)
"""Words of those classes that do: they turn a question into another one."""

_EMPTY_WORDS: Final = {
    "ru": """
        пожалуйста здравствуйте здравствовать привет спасибо алло добрый день вечер утро сказать подсказать
        скажите подскажите ответить знать хотеть хотеться мочь можно быть этот тот такой мой ваш ваше наш свой
        который какой как ли же вообще просто еще уже теперь потом тогда там тут здесь вот ну да очень интересовать
        интересно вопрос узнать хотелось девушка слушать понять понимать говорить случайно собственно короче
        значит надо нужно нужный
    """,
    "uk": """
        будь ласка вітати здрастуйте привіт дякувати алло добрий день вечір ранок сказати підказати скажіть
        підкажіть відповісти знати хотіти хотітися могти можна бути цей той такий мій ваш наш свій який котрий як чи
        же взагалі просто ще вже тепер потім тоді там тут ось ну так дуже цікавити цікаво питання дізнатися
        дівчина слухати зрозуміти розуміти говорити випадково власне коротше значить треба потрібно
        потрібний
    """,
}
_EMPTY: Final = {language: frozenset(words.split()) for language, words in _EMPTY_WORDS.items()}
"""Courtesy and words that stand in any question."""


@dataclass(frozen=True, slots=True)
class Lemma:
    """A word in its dictionary form."""

    text: str
    word: str
    """As it was said, folded."""
    empty: bool
    """It carries no topic."""
    known: bool
    """The dictionary has the word; others may be a slip of the recogniser."""


def language_code(language: str) -> str:
    """The two-letter code of a language tag («ru-RU» → «ru»).

    Raises:
        ConfigurationError: the words of this language cannot be brought to their dictionary form.
    """
    code = language.lower().replace("_", "-").split("-")[0]
    if code not in LANGUAGES:
        raise ConfigurationError(
            f"language '{language}' has no morphology for instant answers; use one of: {', '.join(LANGUAGES)}"
        )
    return code


def normalised(text: str) -> str:
    """Folded words joined by single spaces: equal for texts that differ in case and punctuation only.

    The same form in which the classifier embeds what was said, so that both can share one vector.
    """
    return " ".join(word.translate(_FOLDED) for word in _words(text))


def lemmas(text: str, language: str) -> tuple[Lemma, ...]:
    """The words of a text in order; `language` is `ru` or `uk`. Thread-safe."""
    return tuple(_lemma(word, language) for word in _words(text))


def _words(text: str) -> list[str]:
    return [match.group().lower().translate(_ONE_APOSTROPHE) for match in _WORD.finditer(text)]


@lru_cache(maxsize=16_384)
def _lemma(word: str, language: str) -> Lemma:
    folded = word.translate(_FOLDED)
    if not _CYRILLIC.fullmatch(word):
        return Lemma(folded, folded, empty=False, known=True)
    parse = _analyzer(language).parse(word)[0]
    form = str(parse.normal_form).translate(_ONE_APOSTROPHE).translate(_FOLDED)
    if folded in _TELLING or form in _TELLING:
        return Lemma(folded if folded in _TELLING else form, folded, empty=False, known=True)
    empty = parse.tag.POS in _EMPTY_CLASSES or form in _EMPTY[language] or folded in _EMPTY[language]
    return Lemma(form, folded, empty, parse.is_known)


@lru_cache(maxsize=2)
def _analyzer(language: str) -> Any:
    """The dictionary of a language: 20 MB and 0.2 s, loaded once."""
    import pymorphy3

    return pymorphy3.MorphAnalyzer(lang=language)
