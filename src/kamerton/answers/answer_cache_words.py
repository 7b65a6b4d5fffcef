"""What the cache of model answers reads in words: whether two questions say the same, and what must not be kept.

Meaning alone does not tell «без техосмотра» from «с техосмотром»: their vectors lie closer than those of many
paraphrases. So prepositions and negations are bound to the word that they govern, and all words that are left must
agree.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from kamerton.answers.keyword_search_words import lemmas, normalised


def _set_of(words: str) -> frozenset[str]:
    return frozenset(words.split())


_BOUND: Final = _set_of(
    """без безо в во вне вместо для до за из изо к ко кроме между на над не ни о об обо от ото перед передо
    по под подо после при про против ради с со сверх среди у через
    без в від для до за з зі із крім між на над не ні о об від перед під після по при про проти серед у через"""
)
"""Prepositions and negations: they turn around what the next word means."""

_SAME: Final[Mapping[str, str]] = {
    "безо": "без",
    "во": "в",
    "изо": "из",
    "ко": "к",
    "об": "о",
    "обо": "о",
    "ото": "от",
    "со": "с",
    "зі": "з",
    "із": "з",
    **dict.fromkeys(("мочь", "возможно", "могти", "можний", "можна"), "можно"),
    **dict.fromkeys(("нужный", "надо", "необходимо", "треба", "потрібно", "потрібний"), "нужно"),
    **dict.fromkeys(("который", "котрий", "який"), "какой"),
    "як": "как",
    "хто": "кто",
    "що": "что",
}

_TELLING: Final = _set_of("можно нужно какой как кто что чей чий")
"""Words that a search leaves out, and that make another question of this one."""
_TIMES_OF_DAY: Final = _set_of("день вечер утро вечір ранок")
"""Kept, unless they are part of a greeting."""
_GOOD: Final = _set_of("добрый добрий")

_LEANING: Final = _set_of(
    """он она оно они его ее её их ему им него нее неё них нему ним ней ею это этот эта эти этого этой этому этим этих
    тот та те того той тому тем тех такой такая такое такие так там туда тут здесь тогда потом тоже также еще ещё другой
    другая другое другие остальной остальные последний предыдущий следующий наоборот
    він вона воно вони його її їх їхній йому їй ним ними нього неї них це цей ця ці цього цієї цим той ті тим такий
    така таке такі там туди тут тоді потім теж також ще інший інша інше інші решта останній попередній наступний
    навпаки"""
)
"""Words that point back at what was said before; as said or in their dictionary form."""
_LEANING_STARTS: Final = _set_of("а и но или тогда і й та але або")

_AGEING: Final = _set_of("сегодня завтра вчера послезавтра сьогодні завтра вчора післязавтра")
"""An answer with one of these is wrong tomorrow."""

_NUMERALS: Final = _set_of(
    """два две три четыре пять шесть семь восемь девять десять одиннадцать двенадцать тринадцать четырнадцать пятнадцать
    шестнадцать семнадцать восемнадцать девятнадцать двадцать тридцать сорок пятьдесят шестьдесят семьдесят восемьдесят
    девяносто сто двести триста четыреста пятьсот шестьсот семьсот восемьсот девятьсот тысяча миллион полтора
    дві чотири пять шість сім вісім девять десять одинадцять дванадцять тринадцять чотирнадцять пятнадцять шістнадцять
    сімнадцять вісімнадцять девятнадцять двадцять тридцять пятдесят шістдесят сімдесят вісімдесят девяносто двісті
    триста чотириста пятсот шістсот сімсот вісімсот девятсот тисяча мільйон півтора"""
)
_DIGITS: Final = re.compile(r"\d+(?:[ \u00a0\u202f]\d{3})*(?:[.,]\d+)?")
_SPACES: Final = re.compile(r"[ \u00a0\u202f]")
_LEAST_TEXT: Final = 3
"""A shorter word of the session («да») says nothing about a person."""


@dataclass(frozen=True, slots=True)
class QuestionWords:
    """The words of a question that carry its meaning, in order."""

    items: tuple[str, ...]
    """Dictionary forms, with their prepositions and negations before them: `без+техосмотр`."""
    forms: tuple[str, ...]
    """The same words as they were said."""
    leans: bool
    """True when the question points back at what was said before."""


def read_question(text: str, language: str) -> QuestionWords:
    """The words of a question; `language` is `ru` or `uk`. Thread-safe; the first call loads a dictionary (0.2 s)."""
    said = normalised(text).split(" ")
    words = lemmas(text, language)
    items: list[str] = []
    forms: list[str] = []
    bound = ""
    before = ""
    for form, word in zip(said, words, strict=False):
        lemma = _SAME.get(word.text, word.text)
        if form in _BOUND:
            bound += f"{_SAME.get(form, form)}+"
        elif _tells(lemma, before, empty=word.empty):
            items.append(bound + lemma)
            forms.append(bound + form)
            bound = ""
        elif word.text not in _SAME:
            bound = _negations(bound)
        before = lemma
    leaning = said[0] in _LEANING_STARTS or any(
        form in _LEANING or word.text in _LEANING for form, word in zip(said, words, strict=False)
    )
    return QuestionWords(tuple(items), tuple(forms), leaning)


def same_question(one: QuestionWords, other: QuestionWords) -> bool:
    """Whether two questions have the same words, in the same order or at least in the same forms.

    The forms tell «может ли муж вписать жену» from «может ли жена вписать мужа».
    """
    if sorted(one.items) != sorted(other.items):
        return False
    return one.items == other.items or sorted(one.forms) == sorted(other.forms)


def ages(text: str) -> bool:
    """Whether a text speaks of a day that is only right today."""
    return not _AGEING.isdisjoint(normalised(text).split(" "))


def mentions(text: str, values: Iterable[Any], language: str) -> bool:
    """Whether a text contains a value of a call: a number in digits, or the words of a text in any grammatical form.

    When there are numbers among the values, any number written as a word counts as one of them.
    """
    texts, numbers = _flat(values)
    words = [word.text for word in lemmas(text, language)]
    if numbers:
        found = {float(_SPACES.sub("", match).replace(",", ".")) for match in _DIGITS.findall(text)}
        if found & numbers or not _NUMERALS.isdisjoint(words):
            return True
    return any(_contains(words, [word.text for word in lemmas(value, language)]) for value in texts)


def _tells(lemma: str, before: str, *, empty: bool) -> bool:
    if lemma in _TIMES_OF_DAY:
        return before not in _GOOD
    return not empty or lemma in _TELLING


def _negations(bound: str) -> str:
    """What stays bound over an empty word: «у вас» means nothing, «не у вас» still denies."""
    return "".join(f"{word}+" for word in bound.split("+") if word in ("не", "ни", "ні"))


def _flat(values: Iterable[Any]) -> tuple[list[str], set[float]]:
    """Texts and numbers among the values, also inside lists and mappings; digits in a text count as numbers, too."""
    texts: list[str] = []
    numbers: set[float] = set()
    waiting = list(values)
    while waiting:
        value = waiting.pop()
        if isinstance(value, bool) or value is None:
            continue
        if isinstance(value, int | float):
            numbers.add(float(value))
        elif isinstance(value, str):
            texts.append(value)
            numbers.update(float(_SPACES.sub("", digits).replace(",", ".")) for digits in _DIGITS.findall(value))
        elif isinstance(value, Mapping):
            waiting.extend(value.values())
        elif isinstance(value, Iterable):
            waiting.extend(value)
    return [text for text in texts if len(text.strip()) >= _LEAST_TEXT], numbers


def _contains(words: list[str], part: list[str]) -> bool:
    return bool(part) and any(words[at : at + len(part)] == part for at in range(len(words) - len(part) + 1))
