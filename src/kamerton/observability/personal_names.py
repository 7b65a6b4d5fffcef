"""Names of people in Russian and Ukrainian talk: after words that introduce one, by patronymic, by name with surname.

Whether a word can be a name is asked of pymorphy3's dictionaries, which are loaded when the first word is asked about
(0.3 s and 35 MB, in the thread that writes the log).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final

import pymorphy3

from kamerton.observability.personal_numbers import Finding

NAME: Final = "[name]"


def _listed(words: str) -> frozenset[str]:
    return frozenset(words.split())


_WORD: Final = r"[^\W\d_]+(?:[-'’ʼ][^\W\d_]+)*"
_WORD_RE: Final = re.compile(_WORD)
_STRONG_CUES: Final = (
    r"(?:меня|мене)\s+(?:зовут|звать|звати|звуть|кличуть|называют|называть)",
    r"(?:зовут|звать|звати|звуть|зовите|называйте|звіть)\s+(?:меня|мене)",
    r"мо[её]\s+(?:полное\s+)?имя",
    r"имя\s+мо[её]",
    r"моє\s+(?:повне\s+)?ім['’ʼ]?я",
    r"моя\s+фамилия",
    r"фамилия\s+моя",
    r"мо[єе]\s+прізвище",
    r"прізвище\s+мо[єе]",
    r"(?:фамилия\s+имя\s+отчество|фамилия|имя|отчество|прізвище|фио)\s*[:—–-]",
    r"(?:вас\s+беспокоит|вас\s+турбує|с\s+вами\s+говорит|з\s+вами\s+говорить|(?:это|це)\s+говор(?:ить|ит))",
    r"my\s+name\s+is",
)
"""After these the next word is a name, whatever it is."""
_WEAK_CUES: Final = (
    r"я",
    r"это",
    r"це",
    r"фамилия",
    r"прізвище",
    r"отчество",
    r"по\s+фамилии",
    r"на\s+(?:имя|фамилию)",
    r"(?:оформите|оформить|запишите|записать)\s+на",
    r"(?:говорит|говорить|звонит|дзвонить|пан(?:е|і|у|ові)?|пані|господин|госпожа)",
    r"(?:водитель|собственник|владелец|страхователь|покупатель|клиент|заказчик|власник|водій|замовник|клієнт)",
    r"(?:муж|жена|сын|дочь|чоловік|дружина|син|дочка)",
    r"(?:спасибо|благодарю|здравствуйте|приятно\s+познакомиться|очень\s+приятно|уважаем(?:ый|ая)|дякую|вітаю|шановн(?:ий|а))",
)
"""After these the next word is a name if the dictionaries know it as one."""
_LINK: Final = r"(?:\s*[,:—–-])?\s+(?:(?:это|це)\s+)?"
_NAMES: Final = rf"(?P<name>{_WORD}(?:\s+{_WORD}){{0,2}})"
_STRONG_RE: Final = re.compile(rf"\b(?:{'|'.join(_STRONG_CUES)}){_LINK}{_NAMES}", re.IGNORECASE)
_WEAK_RE: Final = re.compile(rf"\b(?:{'|'.join(_WEAK_CUES)}){_LINK}(?={_NAMES})", re.IGNORECASE)
_TURNED_RE: Final = re.compile(
    rf"\b(?:меня|мене)\s+(?P<inner>{_WORD})\s+(?:зовут|звать|звати|звуть)\b"
    rf"|\b(?P<before>{_WORD})\s+(?:меня\s+(?:зовут|звать)|мене\s+(?:звати|звуть))\b",
    re.IGNORECASE,
)
"""«Меня Олег зовут», «Олег меня зовут»."""
_SPEAKING_RE: Final = re.compile(
    rf"\b(?:это|це)\s+(?P<name>{_WORD}(?:\s+{_WORD}){{0,2}}?)\s+(?:говорит|говорить|звонит|дзвонить|беспокоит|турбує)\b",
    re.IGNORECASE,
)
_STRONG_HINT_RE: Final = re.compile(
    r"з[ово]+[уи]т|зв[аі]т|звут|звуть|назыв|кличуть|имя|ім.?я|фамил|прізв|отчеств|фио|говор|звон|дзвон|беспоко|турбу|name",
    re.IGNORECASE,
)
_PATRONYMIC_RE: Final = re.compile(
    r"\b\w+(?:[ое]вич|йович|ьич|мич|кич|тич|[ое]вн|[іїє]вн|ичн)(?:[ауеоы]|ем|ой|ою|і)?\b", re.IGNORECASE
)
_CAPITAL_PAIR_RE: Final = re.compile(
    r"(?=\b(?P<first>[А-ЯЁІЇЄҐ][а-яёіїєґ'’ʼ-]+)\s(?P<second>[А-ЯЁІЇЄҐ][а-яёіїєґ'’ʼ-]+))"
)
_LATER_NAME_RE: Final = re.compile(
    r"(?:ович|евич|йович|ич|овна|евна|івна|ївна|ична|ов|ев|ёв|ін|їн|ин|ын|ова|ева|ёва|ина|ына|ский|ская|цкий|цкая"
    r"|ський|ська|цький|цька|енко|чук|юк|дзе|швили|ян)$",
    re.IGNORECASE,
)
_NOT_NAMES: Final = _listed(
    """
    как не что так вы ты мы он она они кто а и но все всё просто як що ви ти ми він вона вони хто это це тот так-то
    указана указано записана записано введена введено неверно неправильно невірно дочь сын
    лада веста калина гранта ока нива фиат логан
    """
)
_EVERYDAY_NAMES: Final = _listed(
    """
    вера надежда любовь роман лев майя роза слава виктория віра надія любов света злата мила
    """
)
"""Names that are everyday words as well: they need a capital."""
_UKRAINIAN_RE: Final = re.compile(r"[іїєґ]|\w['’ʼ]\w", re.IGNORECASE)
_SURE_SCORE: Final = 0.4
"""Of a Russian reading as a name; «роман» has 0.07, «надежда» 0.46, «Вера» 0.3."""
_LANGUAGES: Final = ("ru", "uk")
_KINDS: Final = ("Name", "Surn", "Patr")


def personal_names(text: str) -> Iterator[Finding]:
    """The names of people in a text; findings may overlap."""
    if _STRONG_HINT_RE.search(text):
        yield from _said_to_be_names(text)
    for found in _WEAK_RE.finditer(text):
        yield from _known(text, found)
    for found in _PATRONYMIC_RE.finditer(text):
        yield from _around_patronymic(text, found)
    for found in _CAPITAL_PAIR_RE.finditer(text):
        if _is_full_name(found["first"], found["second"]):
            yield _finding(text, found.start("first"), found.end("second"))


def _said_to_be_names(text: str) -> Iterator[Finding]:
    for found in _STRONG_RE.finditer(text):
        yield from _introduced(text, found)
    for found in _SPEAKING_RE.finditer(text):
        if found["name"].split()[0].lower() not in _NOT_NAMES:
            yield _finding(text, *found.span("name"))
    for found in _TURNED_RE.finditer(text):
        group = found.lastgroup or "inner"
        if _may_be(found[group], "Name"):
            yield _finding(text, *found.span(group))


def load_dictionaries() -> None:
    """Load the dictionaries now, so that no later call does (0.1 to 0.3 s)."""
    for language in _LANGUAGES:
        _analyzer(language)


def _finding(text: str, start: int, end: int) -> Finding:
    return Finding(start, end, NAME, text[start:end].lower())


def _introduced(text: str, found: re.Match[str]) -> Iterator[Finding]:
    words = list(_WORD_RE.finditer(text, found.start("name"), found.end("name")))
    if words[0].group().lower() in _NOT_NAMES:
        return
    last = words[0]
    for word in words[1:]:
        if not _goes_on(word.group()):
            break
        last = word
    yield _finding(text, words[0].start(), last.end())


def _known(text: str, found: re.Match[str]) -> Iterator[Finding]:
    """A name the dictionaries know: surely, or possibly with a capital or a surname after it."""
    words = list(_WORD_RE.finditer(text, found.start("name"), found.end("name")))
    first = words[0].group()
    count = 1
    while count < len(words) and _sure_kind(words[count].group()) is not None:
        count += 1
    capital = first[0].isupper() and first[1:].islower()
    sure = _sure_kind(first) is not None and (capital or first.lower() not in _EVERYDAY_NAMES)
    if sure or (_may_be(first, "Name") and (capital or count > 1)):
        yield _finding(text, words[0].start(), words[count - 1].end())


def _around_patronymic(text: str, found: re.Match[str]) -> Iterator[Finding]:
    """A patronymic with the name before it, and the surname before that or behind."""
    if not _may_be(found.group(), "Patr"):
        return
    before = list(_WORD_RE.finditer(text, max(0, found.start() - 60), found.start()))
    start, end = found.span()
    named = bool(before) and _adjacent(text, before[-1].end(), start) and _may_be(before[-1].group(), "Name")
    if named:
        start = before[-1].start()
        if len(before) > 1 and _adjacent(text, before[-2].end(), start) and _surname_like(before[-2].group()):
            start = before[-2].start()
    elif _sure_kind(found.group()) != "Patr":
        return
    behind = _WORD_RE.match(text, end + 1) if _adjacent(text, end, end + 1) else None
    if behind is not None and _surname_like(behind.group()):
        end = behind.end()
    yield _finding(text, start, end)


def _is_full_name(first: str, second: str) -> bool:
    if {first.lower(), second.lower()} & _NOT_NAMES:
        return False
    return any(
        _may_be(name, "Name") and _surname_like(surname) and _sure_kind(surname) in (None, "Surn")
        for name, surname in ((first, second), (second, first))
    )


def _adjacent(text: str, end: int, start: int) -> bool:
    return start - end == 1 and text[end:start].isspace()


def _goes_on(word: str) -> bool:
    return word.lower() not in _NOT_NAMES and (word[0].isupper() or bool(_LATER_NAME_RE.search(word)))


def _surname_like(word: str) -> bool:
    return _sure_kind(word) == "Surn" or (word[0].isupper() and _may_be(word, "Surn"))


def _sure_kind(word: str) -> str | None:
    """What kind of a name a word most likely is, if any."""
    return _kinds(word.lower())[0]


def _may_be(word: str, kind: str) -> bool:
    return kind in _kinds(word.lower())[1]


@lru_cache(maxsize=8192)
def _kinds(word: str) -> tuple[str | None, frozenset[str]]:
    """The likely kind of a word, and all kinds that it may be."""
    if not re.fullmatch(r"[а-яёіїєґ'’ʼ-]+", word) or word in _NOT_NAMES:
        return None, frozenset()
    ukrainian = bool(_UKRAINIAN_RE.search(word))
    readings = [(str(each.tag), each.score) for each in _analyzer("uk" if ukrainian else "ru").parse(word)]
    if not ukrainian and not any(kind in tag for tag, _ in readings for kind in _KINDS):
        if _analyzer("ru").word_is_known(word):
            return None, frozenset()
        readings = [(str(each.tag), each.score) for each in _analyzer("uk").parse(word)]
    may = frozenset(kind for kind in _KINDS for tag, _ in readings if kind in tag)
    weights = {kind: sum(score for tag, score in readings if kind in tag) for kind in may}
    total = sum(score for _, score in readings) or 1.0
    best = max(weights, key=lambda kind: weights[kind], default=None)
    return (best if best is not None and weights[best] / total >= _SURE_SCORE else None), may


@lru_cache(maxsize=2)
def _analyzer(language: str) -> Any:
    return pymorphy3.MorphAnalyzer(lang=language)
